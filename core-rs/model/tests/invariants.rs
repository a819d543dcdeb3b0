//! What must hold for every architecture of the registry, on its tiny random model.

mod support;

use puna_graph::{Batch, Cell, Executor, Output, Plan, Read};
use puna_model::block::{Decoder, Ffn, Norms, QkNorm};
use puna_model::{ARCHS, Arch, Options, lower};
use support::{
    all_rows, is_causal, reference, reference_of, rows, tiny_model, tree, upload, worst,
};

const TOKENS: [u32; 12] = [1, 40, 77, 100, 9, 9, 250, 33, 64, 128, 200, 5];
/// The same sums in another grouping.
const TOLERANCE: f32 = 1e-4;

fn assert_close(a: &[f32], b: &[f32], what: &str) {
    let worst = worst(a, b);
    assert!(worst < TOLERANCE, "{what}: off by {worst}");
}

/// Ops that a layer may take behind fusing: six, and one or two for what has no fused form.
fn most_ops(tree: &Decoder) -> usize {
    let layer = &tree.layers[0];
    let ffn = match layer.ffn {
        Ffn::Gated(_) => 0,
        Ffn::Packed(_) | Ffn::Plain(_) => 1,
        Ffn::Experts(_) => 6,
    };
    let norms = match tree.norms {
        Norms::Pre | Norms::PreAndPost | Norms::Parallel => 0,
        Norms::ParallelShared | Norms::PreOrShared => 1,
        Norms::Post => 2,
    };
    let heads = if layer.attention.qk_norm == QkNorm::None {
        0
    } else {
        2
    };
    6 + ffn + norms + heads
}

/// llama.cpp refuses a file without them, or with others.
#[test]
fn tiny_models_have_the_keys_and_tensors_of_real_ones() {
    let model = |name: &str| tiny_model(ARCHS.iter().find(|a| a.name == name).expect(name));
    let bert = model("bert");
    assert_eq!(
        bert.metadata.get_bool("bert.attention.causal").unwrap(),
        Some(false)
    );
    assert!(bert.metadata.contains("bert.attention.layer_norm_epsilon"));
    assert!(
        !bert
            .metadata
            .contains("bert.attention.layer_norm_rms_epsilon")
    );
    let neox = model("gptneox");
    for name in [
        "output.weight",
        "blk.0.attn_qkv.weight",
        "blk.2.ffn_down.bias",
    ] {
        assert!(neox.tensor(name).is_some(), "{name}");
    }
    for name in ["output.bias", "blk.0.attn_q.weight"] {
        assert!(neox.tensor(name).is_none(), "{name}");
    }
    assert!(model("gemma2").tensor("output.weight").is_none());
}

#[test]
fn a_layer_fuses_into_six_ops() {
    for arch in ARCHS {
        let model = lower(&tiny_model(arch), &Options::default()).expect(arch.name);
        let (fused, tree) = (model.graph.fused(), tree(arch));
        // Embedding, output head, two selects in the last layer; Gemma keeps a final norm and sum.
        let embed = 3 * tree.embed.positions as usize + tree.embed.norm as usize;
        let most = model.hparams.n_layer * most_ops(&tree) + 5 + embed;
        assert!(fused.ops.len() <= most, "{}:\n{fused}", arch.name);
    }
}

#[test]
fn decomposing_undoes_fusing() {
    for arch in ARCHS {
        let gguf = tiny_model(arch);
        let graph = lower(&gguf, &Options::default()).expect(arch.name).graph;
        let simple = all_rows(&mut reference_of(&graph, &gguf, 12), &TOKENS);
        let fused = graph.fused();
        assert!(fused.ops.len() < graph.ops.len(), "{}", arch.name);
        assert_close(
            &all_rows(&mut reference_of(&fused, &gguf, 12), &TOKENS),
            &simple,
            arch.name,
        );
    }
}

#[test]
fn no_op_writes_an_arena_it_reads() {
    for arch in ARCHS {
        let graph = lower(&tiny_model(arch), &Options::default())
            .expect(arch.name)
            .graph;
        for graph in [graph.fused(), graph] {
            let plan = Plan::new(graph, 32, 4);
            for op in &plan.graph.ops {
                let mut written = vec![];
                for out in op.outputs() {
                    let arena = plan.slot(out.value).arena;
                    assert!(!written.contains(&arena), "{}: {}", arch.name, op.name());
                    written.push(arena);
                }
                for x in op.inputs() {
                    let arena = plan.slot(x.value).arena;
                    assert!(!written.contains(&arena), "{}: {}", arch.name, op.name());
                }
            }
        }
    }
}

