//! Finding and opening devices.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use puna_graph::{Error, Result};

use super::NativeHost;
use crate::check::SelfCheck;
use crate::exec::device_error;
use crate::place::DeviceLimits;

/// What kind of machine computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeviceKind {
    Discrete,
    Integrated,
    Virtual,
    Other,
    /// A driver that computes on the CPU, slower than this project's own CPU kernels.
    Software,
}

/// A device as its driver describes it.
#[derive(Clone, Debug)]
pub struct DeviceInfo {
    pub name: String,
    /// `vulkan`, `metal`, `dx12`.
    pub backend: String,
    pub driver: String,
    pub kind: DeviceKind,
    pub limits: DeviceLimits,
    /// Whether shaders could compute in f16, and use subgroups. The kernels need neither.
    pub f16: bool,
    pub subgroups: bool,
}

/// Every device found, the one [`GpuContext::open`] takes first in front: discrete before
/// integrated before virtual before software, else in the driver's order.
///
/// A device is chosen by a part of its name, driver or backend, upper or lower case, given to
/// `open` or in the environment variable `PUNA_GPU_DEVICE`.
pub fn devices() -> Vec<DeviceInfo> {
    adapters().iter().map(info).collect()
}

/// An opened device, checked against the scalar interpreter. Clones share it.
#[derive(Clone)]
pub struct GpuContext {
    pub info: DeviceInfo,
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
    /// The first error that no scope caught, or why the device was lost.
    pub failure: Arc<Mutex<Option<String>>>,
}

/// Native futures of wgpu are ready when they are polled, or soon after.
pub(super) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::yield_now(),
        }
    }
}

fn adapters() -> Vec<wgpu::Adapter> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let mut all = block_on(instance.enumerate_adapters(wgpu::Backends::PRIMARY));
    all.sort_by_key(|adapter| kind(adapter.get_info().device_type));
    all
}

fn kind(device_type: wgpu::DeviceType) -> DeviceKind {
    match device_type {
        wgpu::DeviceType::DiscreteGpu => DeviceKind::Discrete,
        wgpu::DeviceType::IntegratedGpu => DeviceKind::Integrated,
        wgpu::DeviceType::VirtualGpu => DeviceKind::Virtual,
        wgpu::DeviceType::Cpu => DeviceKind::Software,
        wgpu::DeviceType::Other => DeviceKind::Other,
    }
}

fn info(adapter: &wgpu::Adapter) -> DeviceInfo {
    let about = adapter.get_info();
    let limits = adapter.limits();
    let features = adapter.features();
    DeviceInfo {
        name: about.name,
        backend: about.backend.to_string(),
        driver: format!("{} {}", about.driver, about.driver_info)
            .trim()
            .to_string(),
        kind: kind(about.device_type),
        limits: DeviceLimits {
            max_binding: limits.max_storage_buffer_binding_size,
            max_buffer: limits.max_buffer_size,
        },
        f16: features.contains(wgpu::Features::SHADER_F16),
        subgroups: features.contains(wgpu::Features::SUBGROUP),
    }
}

/// The first adapter that the selector (or the environment) names.
fn choose(selector: Option<&str>) -> Result<wgpu::Adapter> {
    let mut all = adapters();
    let none = |message: String| {
        Err(Error::Device {
            executor: "gpu".into(),
            message,
        })
    };
    if all.is_empty() {
        return none(
            "no device found: it needs a Vulkan driver and loader (Linux: the driver's Vulkan \
             package and libvulkan1; without a GPU mesa-vulkan-drivers computes on the CPU), \
             DirectX 12 or Metal"
                .into(),
        );
    }
    let from_environment = std::env::var("PUNA_GPU_DEVICE").ok();
    let Some(wanted) = selector.map(str::to_string).or(from_environment) else {
        return Ok(all.swap_remove(0));
    };
    let fits = |adapter: &wgpu::Adapter| {
        let i = info(adapter);
        let text = format!("{} {} {}", i.name, i.driver, i.backend).to_lowercase();
        text.contains(&wanted.to_lowercase())
    };
    match all.iter().position(fits) {
        Some(found) => Ok(all.swap_remove(found)),
        None => {
            let names: Vec<String> = all.iter().map(|a| info(a).name).collect();
            none(format!(
                "no device named {wanted:?}, expected part of one of {names:?}"
            ))
        }
    }
}

