//! Finding the scales of sub-blocks. Rounding to the obvious grid (largest value = largest code) wastes
//! codes on outliers; a grid a little finer or coarser often has less error in sum. So: try a handful
//! of grids; for each, round the elements, and solve for the line through the resulting codes that has
//! the least weighted squared error; keep the best. This is the idea of ggml's K-quants
//! (<https://github.com/ggml-org/llama.cpp/pull/1684>), with four departures:
//!
//! 1. Eight sub-blocks are searched side by side, one a lane: no sums across lanes, no branches.
//! 2. The error of a fit comes from the sums that the fit needs anyway, not from a second pass.
//!    Sums are taken of values less their minimum, so that nothing cancels.
//! 3. The best grid is polished by rounding to the fitted line and fitting again.
//! 4. When scales are rounded to few bits, the neighbours of the nearest are tried too, each with the
//!    minimum that suits it.

use super::lanes::{LANES, Lanes};

/// The grids to try: `q_max + first + i · by` codes across the range of the values, `i` below `n`.
#[derive(Clone, Copy)]
pub(crate) struct Grid {
    pub(crate) q_max: f32,
    /// The largest multiple of the two units that a sub-block may have.
    scale_max: f32,
    first: f32,
    by: f32,
    n: usize,
}

impl Grid {
    pub(crate) const Q2: Grid = Grid {
        q_max: 3.0,
        scale_max: 15.0,
        first: -0.5,
        by: 0.1,
        n: 16,
    };
    pub(crate) const Q4: Grid = Grid {
        q_max: 15.0,
        scale_max: 63.0,
        first: -1.0,
        by: 0.1,
        n: 21,
    };
    pub(crate) const Q5: Grid = Grid {
        q_max: 31.0,
        scale_max: 63.0,
        first: -0.5,
        by: 0.1,
        n: 16,
    };
}

/// Times a fit is polished, and how far from the nearest scale a better one is looked for.
const N_POLISH: usize = 2;
const REACH: [f32; 3] = [0.0, -1.0, 1.0];

/// Eight sub-blocks of `N` values, made ready: values less their minimum (or less 0, if all are
/// positive), weights, and sums. Large values weigh more, as they do in a dot product.
pub(crate) struct Lines<const N: usize> {
    y: [Lanes; N],
    w: [Lanes; N],
    range: Lanes,
    /// The most that may be added to the minimum: the format stores it as a number ≤ 0.
    headroom: Lanes,
    sum_w: Lanes,
    sum_wy: Lanes,
    sum_wyy: Lanes,
}

/// y ≈ step · q + shift, and the weighted squared error of that.
#[derive(Clone, Copy)]
struct Fit {
    step: Lanes,
    shift: Lanes,
    error: Lanes,
}

impl Fit {
    /// Each lane's better one; a fit whose error is NaN (of too few different codes) is never better.
    #[inline(always)]
    fn or_better(self, other: Fit) -> Fit {
        Fit {
            step: Lanes::if_less(other.error, self.error, other.step, self.step),
            shift: Lanes::if_less(other.error, self.error, other.shift, self.shift),
            error: Lanes::if_less(other.error, self.error, other.error, self.error),
        }
    }
}

/// Eight sub-blocks' lines: x ≈ step · q - low, with low ≥ 0.
pub(crate) struct Fitted {
    step: Lanes,
    low: Lanes,
}

impl Fitted {
    /// The units d and dmin that make the steepest and the lowest of `all` the largest multiples,
    /// written to the first four bytes of `head`.
    #[inline(always)]
    pub(crate) fn units(all: &[Fitted], grid: Grid, head: &mut [u8]) -> (f32, f32) {
        let largest = |part: fn(&Fitted) -> Lanes| {
            let sizes = all.iter().map(part).fold(Lanes::of(0.0), Lanes::max);
            sizes.largest() / grid.scale_max
        };
        let d = super::write_f16(largest(|fitted| fitted.step), head);
        (
            d,
            super::write_f16(largest(|fitted| fitted.low), &mut head[2..]),
        )
    }
}

/// What the elements of a lane add up to, for the codes q they were given.
struct Sums {
    q: Lanes,
    qq: Lanes,
    qy: Lanes,
}

/// Eight sub-blocks' lines, rounded: x ≈ (d · scale) · q - dmin · minimum.
pub(crate) struct Rounded {
    d: f32,
    dmin: f32,
    pub(crate) scales: [u8; LANES],
    pub(crate) minima: [u8; LANES],
}

impl<const N: usize> Lines<N> {
    /// `x` has `8 · N` values.
    #[inline(always)]
    pub(crate) fn new(x: &[f32]) -> Self {
        let mut y = Lanes::transpose::<N>(x);
        let (mut min, mut max, mut squares) = (Lanes::of(0.0), Lanes::of(f32::MIN), Lanes::of(0.0));
        for &y in &y {
            min = min.min(y);
            max = max.max(y);
            squares = squares + y * y;
        }
        let base = (squares * Lanes::of(1.0 / N as f32)).sqrt();
        let mut w = [Lanes::of(0.0); N];
        let [mut sum_w, mut sum_wy, mut sum_wyy] = [Lanes::of(0.0); 3];
        for (y, w) in y.iter_mut().zip(&mut w) {
            *w = base + y.abs();
            *y = *y - min;
            sum_w = sum_w + *w;
            sum_wy = sum_wy + *w * *y;
            sum_wyy = sum_wyy + *w * *y * *y;
        }
        Lines {
            y,
            w,
            range: max - min,
            headroom: Lanes::of(0.0) - min,
            sum_w,
            sum_wy,
            sum_wyy,
        }
    }