#[test]
fn a_plan_survives_its_byte_form() {
    for arch in ARCHS {
        let graph = lower(&tiny_model(arch), &Options::default())
            .expect(arch.name)
            .graph;
        let plan = Plan::new(graph.fused(), 32, 4);
        assert_eq!(Plan::from_bytes(&plan.to_bytes()).expect("bytes"), plan);
    }
    assert!(Plan::from_bytes(b"{\"graph\":").is_err());
}

#[test]
fn a_prompt_equals_its_tokens_one_by_one() {
    for arch in ARCHS.iter().filter(|a| is_causal(a)) {
        let gguf = tiny_model(arch);
        let whole = all_rows(&mut reference(&gguf, 12), &TOKENS);
        let mut exec = reference(&gguf, 12);
        let single: Vec<f32> = (0..TOKENS.len())
            .flat_map(|i| rows(&mut exec, &Batch::of_sequence(&TOKENS[i..=i], i, true)))
            .collect();
        assert_close(&single, &whole, arch.name);
    }
}

#[test]
fn two_sequences_in_one_batch_equal_each_alone() {
    for arch in ARCHS {
        let gguf = tiny_model(arch);
        let (a, b) = (&TOKENS[..7], &TOKENS[5..]);
        let alone = [a, b].map(|s| all_rows(&mut reference(&gguf, 14), s));
        // Interleaved: a0 b0 a1 b1 …, cells in the order of the batch.
        let order: Vec<(u32, usize)> = (0..7).flat_map(|i| [(0, i), (1, i)]).collect();
        let batch = Batch {
            tokens: order.iter().map(|&(s, i)| [a, b][s as usize][i]).collect(),
            input: None,
            pos: order.iter().map(|&(_, i)| i as i32).collect(),
            seq: order.iter().map(|&(s, _)| s).collect(),
            cells: (0..14).collect(),
            outputs: (0..14).collect(),
            cache: order
                .iter()
                .map(|&(s, i)| Cell {
                    pos: i as i32,
                    seqs: 1 << s,
                })
                .collect(),
        };
        let together = rows(&mut reference(&gguf, 14), &batch);
        let n_vocab = together.len() / 14;
        for (row, &(s, i)) in order.iter().enumerate() {
            let expected = &alone[s as usize][i * n_vocab..][..n_vocab];
            assert_close(&together[row * n_vocab..][..n_vocab], expected, arch.name);
        }
    }
}

#[test]
fn two_halves_equal_the_whole() {
    for arch in ARCHS {
        let gguf = tiny_model(arch);
        let graph = lower(&gguf, &Options::default()).expect(arch.name).graph;
        let whole = all_rows(&mut reference_of(&graph, &gguf, 12), &TOKENS);
        for at in 1..graph.layer_starts.len() {
            let (first, second) = graph.split(at);
            let mut a = reference_of(&first.fused(), &gguf, 12);
            let mut b = reference_of(&second.fused(), &gguf, 12);
            upload(&mut a, &first, &gguf);
            let mut parameters = Batch::of_sequence(&TOKENS, 0, true);
            a.run(&parameters).expect("first half");
            let Some(Output::F32(x)) = a.read(Read::Hidden).expect("hidden") else {
                panic!("no activations")
            };
            parameters.tokens.clear();
            parameters.input = Some(x);
            assert_close(&rows(&mut b, &parameters), &whole, arch.name);
        }
    }
}

#[test]
fn shifted_keys_are_keys_of_other_positions() {
    // Learned positions are in the states themselves.
    let relative = |a: &&Arch| is_causal(a) && !tree(a).embed.positions;
    for arch in ARCHS.iter().filter(relative) {
        let gguf = tiny_model(arch);
        // Attention sees only distances: the whole text moved by 5 positions gives the same logits.
        let mut exec = reference(&gguf, 12);
        rows(&mut exec, &Batch::of_sequence(&TOKENS[..11], 0, false));
        let cells = (0..11).collect();
        exec.cache(&puna_graph::CacheOp::Shift { cells, delta: 5 })
            .expect("shift");
        let mut next = Batch::of_sequence(&TOKENS[11..], 11, false);
        next.pos[0] += 5;
        next.cache.iter_mut().for_each(|c| c.pos += 5);
        let moved = rows(&mut exec, &next);
        let mut exec = reference(&gguf, 12);
        rows(&mut exec, &Batch::of_sequence(&TOKENS[..11], 0, false));
        let unmoved = rows(&mut exec, &Batch::of_sequence(&TOKENS[11..], 11, false));
        assert_close(&moved, &unmoved, arch.name);
    }
}
