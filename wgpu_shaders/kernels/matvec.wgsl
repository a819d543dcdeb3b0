// A workgroup makes 16 outputs (8 of a gated unit), `passes` times over, of one row of activations:
//
//     out[t][o] = finish(dot(W[o], prologue(x[t])))
//
// 1. 64 lanes share a row of W, each takes every 64th block of 32: neighbours load neighbouring
//    vec4, so each load of 4-bit codes is 1 KiB in one piece.
// 2. Each lane holds its 32 activations in registers and uses them for 4 rows.
// 3. Activations pass through workgroup memory, turned so that neighbouring blocks are neighbours
//    (and 65 apart instead of 64, against bank conflicts); the norm is applied on the way in.
// 4. Rows of activations run fastest over the grid, so that a few tokens share W through the cache.

//#include shared/run.wgsl
//#include shared/math.wgsl
//#include shared/linear.wgsl
//#include shared/reduce.wgsl
//#include shared/norm.wgsl
//#include quant

const LANES = 64u;
const ROWS = 4u; // rows of W a lane works on
const PAD = 65u;

var<workgroup> tile: array<vec4<f32>, 520>; // [8][PAD]
var<workgroup> partial: array<f32, 1024>; // [ROWS][256]

// One group of four activations, zero behind the end of the row. A loop, because compilers take
// long over four copies of the norm.
fn quad(t: u32, i: u32) -> vec4<f32> {
    var v = vec4<f32>(0.0);
    for (var j = 0u; j < 4u; j++) {
        if (i + j < p.n_in) { v[j] = n_at(t, i + j); }
    }
    return v;
}

fn load_tile(t: u32, first_block: u32, lid: u32) {
    let n = min(LANES, p.n_blocks - first_block) * 8u;
    for (var i = lid; i < n; i += 256u) {
        tile[(i & 7u) * PAD + (i >> 3u)] = quad(t, first_block * 32u + 4u * i);
    }
}

// Output and row of W of slot r of a group of four rows.
fn output_of(first: u32, r: u32) -> u32 {
    return select(first + r, first + (r & 1u), p.up != 0u);
}

fn row_of(first: u32, r: u32) -> u32 {
    let o = min(output_of(first, r), p.n_out - 1u);
    return select(o, o + p.up, p.up != 0u && r >= 2u);
}

@compute @workgroup_size(256)
fn main(
    @builtin(local_invocation_index) lid: u32,
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) n_groups: vec3<u32>,
) {
    let group = group_index(wid, n_groups);
    let n = max(n_rows(), 1u);
    let t = group % n;
    let outputs = select(ROWS, ROWS / 2u, p.up != 0u); // a group of four rows makes
    let start = (group / n) * 4u * outputs * p.passes;
    if (start >= p.n_out) { return; }

    prepare_row(t, lid);
    if (start == 0u && p.write_sum != 0u) { store_sum(t, lid); }

    let lane = lid % LANES;
    for (var pass_index = 0u; pass_index < p.passes; pass_index++) {
        let pass_start = start + pass_index * 4u * outputs;
        if (pass_start >= p.n_out) { return; }
        let first = pass_start + (lid / LANES) * outputs;
        var rows = vec4<u32>(row_of(first, 0u), row_of(first, 1u), row_of(first, 2u), row_of(first, 3u));
        rows *= p.n_blocks;
        var acc = vec4<f32>(0.0);
        for (var k = 0u; k < p.n_blocks; k += LANES) {
            if (pass_index == 0u || p.n_blocks > LANES) {
                workgroupBarrier(); // the last tile has been used
                load_tile(t, k, lid);
                workgroupBarrier(); // the tile is there
            }
            let block = k + lane;
            if (block < p.n_blocks) {
                var v: array<vec4<f32>, 8>;
                for (var j = 0u; j < 8u; j++) { v[j] = tile[j * PAD + lane]; }
                acc.x += dot_block(rows.x + block, &v);
                acc.y += dot_block(rows.y + block, &v);
                acc.z += dot_block(rows.z + block, &v);
                acc.w += dot_block(rows.w + block, &v);
            }
        }
        for (var r = 0u; r < ROWS; r++) { partial[r * 256u + lid] = acc[r]; }
        workgroupBarrier(); // all partial sums are there
        // 16 rows, 16 invocations each: four lanes' sums first, then all sixteen.
        let from_row = (lid >> 4u) % ROWS * 256u + (lid >> 4u) / ROWS * LANES + (lid & 15u);
        reduce_first[lid] = (partial[from_row] + partial[from_row + 16u])
            + (partial[from_row + 32u] + partial[from_row + 48u]);
        workgroupBarrier(); // sixteen numbers a row are left
        let made = lid / outputs * ROWS + lid % outputs; // the row whose output this one finishes
        let o = pass_start + lid;
        if (lid < 4u * outputs && o < p.n_out) {
            var gate = 0.0;
            var up = 0.0;
            for (var i = 0u; i < 16u; i++) {
                gate += reduce_first[made * 16u + i];
                up += reduce_first[((made + 2u) & 15u) * 16u + i];
            }
            finish(t, o, gate, up);
        }
    }
}
