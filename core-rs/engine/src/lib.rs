//! The engine: a model file becomes a session that evaluates tokens, and a scheduler that turns
//! prompts into text.
//!
//! ```text
//! Model (file, tokenizer, graph) ─▶ Session (executor + cache of cells) ─▶ Scheduler (requests)
//! ```
//!
//! Many sequences share one cache and one batch. Every step has a start and a finish, because in
//! a browser tab the results of a GPU must be awaited in between; natively [`Scheduler::step`] is
//! both at once.

pub mod bench;
mod cache;
mod error;
mod load;
mod request;
mod scheduler;
mod session;
mod split;
mod state;
mod stops;
mod vocab;

pub use cache::Cache;
pub use error::{Error, Result};
pub use load::{GpuFactory, Model, SessionOptions};
pub use request::{Event, Finish, Hook, HookError, Request};
pub use scheduler::{RequestId, Scheduler};
pub use session::{Item, Session};
pub use split::Split;
