// The largest value and the lowest id that has it, over a workgroup of 256.

struct Best {
    value: f32,
    id: u32,
}

var<workgroup> best_values: array<f32, 256>;
var<workgroup> best_ids: array<u32, 256>;

fn better(a: Best, b: Best) -> Best {
    if (b.value > a.value || (b.value == a.value && b.id < a.id)) { return b; }
    return a;
}

// The result is right in invocation 0.
fn best_all(mine: Best, lid: u32) -> Best {
    best_values[lid] = mine.value;
    best_ids[lid] = mine.id;
    workgroupBarrier(); // all 256 are there
    var top = mine;
    if (lid < 16u) {
        for (var i = lid; i < 256u; i += 16u) { top = better(top, Best(best_values[i], best_ids[i])); }
    }
    workgroupBarrier(); // nobody reads the first round any more
    if (lid < 16u) {
        best_values[lid] = top.value;
        best_ids[lid] = top.id;
    }
    workgroupBarrier(); // the 16 are there
    if (lid == 0u) {
        for (var i = 0u; i < 16u; i++) { top = better(top, Best(best_values[i], best_ids[i])); }
    }
    return top;
}
