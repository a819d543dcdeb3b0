// Q4_0: x = d (q - 8).
//   w4            codes: a block of 32 is one vec4, nibble i of word j is element 8j + i
//   w1[plane_1]   d: f16, two blocks a word, the first in the low half

fn nibbles(word: u32, shift: vec4<u32>) -> vec4<f32> {
    return vec4<f32>((vec4<u32>(word) >> shift) & vec4<u32>(15u));
}

const LOW = vec4<u32>(0u, 4u, 8u, 12u);
const HIGH = vec4<u32>(16u, 20u, 24u, 28u);

fn scale(block: u32) -> f32 {
    return half_to_float((w1[p.plane_1 + (block >> 1u)] >> (16u * (block & 1u))) & 0xffffu);
}

fn decode8(block: u32, j: u32) -> array<vec4<f32>, 2> {
    let word = w4[block][j];
    let d = scale(block);
    return array<vec4<f32>, 2>((nibbles(word, LOW) - 8.0) * d, (nibbles(word, HIGH) - 8.0) * d);
}

fn dot_block(block: u32, v: ptr<function, array<vec4<f32>, 8>>) -> f32 {
    let w = w4[block];
    let d = scale(block);
    let a = dot(nibbles(w.x, LOW) - 8.0, (*v)[0]) + dot(nibbles(w.x, HIGH) - 8.0, (*v)[1]);
    let b = dot(nibbles(w.y, LOW) - 8.0, (*v)[2]) + dot(nibbles(w.y, HIGH) - 8.0, (*v)[3]);
    let c = dot(nibbles(w.z, LOW) - 8.0, (*v)[4]) + dot(nibbles(w.z, HIGH) - 8.0, (*v)[5]);
    let e = dot(nibbles(w.w, LOW) - 8.0, (*v)[6]) + dot(nibbles(w.w, HIGH) - 8.0, (*v)[7]);
    return d * ((a + b) + (c + e));
}
