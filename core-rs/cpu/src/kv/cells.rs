//! The cells of one head as attention reads them: a tile at a time, as they are stored or decoded.

use puna_graph::KvDType;

use super::{BLOCK, SCALE_BYTES};
use crate::attend::CELLS;
use crate::simd::Simd;

/// Codes and scales of one head.
#[derive(Clone, Copy)]
pub(crate) struct Cells<'a> {
    pub(super) dtype: KvDType,
    pub(super) stride: usize,
    pub(super) n_cells: usize,
    pub(super) codes: &'a [u8],
    pub(super) scales: &'a [u8],
}

impl<'a> Cells<'a> {
    /// Floats of [`Cells::tile`]'s room.
    pub(crate) fn room(&self) -> usize {
        match self.dtype {
            KvDType::F16 | KvDType::F32 => 0,
            _ => CELLS * (self.stride + self.stride.div_ceil(BLOCK)),
        }
    }

    /// The stored bytes from cell `tile` to the last; empty where there is no such cell.
    #[inline(always)]
    pub(crate) fn stored(&self, tile: usize) -> &'a [u8] {
        &self.codes[tile.min(self.n_cells) * (self.codes.len() / self.n_cells)..]
    }

    /// The [`CELLS`] cells from `tile` on, `lanes` of them side by side, as f16 or f32; other types
    /// are decoded into `room`.
    #[inline(always)]
    pub(crate) fn tile<'r, S: Simd>(
        &self,
        s: S,
        lanes: usize,
        tile: usize,
        room: &'r mut [f32],
    ) -> &'r [u8]
    where
        'a: 'r,
    {
        let part = |all: &'a [u8]| {
            let a_cell = all.len() / self.n_cells;
            &all[tile * a_cell..][..CELLS * a_cell]
        };
        let codes = part(self.codes);
        if matches!(self.dtype, KvDType::F16 | KvDType::F32) {
            return codes;
        }
        let (out, factors) = room.split_at_mut(CELLS * self.stride);
        let scales = part(self.scales);
        let n = scales.len() / SCALE_BYTES;
        for at in (0..n).step_by(S::ROWS) {
            s.store_f(s.load_f16(scales, at * SCALE_BYTES), factors, at);
        }
        match self.dtype {
            KvDType::Q8_0 => decode_q8_0(lanes, codes, &factors[..n], out),
            KvDType::Q4_0 => decode_q4_0(lanes, codes, &factors[..n], out),
            _ => {
                for at in (0..out.len()).step_by(S::ROWS) {
                    s.store_f(s.load_bf16(codes, at * 2), out, at);
                }
            }
        }
        bytemuck::cast_slice(out)
    }
}

/// Plain loops over cells side by side, or over the elements of one; with `lanes` known the
/// compiler turns them into vectors.
#[inline(always)]
fn decode_q8_0(lanes: usize, codes: &[u8], scales: &[f32], out: &mut [f32]) {
    let n = BLOCK * lanes;
    let blocks = codes.chunks_exact(n).zip(scales.chunks_exact(lanes));
    for ((codes, scales), out) in blocks.zip(out.chunks_exact_mut(n)) {
        for i in 0..n {
            out[i] = f32::from(codes[i] as i8) * scales[i % lanes];
        }
    }
}

#[inline(always)]
fn decode_q4_0(lanes: usize, codes: &[u8], scales: &[f32], out: &mut [f32]) {
    let n = BLOCK / 2 * lanes;
    let blocks = codes.chunks_exact(n).zip(scales.chunks_exact(lanes));
    for ((codes, scales), out) in blocks.zip(out.chunks_exact_mut(2 * n)) {
        let (low, high) = out.split_at_mut(n);
        for i in 0..n {
            let scale = scales[i % lanes];
            low[i] = f32::from((codes[i] & 15) as i8 - 8) * scale;
            high[i] = f32::from((codes[i] >> 4) as i8 - 8) * scale;
        }
    }
}
