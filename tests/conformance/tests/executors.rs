//! Every executor × architecture × tensor type against the scalar interpreter.

use puna_conformance::{N_CELLS, executors, graph, logits, model, nmse, reference, upload};
use puna_format::DType;
use puna_graph::{Batch, CacheOp, KvDType, Output, Read};
use puna_model::ARCHS;

const TOKENS: [u32; 12] = [1, 40, 77, 100, 9, 9, 250, 33, 64, 128, 200, 5];

/// Types that every executor has kernels for; of the others it may say by name that it has none.
const EVERYWHERE: [DType; 7] = [
    DType::F32,
    DType::F16,
    DType::BF16,
    DType::Q4_0,
    DType::Q8_0,
    DType::Q4_K,
    DType::Q6_K,
];

/// What may differ: f32 sums in another order, or activations rounded to 8 bits for the integer
/// products of quantized weights (llama.cpp's own bound between backends is 1e-4 for floats).
fn bound(dtype: DType) -> f64 {
    match dtype {
        DType::F32 | DType::F16 | DType::BF16 => 1e-6,
        _ => 1e-3,
    }
}

fn dtypes() -> impl Iterator<Item = DType> {
    DType::all()
        .iter()
        .copied()
        .filter(|t| t.can_encode() && t.can_decode())
}

#[test]
fn logits_equal_the_reference() {
    for arch in ARCHS {
        for dtype in dtypes() {
            let gguf = model(arch, dtype);
            let graph = graph(&gguf);
            let expected = logits(
                &mut reference(&graph, &gguf, 12),
                &Batch::of_sequence(&TOKENS, 0, true),
            );
            for (name, make) in executors() {
                let mut exec = match make(&graph, 12, KvDType::F32) {
                    Ok(exec) => exec,
                    Err(e) => {
                        let refused = format!("no kernels for {dtype}");
                        assert!(!EVERYWHERE.contains(&dtype), "{name}, {dtype}: {e}");
                        assert!(e.to_string().contains(&refused), "{name}, {dtype}: {e}");
                        continue;
                    }
                };
                upload(exec.as_mut(), &graph, &gguf);
                let got = logits(exec.as_mut(), &Batch::of_sequence(&TOKENS, 0, true));
                let error = nmse(&got, &expected);
                assert!(
                    error < bound(dtype),
                    "{name}, {}, {dtype}: NMSE {error:e}",
                    arch.name
                );
            }
        }
    }
}

#[test]
fn a_prompt_equals_its_tokens_one_by_one() {
    for arch in ARCHS {
        for dtype in [DType::F16, DType::Q4_0, DType::Q6_K] {
            let gguf = model(arch, dtype);
            let graph = graph(&gguf);
            for (name, make) in executors() {
                let mut whole = make(&graph, 12, KvDType::F16).expect("executor");
                let mut single = make(&graph, 12, KvDType::F16).expect("executor");
                upload(whole.as_mut(), &graph, &gguf);
                upload(single.as_mut(), &graph, &gguf);
                let expected = logits(whole.as_mut(), &Batch::of_sequence(&TOKENS, 0, true));
                let got: Vec<f32> = (0..TOKENS.len())
                    .flat_map(|i| {
                        logits(
                            single.as_mut(),
                            &Batch::of_sequence(&TOKENS[i..=i], i, true),
                        )
                    })
                    .collect();
                let error = nmse(&got, &expected);
                assert!(
                    error < bound(dtype),
                    "{name}, {}, {dtype}: NMSE {error:e}",
                    arch.name
                );
            }
        }
    }
}

#[test]
fn greedy_is_the_largest_logit() {
    let gguf = model(&ARCHS[0], DType::Q8_0);
    let graph = graph(&gguf);
    for (name, make) in executors() {
        let mut exec = make(&graph, 12, KvDType::F16).expect("executor");
        upload(exec.as_mut(), &graph, &gguf);
        let batch = Batch::of_sequence(&TOKENS, 0, true);
        let rows = logits(exec.as_mut(), &batch);
        let n_vocab = rows.len() / TOKENS.len();
        let expected = rows
            .chunks_exact(n_vocab)
            .map(puna_graph::reference::argmax)
            .collect();
        exec.run(&batch).expect("run");
        let got = exec.read(Read::Greedy).expect("read");
        assert_eq!(got, Some(Output::Ids(expected)), "{name}");
    }
}

#[test]
fn a_saved_sequence_goes_on_in_other_cells() {
    for arch in ARCHS {
        let gguf = model(arch, DType::F16);
        let graph = graph(&gguf);
        for (name, make) in executors() {
            let mut exec = make(&graph, 12, KvDType::F16).expect("executor");
            upload(exec.as_mut(), &graph, &gguf);
            logits(exec.as_mut(), &Batch::of_sequence(&TOKENS[..11], 0, false));
            let next = Batch::of_sequence(&TOKENS[11..], 11, false);
            let expected = logits(exec.as_mut(), &next);
            let cells = (0..11).collect();
            let bytes = exec
                .cache(&CacheOp::Save { cells })
                .expect("save")
                .expect("bytes");

            let mut other = make(&graph, 12, KvDType::F16).expect("executor");
            upload(other.as_mut(), &graph, &gguf);
            let from = N_CELLS as u32 - 12;
            let cells: Vec<u32> = (from..from + 11).collect();
            other.cache(&CacheOp::Load { cells, bytes }).expect("load");
            let mut moved = next.clone();
            moved.cells = vec![from + 11];
            moved.cache = vec![Default::default(); from as usize];
            moved.cache.extend_from_slice(&next.cache);
            let error = nmse(&logits(other.as_mut(), &moved), &expected);
            assert!(error < 1e-6, "{name}, {}: NMSE {error:e}", arch.name);
        }
    }
}

#[test]
fn shifted_keys_are_keys_of_other_positions() {
    for arch in ARCHS {
        let gguf = model(arch, DType::F16);
        let graph = graph(&gguf);
        for (name, make) in executors() {
            let mut exec = make(&graph, 12, KvDType::F32).expect("executor");
            upload(exec.as_mut(), &graph, &gguf);
            logits(exec.as_mut(), &Batch::of_sequence(&TOKENS[..11], 0, false));
            let mut next = Batch::of_sequence(&TOKENS[11..], 11, false);
            let expected = logits(exec.as_mut(), &next);
            let cells = (0..11).collect();
            exec.cache(&CacheOp::Shift { cells, delta: 5 })
                .expect("shift");
            next.pos[0] += 5;
            next.cache.iter_mut().for_each(|c| c.pos += 5);
            let error = nmse(&logits(exec.as_mut(), &next), &expected);
            assert!(error < 1e-6, "{name}, {}: NMSE {error:e}", arch.name);
        }
    }
}