impl GpuContext {
    /// Opens a device and checks a known product on it, once a process for each device.
    /// `selector`: see [`devices`].
    ///
    /// # Errors
    /// No such device, one below WebGPU's core limits, or one that computes something wrong.
    pub fn open(selector: Option<&str>) -> Result<GpuContext> {
        static CHECKED: Mutex<Vec<String>> = Mutex::new(vec![]);
        let context = Self::open_unchecked(selector)?;
        let name = format!("{} {}", context.info.name, context.info.driver);
        let mut checked = CHECKED.lock().unwrap_or_else(|e| e.into_inner());
        if !checked.contains(&name) {
            let answer = SelfCheck::start(context.host())?.poll()?;
            answer.ok_or_else(|| device_error("the self-check gave no answer"))?;
            checked.push(name);
        }
        Ok(context)
    }

    /// Opens a device without the check (for tests that do their own).
    pub fn open_unchecked(selector: Option<&str>) -> Result<GpuContext> {
        let adapter = choose(selector)?;
        let info = info(&adapter);
        check_limits(&info, &adapter.limits())?;
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("puna"),
            required_limits: adapter.limits(),
            ..wgpu::DeviceDescriptor::default()
        };
        let opened = block_on(adapter.request_device(&descriptor));
        let (device, queue) = opened.map_err(|e| device_error(format!("{}: {e}", info.name)))?;
        let failure = Arc::new(Mutex::new(None));
        let note = |slot: &Arc<Mutex<Option<String>>>| {
            let slot = slot.clone();
            move |message: String| {
                slot.lock()
                    .unwrap_or_else(|e| e.into_inner())
                    .get_or_insert(message);
            }
        };
        // Without a handler wgpu panics at the first error outside a scope.
        let uncaught = note(&failure);
        device.on_uncaptured_error(Arc::new(move |e: wgpu::Error| uncaught(e.to_string())));
        let lost = note(&failure);
        device.set_device_lost_callback(move |reason, message| {
            lost(format!("the device was lost ({reason:?}): {message}"));
        });
        Ok(GpuContext {
            info,
            shared: Arc::new(Shared {
                device,
                queue,
                failure,
            }),
        })
    }

    /// A host on this device, for one executor.
    pub fn host(&self) -> NativeHost {
        NativeHost::new(self.clone())
    }

    /// Gives the device up, as a driver does that resets: what follows are errors. For tests.
    pub fn destroy(&self) {
        self.shared.device.destroy();
    }
}

/// What the kernels take for granted; wgpu checks neither workgroup memory nor sizes (wgpu #8946).
fn check_limits(info: &DeviceInfo, limits: &wgpu::Limits) -> Result<()> {
    let needs = [
        (
            "invocations in a workgroup",
            limits.max_compute_invocations_per_workgroup,
            256,
        ),
        (
            "bytes of workgroup memory",
            limits.max_compute_workgroup_storage_size,
            16384,
        ),
        (
            "storage buffers a stage",
            limits.max_storage_buffers_per_shader_stage,
            8,
        ),
        (
            "workgroups a dimension",
            limits.max_compute_workgroups_per_dimension,
            65535,
        ),
    ];
    for (what, has, needed) in needs {
        if has < needed {
            return Err(Error::Device {
                executor: "gpu".into(),
                message: format!("{}: {has} {what}, expected at least {needed}", info.name),
            });
        }
    }
    Ok(())
}
