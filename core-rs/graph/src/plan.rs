//! The plan: a graph whose values have places in a few arenas, for a given most number of rows.
//!
//! Arenas are coloured: an op never writes an arena that it reads, and never writes one arena
//! twice, because WebGPU refuses a buffer that is readable and writable in one dispatch. Inside
//! an arena values that are not alive together share room.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::graph::{Graph, Operand, Rows, ValueId};

/// Values start at multiples of this many f32 (256 bytes, WebGPU's alignment of a binding).
const ALIGN: usize = 64;

/// Where a value lies: rows of `width` f32 from `offset` (in f32) of arena `arena`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    pub arena: usize,
    pub offset: usize,
    pub width: usize,
}

/// A graph with places: all an executor needs besides weights and batches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    pub graph: Graph,
    /// One for each value of the graph.
    pub slots: Vec<Slot>,
    /// Length of each arena in f32.
    pub arenas: Vec<usize>,
    /// Most tokens in a batch.
    pub n_tokens: usize,
    /// Most outputs in a batch.
    pub n_outputs: usize,
}

/// First and last op that touch a value.
#[derive(Clone, Copy)]
struct Life {
    first: usize,
    last: usize,
}

impl Plan {
    /// Plans `graph` for batches of up to `n_tokens` tokens and `n_outputs` outputs.
    pub fn new(graph: Graph, n_tokens: usize, n_outputs: usize) -> Plan {
        assert!(n_tokens > 0, "a plan for no tokens");
        let lives = lives(&graph);
        let arena_of = colour(&graph, &lives);
        let n_arenas = arena_of.iter().map(|a| a + 1).max().unwrap_or(1);
        let mut plan = Plan {
            slots: vec![Slot::default(); graph.values.len()],
            arenas: vec![0; n_arenas],
            graph,
            n_tokens,
            n_outputs,
        };
        for (arena, len) in (0..n_arenas)
            .map(|a| (a, plan.place(a, &arena_of, &lives)))
            .collect::<Vec<_>>()
        {
            plan.arenas[arena] = len;
        }
        plan
    }

    /// Most rows of a value.
    pub fn capacity(&self, rows: Rows) -> usize {
        match rows {
            Rows::Tokens => self.n_tokens,
            Rows::Outputs => self.n_outputs,
        }
    }

    pub fn slot(&self, id: ValueId) -> Slot {
        self.slots[id.index()]
    }

    /// Where row `row` of an operand starts, in f32, and in which arena.
    pub fn at(&self, x: Operand, row: usize) -> (usize, usize) {
        let slot = self.slot(x.value);
        (slot.arena, slot.offset + row * slot.width + x.col)
    }

    /// The byte form: what another process is handed (JSON, so that a person can read it too).
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("plans are plain data")
    }

    /// # Errors
    /// Bytes that are not a plan.
    pub fn from_bytes(bytes: &[u8]) -> Result<Plan> {
        serde_json::from_slice(bytes).map_err(|e| Error::Bytes {
            what: "plan",
            message: e.to_string(),
        })
    }

    /// First-fit placement of one arena's values in order of birth; answers the arena's length.
    fn place(&mut self, arena: usize, arena_of: &[usize], lives: &[Option<Life>]) -> usize {
        let mut order: Vec<usize> = (0..lives.len())
            .filter(|&v| lives[v].is_some() && arena_of[v] == arena)
            .collect();
        order.sort_by_key(|&v| lives[v].map(|l| l.first));
        let mut placed: Vec<(usize, usize, Life)> = vec![]; // offset, end, life
        for v in order {
            let life = lives[v].expect("filtered");
            let value = &self.graph.values[v];
            let n = (self.capacity(value.rows) * value.width).next_multiple_of(ALIGN);
            let mut taken: Vec<(usize, usize)> = placed
                .iter()
                .filter(|(_, _, l)| l.first <= life.last && life.first <= l.last)
                .map(|&(start, end, _)| (start, end))
                .collect();
            taken.sort_unstable();
            let mut offset = 0;
            for (start, end) in taken {
                if offset + n <= start {
                    break;
                }
                offset = offset.max(end);
            }
            placed.push((offset, offset + n, life));
            self.slots[v] = Slot {
                arena,
                offset,
                width: value.width,
            };
        }
        placed.iter().map(|p| p.1).max().unwrap_or(0)
    }
}

/// When each value is alive; `None` for values no op touches (what fusion made unnecessary).
fn lives(graph: &Graph) -> Vec<Option<Life>> {
    let mut lives: Vec<Option<Life>> = vec![None; graph.values.len()];
    let mut touch = |id: ValueId, at: usize| {
        let life = lives[id.index()].get_or_insert(Life {
            first: at,
            last: at,
        });
        life.first = life.first.min(at);
        life.last = life.last.max(at);
    };
    for (i, op) in graph.ops.iter().enumerate() {
        for x in op.inputs().into_iter().chain(op.outputs()) {
            touch(x.value, i);
        }
    }
    // The input is there before the first op; results outlive the last.
    if let Some(id) = graph.input {
        touch(id, 0);
    }
    for id in [graph.hidden, graph.logits].into_iter().flatten() {
        touch(id, graph.ops.len());
    }
    lives
}

/// An arena for each value: the lowest that none of its neighbours has. Neighbours are what one
/// op reads and what it writes, and any two that it writes.
fn colour(graph: &Graph, lives: &[Option<Life>]) -> Vec<usize> {
    let n = graph.values.len();
    let mut neighbours: Vec<Vec<usize>> = vec![vec![]; n];
    let mut join = |a: ValueId, b: ValueId| {
        if a != b {
            neighbours[a.index()].push(b.index());
            neighbours[b.index()].push(a.index());
        }
    };
    for op in &graph.ops {
        let outs = op.outputs();
        for (i, out) in outs.iter().enumerate() {
            op.inputs().iter().for_each(|x| join(x.value, out.value));
            outs[..i].iter().for_each(|x| join(x.value, out.value));
        }
    }
    let mut order: Vec<usize> = (0..n).filter(|&v| lives[v].is_some()).collect();
    order.sort_by_key(|&v| lives[v].map(|l| l.first));
    let mut arena: Vec<Option<usize>> = vec![None; n];
    for v in order {
        let free = (0..).find(|a| neighbours[v].iter().all(|&u| arena[u] != Some(*a)));
        arena[v] = free;
    }
    arena.into_iter().map(|a| a.unwrap_or(0)).collect()
}
