// Q8_0: x = d q.
//   w4            codes: a block of 32 is two vec4, byte i of a word is element i of four
//   w1[plane_1]   d: f16, two blocks a word, the first in the low half

fn bytes(word: u32) -> vec4<f32> {
    let up = vec4<u32>(word) << vec4<u32>(24u, 16u, 8u, 0u);
    return vec4<f32>(bitcast<vec4<i32>>(up) >> vec4<u32>(24u));
}

fn scale(block: u32) -> f32 {
    return half_to_float((w1[p.plane_1 + (block >> 1u)] >> (16u * (block & 1u))) & 0xffffu);
}

fn decode8(block: u32, j: u32) -> array<vec4<f32>, 2> {
    let w = w4[2u * block + (j >> 1u)];
    let pair = select(w.xy, w.zw, (j & 1u) == 1u);
    let d = scale(block);
    return array<vec4<f32>, 2>(bytes(pair.x) * d, bytes(pair.y) * d);
}

fn dot_block(block: u32, v: ptr<function, array<vec4<f32>, 8>>) -> f32 {
    let w = w4[2u * block];
    let u = w4[2u * block + 1u];
    let d = scale(block);
    let a = dot(bytes(w.x), (*v)[0]) + dot(bytes(w.y), (*v)[1]);
    let b = dot(bytes(w.z), (*v)[2]) + dot(bytes(w.w), (*v)[3]);
    let c = dot(bytes(u.x), (*v)[4]) + dot(bytes(u.y), (*v)[5]);
    let e = dot(bytes(u.z), (*v)[6]) + dot(bytes(u.w), (*v)[7]);
    return d * ((a + b) + (c + e));
}
