// F32: a block of 32 is 8 vec4 of w4.

fn decode8(block: u32, j: u32) -> array<vec4<f32>, 2> {
    let at = block * 8u + 2u * j;
    return array<vec4<f32>, 2>(bitcast<vec4<f32>>(w4[at]), bitcast<vec4<f32>>(w4[at + 1u]));
}

fn dot_block(block: u32, v: ptr<function, array<vec4<f32>, 8>>) -> f32 {
    var sum = 0.0;
    for (var j = 0u; j < 4u; j++) {
        let w = decode8(block, j);
        sum += dot(w[0], (*v)[2u * j]) + dot(w[1], (*v)[2u * j + 1u]);
    }
    return sum;
}
