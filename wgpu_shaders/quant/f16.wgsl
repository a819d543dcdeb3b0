// F16: a block of 32 is 4 vec4 of w4, two elements a word, the first in the low half.

fn decode8(block: u32, j: u32) -> array<vec4<f32>, 2> {
    let w = w4[block * 4u + j];
    return array<vec4<f32>, 2>(
        vec4<f32>(unpack2x16float(w.x), unpack2x16float(w.y)),
        vec4<f32>(unpack2x16float(w.z), unpack2x16float(w.w)),
    );
}

fn dot_block(block: u32, v: ptr<function, array<vec4<f32>, 8>>) -> f32 {
    var sum = 0.0;
    for (var j = 0u; j < 4u; j++) {
        let w = decode8(block, j);
        sum += dot(w[0], (*v)[2u * j]) + dot(w[1], (*v)[2u * j + 1u]);
    }
    return sum;
}
