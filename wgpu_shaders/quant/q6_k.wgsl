// Q6_K: x = (d scale) (q - 32), a signed scale for each 16, d for each 256.
//   w4            low 4 bits: a block of 32 is one vec4, nibble i of word j is element 8j + i
//   w1[plane_1]   high 2 bits: two words a block, bits 2i, 2i+1 of word h are element 16h + i
//   w1[plane_2]   scales: two signed bytes a block, two blocks a word, the first in the low half
//   w1[plane_3]   d as f32, a word for 8 blocks

const LOW = vec4<u32>(0u, 4u, 8u, 12u);
const HIGH = vec4<u32>(16u, 20u, 24u, 28u);
const PAIRS = vec4<u32>(0u, 2u, 4u, 6u);

fn codes(low: u32, low_shift: vec4<u32>, high: u32) -> vec4<f32> {
    let l = (vec4<u32>(low) >> low_shift) & vec4<u32>(15u);
    let h = (vec4<u32>(high) >> PAIRS) & vec4<u32>(3u);
    return vec4<f32>(l | (h << vec4<u32>(4u))) - 32.0;
}

// The steps of the two halves of a block.
fn steps(block: u32) -> vec2<f32> {
    let pair = w1[p.plane_2 + (block >> 1u)] >> (16u * (block & 1u));
    let signed = bitcast<vec2<i32>>(vec2<u32>(pair << 24u, pair << 16u)) >> vec2<u32>(24u);
    return vec2<f32>(signed) * bitcast<f32>(w1[p.plane_3 + (block >> 3u)]);
}

fn decode8(block: u32, j: u32) -> array<vec4<f32>, 2> {
    let low = w4[block][j];
    let high = w1[p.plane_1 + 2u * block + (j >> 1u)] >> (16u * (j & 1u));
    let step = steps(block)[j >> 1u];
    return array<vec4<f32>, 2>(codes(low, LOW, high) * step, codes(low, HIGH, high >> 8u) * step);
}

fn dot_block(block: u32, v: ptr<function, array<vec4<f32>, 8>>) -> f32 {
    let w = w4[block];
    let h = w1[p.plane_1 + 2u * block];
    let g = w1[p.plane_1 + 2u * block + 1u];
    let step = steps(block);
    let a = dot(codes(w.x, LOW, h), (*v)[0]) + dot(codes(w.x, HIGH, h >> 8u), (*v)[1]);
    let b = dot(codes(w.y, LOW, h >> 16u), (*v)[2]) + dot(codes(w.y, HIGH, h >> 24u), (*v)[3]);
    let c = dot(codes(w.z, LOW, g), (*v)[4]) + dot(codes(w.z, HIGH, g >> 8u), (*v)[5]);
    let e = dot(codes(w.w, LOW, g >> 16u), (*v)[6]) + dot(codes(w.w, HIGH, g >> 24u), (*v)[7]);
    return step.x * (a + b) + step.y * (c + e);
}
