// An invocation makes 8 elements:  out[t] = W[token[t]] * scale, for the tokens whose rows lie in
// this piece of W.

//#include shared/run.wgsl
//#include shared/math.wgsl

struct Params {
    n_in: u32,
    n_blocks: u32,
    first_row: u32, // the piece holds rows first_row .. first_row + n_rows
    n_rows: u32,
    plane_1: u32,
    plane_2: u32,
    plane_3: u32,
    scale: f32,
    out_at: u32,
    out_stride: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<uniform> run: Run;
@group(0) @binding(2) var<storage, read> w4: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> w1: array<u32>;
@group(0) @binding(4) var<storage, read> state: array<vec4<u32>>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;

//#include shared/state.wgsl
//#include quant

@compute @workgroup_size(256)
fn main(
    @builtin(local_invocation_index) lid: u32,
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) n_groups: vec3<u32>,
) {
    let index = group_index(wid, n_groups) * 256u + lid;
    let eights = p.n_blocks * 4u;
    let t = index / eights;
    if (t >= run.n_tokens) { return; }
    let row = token_id(t) - p.first_row; // wraps below first_row, and is then too large
    if (row >= p.n_rows) { return; }
    let eight = index % eights;
    let w = decode8(row * p.n_blocks + eight / 4u, eight % 4u);
    for (var i = 0u; i < 8u; i++) {
        let column = eight * 8u + i;
        if (column < p.n_in) { out[p.out_at + t * p.out_stride + column] = w[i / 4u][i % 4u] * p.scale; }
    }
}
