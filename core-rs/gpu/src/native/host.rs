//! A program on a native device: creation inside error scopes, replay in one compute pass.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::mpsc;
use std::time::Duration;

use puna_graph::{Error, Result};

use super::device::{GpuContext, block_on};
use crate::dispatch::{Access, List, Pipeline, Program};
use crate::exec::device_error;
use crate::host::Host;
use crate::place::DeviceLimits;

/// Writes are copied to staging memory until the next submit; submit after so many bytes.
const MOST_PENDING: u64 = 64 << 20;

/// Layouts by the bindings they are for.
type Layouts = HashMap<Vec<Access>, (wgpu::BindGroupLayout, wgpu::PipelineLayout)>;

/// The wgpu side of one executor.
pub struct NativeHost {
    context: GpuContext,
    buffers: Vec<wgpu::Buffer>,
    sizes: Vec<u64>,
    pipelines: Vec<wgpu::ComputePipeline>,
    /// With the pipeline of each.
    groups: Vec<(usize, wgpu::BindGroup)>,
    lists: Vec<List>,
    staging: Option<wgpu::Buffer>,
    pending: u64,
}

impl NativeHost {
    pub(super) fn new(context: GpuContext) -> Self {
        NativeHost {
            context,
            buffers: vec![],
            sizes: vec![],
            pipelines: vec![],
            groups: vec![],
            lists: vec![],
            staging: None,
            pending: 0,
        }
    }

    fn device(&self) -> &wgpu::Device {
        &self.context.shared.device
    }

    /// The first error of the device, if it had one; it stays failed.
    fn alive(&self) -> Result<()> {
        let failure = self
            .context
            .shared
            .failure
            .lock()
            .unwrap_or_else(|e| e.into_inner());
        match &*failure {
            Some(message) => Err(device_error(format!(
                "{}: {message}",
                self.context.info.name
            ))),
            None => Ok(()),
        }
    }

    /// Runs `make` with every kind of error caught and named.
    fn scoped<T>(&self, what: &str, make: impl FnOnce(&wgpu::Device) -> T) -> Result<T> {
        let device = self.device();
        let memory = device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let internal = device.push_error_scope(wgpu::ErrorFilter::Internal);
        let validation = device.push_error_scope(wgpu::ErrorFilter::Validation);
        let made = make(device);
        let errors = [
            block_on(validation.pop()),
            block_on(internal.pop()),
            block_on(memory.pop()),
        ];
        match errors.into_iter().flatten().next() {
            Some(wgpu::Error::OutOfMemory { .. }) => Err(Error::Memory {
                executor: "gpu".into(),
                message: format!("{}: out of memory for {what}", self.context.info.name),
            }),
            Some(error) => Err(device_error(format!("{what}: {error}"))),
            None => {
                self.alive()?;
                Ok(made)
            }
        }
    }

    fn create_buffers(&mut self, program: &Program) -> Result<()> {
        for buffer in &program.buffers {
            let mut usage = wgpu::BufferUsages::STORAGE
                | wgpu::BufferUsages::COPY_DST
                | wgpu::BufferUsages::COPY_SRC;
            if matches!(buffer.name.as_str(), "params" | "state") {
                usage |= wgpu::BufferUsages::UNIFORM;
            }
            let what = format!("{} of {} bytes", buffer.name, buffer.size);
            let made = self.scoped(&what, |device| {
                device.create_buffer(&wgpu::BufferDescriptor {
                    label: Some(&buffer.name),
                    size: buffer.size,
                    usage,
                    mapped_at_creation: false,
                })
            })?;
            self.buffers.push(made);
            self.sizes.push(buffer.size);
        }
        Ok(())
    }

