//! One graph in two: the layers before a point for one executor, the rest for another.

use std::collections::BTreeMap;

use crate::graph::{ConstId, Graph, KvLayer, Value, ValueId, Weight, WeightId};
use crate::op::{Op, Rope};

impl Graph {
    /// Splits before `layer` (`0 < layer < n_layer`). The one activation that crosses is `hidden`
    /// of the first half and `input` of the second. Each half has only the weights it uses; the
    /// second half's K/V layers are numbered from 0.
    ///
    /// Call it on a graph that is not fused yet, and fuse the halves.
    pub fn split(&self, layer: usize) -> (Graph, Graph) {
        assert!(
            0 < layer && layer < self.layer_starts.len(),
            "split at layer {layer} of {}",
            self.layer_starts.len()
        );
        let at = self.layer_starts[layer];
        let crossing = self.crossing(at);
        let mut first = self.part(0, at);
        first.graph.hidden = Some(first.value(self, crossing));
        let mut second = self.part(at, self.ops.len());
        second.graph.input = Some(second.value(self, crossing));
        second.graph.hidden = self.hidden.map(|id| second.value(self, id));
        second.graph.logits = self.logits.map(|id| second.value(self, id));
        (first.graph, second.graph)
    }

    /// The value written before op `at` and read after it.
    fn crossing(&self, at: usize) -> ValueId {
        let written: Vec<ValueId> = self.ops[..at]
            .iter()
            .flat_map(|op| op.outputs())
            .map(|x| x.value)
            .collect();
        let mut found: Vec<ValueId> = self.ops[at..]
            .iter()
            .flat_map(|op| op.inputs())
            .map(|x| x.value)
            .filter(|id| written.contains(id))
            .collect();
        found.sort_unstable();
        found.dedup();
        assert_eq!(found.len(), 1, "values that cross a layer border");
        found[0]
    }

    fn part(&self, from: usize, to: usize) -> Part {
        let mut part = Part::default();
        for op in &self.ops[from..to] {
            let op = part.op(self, op);
            part.graph.ops.push(op);
        }
        part.graph.layer_starts = self
            .layer_starts
            .iter()
            .filter(|&&s| from <= s && s < to)
            .map(|s| s - from)
            .collect();
        part
    }
}

/// A part under construction and the new ids of what it has taken over.
#[derive(Default)]
struct Part {
    graph: Graph,
    values: BTreeMap<ValueId, ValueId>,
    weights: BTreeMap<WeightId, WeightId>,
    consts: BTreeMap<ConstId, ConstId>,
    kv: BTreeMap<usize, usize>,
}

impl Part {
    fn value(&mut self, from: &Graph, id: ValueId) -> ValueId {
        *self.values.entry(id).or_insert_with(|| {
            let value: Value = from.value(id).clone();
            self.graph.values.push(value);
            ValueId(self.graph.values.len() as u32 - 1)
        })
    }

    fn weight(&mut self, from: &Graph, id: WeightId) -> WeightId {
        *self.weights.entry(id).or_insert_with(|| {
            let weight: Weight = from.weight(id).clone();
            self.graph.weights.push(weight);
            WeightId(self.graph.weights.len() as u32 - 1)
        })
    }

    fn rope(&mut self, from: &Graph, rope: &mut Rope) {
        rope.freqs = *self.consts.entry(rope.freqs).or_insert_with(|| {
            self.graph
                .consts
                .push(from.consts[rope.freqs.index()].clone());
            ConstId(self.graph.consts.len() as u32 - 1)
        });
    }

    fn kv(&mut self, from: &Graph, layer: &mut usize) {
        *layer = *self.kv.entry(*layer).or_insert_with(|| {
            let n = self.graph.kv.len();
            self.graph.kv.push(KvLayer {
                layer: n,
                ..from.kv[*layer]
            });
            n
        });
    }

    fn op(&mut self, from: &Graph, op: &Op) -> Op {
        let mut op = op.clone();
        op.map_operands(|mut x| {
            x.value = self.value(from, x.value);
            x
        });
        op.map_weights(|id| self.weight(from, id));
        if let Some(rope) = op.rope_mut() {
            self.rope(from, rope);
        }
        if let Some(layer) = op.kv_layer_mut() {
            self.kv(from, layer);
        }
        op
    }
}
