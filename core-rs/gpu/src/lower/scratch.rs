//! What a lowered plan needs beside its values: scratch buffers, and aliases that save a dispatch.

use std::collections::HashMap;

use puna_graph::{Op, Plan, Result, ValueId};

use super::{FEW, unsupported};
use crate::dispatch::{Buffer, Program, Region};
use crate::place::{DeviceLimits, Places};

/// Buffers for what lies between dispatches of one op, and for bindings that an op does not use.
#[derive(Clone, Copy)]
pub(super) struct Scratch {
    /// `[rows, n_in]`, normed, in front of a tiled product.
    pub normed: Region,
    /// `[rows, width]` each: gate and up where they are no stack.
    pub gate: Region,
    pub up: Region,
    pub parts: Region,
    pub chosen: Region,
    pub unused: [Region; 3],
}

/// Values that are only another value's row when a batch has one token: outputs of `Select`,
/// where nothing overwrites the original before their last reader, or writes its arena there.
pub(super) fn aliases(plan: &Plan) -> HashMap<ValueId, ValueId> {
    let graph = &plan.graph;
    let mut found = HashMap::new();
    for (i, op) in graph.ops.iter().enumerate() {
        let Op::Select { x, out } = op else { continue };
        let whole = *x == graph.whole(x.value) && *out == graph.whole(out.value);
        let leaves = [graph.hidden, graph.logits].contains(&Some(out.value));
        let later = &graph.ops[i + 1..];
        let reads = |op: &Op| op.inputs().iter().any(|y| y.value == out.value);
        let last = later.iter().rposition(reads).map_or(0, |n| n + 1);
        let arena = plan.slot(x.value).arena;
        let safe = later[..last].iter().all(|op| {
            let outs = op.outputs();
            let touched = outs
                .iter()
                .any(|y| Some(y.value) != graph.logits && plan.slot(y.value).arena == arena);
            !touched
        });
        if whole && !leaves && safe {
            found.insert(out.value, x.value);
        }
    }
    found
}

/// Adds the scratch buffers.
pub(super) fn scratch(
    plan: &Plan,
    limits: DeviceLimits,
    places: &Places,
    program: &mut Program,
) -> Result<Scratch> {
    let rows = plan.n_tokens.max(plan.n_outputs) as u64;
    let (normed, apart) = widths(plan, places);
    let logits = plan.graph.logits.map_or(0, |id| plan.graph.value(id).width);
    let mut buffer = |name: &str, n_bytes: u64| {
        let size = n_bytes.max(256).next_multiple_of(256);
        if size > limits.max_binding.min(limits.max_buffer) {
            return unsupported(format!(
                "{name} needs {size} bytes; take fewer tokens a batch"
            ));
        }
        program.buffers.push(Buffer {
            name: name.into(),
            size,
        });
        Ok(Region {
            buffer: program.buffers.len() - 1,
            offset: 0,
            size,
        })
    };
    let n_outputs = plan.n_outputs as u64;
    Ok(Scratch {
        normed: buffer("normed", rows * normed * 4)?,
        gate: buffer("gate", rows * apart * 4)?,
        up: buffer("up", rows * apart * 4)?,
        parts: buffer("argmax parts", n_outputs * u64::from(n_parts(logits)) * 8)?,
        chosen: buffer("chosen", n_outputs * 4)?,
        unused: [
            buffer("unused 0", 0)?,
            buffer("unused 1", 0)?,
            buffer("unused 2", 0)?,
        ],
    })
}

/// Widest normed row, and widest gated unit whose halves are no stack.
fn widths(plan: &Plan, places: &Places) -> (u64, u64) {
    let (mut normed, mut apart) = (0, 0);
    for (i, op) in plan.graph.ops.iter().enumerate() {
        let Op::FusedLinear(f) = op else { continue };
        let prologue = f.norm.is_some() || f.add.is_some();
        if prologue && plan.n_tokens > FEW {
            normed = normed.max(f.x.width as u64);
        }
        if f.glu.is_some() && places.stacks[&i].len() == 2 {
            apart = apart.max(f.out.width as u64);
        }
    }
    (normed, apart)
}

/// Workgroups that share a row of logits.
pub(super) fn n_parts(n_vocab: usize) -> u32 {
    n_vocab.div_ceil(2048).clamp(1, 64) as u32
}
