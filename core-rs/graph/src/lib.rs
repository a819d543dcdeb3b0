//! The graph room: coarse ops on named values, and the plan made of them.
//!
//! One idea: a model is lowered once into a flat list of about twenty kinds of op over rows of
//! `f32`. Everything that changes from token to token (token ids, positions, the state of the
//! cache, which rows want logits) is a parameter ([`Batch`]), never structure, so decoding
//! rebuilds nothing, and a plan is plain data that another process can run.
//!
//! ```text
//! build::Builder ─▶ Graph ─fuse─▶ Graph ─plan─▶ Plan ─▶ an Executor (cpu, gpu, reference)
//! ```

pub mod batch;
pub mod build;
mod decompose;
pub mod error;
pub mod executor;
pub mod fuse;
pub mod graph;
pub mod op;
mod operands;
pub mod plan;
pub mod print;
pub mod reference;
pub mod split;

pub use batch::{Batch, Cell, Spans};
pub use build::Builder;
pub use error::{Error, Result};
pub use executor::{CacheOp, Executor, KvDType, Output, Read, Tensor};
pub use graph::{Const, ConstId, Graph, KvLayer, Operand, Rows, Value, ValueId, Weight, WeightId};
pub use op::{
    Act, Added, Attention, FusedLinear, Gating, LinearExperts, Lookup, Mask, Norm, NormKind, Op,
    Part, Rope, RopeLayout, RopeStore, Route,
};
pub use plan::{Plan, Slot};
