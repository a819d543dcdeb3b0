// An invocation makes one element of  out = f(a, b):
//   0  a + b      1  a * factor      2  softcap(a, factor)      3  act(a)      4  act(a) * b

//#include shared/run.wgsl
//#include shared/math.wgsl

struct Params {
    what: u32,
    act: u32,
    factor: f32,
    width: u32,
    rows: u32, // 0: a row a token, 1: a row an output
    a_at: u32,
    a_stride: u32,
    b_at: u32,
    b_stride: u32,
    out_at: u32,
    out_stride: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<uniform> run: Run;
@group(0) @binding(2) var<storage, read> a: array<f32>;
@group(0) @binding(3) var<storage, read> b: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(256)
fn main(
    @builtin(local_invocation_index) lid: u32,
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) n_groups: vec3<u32>,
) {
    let index = group_index(wid, n_groups) * 256u + lid;
    let t = index / p.width;
    let i = index % p.width;
    if (t >= select(run.n_tokens, run.n_outputs, p.rows == 1u)) { return; }
    var y = a[p.a_at + t * p.a_stride + i];
    switch (p.what) {
        case 0u: { y += b[p.b_at + t * p.b_stride + i]; }
        case 1u: { y *= p.factor; }
        case 2u: { y = soft_cap(y, p.factor); }
        case 3u: { y = activation(p.act, y); }
        default: { y = activation(p.act, y) * b[p.b_at + t * p.b_stride + i]; }
    }
    out[p.out_at + t * p.out_stride + i] = y;
}
