// An invocation makes one element of the rotated q, or one eight of a cell's K or V:
//
//     out[t] = rope(q[t]),   K[cell[t]] = rope(k[t]),   V[cell[t]] = v[t]
//
// Any of the three may be absent (n_q, n_k, n_v = 0), and K may be stored as it is (rope_k = 0).

//#include shared/run.wgsl
//#include shared/math.wgsl

struct Params {
    n_q: u32, // elements of a row of q
    n_k: u32, // eights of a cell's K
    n_v: u32,
    dim_k: u32,
    dim_v: u32,
    eights_k: u32,
    eights_v: u32,
    n_cells: u32,
    rope_k: u32,
    neox: u32,
    n_rot: u32,
    freqs: u32, // in `vectors`
    magnitude: f32,
    q_at: u32,
    q_stride: u32,
    k_in_at: u32,
    k_stride: u32,
    v_in_at: u32,
    v_stride: u32,
    out_at: u32,
    out_stride: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<uniform> run: Run;
@group(0) @binding(2) var<storage, read> state: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> vectors: array<f32>;
@group(0) @binding(4) var<storage, read> q: array<f32>;
@group(0) @binding(5) var<storage, read> k: array<f32>;
@group(0) @binding(6) var<storage, read> v: array<f32>;
@group(0) @binding(7) var<storage, read_write> out: array<f32>;
@group(0) @binding(8) var<storage, read_write> k_cache: array<vec4<u32>>;
@group(0) @binding(9) var<storage, read_write> v_cache: array<vec4<u32>>;

//#include shared/state.wgsl
//#include shared/kv.wgsl

// Where element e of a head stands: (its partner, its pair, whether it is the second).
fn partner(e: u32) -> vec3<u32> {
    if (p.neox != 0u) {
        let half = p.n_rot / 2u;
        let second = select(0u, 1u, e >= half);
        return vec3<u32>(select(e + half, e - half, second == 1u), e - second * half, second);
    }
    return vec3<u32>(e ^ 1u, e / 2u, e & 1u);
}

fn turned(own: f32, other: f32, pos: i32, pair: u32, second: u32) -> f32 {
    let cs = cos_sin(f32(pos) * vectors[p.freqs + pair]) * p.magnitude;
    return own * cs.x + select(-other, other, second == 1u) * cs.y;
}

fn k_element(t: u32, head: u32, e: u32) -> f32 {
    if (e >= p.dim_k) { return 0.0; }
    let first = p.k_in_at + t * p.k_stride + head * p.dim_k;
    if (p.rope_k == 0u || e >= p.n_rot) { return k[first + e]; }
    let at = partner(e);
    return turned(k[first + e], k[first + at.x], token_pos(t), at.y, at.z);
}

fn v_element(t: u32, head: u32, e: u32) -> f32 {
    if (e >= p.dim_v) { return 0.0; }
    return v[p.v_in_at + t * p.v_stride + head * p.dim_v + e];
}

fn rope_q(t: u32, i: u32) {
    let first = p.q_at + t * p.q_stride + i / p.dim_k * p.dim_k;
    let e = i % p.dim_k;
    var y = q[first + e];
    if (e < p.n_rot) {
        let at = partner(e);
        y = turned(y, q[first + at.x], token_pos(t), at.y, at.z);
    }
    out[p.out_at + t * p.out_stride + i] = y;
}

fn store_k(t: u32, i: u32) {
    let head = i / p.eights_k;
    let eight = i % p.eights_k;
    var e: array<f32, 8>;
    for (var j = 0u; j < 8u; j++) { e[j] = k_element(t, head, eight * 8u + j); }
    let a = vec4<f32>(e[0], e[1], e[2], e[3]);
    let b = vec4<f32>(e[4], e[5], e[6], e[7]);
    let at = k_at(head, eight, token_cell(t));
    if (K_F32) {
        k_cache[2u * at] = bitcast<vec4<u32>>(a);
        k_cache[2u * at + 1u] = bitcast<vec4<u32>>(b);
    } else {
        k_cache[at] = pack8(a, b);
    }
}

fn store_v(t: u32, i: u32) {
    let head = i / p.eights_v;
    let eight = i % p.eights_v;
    var e: array<f32, 8>;
    for (var j = 0u; j < 8u; j++) { e[j] = v_element(t, head, eight * 8u + j); }
    let a = vec4<f32>(e[0], e[1], e[2], e[3]);
    let b = vec4<f32>(e[4], e[5], e[6], e[7]);
    let at = v_at(head, eight, token_cell(t));
    if (V_F32) {
        v_cache[2u * at] = bitcast<vec4<u32>>(a);
        v_cache[2u * at + 1u] = bitcast<vec4<u32>>(b);
    } else {
        v_cache[at] = pack8(a, b);
    }
}

@compute @workgroup_size(256)
fn main(
    @builtin(local_invocation_index) lid: u32,
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) n_groups: vec3<u32>,
) {
    let index = group_index(wid, n_groups) * 256u + lid;
    let n = p.n_q + p.n_k + p.n_v;
    let t = index / n;
    let i = index % n;
    if (t >= run.n_tokens) { return; }
    if (i < p.n_q) {
        rope_q(t, i);
    } else if (i < p.n_q + p.n_k) {
        store_k(t, i - p.n_q);
    } else {
        store_v(t, i - p.n_q - p.n_k);
    }
}
