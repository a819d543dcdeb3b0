// A workgroup makes one row:  sum[t] = h = x[t] (+ delta[t] or its norm),  out[t] = norm(h).

//#include shared/run.wgsl
//#include shared/reduce.wgsl

struct Params {
    n_in: u32,
    rows: u32, // 0: a row a token, 1: a row an output
    x_at: u32,
    x_stride: u32,
    add: u32,
    delta_at: u32,
    delta_stride: u32,
    write_sum: u32,
    sum_at: u32,
    sum_stride: u32,
    post: u32,
    post_weight: u32,
    post_bias: u32,
    post_eps: f32,
    norm: u32,
    norm_weight: u32,
    norm_bias: u32,
    norm_eps: f32,
    out_at: u32,
    out_stride: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<uniform> run: Run;
@group(0) @binding(2) var<storage, read> vectors: array<f32>;
@group(0) @binding(3) var<storage, read> x: array<f32>;
@group(0) @binding(4) var<storage, read> delta: array<f32>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;
@group(0) @binding(6) var<storage, read_write> sum: array<f32>;

//#include shared/norm.wgsl

@compute @workgroup_size(256)
fn main(
    @builtin(local_invocation_index) lid: u32,
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) n_groups: vec3<u32>,
) {
    let t = group_index(wid, n_groups);
    if (t >= select(run.n_tokens, run.n_outputs, p.rows == 1u)) { return; }
    prepare_row(t, lid);
    if (p.write_sum != 0u) { store_sum(t, lid); }
    for (var i = lid; i < p.n_in; i += 256u) {
        out[p.out_at + t * p.out_stride + i] = n_at(t, i);
    }
}
