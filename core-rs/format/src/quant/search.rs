//! Finding the scale of a sub-block. Rounding to the obvious grid (largest value = largest code) wastes
//! codes on outliers; a grid a little finer or coarser often has less error in sum. So: try a handful
//! of grids; for each, round the elements, and solve for the line through the resulting codes that has
//! the least weighted squared error; keep the best. This is the idea of ggml's K-quants
//! (<https://github.com/ggml-org/llama.cpp/pull/1684>), with two departures:
//!
//! 1. The error of a fit comes from the sums that the fit needs anyway, not from a second pass.
//!    Sums are taken of values less their minimum, so that nothing cancels.
//! 2. The best grid is polished by rounding to the fitted line and fitting again.
//!
//! Loops run over arrays of fixed size in lanes of 8, so that the compiler makes vectors of them.

/// Partial sums kept side by side: float addition is not associative, so one sum would stay scalar.
const LANES: usize = 8;

/// The grids to try: `q_max + first + i · by` codes across the range of the values, `i` below `n`.
pub(crate) struct Grid {
    q_max: f32,
    first: f32,
    by: f32,
    n: usize,
}

impl Grid {
    pub(crate) const Q4: Grid = Grid {
        q_max: 15.0,
        first: -1.0,
        by: 0.1,
        n: 21,
    };
}

/// Rounds to nearest even, |x| < 2^22, in two additions that every CPU has as vectors.
pub(crate) fn round(x: f32) -> f32 {
    const SHIFT: f32 = 12_582_912.0; // 1.5 · 2^23: one unit in the last place is 1
    (x + SHIFT) - SHIFT
}

fn total(lanes: [f32; LANES]) -> f32 {
    let pairs = [0, 1, 2, 3].map(|i| lanes[i] + lanes[i + 4]);
    (pairs[0] + pairs[2]) + (pairs[1] + pairs[3])
}

/// A sub-block made ready: values less their minimum (or less 0, if all are positive), and weights.
struct Line<const N: usize> {
    y: [f32; N],
    w: [f32; N],
    range: f32,
    /// The most that may be added to the minimum: the format stores it as a number ≤ 0.
    headroom: f32,
    sum_w: f32,
    sum_wy: f32,
    sum_wyy: f32,
}

/// y ≈ step · q + shift, and the weighted squared error of that.
#[derive(Clone, Copy)]
struct Fit {
    step: f32,
    shift: f32,
    error: f32,
}

/// The `step` and `low` ≥ 0 for which `step · q - low` is near the `N` values of `x`, with codes q from 0
/// to the grid's `q_max`. Large values weigh more, as they do in a dot product.
pub(crate) fn fit_line<const N: usize>(x: &[f32], grid: Grid) -> (f32, f32) {
    let line = Line::<N>::new(x);
    let low = line.headroom;
    if line.range <= 0.0 {
        return (0.0, low);
    }
    let mut best = Fit {
        step: line.range / grid.q_max,
        shift: 0.0,
        error: f32::INFINITY,
    };
    for i in 0..grid.n {
        let n_codes = grid.q_max + grid.first + grid.by * i as f32;
        let fit = line.fit(n_codes / line.range, best.shift, grid.q_max);
        if fit.error < best.error {
            best = fit;
        }
    }
    for _ in 0..2 {
        let fit = line.fit(1.0 / best.step, best.shift, grid.q_max);
        if fit.error < best.error {
            best = fit;
        }
    }
    (best.step, low - best.shift)
}

impl<const N: usize> Line<N> {
    fn new(x: &[f32]) -> Self {
        let mut y = [0.0; N];
        y.copy_from_slice(&x[..N]);
        let (mut min, mut max, mut squares) = (0.0f32, f32::MIN, 0.0);
        for v in y {
            min = min.min(v);
            max = max.max(v);
            squares += v * v;
        }
        let base = (squares / N as f32).sqrt();
        let w = y.map(|v| base + v.abs());
        let y = y.map(|v| v - min);
        let (mut sum_w, mut sum_wy, mut sum_wyy) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
        for (y, w) in y.chunks_exact(LANES).zip(w.chunks_exact(LANES)) {
            for l in 0..LANES {
                sum_w[l] += w[l];
                sum_wy[l] += w[l] * y[l];
                sum_wyy[l] += w[l] * y[l] * y[l];
            }
        }
        Line {
            y,
            w,
            range: max - min,
            headroom: -min,
            sum_w: total(sum_w),
            sum_wy: total(sum_wy),
            sum_wyy: total(sum_wyy),
        }
    }

    /// Rounds to the grid that `inverse` and `shift` make, and solves for the best line.
    #[inline]
    fn fit(&self, inverse: f32, shift: f32, q_max: f32) -> Fit {
        let (mut sum_q, mut sum_qq, mut sum_qy) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
        let lanes = self.y.chunks_exact(LANES).zip(self.w.chunks_exact(LANES));
        for (y, w) in lanes {
            for l in 0..LANES {
                let q = round((y[l] - shift) * inverse).max(0.0).min(q_max);
                let wq = w[l] * q;
                sum_q[l] += wq;
                sum_qq[l] += wq * q;
                sum_qy[l] += wq * y[l];
            }
        }
        self.solve(total(sum_q), total(sum_qq), total(sum_qy))
    }

