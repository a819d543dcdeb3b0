//! The dispatch list: what a GPU has to do, as plain data.
//!
//! A [`Program`] is made once from a plan. It names buffers, pipelines, bind groups and a few
//! lists of steps; running a batch is writing its state into a small buffer and replaying one
//! list with grids computed from the batch's numbers of rows. All of it is JSON for a host in
//! JavaScript (`wasm/webgpu.js`), and direct calls for the native one.

use serde::{Deserialize, Serialize};

/// Everything a host creates before the first run. Indexes are positions in these lists.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Program {
    pub buffers: Vec<Buffer>,
    pub pipelines: Vec<Pipeline>,
    pub groups: Vec<Group>,
    pub lists: Vec<List>,
}

/// A buffer, zero at first. Every buffer may be bound as storage or uniform and copied either way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Buffer {
    pub name: String,
    /// In bytes, a multiple of 256.
    pub size: u64,
}

/// How a shader uses a binding; its place in [`Pipeline::bindings`] is its number in group 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    Uniform,
    Read,
    Write,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pipeline {
    /// A variant of the shader crate.
    pub name: String,
    /// Its WGSL text; the entry point is `main`.
    pub code: String,
    /// Values of `override` constants.
    pub constants: Vec<(String, f64)>,
    pub bindings: Vec<Access>,
}

/// Part of a buffer: bytes `offset .. offset + size`, the offset a multiple of 256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Region {
    pub buffer: usize,
    pub offset: u64,
    pub size: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    pub pipeline: usize,
    /// One for each of the pipeline's bindings.
    pub entries: Vec<Region>,
}

/// Steps in order, replayed in one compute pass.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct List {
    pub name: String,
    pub steps: Vec<Step>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Into [`Program::groups`], which knows its pipeline.
    pub group: usize,
    pub extent: Extent,
}

/// What the number of workgroups depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Count {
    Tokens,
    Outputs,
}

/// Workgroups of a step: `ceil(count * width / per) * times`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    pub count: Count,
    pub width: u64,
    pub per: u64,
    pub times: u64,
}

/// WebGPU's limit on workgroups in one dimension, and no adapter's is lower.
const MOST_GROUPS: u64 = 65535;

impl Extent {
    /// The grid for so many rows, folded into two dimensions where one is too short (the shaders'
    /// `group_index` undoes it, and they ignore the few workgroups too many). No rows: no groups.
    pub fn grid(&self, n_tokens: usize, n_outputs: usize) -> [u32; 3] {
        let count = match self.count {
            Count::Tokens => n_tokens,
            Count::Outputs => n_outputs,
        } as u64;
        let n = (count * self.width).div_ceil(self.per) * self.times;
        if n <= MOST_GROUPS {
            return [n as u32, 1, 1];
        }
        let lines = n.div_ceil(MOST_GROUPS);
        [n.div_ceil(lines) as u32, lines as u32, 1]
    }
}

impl Program {
    /// The grids of every step of a list, in order.
    pub fn grids(&self, list: usize, n_tokens: usize, n_outputs: usize) -> Vec<[u32; 3]> {
        let steps = self.lists[list].steps.iter();
        steps.map(|s| s.extent.grid(n_tokens, n_outputs)).collect()
    }

    /// Bytes of all buffers.
    pub fn n_bytes(&self) -> u64 {
        self.buffers.iter().map(|b| b.size).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_grids_are_folded_and_cover_every_group() {
        let extent = Extent {
            count: Count::Tokens,
            width: 128_256,
            per: 1,
            times: 3,
        };
        for n in [0, 1, 7, 500] {
            let [x, y, z] = extent.grid(n, 0);
            assert!(x <= 65535 && y <= 65535 && z == 1);
            let wanted = n as u64 * 128_256 * 3;
            assert!(u64::from(x) * u64::from(y) >= wanted);
        }
    }
}
