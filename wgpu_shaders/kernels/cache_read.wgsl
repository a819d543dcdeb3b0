// An invocation copies one eight of a cell's K or V out of the cache, as f32:
//
//     k_rows[t] = K[cell[t]],   v_rows[t] = V[cell[t]]

//#include shared/run.wgsl

struct Params {
    n_k: u32, // eights of a cell's K
    n_v: u32,
    dim_k: u32,
    dim_v: u32,
    eights_k: u32,
    eights_v: u32,
    n_cells: u32,
    k_stride: u32,
    v_stride: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<uniform> run: Run;
@group(0) @binding(2) var<storage, read> state: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> k_cache: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read> v_cache: array<vec4<u32>>;
@group(0) @binding(5) var<storage, read_write> k_rows: array<f32>;
@group(0) @binding(6) var<storage, read_write> v_rows: array<f32>;

//#include shared/state.wgsl
//#include shared/kv.wgsl

@compute @workgroup_size(256)
fn main(
    @builtin(local_invocation_index) lid: u32,
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) n_groups: vec3<u32>,
) {
    let index = group_index(wid, n_groups) * 256u + lid;
    let n = p.n_k + p.n_v;
    let t = index / n;
    let i = index % n;
    if (t >= run.n_tokens) { return; }
    let is_k = i < p.n_k;
    let eights = select(p.eights_v, p.eights_k, is_k);
    let unit = select(i - p.n_k, i, is_k);
    let head = unit / eights;
    let eight = unit % eights;
    if (is_k) {
        let y = load_k(k_at(head, eight, token_cell(t)));
        for (var j = 0u; j < 8u; j++) {
            let e = eight * 8u + j;
            if (e < p.dim_k) { k_rows[t * p.k_stride + head * p.dim_k + e] = y[j / 4u][j % 4u]; }
        }
    } else {
        let y = load_v(v_at(head, eight, token_cell(t)));
        for (var j = 0u; j < 8u; j++) {
            let e = eight * 8u + j;
            if (e < p.dim_v) { v_rows[t * p.v_stride + head * p.dim_v + e] = y[j / 4u][j % 4u]; }
        }
    }
}