    fn create_layout(
        &self,
        bindings: &[Access],
    ) -> Result<(wgpu::BindGroupLayout, wgpu::PipelineLayout)> {
        let entries: Vec<wgpu::BindGroupLayoutEntry> = bindings
            .iter()
            .enumerate()
            .map(|(i, access)| wgpu::BindGroupLayoutEntry {
                binding: i as u32,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty: wgpu::BindingType::Buffer {
                    ty: match access {
                        Access::Uniform => wgpu::BufferBindingType::Uniform,
                        Access::Read => wgpu::BufferBindingType::Storage { read_only: true },
                        Access::Write => wgpu::BufferBindingType::Storage { read_only: false },
                    },
                    has_dynamic_offset: false,
                    min_binding_size: None,
                },
                count: None,
            })
            .collect();
        self.scoped("a bind group layout", |device| {
            let group = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
                label: None,
                entries: &entries,
            });
            let pipeline = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label: None,
                bind_group_layouts: &[Some(&group)],
                immediate_size: 0,
            });
            (group, pipeline)
        })
    }

    fn create_pipeline(
        &self,
        pipeline: &Pipeline,
        layout: &wgpu::PipelineLayout,
    ) -> Result<wgpu::ComputePipeline> {
        let constants: Vec<(&str, f64)> = pipeline
            .constants
            .iter()
            .map(|(n, v)| (n.as_str(), *v))
            .collect();
        self.scoped(&format!("shader {}", pipeline.name), |device| {
            let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
                label: Some(&pipeline.name),
                source: wgpu::ShaderSource::Wgsl(Cow::Borrowed(&pipeline.code)),
            });
            device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(&pipeline.name),
                layout: Some(layout),
                module: &module,
                entry_point: Some("main"),
                compilation_options: wgpu::PipelineCompilationOptions {
                    constants: &constants,
                    // The kernels write workgroup memory before they read it.
                    zero_initialize_workgroup_memory: false,
                },
                cache: None,
            })
        })
    }

    /// Drivers take tens of milliseconds a shader, so all processors compile.
    fn create_pipelines(
        &self,
        pipelines: &[Pipeline],
        layouts: &Layouts,
    ) -> Result<Vec<wgpu::ComputePipeline>> {
        let n_threads = std::thread::available_parallelism().map_or(1, |n| n.get());
        let share = pipelines.len().div_ceil(n_threads).max(1);
        let compile = |share: &[Pipeline]| -> Result<Vec<wgpu::ComputePipeline>> {
            let each = share.iter();
            each.map(|p| self.create_pipeline(p, &layouts[&p.bindings].1))
                .collect()
        };
        let made = std::thread::scope(|scope| {
            let shares = pipelines.chunks(share);
            let threads: Vec<_> = shares.map(|s| scope.spawn(|| compile(s))).collect();
            let joined = threads.into_iter().map(|thread| {
                let died = |_| Err(device_error("a driver's compiler panicked"));
                thread.join().unwrap_or_else(died)
            });
            joined.collect::<Result<Vec<_>>>()
        })?;
        Ok(made.into_iter().flatten().collect())
    }

    fn create_groups(&mut self, program: &Program, layouts: &Layouts) -> Result<()> {
        for group in &program.groups {
            let layout = &layouts[&program.pipelines[group.pipeline].bindings].0;
            let entries: Vec<wgpu::BindGroupEntry<'_>> = group
                .entries
                .iter()
                .enumerate()
                .map(|(i, region)| wgpu::BindGroupEntry {
                    binding: i as u32,
                    resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                        buffer: &self.buffers[region.buffer],
                        offset: region.offset,
                        size: wgpu::BufferSize::new(region.size),
                    }),
                })
                .collect();
            let what = format!("a bind group of {}", program.pipelines[group.pipeline].name);
            let made = self.scoped(&what, |device| {
                device.create_bind_group(&wgpu::BindGroupDescriptor {
                    label: None,
                    layout,
                    entries: &entries,
                })
            })?;
            self.groups.push((group.pipeline, made));
        }
        Ok(())
    }

    fn check_range(&self, buffer: usize, offset: u64, n_bytes: u64) -> Result<()> {
        let end = offset.checked_add(n_bytes);
        let size = self.sizes.get(buffer).copied().unwrap_or(0);
        if end.is_none_or(|end| end > size) || !(offset | n_bytes).is_multiple_of(4) {
            return Err(device_error(format!(
                "bytes {offset} + {n_bytes} of buffer {buffer}, which has {size}"
            )));
        }
        Ok(())
    }

    /// The read-back buffer, at least this large.
    fn staging(&mut self, n_bytes: u64) -> Result<wgpu::Buffer> {
        if let Some(buffer) = self.staging.as_ref().filter(|b| b.size() >= n_bytes) {
            return Ok(buffer.clone());
        }
        let size = n_bytes.next_power_of_two();
        let made = self.scoped(&format!("reading back {size} bytes"), |device| {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("read back"),
                size,
                usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            })
        })?;
        self.staging = Some(made.clone());
        Ok(made)
    }

    fn wait(&self) -> Result<()> {
        let waited = self.device().poll(wgpu::PollType::wait_indefinitely());
        waited.map_err(|e| device_error(e.to_string()))?;
        self.alive()
    }
}