    /// Finds the eight lines with codes from 0 to the grid's `q_max`.
    #[inline(always)]
    pub(crate) fn fit(&self, grid: Grid) -> Fitted {
        let best = self.search(grid);
        let (zero, tiny) = (Lanes::of(0.0), Lanes::of(f32::MIN_POSITIVE));
        let step = Lanes::if_less(self.range, tiny, zero, best.step).max(zero);
        let shift = Lanes::if_less(self.range, tiny, zero, best.shift);
        let low = (self.headroom - shift).max(zero);
        Fitted { step, low }
    }

    #[inline(always)]
    fn search(&self, grid: Grid) -> Fit {
        let mut best = Fit {
            step: self.range * Lanes::of(1.0 / grid.q_max),
            shift: Lanes::of(0.0),
            error: Lanes::of(f32::INFINITY),
        };
        let inverse_range = Lanes::of(1.0) / self.range;
        for i in 0..grid.n {
            let n_codes = grid.q_max + grid.first + grid.by * i as f32;
            let sums = self.sums(inverse_range * Lanes::of(n_codes), best.shift, grid.q_max);
            best = best.or_better(self.solve(&sums));
        }
        for _ in 0..N_POLISH {
            let sums = self.sums(Lanes::of(1.0) / best.step, best.shift, grid.q_max);
            best = best.or_better(self.solve(&sums));
        }
        best
    }

    /// Rounds the elements to the grid that `inverse` and `shift` make.
    #[inline(always)]
    fn sums(&self, inverse: Lanes, shift: Lanes, q_max: f32) -> Sums {
        let [mut sum_q, mut sum_qq, mut sum_qy] = [Lanes::of(0.0); 3];
        for (&y, &w) in self.y.iter().zip(&self.w) {
            let q = ((y - shift) * inverse).round().within(0.0, q_max);
            let wq = w * q;
            sum_q = sum_q + wq;
            sum_qq = sum_qq + wq * q;
            sum_qy = sum_qy + wq * y;
        }
        Sums {
            q: sum_q,
            qq: sum_qq,
            qy: sum_qy,
        }
    }

    /// The best line for these codes: the normal equations of two unknowns, of one where the shift
    /// would leave its bounds.
    #[inline(always)]
    fn solve(&self, s: &Sums) -> Fit {
        let inverse = Lanes::of(1.0) / (self.sum_w * s.qq - s.q * s.q);
        let step = (self.sum_w * s.qy - self.sum_wy * s.q) * inverse;
        let shift = (s.qq * self.sum_wy - s.q * s.qy) * inverse;
        let bounded = shift.min(self.headroom);
        let one_unknown = (s.qy - bounded * s.q) / s.qq;
        let step = Lanes::if_less(bounded, shift, one_unknown, step);
        let shift = bounded;
        Fit {
            step,
            shift,
            error: self.error(s, step, shift),
        }
    }

    #[inline(always)]
    fn error(&self, s: &Sums, step: Lanes, shift: Lanes) -> Lanes {
        let two = Lanes::of(2.0);
        self.sum_wyy - two * (step * s.qy + shift * self.sum_wy)
            + step * (step * s.qq + two * shift * s.q)
            + shift * shift * self.sum_w
    }

    /// The multiples of `d` and `dmin` for which the lines have the least error.
    #[inline(always)]
    pub(crate) fn round(&self, fitted: &Fitted, (d, dmin): (f32, f32), grid: Grid) -> Rounded {
        let multiple = |x: Lanes, unit: f32| {
            let inverse = if unit > 0.0 { 1.0 / unit } else { 0.0 };
            let near = (x * Lanes::of(inverse)).round();
            near.within(0.0, grid.scale_max)
        };
        let (scale, minimum) = (multiple(fitted.step, d), multiple(fitted.low, dmin));
        let mut best = (scale, minimum);
        let mut least = Lanes::of(f32::INFINITY);
        for reach in REACH {
            let scale = (scale + Lanes::of(reach)).within(0.0, grid.scale_max);
            let step = scale * Lanes::of(d);
            let shift = self.headroom - minimum * Lanes::of(dmin);
            let sums = self.sums(Lanes::of(1.0) / step, shift, grid.q_max);
            let shift = (self.sum_wy - step * sums.q) / self.sum_w;
            let minimum = multiple(self.headroom - shift, dmin);
            let shift = self.headroom - minimum * Lanes::of(dmin);
            let error = self.error(&sums, step, shift);
            best.0 = Lanes::if_less(error, least, scale, best.0);
            best.1 = Lanes::if_less(error, least, minimum, best.1);
            least = Lanes::if_less(error, least, error, least);
        }
        Rounded {
            d,
            dmin,
            scales: best.0.to_bytes(),
            minima: best.1.to_bytes(),
        }
    }
}

impl Rounded {
    /// The codes 0 … `q_max` of the `N` values of sub-block `j`.
    #[inline(always)]
    pub(crate) fn codes<const N: usize>(&self, j: usize, x: &[f32], q_max: f32) -> [u8; N] {
        let step = self.d * f32::from(self.scales[j]);
        let low = self.dmin * f32::from(self.minima[j]);
        let inverse = if step == 0.0 { 0.0 } else { 1.0 / step };
        let mut codes = [0; N];
        let values = x.chunks_exact(LANES).zip(codes.chunks_exact_mut(LANES));
        for (x, codes) in values {
            let q = (Lanes::load(x) + Lanes::of(low)) * Lanes::of(inverse);
            codes.copy_from_slice(&q.within(0.0, q_max).to_bytes());
        }
        codes
    }
}
