//! The scalar functions of the interpreter: what each op does to a row.

use crate::op::{Act, Gating, Norm, NormKind, Rope, RopeLayout, Route};

pub(super) fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| *a as f64 * *b as f64).sum()
}

pub(super) fn softcap(x: f32, cap: f32) -> f32 {
    cap * (x / cap).tanh()
}

/// The definition of [`Norm`].
pub(super) fn normed(
    norm: &Norm,
    x: &[f32],
    weight: Option<&[f32]>,
    bias: Option<&[f32]>,
) -> Vec<f32> {
    let n = x.len() as f64;
    let mean = match norm.kind {
        NormKind::Rms => 0.0,
        NormKind::Layer => x.iter().map(|&v| v as f64).sum::<f64>() / n,
    };
    let var = x.iter().map(|&v| (v as f64 - mean).powi(2)).sum::<f64>() / n;
    let scale = 1.0 / (var + norm.eps as f64).sqrt();
    let mut y: Vec<f32> = x
        .iter()
        .map(|&v| ((v as f64 - mean) * scale) as f32)
        .collect();
    if let Some(w) = weight {
        y.iter_mut().zip(w).for_each(|(y, w)| *y *= w);
    }
    if let Some(b) = bias {
        y.iter_mut().zip(b).for_each(|(y, b)| *y += b);
    }
    y
}

/// The definition of [`Act`].
pub fn activate(act: Act, x: f32) -> f32 {
    match act {
        Act::Silu => x / (1.0 + (-x).exp()),
        Act::Gelu => {
            let inner = (2.0 / std::f32::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
            0.5 * x * (1.0 + inner.tanh())
        }
        Act::GeluErf => {
            let x = x as f64;
            (0.5 * x * erfc(-x * std::f64::consts::FRAC_1_SQRT_2)) as f32
        }
        Act::GeluQuick => x / (1.0 + (-1.702 * x).exp()),
        Act::Relu => relu(x),
        Act::ReluSquared => relu(x) * relu(x),
        Act::Tanh => x.tanh(),
    }
}

/// NaN stays NaN, unlike with `f32::max`.
fn relu(x: f32) -> f32 {
    if x < 0.0 { 0.0 } else { x }
}

/// `1 - erf(x)`: the Taylor series of erf near 0, Laplace's continued fraction beyond, where the
/// series would cancel.
fn erfc(x: f64) -> f64 {
    if x < 0.0 {
        return 2.0 - erfc(-x);
    }
    if x > 27.0 {
        return 0.0;
    }
    if x > 2.5 {
        let fraction = (1..=60).rev().fold(x, |f, k| x + 0.5 * k as f64 / f);
        return (-x * x).exp() / (fraction * std::f64::consts::PI.sqrt());
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..60 {
        term *= -x * x / n as f64;
        sum += term / (2 * n + 1) as f64;
    }
    1.0 - sum * std::f64::consts::FRAC_2_SQRT_PI
}

/// The definition of [`Rope`] on one head at position `pos`.
pub fn rotate(head: &mut [f32], rope: &Rope, freqs: &[f32], pos: i32) {
    for (i, freq) in freqs.iter().enumerate() {
        let (a, b) = match rope.layout {
            RopeLayout::Norm => (2 * i, 2 * i + 1),
            RopeLayout::Neox => (i, i + rope.n_rot / 2),
        };
        let (sin, cos) = (pos as f32 * freq).sin_cos();
        let (x, y) = (head[a], head[b]);
        head[a] = (x * cos - y * sin) * rope.magnitude;
        head[b] = (x * sin + y * cos) * rope.magnitude;
    }
}

/// The definition of [`Route`] on one row.
pub fn route(r: &Route, x: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
    let p: Vec<f32> = match r.gating {
        Gating::Sigmoid => x.iter().map(|x| 1.0 / (1.0 + (-x).exp())).collect(),
        Gating::Softmax => {
            let max = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let e: Vec<f64> = x.iter().map(|x| ((x - max) as f64).exp()).collect();
            let sum: f64 = e.iter().sum();
            e.iter().map(|e| (e / sum) as f32).collect()
        }
    };
    let score = |e: usize| p[e] + bias.map_or(0.0, |b| b[e]);
    let mut left: Vec<usize> = (0..p.len()).collect();
    let mut best = vec![];
    for _ in 0..r.n_used {
        // NaN is larger than nothing, so the choice is always of experts that there are.
        let at = (1..left.len()).fold(0, |at, i| match score(left[i]) > score(left[at]) {
            true => i,
            false => at,
        });
        best.push(left.remove(at));
    }
    let sum: f32 = best.iter().map(|&e| p[e]).sum();
    let by = match r.normalize {
        true => r.scale / sum.max(SMALLEST_SUM),
        false => r.scale,
    };
    let ids = best.iter().map(|&e| e as f32);
    ids.chain(best.iter().map(|&e| p[e] * by)).collect()
}

/// What keeps a sum of chosen weights from being 0: the smallest normal f16, as in llama.cpp.
pub const SMALLEST_SUM: f32 = 6.103_515_6e-5;

/// The experts in a row that a route made.
pub(super) fn chosen(route: &[f32]) -> impl Iterator<Item = usize> {
    route[..route.len() / 2].iter().map(|&e| e as usize)
}

/// The lowest index of the largest value.
pub fn argmax(x: &[f32]) -> u32 {
    let mut best = 0;
    for (i, v) in x.iter().enumerate() {
        if *v > x[best] {
            best = i;
        }
    }
    best as u32
}