/// A callback comes with the wait before it, or from a thread that is in the middle of running it.
const CALLBACK_TIMEOUT: Duration = Duration::from_secs(10);

impl Host for NativeHost {
    fn name(&self) -> String {
        let info = &self.context.info;
        format!("{} ({})", info.name, info.backend)
    }

    fn limits(&self) -> DeviceLimits {
        self.context.info.limits
    }

    fn create(&mut self, program: &Program) -> Result<()> {
        self.alive()?;
        self.create_buffers(program)?;
        let mut layouts = HashMap::new();
        for pipeline in &program.pipelines {
            if !layouts.contains_key(&pipeline.bindings) {
                let layout = self.create_layout(&pipeline.bindings)?;
                layouts.insert(pipeline.bindings.clone(), layout);
            }
        }
        self.pipelines = self.create_pipelines(&program.pipelines, &layouts)?;
        self.create_groups(program, &layouts)?;
        self.lists = program.lists.clone();
        Ok(())
    }

    fn write(&mut self, buffer: usize, offset: u64, bytes: &[u8]) -> Result<()> {
        self.check_range(buffer, offset, bytes.len() as u64)?;
        let shared = &self.context.shared;
        shared
            .queue
            .write_buffer(&self.buffers[buffer], offset, bytes);
        self.pending += bytes.len() as u64;
        if self.pending > MOST_PENDING {
            shared.queue.submit([]);
            self.pending = 0;
            self.wait()?;
        }
        self.alive()
    }

    fn submit(&mut self, list: usize, grids: &[[u32; 3]]) -> Result<()> {
        self.alive()?;
        let steps = &self.lists[list].steps;
        assert_eq!(steps.len(), grids.len(), "a grid for each step");
        let mut encoder = self
            .device()
            .create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            let mut current = usize::MAX;
            for (step, grid) in steps.iter().zip(grids).filter(|(_, g)| g[0] > 0) {
                let (pipeline, group) = &self.groups[step.group];
                if *pipeline != current {
                    pass.set_pipeline(&self.pipelines[*pipeline]);
                    current = *pipeline;
                }
                pass.set_bind_group(0, group, &[]);
                pass.dispatch_workgroups(grid[0], grid[1], grid[2]);
            }
        }
        self.context.shared.queue.submit([encoder.finish()]);
        self.pending = 0;
        self.alive()
    }

    fn read(&mut self, buffer: usize, offset: u64, n_bytes: u64) -> Result<Option<Vec<u8>>> {
        self.check_range(buffer, offset, n_bytes)?;
        self.alive()?;
        let staging = self.staging(n_bytes)?;
        let mut encoder = self
            .device()
            .create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.copy_buffer_to_buffer(&self.buffers[buffer], offset, &staging, 0, n_bytes);
        self.context.shared.queue.submit([encoder.finish()]);
        let (send, receive) = mpsc::channel();
        let slice = staging.slice(0..n_bytes);
        slice.map_async(wgpu::MapMode::Read, move |result| {
            let _gone = send.send(result);
        });
        self.wait()?;
        // Another thread that waits for the same device may be the one that runs the callback.
        let mapped = receive
            .recv_timeout(CALLBACK_TIMEOUT)
            .map_err(|e| device_error(format!("no answer to a read: {e}")))?;
        mapped.map_err(|e| device_error(e.to_string()))?;
        let view = slice
            .get_mapped_range()
            .map_err(|e| device_error(e.to_string()))?;
        let bytes = view.to_vec();
        drop(view);
        staging.unmap();
        Ok(Some(bytes))
    }
}
