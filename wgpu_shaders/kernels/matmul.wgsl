// A workgroup makes 64 tokens x 64 rows of W (32 outputs of a gated unit):
//
//     out[t][o] = finish(dot(W[o], x[t]))
//
// 1. 32 columns at a time, both tiles decoded to f32 in workgroup memory: 16 KiB, all there is.
// 2. Each of 16 x 16 invocations makes 4 x 4 products, 16 apart: 8 loads of vec4 for 64 products.
// 3. Column quads are stored at (quad ^ row) so that neighbouring rows lie in different banks.

//#include shared/run.wgsl
//#include shared/math.wgsl
//#include shared/linear.wgsl
//#include quant

const SIDE = 64u;

var<workgroup> x_tile: array<vec4<f32>, 512>; // [64][8]
var<workgroup> w_tile: array<vec4<f32>, 512>; // [64][8]

fn place(row: u32, quad: u32) -> u32 {
    return row * 8u + (quad ^ (row & 7u));
}

fn quad_of_x(t: u32, i: u32) -> vec4<f32> {
    var v = vec4<f32>(0.0);
    if (t >= n_rows()) { return v; }
    let at = p.x_at + t * p.x_stride + i;
    if (i + 3u < p.n_in) { return vec4<f32>(x[at], x[at + 1u], x[at + 2u], x[at + 3u]); }
    if (i < p.n_in) { v.x = x[at]; }
    if (i + 1u < p.n_in) { v.y = x[at + 1u]; }
    if (i + 2u < p.n_in) { v.z = x[at + 2u]; }
    return v;
}

// The row of W in place `s` of the tile: with a gated unit 32 gates, then their 32 ups.
fn row_of(tile: u32, s: u32) -> u32 {
    if (p.up == 0u) { return min(tile * SIDE + s, p.n_out - 1u); }
    return min(tile * 32u + (s & 31u), p.n_out - 1u) + (s >> 5u) * p.up;
}

@compute @workgroup_size(256)
fn main(
    @builtin(local_invocation_index) lid: u32,
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) n_groups: vec3<u32>,
) {
    let group = group_index(wid, n_groups);
    let outputs = select(SIDE, SIDE / 2u, p.up != 0u);
    let n_tiles = (p.n_out + outputs - 1u) / outputs;
    let first_t = group / n_tiles * SIDE;
    let tile = group % n_tiles;
    if (first_t >= n_rows()) { return; }

    let column = lid & 15u;
    let line_t = lid >> 4u;
    let row = lid >> 2u; // this invocation's share of the tiles: 8 columns of one row
    let part = lid & 3u;
    let weights = row_of(tile, row) * p.n_blocks;
    var acc: array<vec4<f32>, 4>; // [token][row of W]
    for (var k = 0u; k < p.n_blocks; k++) {
        workgroupBarrier(); // the last tiles have been used
        let w = decode8(weights + k, part);
        w_tile[place(row, 2u * part)] = w[0];
        w_tile[place(row, 2u * part + 1u)] = w[1];
        let i = k * 32u + 8u * part;
        x_tile[place(row, 2u * part)] = quad_of_x(first_t + row, i);
        x_tile[place(row, 2u * part + 1u)] = quad_of_x(first_t + row, i + 4u);
        workgroupBarrier(); // both tiles are there
        for (var q = 0u; q < 8u; q++) {
            let b0 = w_tile[place(column, q)];
            let b1 = w_tile[place(column + 16u, q)];
            let b2 = w_tile[place(column + 32u, q)];
            let b3 = w_tile[place(column + 48u, q)];
            for (var j = 0u; j < 4u; j++) {
                let a = x_tile[place(line_t + 16u * j, q)];
                acc[j] += vec4<f32>(dot(a, b0), dot(a, b1), dot(a, b2), dot(a, b3));
            }
        }
    }
    for (var j = 0u; j < 4u; j++) {
        let t = first_t + line_t + 16u * j;
        if (t >= n_rows()) { continue; }
        for (var i = 0u; i < outputs / 16u; i++) {
            let o = tile * outputs + column + 16u * i;
            if (o < p.n_out) { finish(t, o, acc[j][i], acc[j][(i + 2u) & 3u]); }
        }
    }
}
