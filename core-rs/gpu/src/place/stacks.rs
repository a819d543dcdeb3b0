//! Matrices: stacked where one op reads several, cut where one binding cannot hold them.

use std::collections::HashMap;
use std::ops::Range;

use puna_graph::{Op, Part, Result, WeightId};

use super::Placer;
use crate::dispatch::Region;
use crate::kernels::NONE;
use crate::pack::Layout;

/// Rows of a stack that lie in one buffer.
#[derive(Clone, Debug)]
pub struct Piece {
    pub region: Region,
    /// The outputs this piece makes; for a gated unit both its gate and its up rows.
    pub outputs: Range<usize>,
    /// Where each plane starts, in bytes from the start of the region.
    pub planes: Vec<u64>,
}

/// Matrices stacked by rows.
#[derive(Clone, Debug)]
pub struct Stack {
    pub layout: Layout,
    pub pieces: Vec<Piece>,
    /// Gate and up: output `o` takes row `o` and row `o + piece.outputs.len()` of its piece.
    pub gated: bool,
    /// Offset of the biases in `vectors` (for a gated unit those of the gate), or `NONE`.
    pub bias: u32,
    pub up_bias: u32,
}

/// Where rows of a weight go: `n_rows` from `first` to row `at_row` of the planes of a buffer.
#[derive(Clone, Debug)]
pub struct Run {
    pub first: usize,
    pub n_rows: usize,
    pub region: Region,
    pub planes: Vec<u64>,
    pub at_row: usize,
}

fn one_part(weight: WeightId, bias: Option<WeightId>) -> Part {
    Part { weight, bias }
}

/// The rows of a part (outputs `rows` of its stack) that lie in `piece`. Up rows of a gated unit
/// lie behind the piece's gates.
fn run(piece: &Piece, rows: Range<usize>, is_up: bool) -> Option<Run> {
    let behind = if is_up { piece.outputs.len() } else { 0 };
    let start = piece.outputs.start.max(rows.start);
    let end = piece.outputs.end.min(rows.end);
    (start < end).then(|| Run {
        first: start - rows.start,
        n_rows: end - start,
        region: piece.region,
        planes: piece.planes.clone(),
        at_row: start - piece.outputs.start + behind,
    })
}

