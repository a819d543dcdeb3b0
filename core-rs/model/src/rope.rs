//! Tables of rope frequencies. Every scaling scheme ends as another table here; executors see
//! only numbers (Su et al. 2021, arXiv 2104.09864).

use std::f64::consts::TAU;

use crate::hparams::{Hparams, RopeScaling};

/// YaRN's borders: pairs that turn more than 32 times within the original context are kept, pairs
/// that turn less than once are stretched.
const BETA_FAST: f64 = 32.0;
const BETA_SLOW: f64 = 1.0;

/// `n_rot / 2` frequencies in radians a position: `base^(-2i / n_rot)`, scaled.
///
/// `factors` divides each frequency (`rope_freqs.weight`, Llama 3.1 and later); its length is
/// `n_rot / 2`.
pub fn frequencies(h: &Hparams, factors: Option<&[f32]>) -> Vec<f32> {
    let base = h.rope_freq_base as f64;
    (0..h.n_rot / 2)
        .map(|i| {
            let freq = base.powf(-2.0 * i as f64 / h.n_rot as f64);
            let factor = factors.map_or(1.0, |f| f[i] as f64);
            (scaled(h, i as f64, freq) / factor) as f32
        })
        .collect()
}

/// `n_rot / 2` frequencies of another base, without the file's scaling.
pub fn unscaled(h: &Hparams, base: f32) -> Vec<f32> {
    (0..h.n_rot / 2)
        .map(|i| (base as f64).powf(-2.0 * i as f64 / h.n_rot as f64) as f32)
        .collect()
}

/// Factor on rotated vectors.
pub fn magnitude(h: &Hparams) -> f32 {
    match h.rope_scaling {
        RopeScaling::None | RopeScaling::Linear { .. } => 1.0,
        RopeScaling::Yarn {
            factor,
            attn_factor,
            ..
        } => attn_factor * (1.0 + 0.1 * factor.ln()),
    }
}

fn scaled(h: &Hparams, i: f64, freq: f64) -> f64 {
    match h.rope_scaling {
        RopeScaling::None => freq,
        RopeScaling::Linear { factor } => freq / factor as f64,
        RopeScaling::Yarn {
            factor,
            original_context,
            ..
        } => {
            let n_rot = h.n_rot as f64;
            // The pair that turns `beta` times within the original context.
            let pair = |beta: f64| {
                n_rot * (original_context as f64 / (beta * TAU)).ln()
                    / (2.0 * (h.rope_freq_base as f64).ln())
            };
            let low = pair(BETA_FAST).floor().max(0.0);
            let high = pair(BETA_SLOW).ceil().min(n_rot - 1.0);
            let stretched = ((i - low) / (high - low).max(0.001)).clamp(0.0, 1.0);
            freq * (1.0 - stretched) + freq / factor as f64 * stretched
        }
    }
}
