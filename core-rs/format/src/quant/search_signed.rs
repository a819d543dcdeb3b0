//! Finding the scales of sub-blocks without minima: x ≈ step · q with signed codes. As in `search.rs`,
//! several grids are tried and the best is polished, eight sub-blocks at a time, with the same weights.

use super::lanes::{LANES, Lanes};

/// Times the best step is polished: rounded to, and solved for again.
const N_POLISH: usize = 2;

/// How far from the nearest scale a better one is looked for.
const REACH: [f32; 3] = [0.0, -1.0, 1.0];

/// The numbers that codes stand for, before they are scaled.
pub(crate) trait Codes: Copy {
    /// Where the search puts the value of the largest size: the grids it tries.
    fn tries(self) -> impl Iterator<Item = f32>;

    /// The nearest number, or almost.
    fn nearest(self, x: Lanes) -> Lanes;
}

/// All whole numbers from `-q_max` to `q_max - 1`.
#[derive(Clone, Copy)]
pub(crate) struct Even {
    pub(crate) q_max: f32,
    /// The grids to try: `n_side` finer and `n_side` coarser ones, a part of a code apart.
    pub(crate) by: f32,
    pub(crate) n_side: i32,
}

impl Codes for Even {
    /// The value of the largest size becomes negative, for there is one number more.
    fn tries(self) -> impl Iterator<Item = f32> {
        (-self.n_side..=self.n_side).map(move |i| -self.q_max - self.by * i as f32)
    }

    #[inline(always)]
    fn nearest(self, x: Lanes) -> Lanes {
        x.round().within(-self.q_max, self.q_max - 1.0)
    }
}

/// Eight sub-blocks of `N` values, each divided by its value of the largest size. (Undivided, the fourth powers of small values would vanish.)
pub(crate) struct Signed<const N: usize, C> {
    x: [Lanes; N],
    w: [Lanes; N],
    sum_wxx: Lanes,
    extreme: Lanes,
    inverse: Lanes,
    codes: C,
}

impl<const N: usize, C: Codes> Signed<N, C> {
    /// `x` has `8 · N` values.
    #[inline(always)]
    pub(crate) fn new(x: &[f32], codes: C) -> Self {
        let mut x = Lanes::transpose::<N>(x);
        let [mut extreme, mut sum_wxx] = [Lanes::of(0.0); 2];
        for &x in &x {
            extreme = Lanes::if_less(extreme.abs(), x.abs(), x, extreme);
        }
        let tiny = Lanes::of(f32::MIN_POSITIVE); // below it, sub-blocks count as silent
        let silent = |yes, no| Lanes::if_less(extreme.abs(), tiny, yes, no);
        let inverse = silent(Lanes::of(0.0), Lanes::of(1.0) / extreme);
        let extreme = silent(Lanes::of(0.0), extreme);
        let mut squares = Lanes::of(0.0);
        for x in &mut x {
            *x = *x * inverse;
            squares = squares + *x * *x;
        }
        let base = (squares * Lanes::of(1.0 / N as f32)).sqrt();
        let mut w = [Lanes::of(0.0); N];
        for (x, w) in x.iter().zip(&mut w) {
            *w = base + x.abs();
            sum_wxx = sum_wxx + *w * *x * *x;
        }
        Signed {
            x,
            w,
            sum_wxx,
            extreme,
            inverse,
            codes,
        }
    }

    /// The eight best steps.
    #[inline(always)]
    pub(crate) fn steps(&self) -> [f32; LANES] {
        let mut best = (Lanes::of(0.0), Lanes::of(0.0));
        for at in self.codes.tries() {
            best = self.or_better(best, Lanes::of(at));
        }
        for _ in 0..N_POLISH {
            best = self.or_better(best, Lanes::of(1.0) / best.0);
        }
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
        for (&x, &w) in self.x.iter().zip(&self.w) {
            let q = self.codes.nearest(x * inverse);
            let wq = w * q;
            sum_xq = sum_xq + wq * x;
            sum_qq = sum_qq + wq * q;
        }
        (sum_xq, sum_qq)
    }

    /// The multiples `-limit … limit - 1` of `d`, as bytes of an i8, near `steps` with the least error.
    #[inline(always)]
    pub(crate) fn round(&self, steps: &[f32], d: f32, limit: f32) -> [u8; LANES] {
        let inverse = if d == 0.0 { 0.0 } else { 1.0 / d };
        let nearest = (Lanes::load(steps) * Lanes::of(inverse)).round();
        let mut best = nearest.within(-limit, limit - 1.0);
        let mut least = Lanes::of(f32::INFINITY);
        for reach in REACH {
            let multiple = (nearest + Lanes::of(reach)).within(-limit, limit - 1.0);
            let step = multiple * Lanes::of(d) * self.inverse;
            let (sum_xq, sum_qq) = self.sums(Lanes::of(1.0) / step);
            let error = self.sum_wxx - step * (sum_xq + sum_xq - step * sum_qq);
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
