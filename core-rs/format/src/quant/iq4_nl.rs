//! IQ4_NL: 32 elements in 18 bytes, as Q4_0, but the 16 codes stand for unevenly spaced values, close
//! together near zero where most weights are.
//!
//! ```text
//! byte   0 1        2 … 17
//!      ┌──────────┬────────────────────────────────────────────┐
//!      │ d: f16   │ byte j: low nibble x[j], high nibble x[j+16] │     x = d · VALUES[q]
//!      └──────────┴────────────────────────────────────────────┘
//! ```

use super::lanes::LANES;
use super::search_signed::Signed;
use super::uneven::{self, Uneven};
use super::{Codec, F16_MAX, read_f16, write_f16};

pub(crate) const CODEC: Codec = Codec {
    decode,
    encode: Some(encode),
    limit: 113.0 * F16_MAX,
};

const BLOCK: usize = 32;
const BYTES: usize = 18;

fn decode(bytes: &[u8], out: &mut [f32]) {
    for (block, out) in bytes.chunks_exact(BYTES).zip(out.chunks_exact_mut(BLOCK)) {
        uneven::decode(read_f16(block), &block[2..], out);
    }
}

/// Eight blocks at a time; what is missing to eight is zeros.
fn encode(values: &[f32], out: &mut [u8]) {
    const N: usize = LANES * BLOCK;
    for (x, blocks) in values.chunks(N).zip(out.chunks_mut(LANES * BYTES)) {
        let mut padded = [0.0; N];
        padded[..x.len()].copy_from_slice(x);
        let steps = Signed::<BLOCK, _>::new(&padded, Uneven).steps();
        let blocks = blocks.chunks_exact_mut(BYTES).zip(x.chunks_exact(BLOCK));
        for ((block, x), step) in blocks.zip(steps) {
            let d = write_f16(step, block);
            uneven::encode(x, d, &mut block[2..]);
        }
    }
}
