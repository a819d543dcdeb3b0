// Parameters, bindings and epilogue of every kernel that multiplies by a matrix: matvec, matmul.
// A matrix is a run of rows in planes (see quant/); with a gated unit (p.up != 0) output o takes
// row o as gate and row o + p.up as up.

struct Params {
    n_in: u32,
    n_blocks: u32, // blocks of 32 in a row of the matrix
    n_out: u32, // outputs of this dispatch
    up: u32,
    rows: u32, // 0: a row a token, 1: a row an output
    passes: u32,
    plane_1: u32,
    plane_2: u32,
    plane_3: u32,
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
    bias: u32,
    up_bias: u32,
    act: u32,
    residual: u32,
    residual_at: u32,
    residual_stride: u32,
    softcap: f32, // 0: none
    out_at: u32,
    out_stride: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<uniform> run: Run;
// One buffer, seen twice: wide loads for codes, single words for scales.
@group(0) @binding(2) var<storage, read> w4: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> w1: array<u32>;
@group(0) @binding(4) var<storage, read> vectors: array<f32>;
@group(0) @binding(5) var<storage, read> x: array<f32>;
@group(0) @binding(6) var<storage, read> delta: array<f32>;
@group(0) @binding(7) var<storage, read> residual: array<f32>;
@group(0) @binding(8) var<storage, read_write> out: array<f32>;
@group(0) @binding(9) var<storage, read_write> sum: array<f32>;

fn n_rows() -> u32 {
    return select(run.n_tokens, run.n_outputs, p.rows == 1u);
}

// `gate` is the product of row o, `up` that of row o + p.up where there is one.
fn finish(t: u32, o: u32, gate: f32, up: f32) {
    var y = gate;
    if (p.bias != NONE) { y += vectors[p.bias + o]; }
    if (p.up != 0u) {
        var u = up;
        if (p.up_bias != NONE) { u += vectors[p.up_bias + o]; }
        y = activation(p.act, y) * u;
    }
    if (p.residual != 0u) { y += residual[p.residual_at + t * p.residual_stride + o]; }
    if (p.softcap != 0.0) { y = soft_cap(y, p.softcap); }
    out[p.out_at + t * p.out_stride + o] = y;
}
