//! Finding the scales of sub-blocks without minima: x ≈ step · q with signed codes. As in `search.rs`,
//! several grids are tried and the best is polished, eight sub-blocks at a time; the weights are the
//! squares of the values, which is how much they matter to a dot product with values like them.

use super::lanes::{LANES, Lanes};

/// Finer and coarser grids to try: the extreme value at `q_max + STEP_CODES · i` codes, |i| ≤ `N_SIDE`.
const STEP_CODES: f32 = 0.1;
const N_SIDE: i32 = 9;

/// How far from the nearest 8-bit scale a better one is looked for.
const REACH: [f32; 3] = [0.0, -1.0, 1.0];

/// Eight sub-blocks of `N` values, each divided by its value of the largest size, whose code becomes
/// negative. (Undivided, the fourth powers of small values would vanish.)
pub(crate) struct Signed<const N: usize> {
    x: [Lanes; N],
    /// Weight times value: the third power.
    xxx: [Lanes; N],
    sum_xxxx: Lanes,
    extreme: Lanes,
    inverse: Lanes,
    q_max: f32,
}

impl<const N: usize> Signed<N> {
    /// `x` has `8 · N` values; codes go from `-q_max` to `q_max - 1`.
    #[inline(always)]
    pub(crate) fn new(x: &[f32], q_max: f32) -> Self {
        let mut x = Lanes::transpose::<N>(x);
        let [mut extreme, mut sum_xxxx] = [Lanes::of(0.0); 2];
        for &x in &x {
            extreme = Lanes::if_less(extreme.abs(), x.abs(), x, extreme);
        }
        let tiny = Lanes::of(f32::MIN_POSITIVE); // below it, sub-blocks count as silent
        let silent = |yes, no| Lanes::if_less(extreme.abs(), tiny, yes, no);
        let inverse = silent(Lanes::of(0.0), Lanes::of(1.0) / extreme);
        let extreme = silent(Lanes::of(0.0), extreme);
        let mut xxx = [Lanes::of(0.0); N];
        for (x, xxx) in x.iter_mut().zip(&mut xxx) {
            *x = *x * inverse;
            *xxx = *x * *x * *x;
            sum_xxxx = sum_xxxx + *xxx * *x;
        }
        Signed {
            x,
            xxx,
            sum_xxxx,
            extreme,
            inverse,
            q_max,
        }
    }

    /// The eight best steps.
    #[inline(always)]
    pub(crate) fn steps(&self) -> [f32; LANES] {
        let mut best = (Lanes::of(-1.0 / self.q_max), Lanes::of(0.0));
        for i in -N_SIDE..=N_SIDE {
            let n_codes = self.q_max + STEP_CODES * i as f32;
            best = self.or_better(best, Lanes::of(-n_codes));
        }
        best = self.or_better(best, Lanes::of(1.0) / best.0);
        (best.0 * self.extreme).to_array()
    }

    /// Of `best` (a step, and how much error it takes away) and the best step for the codes that
    /// `inverse` makes, the one that takes away more.
    #[inline(always)]
    fn or_better(&self, best: (Lanes, Lanes), inverse: Lanes) -> (Lanes, Lanes) {
        let (sum_xq, sum_qq) = self.sums(inverse);
        let step = sum_xq / sum_qq;
        let gain = sum_xq * step;
        (
            Lanes::if_less(best.1, gain, step, best.0),
            Lanes::if_less(best.1, gain, gain, best.1),
        )
    }

    /// Weighted sums of value times code and code times code.
    #[inline(always)]
    fn sums(&self, inverse: Lanes) -> (Lanes, Lanes) {
        let [mut sum_xq, mut sum_qq] = [Lanes::of(0.0); 2];
        for (&x, &xxx) in self.x.iter().zip(&self.xxx) {
            let q = (x * inverse).round().within(-self.q_max, self.q_max - 1.0);
            let xq = x * q;
            sum_xq = sum_xq + xxx * q;
            sum_qq = sum_qq + xq * xq;
        }
        (sum_xq, sum_qq)
    }

    /// The multiples -128 … 127 of `d`, as bytes of an i8, near `steps` with the least error.
    #[inline(always)]
    pub(crate) fn round(&self, steps: &[f32], d: f32) -> [u8; LANES] {
        let inverse = if d == 0.0 { 0.0 } else { 1.0 / d };
        let nearest = (Lanes::load(steps) * Lanes::of(inverse)).round();
        let mut best = nearest.within(-128.0, 127.0);
        let mut least = Lanes::of(f32::INFINITY);
        for reach in REACH {
            let multiple = (nearest + Lanes::of(reach)).within(-128.0, 127.0);
            let step = multiple * Lanes::of(d) * self.inverse;
            let (sum_xq, sum_qq) = self.sums(Lanes::of(1.0) / step);
            let error = self.sum_xxxx - step * (sum_xq + sum_xq - step * sum_qq);
            best = Lanes::if_less(error, least, multiple, best);
            least = Lanes::if_less(error, least, error, least);
        }
        best.to_bytes()
    }
}

/// The codes of the `N` values of `x` on the grid `step · q`, moved up by `q_max` to be unsigned.
#[inline(always)]
pub(crate) fn signed_codes<const N: usize>(x: &[f32], step: f32, q_max: f32) -> [u8; N] {
    let inverse = if step == 0.0 { 0.0 } else { 1.0 / step };
    let mut codes = [0; N];
    for (x, codes) in x.chunks_exact(LANES).zip(codes.chunks_exact_mut(LANES)) {
        let q = (Lanes::load(x) * Lanes::of(inverse)).round();
        let q = q.within(-q_max, q_max - 1.0) + Lanes::of(q_max);
        codes.copy_from_slice(&q.to_bytes());
    }
    codes
}
