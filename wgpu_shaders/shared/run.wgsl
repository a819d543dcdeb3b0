// The parameters of a run that every kernel may ask for: the head of the state buffer, as a uniform.

struct Run {
    n_tokens: u32,
    n_outputs: u32,
    n_kv: u32,
}

const NONE = 0xffffffffu;

// The number of this workgroup: long grids are folded into two dimensions (65535 a dimension).
fn group_index(wid: vec3<u32>, n_groups: vec3<u32>) -> u32 {
    return wid.y * n_groups.x + wid.x;
}
