//! What is done to rows of f32: norms, activation functions, rotations. Plain loops that compilers
//! turn into vectors; `simd/kernels.rs` compiles them once for each instruction set.
//!
//! Sums run in [`LANES`] partial sums, which is both what vectors want and nearer to the exact sum
//! than one after the other.

use puna_graph::{Act, RopeLayout};

const LANES: usize = 16;

#[inline(always)]
fn sum_of(x: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut acc = [0.0f32; LANES];
    let (chunks, rest) = x.as_chunks::<LANES>();
    for chunk in chunks {
        for (acc, &x) in acc.iter_mut().zip(chunk) {
            *acc += f(x);
        }
    }
    for (acc, &x) in acc.iter_mut().zip(rest) {
        *acc += f(x);
    }
    acc.iter().sum()
}

/// `out = x / sqrt(mean(x²) + eps) * weight`; no weight where it is empty.
#[inline(always)]
pub(crate) fn rms_norm(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    let scale = 1.0 / (sum_of(x, |x| x * x) / x.len() as f32 + eps).sqrt();
    if weight.is_empty() {
        for (out, &x) in out.iter_mut().zip(x) {
            *out = x * scale;
        }
        return;
    }
    for ((out, &x), &w) in out.iter_mut().zip(x).zip(weight) {
        *out = x * scale * w;
    }
}

/// `out = (x - mean(x)) / sqrt(var(x) + eps) * weight + bias`; either may be empty.
#[inline(always)]
pub(crate) fn layer_norm(x: &[f32], weight: &[f32], bias: &[f32], eps: f32, out: &mut [f32]) {
    let n = x.len() as f32;
    let mean = sum_of(x, |x| x) / n;
    let scale = 1.0 / (sum_of(x, |x| (x - mean) * (x - mean)) / n + eps).sqrt();
    for (out, &x) in out.iter_mut().zip(x) {
        *out = (x - mean) * scale;
    }
    if !weight.is_empty() {
        out.iter_mut().zip(weight).for_each(|(out, &w)| *out *= w);
    }
    if !bias.is_empty() {
        add(out, bias);
    }
}

/// `out += x`
#[inline(always)]
pub(crate) fn add(out: &mut [f32], x: &[f32]) {
    out.iter_mut().zip(x).for_each(|(out, &x)| *out += x);
}

/// `e^x` to 2 units in the last place; 0 below -87.3, finite up to 88.7, NaN for NaN.
///
/// `e^x = 2^n * e^r` with `n` the nearest integer to `x / ln 2`; `e^r` by its Taylor polynomial
/// of degree 6, since `|r| < 0.35`.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts, so that `n * LN2_HIGH` is exact.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = if x > 88.7 { 88.7 } else { x };
    let under = x < -87.3;
    let x = if under { -87.3 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x - n * LN2_HIGH) - n * LN2_LOW;
    let p = 1.0 / 720.0;
    let p = p * r + 1.0 / 120.0;
    let p = p * r + 1.0 / 24.0;
    let p = p * r + 1.0 / 6.0;
    let p = p * r + 0.5;
    let p = p * r * r + r + 1.0;
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000));
    if under { 0.0 } else { p * power }
}

/// `cap * tanh(x / cap)`, with `tanh(y) = 1 - 2 / (e^2y + 1)`.
#[inline(always)]
pub(crate) fn softcap(x: &mut [f32], cap: f32) {
    let scale = 2.0 / cap;
    for x in x {
        *x = cap * (1.0 - 2.0 / (exp(*x * scale) + 1.0));
    }
}

#[inline(always)]
fn silu(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

/// `x/2 * (1 + tanh(y)) = x * sigmoid(2y)`, which has no difference of near numbers.
#[inline(always)]
fn gelu(x: f32) -> f32 {
    const C: f32 = 0.797_884_6; // sqrt(2 / pi)
    x / (1.0 + exp(-2.0 * C * (x + 0.044_715 * x * x * x)))
}

/// `x * Phi(x)` by erfc's rational approximation, good to 1.5e-7 (Abramowitz and Stegun 7.1.26);
/// `x * (1 - Phi(|x|))` first, which has no difference of near numbers.
#[inline(always)]
fn gelu_erf(x: f32) -> f32 {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let p = 1.061_405_4;
    let p = p * t - 1.453_152_1;
    let p = p * t + 1.421_413_8;
    let p = p * t - 0.284_496_74;
    let p = p * t + 0.254_829_6;
    let tail = x * (0.5 * p * t * exp(-z * z));
    if x > 0.0 { x - tail } else { tail }
}

#[inline(always)]
fn gelu_quick(x: f32) -> f32 {
    x / (1.0 + exp(-1.702 * x))
}

/// NaN stays NaN, unlike with `f32::max`.
#[inline(always)]
fn relu(x: f32) -> f32 {
    if x < 0.0 { 0.0 } else { x }
}

#[inline(always)]
fn tanh(x: f32) -> f32 {
    1.0 - 2.0 / (exp(2.0 * x) + 1.0)
}

/// Runs `$with!(function)` with the function of an activation, so that each becomes a loop of its own.
macro_rules! by_act {
    ($act:expr, $with:ident) => {
        match $act {
            Act::Silu => $with!(silu),
            Act::Gelu => $with!(gelu),
            Act::GeluErf => $with!(gelu_erf),
            Act::GeluQuick => $with!(gelu_quick),
            Act::Relu => $with!(relu),
            Act::ReluSquared => $with!(|x| relu(x) * relu(x)),
            Act::Tanh => $with!(tanh),
        }
    };
}

/// `x = act(x)`
#[inline(always)]
pub(crate) fn act(act: Act, x: &mut [f32]) {
    macro_rules! each {
        ($f:expr) => {
            x.iter_mut().for_each(|x| *x = $f(*x))
        };
    }
    by_act!(act, each)
}

/// `gate = act(gate) * up`
#[inline(always)]
pub(crate) fn glu(which: Act, gate: &mut [f32], up: &[f32]) {
    macro_rules! each {
        ($f:expr) => {
            gate.iter_mut().zip(up).for_each(|(g, &u)| *g = $f(*g) * u)
        };
    }
    by_act!(which, each)
}

/// Rotates the first `2 * cos.len()` elements of one head; the rest pass through.
#[inline(always)]
pub(crate) fn rope(layout: RopeLayout, cos: &[f32], sin: &[f32], x: &[f32], out: &mut [f32]) {
    let n = cos.len();
    match layout {
        RopeLayout::Norm => {
            let pairs = out.chunks_exact_mut(2).zip(x.chunks_exact(2));
            for ((out, x), (&c, &s)) in pairs.zip(cos.iter().zip(sin)) {
                out[0] = x[0] * c - x[1] * s;
                out[1] = x[0] * s + x[1] * c;
            }
        }
        RopeLayout::Neox => {
            let (first, rest) = out.split_at_mut(n);
            let (a, b) = (&x[..n], &x[n..2 * n]);
            for (i, (first, second)) in first.iter_mut().zip(rest).enumerate() {
                *first = a[i] * cos[i] - b[i] * sin[i];
                *second = a[i] * sin[i] + b[i] * cos[i];
            }
        }
    }
    out[2 * n..].copy_from_slice(&x[2 * n..]);
}
