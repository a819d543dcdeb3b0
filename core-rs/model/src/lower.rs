//! From a tree of blocks to a graph: the one walk over a model.

use puna_format::Gguf;
use puna_graph::{Builder, Graph, Norm, NormKind, Operand, Rope, RopeLayout, WeightId};

use crate::arch;
use crate::block::Position;
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
    /// Tokens of context that will be used, where rope frequencies depend on it; `None` is what
    /// the model was trained for.
    pub n_ctx: Option<usize>,
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
        n_ctx: options.n_ctx.unwrap_or(hparams.context_length),
    };
    let answers = tree.lower(&mut l, options.keep_hidden)?;
    Ok(l.b.finish(answers.hidden, answers.logits))
}

/// What blocks work with: the hyper-parameters, the graph under construction, the weights.
pub struct Lower<'a> {
    pub hparams: Hparams,
    pub b: Builder,
    weights: &'a mut dyn Weights,
    n_ctx: usize,
}

impl Lower<'_> {
    /// Whether the file has this tensor.
    pub fn has(&self, name: &str) -> bool {
        self.weights.has(name)
    }

    /// Rows of a tensor that the file sizes; `otherwise` in models that are made up.
    pub fn rows_of(&self, name: &str, otherwise: usize) -> usize {
        self.weights.rows(name).unwrap_or(otherwise)
    }

    /// A tensor that must be there.
    pub fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<WeightId> {
        self.required(name, shape)
    }

    /// A vector that may be there.
    pub fn vector(&mut self, name: &str, n: usize) -> Result<Option<WeightId>> {
        self.optional(name, &[n])
    }

    /// A matrix that must be there: `n_out` rows of `n_in`.
    pub fn matrix(&mut self, name: &str, n_in: usize, n_out: usize) -> Result<WeightId> {
        self.required(name, &[n_in, n_out])
    }

    /// A linear with the weight `{name}.weight` and, where the file has them, `{name}.bias` and the
    /// factor on the product `{name}.scale`, the second scale of NVFP4.
    pub fn linear(&mut self, name: &str, x: Operand, n_out: usize) -> Result<Operand> {
        let (weight, bias) = self.weight_and_bias(name, x.width, n_out)?;
        let x = self.scaled(name, x)?;
        Ok(self.b.linear(name, x, weight, bias))
    }

    /// The same into given columns.
    pub fn linear_into(&mut self, name: &str, x: Operand, out: Operand) -> Result<()> {
        let (weight, bias) = self.weight_and_bias(name, x.width, out.width)?;
        let x = self.scaled(name, x)?;
        self.b.linear_into(x, weight, bias, out);
        Ok(())
    }

    /// What `{name}.weight` multiplies: `x` times `{name}.scale`, so that the product has the factor and
    /// its bias has not.
    fn scaled(&mut self, name: &str, x: Operand) -> Result<Operand> {
        match self.scales(name, 1)?.map_or(1.0, |by| by[0]) {
            1.0 => Ok(x),
            by => Ok(self.b.scale(&format!("{name}_scaled"), x, by)),
        }
    }

    /// `{name}.scale` of experts, a number for each.
    pub fn expert_scales(&mut self, name: &str, n_expert: usize) -> Result<Option<WeightId>> {
        self.scales(name, n_expert)?;
        self.optional(&format!("{name}.scale"), &[n_expert])
    }

    /// The numbers of `{name}.scale`. Takes note of `{name}.input_scale` too, which is for hardware that
    /// multiplies activations of 4 bits; they are finer here.
    fn scales(&mut self, name: &str, n: usize) -> Result<Option<Vec<f32>>> {
        let _unused = self.weights.table(&format!("{name}.input_scale"), n)?;
        let key = format!("{name}.scale");
        self.numbers(&key, n, "finite numbers", f32::is_finite)
    }

    /// A norm with `{name}.weight` and, for a layer norm, `{name}.bias` where the file has it.
    pub fn norm(&mut self, name: &str, kind: NormKind, x: Operand) -> Result<Operand> {
        let norm = self.norm_of(name, kind, &[x.width])?;
        Ok(self.b.norm(name, x, norm))
    }

    /// The same with weights of any shape, to be applied by the caller.
    pub fn norm_of(&mut self, name: &str, kind: NormKind, shape: &[usize]) -> Result<Norm> {
        let weight = self.required(&format!("{name}.weight"), shape)?;
        let bias = match kind {
            NormKind::Rms => None,
            NormKind::Layer => self.optional(&format!("{name}.bias"), shape)?,
        };
        Ok(Norm {
            kind,
            weight: Some(weight),
            bias,
            eps: self.hparams.norm_eps,
        })
    }

    /// The rope of a kind of positions; `None` where nothing is rotated.
    pub fn position(&mut self, position: Position) -> Result<Option<Rope>> {
        let h = &self.hparams;
        let (layout, name, factors, magnitude) = match position {
            Position::None | Position::Alibi { .. } => return Ok(None),
            Position::Rope(layout) => {
                let magnitude = rope::magnitude(h);
                (layout, "rope_freqs", "rope_freqs.weight", magnitude)
            }
            Position::LocalRope { layout, base } => {
                let table = rope::unscaled(h, base);
                return Ok(Some(self.turn(layout, "rope_freqs_local", table, 1.0)));
            }
            Position::LongRope {
                layout,
                original_context,
                attn_factor,
            } => {
                // Both tensors belong to the model, whichever is used.
                let [long, short] = ["rope_factors_long.weight", "rope_factors_short.weight"];
                self.factors(long)?;
                self.factors(short)?;
                let stretched = self.n_ctx > original_context;
                let factors = if stretched { long } else { short };
                (layout, "rope_freqs", factors, attn_factor)
            }
        };
        let factors = self.factors(factors)?;
        let table = rope::frequencies(&self.hparams, factors.as_deref());
        Ok(Some(self.turn(layout, name, table, magnitude)))
    }

    fn turn(&mut self, layout: RopeLayout, name: &str, table: Vec<f32>, magnitude: f32) -> Rope {
        Rope {
            layout,
            n_rot: self.hparams.n_rot,
            freqs: self.b.constant(name, table),
            magnitude,
        }
    }

    /// What rope frequencies are divided by, where the file has such a tensor.
    fn factors(&mut self, name: &str) -> Result<Option<Vec<f32>>> {
        let n = self.hparams.n_rot / 2;
        self.numbers(name, n, "numbers above 0", |f| f.is_finite() && f > 0.0)
    }

    /// A table whose numbers all are as `fits` says and `expected` tells; `None` where the file has none.
    fn numbers(
        &mut self,
        name: &str,
        n: usize,
        expected: &str,
        fits: fn(f32) -> bool,
    ) -> Result<Option<Vec<f32>>> {
        let numbers = self.weights.table(name, n)?;
        match numbers.iter().flatten().find(|&&x| !fits(x)) {
            None => Ok(numbers),
            Some(bad) => Err(Error::Hparam {
                key: name.into(),
                value: bad.to_string(),
                expected: expected.into(),
            }),
        }
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
