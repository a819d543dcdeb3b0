//! The uneven values of IQ4_NL and IQ4_XS: close together near zero, where most weights are; and the
//! search for a scale on them.

use super::lanes::{LANES, Lanes};
use super::search_signed::Codes;

/// What the codes stand for (`kvalues` of the `gguf` package).
pub const VALUES: [i8; 16] = [
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113,
];

/// Between two neighbours of `VALUES`.
const MIDDLES: [f32; 15] = {
    let mut middles = [0.0; 15];
    let mut i = 0;
    while i < middles.len() {
        middles[i] = (VALUES[i] as f32 + VALUES[i + 1] as f32) / 2.0;
        i += 1;
    }
    middles
};

/// The nearest of `VALUES` for each whole number, by the number's bits as an i8.
static NEAREST: [f32; 256] = {
    let mut nearest = [0.0; 256];
    let mut i = 0;
    while i < nearest.len() {
        let mut q = 0;
        while q < MIDDLES.len() && i as u8 as i8 as f32 > MIDDLES[q] {
            q += 1;
        }
        nearest[i] = VALUES[q] as f32;
        i += 1;
    }
    nearest
};

#[derive(Clone, Copy)]
pub(crate) struct Uneven;

impl Codes for Uneven {
    /// Either end may take the value of the largest size.
    fn tries(self) -> impl Iterator<Item = f32> {
        let ends = [-127.0, 113.0];
        ends.into_iter()
            .flat_map(|end| (-7..=7).map(move |i| end + i as f32))
    }

    /// Rounded to a whole number first, so that one look at a table is enough.
    #[inline(always)]
    fn nearest(self, x: Lanes) -> Lanes {
        let whole = x.within(-128.0, 127.0).to_bytes();
        Lanes::load(&whole.map(|byte| NEAREST[usize::from(byte)]))
    }
}

/// 32 elements of scale `d` from 16 bytes: byte j has x[j] in the low, x[j+16] in the high nibble.
pub(crate) fn decode(d: f32, codes: &[u8], out: &mut [f32]) {
    let (low, high) = out.split_at_mut(16);
    for ((q, low), high) in codes.iter().zip(low).zip(high) {
        *low = d * f32::from(VALUES[usize::from(q & 15)]);
        *high = d * f32::from(VALUES[usize::from(q >> 4)]);
    }
}

/// The reverse, with the nearest codes there are.
#[inline(always)]
pub(crate) fn encode(x: &[f32], d: f32, bytes: &mut [u8]) {
    let inverse = if d == 0.0 { 0.0 } else { 1.0 / d };
    for i in [0, 8] {
        let (low, high) = (codes(&x[i..], inverse), codes(&x[i + 16..], inverse));
        for l in 0..LANES {
            bytes[i + l] = low[l] | high[l] << 4;
        }
    }
}

#[inline(always)]
fn codes(x: &[f32], inverse: f32) -> [u8; LANES] {
    let x = Lanes::load(x) * Lanes::of(inverse);
    let mut code = Lanes::of(0.0);
    for middle in MIDDLES {
        code = code + Lanes::if_less(Lanes::of(middle), x, Lanes::of(1.0), Lanes::of(0.0));
    }
    code.to_bytes()
}
