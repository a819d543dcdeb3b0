//! The GPU room: a plan becomes a list of dispatches, and a host replays it.
//!
//! ```text
//! Plan ─lower─▶ Program (plain data) ─▶ GpuExecutor<Host> ─▶ native::NativeHost (wgpu crate)
//!                                                        └▶ an object in JavaScript (webgpu.js)
//! ```
//!
//! One idea: the `wgpu` crate does not exist inside Pyodide, so nothing but [`Host`] knows it.
//! Lowering, packing, the state of a run and the cache operations are plain Rust that a tab runs
//! as well; a host creates what a [`Program`] lists and replays its steps.

mod cache;
pub mod check;
pub mod dispatch;
mod exec;
mod host;
mod kernels;
mod lower;
#[cfg(feature = "wgpu")]
pub mod native;
pub mod pack;
mod place;
mod steps;
mod upload;

pub use dispatch::Program;
pub use exec::GpuExecutor;
pub use host::Host;
pub use lower::{Lowered, lower};
#[cfg(feature = "wgpu")]
pub use native::{DeviceInfo, DeviceKind, GpuContext, WgpuExecutor, devices};
pub use place::{DeviceLimits, GpuOptions};
