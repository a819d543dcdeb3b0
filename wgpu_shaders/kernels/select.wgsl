// An invocation copies one element:  out[r] = x[outputs[r]].

//#include shared/run.wgsl

struct Params {
    width: u32,
    x_at: u32,
    x_stride: u32,
    out_at: u32,
    out_stride: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<uniform> run: Run;
@group(0) @binding(2) var<storage, read> state: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> x: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;

//#include shared/state.wgsl

@compute @workgroup_size(256)
fn main(
    @builtin(local_invocation_index) lid: u32,
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) n_groups: vec3<u32>,
) {
    let index = group_index(wid, n_groups) * 256u + lid;
    let r = index / p.width;
    let i = index % p.width;
    if (r >= run.n_outputs) { return; }
    out[p.out_at + r * p.out_stride + i] = x[p.x_at + output_token(r) * p.x_stride + i];
}
