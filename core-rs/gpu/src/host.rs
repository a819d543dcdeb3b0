//! The host: whatever can create a program's buffers and replay its lists.

use puna_graph::Result;

use crate::dispatch::Program;
use crate::place::DeviceLimits;

/// A GPU seen from the executor. Two exist: the wgpu crate, and an object in JavaScript.
pub trait Host: Send {
    /// Device and driver for people.
    fn name(&self) -> String;

    fn limits(&self) -> DeviceLimits;

    /// Creates buffers (zero), pipelines and bind groups. Called once.
    ///
    /// # Errors
    /// Too little memory, a shader the device refuses, a lost device.
    fn create(&mut self, program: &Program) -> Result<()>;

    /// Writes bytes (a multiple of 4, at a multiple of 4) before the next submit.
    fn write(&mut self, buffer: usize, offset: u64, bytes: &[u8]) -> Result<()>;

    /// Replays a list in one compute pass; one grid for each step, empty ones are skipped.
    fn submit(&mut self, list: usize, grids: &[[u32; 3]]) -> Result<()>;

    /// Bytes of a buffer after all submits. `None`: not there yet, await the device and ask for
    /// the same range again.
    fn read(&mut self, buffer: usize, offset: u64, n_bytes: u64) -> Result<Option<Vec<u8>>>;
}
