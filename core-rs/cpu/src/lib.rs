//! The CPU room: [`Cpu`] runs a plan with vector instructions and threads.
//!
//! ```text
//! upload ─▶ weight.rs ─▶ pack.rs            rows of a group side by side, one a lane
//! run ────▶ run.rs: every worker goes through the ops; a barrier after each
//!             ├─ linear.rs     ─▶ activations.rs (int8), columns.rs ─▶ dot/<type>.rs
//!             ├─ experts.rs    ─▶ the same, rows dealt to experts
//!             ├─ attention.rs  ─▶ attend.rs, kv.rs
//!             └─ simple.rs     ─▶ rows.rs
//! simd/     vectors of each instruction set, the table of kernels, shared memory: all `unsafe`
//! ```

#![deny(unsafe_code)]

mod activations;
mod attend;
mod attention;
mod columns;
mod crew;
mod dot;
mod exec;
mod experts;
mod isa;
mod kv;
mod linear;
mod pack;
mod pool;
mod rows;
mod run;
#[allow(unsafe_code)]
mod simd;
mod simple;
mod weight;
mod windows;

pub use exec::{Cpu, CpuOptions, cells_of_layers};
pub use isa::Isa;
