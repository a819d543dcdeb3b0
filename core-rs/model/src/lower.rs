//! From a tree of blocks to a graph: the one walk over a model.

use puna_format::Gguf;
use puna_graph::{Builder, Graph, Norm, NormKind, Operand, Rope, RopeLayout, WeightId};

use crate::arch;
use crate::error::{Error, Result};
use crate::hparams::Hparams;
use crate::rope;
use crate::weights::{FileWeights, Weights};

/// A model ready to be planned.
#[derive(Clone, Debug)]
pub struct Model {
    pub hparams: Hparams,
    /// Simple ops; split it if need be, then fuse it.
    pub graph: Graph,
}

/// What a caller may ask of the lowering.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Keep the state before the output matrix for [`puna_graph::Read::Hidden`].
    pub keep_hidden: bool,
    /// Instead of the file's `rope.freq_base`.
    pub rope_freq_base: Option<f32>,
    /// Factor on every rope frequency instead of the file's scaling (1 / linear factor).
    pub rope_freq_scale: Option<f32>,
}

/// Lowers the model of a file.
///
/// # Errors
/// An unknown architecture, bad hyper-parameters, tensors that are missing, unused or misshapen.
pub fn lower(gguf: &Gguf, options: &Options) -> Result<Model> {
    let arch = arch::find(gguf.metadata.str("general.architecture")?)?;
    let mut hparams = Hparams::read(&gguf.metadata)?;
    if let Some(base) = options.rope_freq_base {
        hparams.rope_freq_base = base;
    }
    if let Some(scale) = options.rope_freq_scale {
        hparams.rope_scaling = crate::hparams::RopeScaling::Linear {
            factor: 1.0 / scale,
        };
    }
    let mut weights = FileWeights::new(gguf);
    let graph = walk(arch, &hparams, &mut weights, options)?;
    weights.finish(&hparams.arch)?;
    Ok(Model { hparams, graph })
}

/// Lowers an architecture over any source of weights.
pub(crate) fn walk(
    arch: &arch::Arch,
    hparams: &Hparams,
    weights: &mut dyn Weights,
    options: &Options,
) -> Result<Graph> {
    let tree = (arch.tree)(hparams)?;
    let mut l = Lower {
        hparams: hparams.clone(),
        b: Builder::new(),
        weights,
    };
    let (hidden, logits) = tree.lower(&mut l, options.keep_hidden)?;
    Ok(l.b.finish(hidden, logits))
}

/// What blocks work with: the hyper-parameters, the graph under construction, the weights.
pub struct Lower<'a> {
    pub hparams: Hparams,
    pub b: Builder,
    weights: &'a mut dyn Weights,
}

impl Lower<'_> {
    /// Whether the file has this tensor.
    pub fn has(&self, name: &str) -> bool {
        self.weights.has(name)
    }

    /// A matrix that must be there: `n_out` rows of `n_in`.
    pub fn matrix(&mut self, name: &str, n_in: usize, n_out: usize) -> Result<WeightId> {
        self.required(name, &[n_in, n_out])
    }

    /// A linear with the weight `{name}.weight` and, where the file has it, `{name}.bias`.
    pub fn linear(&mut self, name: &str, x: Operand, n_out: usize) -> Result<Operand> {
        let (weight, bias) = self.weight_and_bias(name, x.width, n_out)?;
        Ok(self.b.linear(name, x, weight, bias))
    }

    /// The same into given columns.
    pub fn linear_into(&mut self, name: &str, x: Operand, out: Operand) -> Result<()> {
        let (weight, bias) = self.weight_and_bias(name, x.width, out.width)?;
        self.b.linear_into(x, weight, bias, out);
        Ok(())
    }

    /// A norm with `{name}.weight` and, for a layer norm, `{name}.bias` where the file has it.
    pub fn norm(&mut self, name: &str, kind: NormKind, x: Operand) -> Result<Operand> {
        let weight = self.required(&format!("{name}.weight"), &[x.width])?;
        let bias = match kind {
            NormKind::Rms => None,
            NormKind::Layer => self.optional(&format!("{name}.bias"), &[x.width])?,
        };
        let norm = Norm {
            kind,
            weight: Some(weight),
            bias,
            eps: self.hparams.norm_eps,
        };
        Ok(self.b.norm(name, x, norm))
    }

    /// The model's rope in a layout, with the factors of `rope_freqs.weight` where the file has it.
    pub fn rope(&mut self, layout: RopeLayout) -> Result<Rope> {
        let h = &self.hparams;
        let factors = self.weights.table("rope_freqs.weight", h.n_rot / 2)?;
        if let Some(bad) = factors
            .iter()
            .flatten()
            .find(|f| !(f.is_finite() && **f > 0.0))
        {
            return Err(Error::Hparam {
                key: "rope_freqs.weight".into(),
                value: bad.to_string(),
                expected: "numbers above 0".into(),
            });
        }
        let table = rope::frequencies(h, factors.as_deref());
        Ok(Rope {
            layout,
            n_rot: h.n_rot,
            freqs: self.b.constant("rope_freqs", table),
            magnitude: rope::magnitude(h),
        })
    }

    fn weight_and_bias(
        &mut self,
        name: &str,
        n_in: usize,
        n_out: usize,
    ) -> Result<(WeightId, Option<WeightId>)> {
        let weight = self.required(&format!("{name}.weight"), &[n_in, n_out])?;
        let bias = self.optional(&format!("{name}.bias"), &[n_out])?;
        Ok((weight, bias))
    }

    fn required(&mut self, name: &str, shape: &[usize]) -> Result<WeightId> {
        self.optional(name, shape)?
            .ok_or_else(|| Error::MissingTensor {
                name: name.into(),
                shape: shape.to_vec(),
                arch: self.hparams.arch.clone(),
            })
    }

    fn optional(&mut self, name: &str, shape: &[usize]) -> Result<Option<WeightId>> {
        let found = self.weights.find(name, shape)?;
        Ok(found.map(|dtype| self.b.weight(name, dtype, shape)))
    }
}
