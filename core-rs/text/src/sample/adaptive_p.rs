//! Adaptive-p (MrJackSpade 2025): reshapes the distribution around a target probability, so that
//! the tokens chosen have that probability on average. The target moves against what was chosen.

use super::{Candidates, Context, Made, SamplerParams, SamplerVocab, Stage, finite};

#[derive(Debug)]
struct AdaptiveP {
    target: f32,
    decay: f32,
    average: Average,
    /// Tokens offered last, with the probabilities they had before.
    offered: Vec<(u32, f32)>,
}

/// Exponential moving average, as weighted sum and sum of weights.
#[derive(Debug, Clone, Copy)]
struct Average {
    sum: f32,
    weight: f32,
}

/// Shape of the new logits over the distance from the target: a parabola near it, straight lines
/// far from it.
const WIDTH: f32 = 0.3;
const PEAK: f32 = 5.0;
const SHARPNESS: f32 = 10.0;

const MAX_DECAY: f32 = 0.99;

pub(super) fn make(params: &SamplerParams, _: &SamplerVocab) -> Made {
    let target = finite("adaptive_target", params.adaptive_target)?.min(1.0);
    let decay = finite("adaptive_decay", params.adaptive_decay)?.clamp(0.0, MAX_DECAY);
    let stage = AdaptiveP {
        target,
        decay,
        average: Average::start(target, decay),
        offered: Vec::new(),
    };
    Ok((target >= 0.0).then(|| Box::new(stage) as Box<dyn Stage>))
}

impl Stage for AdaptiveP {
    fn apply(&mut self, candidates: &mut Candidates, _: &mut Context) {
        candidates.softmax();
        self.offered.clear();
        self.offered
            .extend(candidates.items.iter().map(|c| (c.id, c.p)));
        let Average { sum, weight } = self.average;
        let target = (2.0 * self.target - sum / weight).clamp(0.0, 1.0);
        let possible = candidates
            .items
            .iter_mut()
            .filter(|c| c.logit > f32::NEG_INFINITY);
        for c in possible {
            let distance = ((c.p - target) / WIDTH).abs();
            c.logit = PEAK - SHARPNESS * distance * distance / (1.0 + distance);
        }
        candidates.set_unsorted();
    }

    fn accept(&mut self, token: u32) {
        if let Some(&(_, p)) = self.offered.iter().find(|(id, _)| *id == token) {
            let Average { sum, weight } = self.average;
            self.average = Average {
                sum: p + self.decay * sum,
                weight: 1.0 + self.decay * weight,
            };
        }
        self.offered.clear();
    }

    fn reset(&mut self) {
        self.average = Average::start(self.target, self.decay);
        self.offered.clear();
    }
}

impl Average {
    /// As if the target had always been met.
    fn start(target: f32, decay: f32) -> Self {
        let weight = 1.0 / (1.0 - decay);
        Self {
            sum: target * weight,
            weight,
        }
    }
}
