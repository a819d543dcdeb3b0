// Q4_K: x = (d scale) q - (dmin minimum), a scale and a minimum for each 32, d and dmin for each 256.
//   w4            codes: a block of 32 is one vec4, nibble i of word j is element 8j + i
//   w1[plane_1]   scale | minimum << 8, two blocks a word, the first in the low half
//   w1[plane_2]   d, dmin as f32, two words for 8 blocks

fn nibbles(word: u32, shift: vec4<u32>) -> vec4<f32> {
    return vec4<f32>((vec4<u32>(word) >> shift) & vec4<u32>(15u));
}

const LOW = vec4<u32>(0u, 4u, 8u, 12u);
const HIGH = vec4<u32>(16u, 20u, 24u, 28u);
const ONE = vec4<f32>(1.0);

// Step and low end of a block.
fn line(block: u32) -> vec2<f32> {
    let pair = w1[p.plane_1 + (block >> 1u)] >> (16u * (block & 1u));
    let at = p.plane_2 + 2u * (block >> 3u);
    return vec2<f32>(
        bitcast<f32>(w1[at]) * f32(pair & 255u),
        bitcast<f32>(w1[at + 1u]) * f32((pair >> 8u) & 255u),
    );
}

fn decode8(block: u32, j: u32) -> array<vec4<f32>, 2> {
    let word = w4[block][j];
    let l = line(block);
    return array<vec4<f32>, 2>(nibbles(word, LOW) * l.x - l.y, nibbles(word, HIGH) * l.x - l.y);
}

fn dot_block(block: u32, v: ptr<function, array<vec4<f32>, 8>>) -> f32 {
    let w = w4[block];
    let l = line(block);
    let a = dot(nibbles(w.x, LOW), (*v)[0]) + dot(nibbles(w.x, HIGH), (*v)[1]);
    let b = dot(nibbles(w.y, LOW), (*v)[2]) + dot(nibbles(w.y, HIGH), (*v)[3]);
    let c = dot(nibbles(w.z, LOW), (*v)[4]) + dot(nibbles(w.z, HIGH), (*v)[5]);
    let e = dot(nibbles(w.w, LOW), (*v)[6]) + dot(nibbles(w.w, HIGH), (*v)[7]);
    // The sum of the activations is the same for every row; the compiler takes it out of the loop.
    let s = dot(((*v)[0] + (*v)[1]) + ((*v)[2] + (*v)[3]) + ((*v)[4] + (*v)[5]) + ((*v)[6] + (*v)[7]), ONE);
    return l.x * ((a + b) + (c + e)) - l.y * s;
}
