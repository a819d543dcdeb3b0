// A workgroup finds the largest of its share of one row of logits, and the lowest id that has it.
// `n_parts` workgroups share a row; argmax_final.wgsl chooses among them.

//#include shared/run.wgsl

struct Params {
    n: u32, // logits in a row
    n_parts: u32,
    x_at: u32,
    x_stride: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<uniform> run: Run;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> parts: array<vec2<u32>>; // value bits, id

//#include shared/argmax.wgsl

@compute @workgroup_size(256)
fn main(
    @builtin(local_invocation_index) lid: u32,
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) n_groups: vec3<u32>,
) {
    let group = group_index(wid, n_groups);
    let r = group / p.n_parts;
    let part = group % p.n_parts;
    if (r >= run.n_outputs) { return; }
    var top = Best(-3.4e38, NONE);
    for (var i = part * 256u + lid; i < p.n; i += p.n_parts * 256u) {
        top = better(top, Best(x[p.x_at + r * p.x_stride + i], i));
    }
    top = best_all(top, lid);
    if (lid == 0u) { parts[group] = vec2<u32>(bitcast<u32>(top.value), top.id); }
}
