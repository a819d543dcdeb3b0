//! wgpu_shaders