    fn solve(&self, sum_q: f32, sum_qq: f32, sum_qy: f32) -> Fit {
        let determinant = self.sum_w * sum_qq - sum_q * sum_q;
        if determinant <= 0.0 {
            return Fit {
                step: 0.0,
                shift: 0.0,
                error: f32::INFINITY,
            };
        }
        let mut step = (self.sum_w * sum_qy - self.sum_wy * sum_q) / determinant;
        let mut shift = (sum_qq * self.sum_wy - sum_q * sum_qy) / determinant;
        if shift > self.headroom {
            shift = self.headroom;
            step = (sum_qy - shift * sum_q) / sum_qq;
        }
        let error = self.sum_wyy - 2.0 * (step * sum_qy + shift * self.sum_wy)
            + step * (step * sum_qq + 2.0 * shift * sum_q)
            + shift * shift * self.sum_w;
        Fit { step, shift, error }
    }
}

/// Eight numbers ≥ 0 as multiples 0 … 63 of one f16, which goes to `out`. Returns the multiples and the
/// f16 as stored.
pub(crate) fn to_six_bits(numbers: &[f32; 8], out: &mut [u8]) -> ([u8; 8], f32) {
    let largest = numbers.iter().fold(0.0f32, |m, &v| m.max(v));
    let inverse = if largest > 0.0 { 63.0 / largest } else { 0.0 };
    let unit = super::write_f16(largest / 63.0, out);
    (
        numbers.map(|v| round(v * inverse).clamp(0.0, 63.0) as u8),
        unit,
    )
}

/// The codes 0 … `q_max` of the first `N` values on the line `step · q - low`.
pub(crate) fn codes<const N: usize>(x: &[f32], step: f32, low: f32, q_max: f32) -> [u8; N] {
    let inverse = if step == 0.0 { 0.0 } else { 1.0 / step };
    let mut codes = [0; N];
    for (code, v) in codes.iter_mut().zip(x) {
        *code = round((v + low) * inverse).max(0.0).min(q_max) as u8;
    }
    codes
}

/// The scale for which `scale · q` is near the `N` values of `x`, with codes q from `-q_max` to
/// `q_max - 1`; the value of the largest size gets a negative code. The error is weighted by the
/// squares of the values.
pub(crate) fn fit_scale<const N: usize>(x: &[f32], q_max: f32) -> f32 {
    let mut values = [0.0; N];
    values.copy_from_slice(&x[..N]);
    let extreme = values
        .iter()
        .fold(0.0f32, |m, &v| if v.abs() > m.abs() { v } else { m });
    if extreme == 0.0 {
        return 0.0;
    }
    let values = values.map(|v| v / extreme); // the squares of squares below stay within f32
    let (mut best_scale, mut best_gain) = (0.0, 0.0);
    for i in -9..=9 {
        let inverse = -(q_max + 0.1 * i as f32);
        let (scale, gain) = fit_codes(&values, inverse, q_max);
        if gain > best_gain {
            (best_scale, best_gain) = (scale, gain);
        }
    }
    if best_scale != 0.0 {
        let (scale, gain) = fit_codes(&values, 1.0 / best_scale, q_max);
        if gain > best_gain {
            best_scale = scale;
        }
    }
    best_scale * extreme
}

/// For the codes that `inverse` makes: the best scale, and how much error it takes away.
#[inline]
fn fit_codes<const N: usize>(x: &[f32; N], inverse: f32, q_max: f32) -> (f32, f32) {
    let (mut sum_xq, mut sum_qq) = ([0.0; LANES], [0.0; LANES]);
    for x in x.chunks_exact(LANES) {
        for l in 0..LANES {
            let q = round(x[l] * inverse).max(-q_max).min(q_max - 1.0);
            let wq = x[l] * x[l] * q;
            sum_xq[l] += wq * x[l];
            sum_qq[l] += wq * q;
        }
    }
    let (sum_xq, sum_qq) = (total(sum_xq), total(sum_qq));
    if sum_qq <= 0.0 {
        return (0.0, 0.0);
    }
    (sum_xq / sum_qq, sum_xq * sum_xq / sum_qq)
}

/// The codes of the first `N` values on the grid `step · q`, moved up by `q_max` to be unsigned.
pub(crate) fn signed_codes<const N: usize>(x: &[f32], step: f32, q_max: f32) -> [u8; N] {
    let inverse = if step == 0.0 { 0.0 } else { 1.0 / step };
    let mut codes = [0; N];
    for (code, v) in codes.iter_mut().zip(x) {
        *code = (round(v * inverse).max(-q_max).min(q_max - 1.0) + q_max) as u8;
    }
    codes
}
