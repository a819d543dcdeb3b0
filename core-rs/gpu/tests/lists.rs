//! Facts about dispatch lists, without a device.

mod common;

use common::{F16_CACHE, LLAMA_1B, Shape, TINY};
use puna_gpu::{DeviceLimits, GpuOptions, Lowered, Program, lower};
use puna_graph::{Graph, KvDType, Plan};

fn lowered(graph: &Graph, n_tokens: usize) -> Lowered {
    let plan = Plan::new(graph.clone(), n_tokens, n_tokens.min(32));
    let options = GpuOptions {
        n_cells: 4096,
        ..F16_CACHE
    };
    lower(&plan, DeviceLimits::CORE, &options).expect("lowers")
}

/// Dispatches of one decoded token.
fn decode_steps(shape: &Shape) -> usize {
    let lowered = lowered(&shape.graph().fused(), 512);
    lowered.program.lists[lowered.one].steps.len()
}

#[test]
fn a_token_of_a_1b_q4_k_m_takes_at_most_110_dispatches() {
    let n = decode_steps(&LLAMA_1B);
    assert!(n <= 110, "{n} dispatches");
}

#[test]
fn a_layer_takes_at_most_6_dispatches() {
    for gemma in [false, true] {
        let of = |n_layer| {
            decode_steps(&Shape {
                n_layer,
                gemma,
                ..TINY
            })
        };
        assert!(of(5) - of(4) <= 6, "gemma {gemma}: {}", of(5) - of(4));
    }
}

/// WebGPU's rules that a host would only find out about at run time.
fn check_rules(program: &Program) {
    for group in &program.groups {
        let bindings = &program.pipelines[group.pipeline].bindings;
        for (region, access) in group.entries.iter().zip(bindings) {
            assert_eq!(region.offset % 256, 0);
            assert!(region.size > 0 && region.size <= DeviceLimits::CORE.max_binding);
            let buffer = &program.buffers[region.buffer];
            assert!(
                region.offset + region.size <= buffer.size,
                "{}",
                buffer.name
            );
            let written = *access == puna_gpu::dispatch::Access::Write;
            let same = group
                .entries
                .iter()
                .filter(|r| r.buffer == region.buffer)
                .count();
            assert!(
                !written || same == 1,
                "{} is written and bound twice",
                buffer.name
            );
        }
    }
}

#[test]
fn no_step_reads_what_it_writes_and_regions_fit() {
    for shape in [
        TINY,
        LLAMA_1B,
        Shape {
            gemma: true,
            bias: true,
            ..TINY
        },
    ] {
        check_rules(&lowered(&shape.graph().fused(), 64).program);
        check_rules(&lowered(&shape.graph(), 64).program);
    }
}

#[test]
fn programs_survive_json() {
    let program = lowered(&TINY.graph().fused(), 16).program;
    let json = serde_json::to_string(&program).expect("plain data");
    assert_eq!(
        serde_json::from_str::<Program>(&json).expect("parses"),
        program
    );
}

#[test]
fn steps_of_no_rows_have_no_workgroups() {
    let lowered = lowered(&TINY.graph().fused(), 16);
    let grids = lowered.program.grids(lowered.one, 1, 0);
    assert!(grids.iter().any(|g| g[0] == 0) && grids.iter().any(|g| g[0] > 0));
}

#[test]
fn caches_of_blocks_are_refused_by_name() {
    let options = GpuOptions {
        type_v: KvDType::Q8_0,
        ..F16_CACHE
    };
    let plan = Plan::new(TINY.graph().fused(), 8, 8);
    let error = lower(&plan, DeviceLimits::CORE, &options).err();
    let message = error.expect("refused").to_string();
    assert!(
        message.contains("type_v = q8_0, expected f16 or f32"),
        "{message}"
    );
}