impl Placer<'_> {
    /// How often each weight is used as a matrix; one that is used twice is not stacked.
    fn uses(&self) -> HashMap<WeightId, usize> {
        let mut uses = HashMap::new();
        for op in &self.plan.graph.ops {
            let embedded = match op {
                Op::Embed { weight, .. } => Some(*weight),
                _ => None,
            };
            for id in op.matrices().into_iter().chain(embedded) {
                *uses.entry(id).or_insert(0) += 1;
            }
        }
        uses
    }

    pub(super) fn matrices(&mut self) -> Result<()> {
        let uses = self.uses();
        let mut alone = HashMap::new();
        let plan = self.plan;
        for (i, op) in plan.graph.ops.iter().enumerate() {
            let (parts, gated) = match op {
                Op::Embed { weight, .. } => (vec![one_part(*weight, None)], false),
                Op::Linear { weight, bias, .. } => (vec![one_part(*weight, *bias)], false),
                Op::FusedLinear(f) => (f.parts.clone(), f.glu.is_some()),
                _ => continue,
            };
            let mut column = 0;
            let mut stacks = vec![];
            for group in self.groups(&parts, &uses, gated) {
                stacks.push((self.stack_of(&group, gated, &uses, &mut alone)?, column));
                let n_out = |p: &Part| plan.graph.weight(p.weight).n_out();
                column += group.iter().map(n_out).sum::<usize>();
            }
            self.places.stacks.insert(i, stacks);
        }
        Ok(())
    }

    /// The stack of these parts; a matrix that several ops use (tied embeddings) is placed once.
    fn stack_of(
        &mut self,
        group: &[Part],
        gated: bool,
        uses: &HashMap<WeightId, usize>,
        alone: &mut HashMap<WeightId, usize>,
    ) -> Result<usize> {
        let id = group[0].weight;
        let shared = group.len() == 1 && uses[&id] > 1 && group[0].bias.is_none();
        if let Some(&stack) = alone.get(&id).filter(|_| shared) {
            return Ok(stack);
        }
        let stack = self.stack(group, gated && group.len() == 2)?;
        if shared {
            alone.insert(id, stack);
        }
        Ok(stack)
    }

    /// Parts side by side that can be stacked. A gated unit is one stack or two parts apart.
    fn groups(
        &self,
        parts: &[Part],
        uses: &HashMap<WeightId, usize>,
        gated: bool,
    ) -> Vec<Vec<Part>> {
        let weight = |p: &Part| self.plan.graph.weight(p.weight);
        let mut groups: Vec<Vec<Part>> = vec![];
        for part in parts {
            let joins = groups.last().is_some_and(|g| {
                weight(&g[0]).dtype == weight(part).dtype
                    && g.iter().chain([part]).all(|p| uses[&p.weight] == 1)
                    && (!gated || weight(&g[0]).n_out() == weight(part).n_out())
            });
            match groups.last_mut().filter(|_| joins) {
                Some(group) => group.push(*part),
                None => groups.push(vec![*part]),
            }
        }
        groups
    }

    fn stack(&mut self, parts: &[Part], gated: bool) -> Result<usize> {
        let first = self.plan.graph.weight(parts[0].weight);
        let layout = Layout::new(first.dtype, first.n_in())?;
        let n_rows: Vec<usize> = parts
            .iter()
            .map(|p| self.plan.graph.weight(p.weight).n_out())
            .collect();
        let n_out = if gated {
            n_rows[0]
        } else {
            n_rows.iter().sum()
        };
        let name = first.name.clone();
        let pieces = self.pieces(&name, &layout, n_out, gated)?;
        let biases = self.biases(parts, &n_rows);
        let mut at = 0;
        for (i, part) in parts.iter().enumerate() {
            let place = &mut self.places.weights[part.weight.index()];
            place.layout = Some(layout);
            let is_up = gated && i == 1;
            let runs = pieces
                .iter()
                .map(|piece| run(piece, at..at + n_rows[i], is_up));
            place.runs.extend(runs.flatten());
            at += if gated { 0 } else { n_rows[i] };
        }
        self.places.all_stacks.push(Stack {
            layout,
            pieces,
            gated,
            bias: biases[0],
            up_bias: if gated { biases[1] } else { NONE },
        });
        Ok(self.places.all_stacks.len() - 1)
    }

    /// Room for the biases of a stack, in the order of its rows, where any part has one.
    fn biases(&mut self, parts: &[Part], n_rows: &[usize]) -> Vec<u32> {
        if parts.iter().all(|p| p.bias.is_none()) {
            return vec![NONE; parts.len()];
        }
        let mut starts = vec![];
        for (part, n) in parts.iter().zip(n_rows) {
            starts.push(self.n_vectors as u32);
            if let Some(id) = part.bias {
                self.places.weights[id.index()]
                    .vectors
                    .push(self.n_vectors as u32);
            }
            self.n_vectors += n;
        }
        starts
    }

    fn pieces(
        &mut self,
        name: &str,
        layout: &Layout,
        n_out: usize,
        gated: bool,
    ) -> Result<Vec<Piece>> {
        let rows_each = if gated { 2 } else { 1 };
        let row_bytes = layout.row_bytes();
        let output_bytes = (row_bytes.iter().sum::<usize>() * rows_each) as u64;
        // Planes start at multiples of 256 bytes.
        let room = self
            .limits
            .most()
            .saturating_sub(256 * row_bytes.len() as u64);
        let most = ((room / output_bytes.max(1)) as usize).min(n_out).max(1);
        let mut pieces = vec![];
        for start in (0..n_out).step_by(most) {
            let outputs = start..(start + most).min(n_out);
            let mut planes = vec![];
            let mut at = 0;
            for bytes in &row_bytes {
                planes.push(at);
                let n_rows = (outputs.len() * rows_each) as u64;
                at = (at + *bytes as u64 * n_rows).next_multiple_of(256);
            }
            let region = self.buffer(name, at)?;
            pieces.push(Piece {
                region,
                outputs,
                planes,
            });
        }
        Ok(pieces)
    }
}
