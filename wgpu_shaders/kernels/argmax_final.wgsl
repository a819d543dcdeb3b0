// A workgroup chooses the best of one row's parts (argmax_parts.wgsl):  chosen[r] = its id.

//#include shared/run.wgsl

struct Params {
    n_parts: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<uniform> run: Run;
@group(0) @binding(2) var<storage, read> parts: array<vec2<u32>>;
@group(0) @binding(3) var<storage, read_write> chosen: array<u32>;

//#include shared/argmax.wgsl

@compute @workgroup_size(256)
fn main(
    @builtin(local_invocation_index) lid: u32,
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) n_groups: vec3<u32>,
) {
    let r = group_index(wid, n_groups);
    if (r >= run.n_outputs) { return; }
    var top = Best(-3.4e38, NONE);
    for (var i = lid; i < p.n_parts; i += 256u) {
        let part = parts[r * p.n_parts + i];
        top = better(top, Best(bitcast<f32>(part.x), part.y));
    }
    top = best_all(top, lid);
    // No logit was larger than the start (all NaN or infinitely small): any id is as good.
    if (lid == 0u) { chosen[r] = select(top.id, 0u, top.id == NONE); }
}
