// The K/V cache of a layer, in eights of a head's elements (the last one padded with zeros):
//   K  [head][eight][cell]   so that neighbouring cells are neighbours: a lane scores a cell
//   V  [head][cell][eight]   so that neighbouring elements are neighbours: a lane sums an eight
// An eight is one vec4 of f16 pairs, or two vec4 of f32.

override K_F32: bool = false;
override V_F32: bool = false;

fn pack8(a: vec4<f32>, b: vec4<f32>) -> vec4<u32> {
    return vec4<u32>(
        pack2x16float(a.xy), pack2x16float(a.zw), pack2x16float(b.xy), pack2x16float(b.zw));
}

fn unpack4(w: vec2<u32>) -> vec4<f32> {
    return vec4<f32>(unpack2x16float(w.x), unpack2x16float(w.y));
}

fn k_at(head: u32, eight: u32, cell: u32) -> u32 {
    return (head * p.eights_k + eight) * p.n_cells + cell;
}

fn v_at(head: u32, eight: u32, cell: u32) -> u32 {
    return (head * p.n_cells + cell) * p.eights_v + eight;
}

fn load_k(at: u32) -> array<vec4<f32>, 2> {
    if (K_F32) {
        return array<vec4<f32>, 2>(
            bitcast<vec4<f32>>(k_cache[2u * at]), bitcast<vec4<f32>>(k_cache[2u * at + 1u]));
    }
    let w = k_cache[at];
    return array<vec4<f32>, 2>(unpack4(w.xy), unpack4(w.zw));
}

fn load_v(at: u32) -> array<vec4<f32>, 2> {
    if (V_F32) {
        return array<vec4<f32>, 2>(
            bitcast<vec4<f32>>(v_cache[2u * at]), bitcast<vec4<f32>>(v_cache[2u * at + 1u]));
    }
    let w = v_cache[at];
    return array<vec4<f32>, 2>(unpack4(w.xy), unpack4(w.zw));
}
