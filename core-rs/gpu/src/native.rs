//! The native host: devices by the `wgpu` crate (Vulkan, Metal, DirectX).

mod device;
mod host;

pub use device::{DeviceInfo, DeviceKind, GpuContext, devices};
pub use host::NativeHost;

use puna_graph::{Plan, Result};

use crate::exec::GpuExecutor;
use crate::place::GpuOptions;

/// An executor on a native device.
pub type WgpuExecutor = GpuExecutor<NativeHost>;

impl WgpuExecutor {
    /// Runs `plan` on an opened device. Several executors can share one.
    ///
    /// # Errors
    /// See [`GpuExecutor::new`].
    pub fn open(plan: &Plan, context: &GpuContext, options: GpuOptions) -> Result<Self> {
        GpuExecutor::new(plan, context.host(), options)
    }
}
