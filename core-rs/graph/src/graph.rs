//! The graph: values, weights, constants and the ops that connect them, in execution order.

use puna_format::DType;
use serde::{Deserialize, Serialize};

use crate::op::{Op, Rope};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub struct $name(pub u32);

        impl $name {
            /// The id as an index into its list.
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }
    };
}

id!(/** Index into [`Graph::values`]. */ ValueId);
id!(/** Index into [`Graph::weights`]. */ WeightId);
id!(/** Index into [`Graph::consts`]. */ ConstId);

/// How many rows a value has: a parameter of the batch, not a number of the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Rows {
    /// One row for each token of the batch.
    Tokens,
    /// One row for each entry of [`crate::Batch::outputs`].
    Outputs,
}

/// An activation: `rows` rows of `width` f32, named by its path (`blk.3.attn_q`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Value {
    pub name: String,
    pub rows: Rows,
    pub width: usize,
}

/// Columns `col .. col + width` of a value: how fused q, k, v are taken apart without a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Operand {
    pub value: ValueId,
    pub col: usize,
    pub width: usize,
}

impl Operand {
    /// Columns `col .. col + width` of this operand.
    pub fn columns(self, col: usize, width: usize) -> Operand {
        assert!(
            col + width <= self.width,
            "columns {col}+{width} of {}",
            self.width
        );
        Operand {
            value: self.value,
            col: self.col + col,
            width,
        }
    }
}

/// A tensor of the file. `shape` is GGUF's: `[n_in, n_out]` for a matrix, `n_in` fastest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Weight {
    pub name: String,
    pub dtype: DType,
    pub shape: Vec<usize>,
}

impl Weight {
    /// Elements of a row: `n_in` of a matrix.
    pub fn n_in(&self) -> usize {
        self.shape[0]
    }

    /// Rows: `n_out` of a matrix, 1 for a vector.
    pub fn n_out(&self) -> usize {
        self.shape[1..].iter().product()
    }
}

/// A small table computed when the graph is built (rope frequencies).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Const {
    pub name: String,
    pub data: Vec<f32>,
}

/// What one layer keeps in the cache for each cell: `n_head_kv * dim_k` and `n_head_kv * dim_v`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KvLayer {
    pub layer: usize,
    pub n_head_kv: usize,
    pub dim_k: usize,
    pub dim_v: usize,
}

/// Ops in execution order over named values. `Default` is the empty graph.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Graph {
    pub values: Vec<Value>,
    pub weights: Vec<Weight>,
    pub consts: Vec<Const>,
    pub ops: Vec<Op>,
    /// One entry for each `kv_store`; `layer` is the index into this list.
    pub kv: Vec<KvLayer>,
    /// The first op of every layer, so that a plan can be split between two executors.
    pub layer_starts: Vec<usize>,
    /// Activations handed in instead of token ids (the second half of a split plan).
    pub input: Option<ValueId>,
    /// Activations handed out (the first half of a split plan, or hidden states).
    pub hidden: Option<ValueId>,
    /// `[n_outputs, n_vocab]`; absent in the first half of a split plan and in models that only
    /// embed. A ranking model's scores, `[n_outputs, n_labels]`, are its logits.
    pub logits: Option<ValueId>,
}

impl Graph {
    pub fn value(&self, id: ValueId) -> &Value {
        &self.values[id.index()]
    }

    pub fn weight(&self, id: WeightId) -> &Weight {
        &self.weights[id.index()]
    }

    pub fn constant(&self, id: ConstId) -> &[f32] {
        &self.consts[id.index()].data
    }

    /// The whole of a value as an operand.
    pub fn whole(&self, id: ValueId) -> Operand {
        Operand {
            value: id,
            col: 0,
            width: self.value(id).width,
        }
    }

    /// How the keys of a layer of the cache were turned; `None` where they were not.
    pub fn key_rope(&self, wanted: usize) -> Option<Rope> {
        self.ops.iter().find_map(|op| match op {
            Op::RopeStore(r) if r.layer == wanted => Some(r.rope),
            Op::KvStore { k, layer, .. } if *layer == wanted => {
                self.ops.iter().find_map(|op| match op {
                    Op::Rope { rope, out, .. } if out == k => Some(*rope),
                    _ => None,
                })
            }
            _ => None,
        })
    }
}
