//! Every executor × architecture × tensor type against the scalar interpreter.

use puna_conformance::{
    Make, N_CELLS, executors, graph, is_causal, made, model, nmse, reference, rows, tree, upload,
};
use puna_format::DType;
use puna_graph::{Batch, CacheOp, Executor, Graph, KvDType, Output, Read};
use puna_model::block::Ffn;
use puna_model::{ARCHS, Arch};

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

/// Architectures that every executor runs; of the ops of others it may say by name that it lacks them.
const EVERY_EXECUTOR: [&str; 3] = ["llama", "gemma2", "qwen2"];

/// Types in which an architecture is tried: in Llama every one, elsewhere one that is exact and one that
/// rounds. Rounding would now and then choose another expert, which no bound on errors covers.
fn dtypes(arch: &Arch) -> impl Iterator<Item = DType> {
    let every = arch.name == "llama";
    let some = match has_experts(arch) {
        true => [DType::F32, DType::F16],
        false => [DType::F32, DType::Q8_0],
    };
    DType::all()
        .iter()
        .copied()
        .filter(|t| t.can_encode() && t.can_decode())
        .filter(move |t| every || some.contains(t))
}

fn has_experts(arch: &Arch) -> bool {
    let layers = tree(arch).layers;
    layers.iter().any(|l| matches!(l.ffn, Ffn::Experts(_)))
}

/// An executor of the graph with the weights in it; `None` where it refuses by name what it has no
/// kernels for.
fn opened(
    (name, make): &(String, Make),
    (arch, dtype): (&Arch, DType),
    graph: &Graph,
    kv: KvDType,
    gguf: &puna_format::Gguf,
) -> Option<Box<dyn Executor>> {
    let Some(mut exec) = made(name, make(graph, 12, kv)) else {
        let essential = EVERYWHERE.contains(&dtype) && EVERY_EXECUTOR.contains(&arch.name);
        assert!(!essential, "{name} refuses {}, {dtype}", arch.name);
        return None;
    };
    upload(exec.as_mut(), graph, gguf);
    Some(exec)
}

#[test]
fn rows_equal_the_reference() {
    for arch in ARCHS {
        for dtype in dtypes(arch) {
            let gguf = model(arch, dtype);
            let graph = graph(&gguf);
            let batch = Batch::of_sequence(&TOKENS, 0, true);
            let expected = rows(&mut reference(&graph, &gguf, 12), &batch);
            for make in executors() {
                let Some(mut exec) = opened(&make, (arch, dtype), &graph, KvDType::F32, &gguf)
                else {
                    continue;
                };
                let error = nmse(&rows(exec.as_mut(), &batch), &expected);
                assert!(
                    error < bound(dtype),
                    "{}, {}, {dtype}: NMSE {error:e}",
                    make.0,
                    arch.name
                );
            }
        }
    }
}

#[test]
fn a_prompt_equals_its_tokens_one_by_one() {
    for arch in ARCHS.iter().filter(|a| is_causal(a)) {
        let quantized = !has_experts(arch);
        let dtypes = [DType::F16, DType::Q4_0, DType::Q6_K];
        for dtype in dtypes.into_iter().filter(|t| quantized || *t == DType::F16) {
            let gguf = model(arch, dtype);
            let graph = graph(&gguf);
            for make in executors() {
                let open = || opened(&make, (arch, dtype), &graph, KvDType::F16, &gguf);
                let (Some(mut whole), Some(mut single)) = (open(), open()) else {
                    continue;
                };
                let expected = rows(whole.as_mut(), &Batch::of_sequence(&TOKENS, 0, true));
                let got: Vec<f32> = (0..TOKENS.len())
                    .flat_map(|i| {
                        rows(
                            single.as_mut(),
                            &Batch::of_sequence(&TOKENS[i..=i], i, true),
                        )
                    })
                    .collect();
                let error = nmse(&got, &expected);
                assert!(
                    error < bound(dtype),
                    "{}, {}, {dtype}: NMSE {error:e}",
                    make.0,
                    arch.name
                );
            }
        }
    }
}

#[test]
fn greedy_is_the_largest_logit() {
    let arch = puna_model::arch::find("llama").expect("known");
    let gguf = model(arch, DType::Q8_0);
    let graph = graph(&gguf);
    for make in executors() {
        let name = &make.0;
        let mut exec = opened(&make, (arch, DType::Q8_0), &graph, KvDType::F16, &gguf)
            .expect("every executor runs llama");
        let batch = Batch::of_sequence(&TOKENS, 0, true);
        let logits = rows(exec.as_mut(), &batch);
        let n_vocab = logits.len() / TOKENS.len();
        let expected = logits
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
    for arch in ARCHS.iter().filter(|a| is_causal(a)) {
        let gguf = model(arch, DType::F16);
        let graph = graph(&gguf);
        for make in executors() {
            let name = &make.0;
            let open = || opened(&make, (arch, DType::F16), &graph, KvDType::F16, &gguf);
            let (Some(mut exec), Some(mut other)) = (open(), open()) else {
                continue;
            };
            rows(exec.as_mut(), &Batch::of_sequence(&TOKENS[..11], 0, false));
            let next = Batch::of_sequence(&TOKENS[11..], 11, false);
            let expected = rows(exec.as_mut(), &next);
            let cells = (0..11).collect();
            let bytes = exec
                .cache(&CacheOp::Save { cells })
                .expect("save")
                .expect("bytes");

            let from = N_CELLS as u32 - 12;
            let cells: Vec<u32> = (from..from + 11).collect();
            other.cache(&CacheOp::Load { cells, bytes }).expect("load");
            let mut moved = next.clone();
            moved.cells = vec![from + 11];
            moved.cache = vec![Default::default(); from as usize];
            moved.cache.extend_from_slice(&next.cache);
            let error = nmse(&rows(other.as_mut(), &moved), &expected);
            assert!(error < 1e-6, "{name}, {}: NMSE {error:e}", arch.name);
        }
    }
}

#[test]
fn shifted_keys_are_keys_of_other_positions() {
    // Learned positions are in the states themselves.
    let relative = |a: &&Arch| is_causal(a) && !tree(a).embed.positions;
    for arch in ARCHS.iter().filter(relative) {
        let gguf = model(arch, DType::F16);
        let graph = graph(&gguf);
        for make in executors() {
            let name = &make.0;
            let Some(mut exec) = opened(&make, (arch, DType::F16), &graph, KvDType::F32, &gguf)
            else {
                continue;
            };
            rows(exec.as_mut(), &Batch::of_sequence(&TOKENS[..11], 0, false));
            let mut next = Batch::of_sequence(&TOKENS[11..], 11, false);
            let expected = rows(exec.as_mut(), &next);
            let cells = (0..11).collect();
            exec.cache(&CacheOp::Shift { cells, delta: 5 })
                .expect("shift");
            next.pos[0] += 5;
            next.cache.iter_mut().for_each(|c| c.pos += 5);
            let error = nmse(&rows(exec.as_mut(), &next), &expected);
            assert!(error < 1e-6, "{name}, {}: NMSE {error:e}", arch.name);
        }
    }
}
