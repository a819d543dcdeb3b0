// A workgroup makes one head of one token:  softmax(softcap(scale q·K)) V  over the visible cells.
//
// 1. 1024 cells at a time, each invocation scores four: K lies cell by cell, so lanes load in a row.
// 2. A running maximum and rescaled sums (Milakov and Gimelshein 2018, arXiv 1805.02867), so that
//    scores never leave workgroup memory, however long the cache.
// 3. For V the invocations are (group of cells) x (eight elements); groups are added up at the end.

//#include shared/run.wgsl
//#include shared/math.wgsl
//#include shared/reduce.wgsl

struct Params {
    n_head: u32,
    n_group: u32, // query heads that share one K and V head
    dim_k: u32,
    dim_v: u32,
    eights_k: u32,
    eights_v: u32,
    n_cells: u32,
    window: u32, // 0: none
    scale: f32,
    softcap: f32, // 0: none
    q_at: u32,
    q_stride: u32,
    out_at: u32,
    out_stride: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<uniform> run: Run;
@group(0) @binding(2) var<storage, read> state: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> cells: array<vec4<u32>>; // pos, sequences low, high, 0
@group(0) @binding(4) var<storage, read> k_cache: array<vec4<u32>>;
@group(0) @binding(5) var<storage, read> v_cache: array<vec4<u32>>;
@group(0) @binding(6) var<storage, read> q: array<f32>;
@group(0) @binding(7) var<storage, read_write> out: array<f32>;

//#include shared/state.wgsl
//#include shared/kv.wgsl

const TILE = 1024u;
const LOWEST = -3.0e38; // stands for a cell that is not visible

var<workgroup> query: array<vec4<f32>, 128>; // dim_k up to 512
var<workgroup> weights: array<f32, 1024>;
var<workgroup> sums: array<vec4<f32>, 512>; // [256][2]

// The rule of Batch::visible: the same sequence, not later, inside the window.
fn visible(cell: vec4<u32>, pos: i32, seq: u32) -> bool {
    let bits = select(cell.y, cell.z, seq >= 32u);
    let distance = pos - bitcast<i32>(cell.x);
    let near = p.window == 0u || u32(max(distance, 0)) < p.window;
    return ((bits >> (seq & 31u)) & 1u) == 1u && distance >= 0 && near;
}

fn score(head_kv: u32, cell: u32) -> f32 {
    var acc = vec4<f32>(0.0);
    for (var e = 0u; e < p.eights_k; e++) {
        let key = load_k(k_at(head_kv, e, cell));
        acc += key[0] * query[2u * e] + key[1] * query[2u * e + 1u];
    }
    let s = (acc.x + acc.y) + (acc.z + acc.w);
    if (p.softcap != 0.0) { return soft_cap(s, p.softcap); }
    return s;
}

@compute @workgroup_size(256)
fn main(
    @builtin(local_invocation_index) lid: u32,
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) n_groups: vec3<u32>,
) {
    let group = group_index(wid, n_groups);
    let t = group / p.n_head;
    let head = group % p.n_head;
    if (t >= run.n_tokens) { return; }
    let head_kv = head / p.n_group;
    let pos = token_pos(t);
    let seq = token_seq(t);

    let first = p.q_at + t * p.q_stride + head * p.dim_k;
    for (var i = lid; i < 2u * p.eights_k; i += 256u) {
        var v = vec4<f32>(0.0);
        for (var j = 0u; j < 4u; j++) {
            if (4u * i + j < p.dim_k) { v[j] = q[first + 4u * i + j] * p.scale; }
        }
        query[i] = v;
    }
    workgroupBarrier(); // the query is there

    let n_lines = 256u / p.eights_v; // groups of cells for V
    let eight = lid % p.eights_v;
    let line_v = lid / p.eights_v;
    var top = LOWEST;
    var total = 0.0; // this invocation's share of the sum of weights
    var acc_a = vec4<f32>(0.0);
    var acc_b = vec4<f32>(0.0);
    for (var base = 0u; base < run.n_kv; base += TILE) {
        var mine = vec4<f32>(LOWEST);
        var tile_top = LOWEST;
        for (var j = 0u; j < 4u; j++) {
            let cell = base + 256u * j + lid;
            if (cell < run.n_kv && visible(cells[cell], pos, seq)) {
                mine[j] = score(head_kv, cell);
                tile_top = max(tile_top, mine[j]);
            }
        }
        let new_top = max(top, max_all(tile_top, lid));
        let shrink = exp(top - new_top); // 1 while nothing was visible
        top = new_top;
        total *= shrink;
        acc_a *= shrink;
        acc_b *= shrink;
        for (var j = 0u; j < 4u; j++) {
            let weight = select(0.0, exp(mine[j] - top), mine[j] > LOWEST);
            weights[256u * j + lid] = weight;
            total += weight;
        }
        workgroupBarrier(); // the weights of this tile are there
        let n = min(TILE, run.n_kv - base);
        if (line_v < n_lines) {
            for (var c = line_v; c < n; c += n_lines) {
                let weight = weights[c];
                if (weight > 0.0) {
                    let value = load_v(v_at(head_kv, eight, base + c));
                    acc_a += weight * value[0];
                    acc_b += weight * value[1];
                }
            }
        }
        workgroupBarrier(); // the weights may be overwritten
    }
    sums[2u * lid] = acc_a;
    sums[2u * lid + 1u] = acc_b;
    let whole = sum_all(total, lid); // its barriers also cover `sums`
    for (var e = lid; e < p.dim_v; e += 256u) {
        var y = 0.0;
        for (var g = 0u; g < n_lines; g++) {
            y += sums[2u * (g * p.eights_v + e / 8u) + ((e / 4u) & 1u)][e & 3u];
        }
        out[p.out_at + t * p.out_stride + head * p.dim_v + e] = select(0.0, y / whole, whole > 0.0);
    }
}
