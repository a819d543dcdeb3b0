//! Which tensor gets which type. Some tensors are worth more bits than others (the output matrix,
//! values of the attention, the outer layers); the rules are llama.cpp's, to the letter, so that a
//! `Q4_K_M` file is what people expect of one (`research/llamacpp.md` 2.3).
//!
//! A rule is a row of `RULES`: the first whose category, file type and condition fit gives the type;
//! where none fits, a tensor gets the file type's default.

use super::file_type::FileType::{self, *};
use crate::{DType, Gguf, Result};

/// Which part of the model a tensor is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Category {
    Output,
    TokenEmbd,
    AttnV,
    AttnK,
    AttnQ,
    AttnOutput,
    FfnUp,
    FfnGate,
    FfnDown,
    Other,
}

/// Parts of names, in the order in which they are looked for. A fused `attn_qkv` counts as values.
const CATEGORIES: &[(&str, Category)] = &[
    ("attn_qkv.weight", Category::AttnV),
    ("attn_kv_b.weight", Category::AttnV),
    ("attn_v.weight", Category::AttnV),
    ("attn_k.weight", Category::AttnK),
    ("attn_q.weight", Category::AttnQ),
    ("attn_output.weight", Category::AttnOutput),
    ("ffn_up", Category::FfnUp),
    ("ffn_gate", Category::FfnGate),
    ("ffn_down", Category::FfnDown),
];

/// Names of tensors that stay as they are: small, or hurt by rounding.
const KEPT: &[&str] = &[
    "_norm.weight",
    "ffn_gate_inp.weight",
    "ffn_gate_tid2eid",
    "altup",
    "laurel",
    "per_layer_model_proj",
    "ssm_conv1d",
    "shortconv.conv.weight",
    "indexer.k_proj",
    "indexer.q_proj",
    "time_mix_first",
    "time_mix_w0",
    "time_mix_w1",
    "time_mix_w2",
    "time_mix_v0",
    "time_mix_v1",
    "time_mix_v2",
    "time_mix_a0",
    "time_mix_a1",
    "time_mix_a2",
    "time_mix_g1",
    "time_mix_g2",
    "time_mix_decay_w1",
    "time_mix_decay_w2",
    "time_mix_lerp_fused",
    "attn_rel_b",
    ".position_embd",
    ".patch_embd",
    ".patch_merger",
    "sam.",
    ".rel_pos",
];

/// What the rules may ask about the model.
pub(super) struct Model {
    file_type: FileType,
    falcon: bool,
    is_70b: bool,
    n_layer: usize,
    n_expert: usize,
    /// Heads of queries to a head of keys.
    gqa: usize,
    /// No output matrix of its own: the token embedding is used twice.
    pub(super) tied: bool,
    /// How many tensors count as attention values.
    n_attn_v: usize,
}

/// What the rules may ask about a tensor.
struct Place<'a> {
    model: &'a Model,
    /// Which of the `n` tensors of its kind this is: its layer, or its rank.
    i: usize,
    n: usize,
}

impl Place<'_> {
    /// The outer eighths, and every third between.
    fn more(&self) -> bool {
        let eighth = self.n / 8;
        self.i < eighth || self.i >= 7 * self.n / 8 || (self.i - eighth) % 3 == 2
    }

    fn below(&self, part: usize) -> bool {
        self.i < self.n / part
    }
}

type When = fn(&Place) -> bool;

const ALWAYS: When = |_| true;
const GQA4: When = |p| p.model.gqa >= 4;
const GQA4_OR_EXPERTS4: When = |p| p.model.gqa >= 4 || p.model.n_expert >= 4;
const EXPERTS8: When = |p| p.model.n_expert == 8;
const MORE: When = |p| p.more();
const FIRST_8TH: When = |p| p.below(8);
const FIRST_16TH: When = |p| p.below(16);
const FALCON: When = |p| p.model.falcon;
const FALCON_FIRST_16TH: When = |p| p.model.falcon && p.below(16);
const FALCON_MORE: When = |p| p.model.falcon && p.more();
const NOT_FALCON: When = |p| !p.model.falcon;
const NOT_FALCON_FIRST_8TH: When = |p| !p.model.falcon && p.below(8);
const NOT_FALCON_EXPERTS8: When = |p| !p.model.falcon && p.model.n_expert == 8;
const NEITHER: When = |p| !p.model.falcon && p.model.n_expert != 8;
const FIRST_2: When = |p| p.i < 2;
const FIRST_4: When = |p| p.i < 4;
const MIDDLE: When = |p| p.i >= p.n / 8 && p.i < 7 * p.n / 8;

const TINY: &[FileType] = &[IQ1_S, IQ1_M, IQ2_XXS, IQ2_XS, IQ2_S, IQ2_M];
const EIGHT_EXPERTS_OUTPUT: &[FileType] = &[
    Q2_K, IQ3_XS, IQ3_XXS, Q3_K_S, Q3_K_M, IQ4_NL, Q4_K_S, Q4_K_M, IQ3_S, IQ3_M, IQ4_XS,
];

type Rule = (Category, &'static [FileType], When, DType);

/// Files are made without an importance matrix: of rules that ask for one, the other side is here.
#[rustfmt::skip]
const RULES: &[Rule] = &[
    (Category::TokenEmbd, &[IQ3_XXS], ALWAYS, DType::IQ3_S),
    (Category::TokenEmbd, &[TQ1_0, TQ2_0, Q2_0], ALWAYS, DType::Q4_K),

    (Category::AttnV, &[Q2_K, Q2_K_S, IQ3_XXS, IQ3_XS, IQ3_S], GQA4, DType::Q4_K),
    (Category::AttnV, &[Q2_K], ALWAYS, DType::Q3_K),
    (Category::AttnV, &[IQ3_XXS], ALWAYS, DType::IQ3_S),
    (Category::AttnV, &[IQ3_M], ALWAYS, DType::Q4_K),
    (Category::AttnV, &[Q3_K_M], FIRST_2, DType::Q5_K),
    (Category::AttnV, &[Q3_K_M], ALWAYS, DType::Q4_K),
    (Category::AttnV, &[Q3_K_L], ALWAYS, DType::Q5_K),
    (Category::AttnV, &[IQ4_NL, IQ4_XS], GQA4, DType::Q5_K),
    (Category::AttnV, &[Q4_K_M, Q5_K_M], MORE, DType::Q6_K),
    (Category::AttnV, &[Q4_K_S], FIRST_4, DType::Q5_K),

    (Category::AttnK, EVERY, EXPERTS8, DType::Q8_0),
    (Category::AttnK, &[IQ3_XS], ALWAYS, DType::IQ3_XXS),
    (Category::AttnK, &[IQ3_XXS], ALWAYS, DType::IQ2_S),
    (Category::AttnQ, &[IQ3_XS], ALWAYS, DType::IQ3_XXS),
    (Category::AttnQ, &[IQ3_XXS], ALWAYS, DType::IQ2_S),

    (Category::AttnOutput, EIGHT_EXPERTS_OUTPUT, NOT_FALCON_EXPERTS8, DType::Q5_K),
    (Category::AttnOutput, &[Q2_K], NEITHER, DType::Q3_K),
    (Category::AttnOutput, &[IQ3_XXS], NEITHER, DType::IQ3_S),
    (Category::AttnOutput, &[Q3_K_M, IQ3_M], NEITHER, DType::Q4_K),
    (Category::AttnOutput, &[Q3_K_L], NEITHER, DType::Q5_K),
    (Category::AttnOutput, &[Q3_K_L], FALCON, DType::Q4_K),

    (Category::FfnDown, &[Q2_K], ALWAYS, DType::Q3_K),
    (Category::FfnDown, &[Q2_K_S], FIRST_8TH, DType::Q4_K),
    (Category::FfnDown, &[IQ3_XXS], FIRST_8TH, DType::Q4_K),
    (Category::FfnDown, &[IQ3_XXS], ALWAYS, DType::Q3_K),
    (Category::FfnDown, &[Q3_K_M], FIRST_16TH, DType::Q5_K),
    (Category::FfnDown, &[Q3_K_M], NOT_FALCON, DType::Q4_K),
    (Category::FfnDown, &[Q3_K_M], MORE, DType::Q4_K),
    (Category::FfnDown, &[Q3_K_L], NOT_FALCON, DType::Q5_K),
    (Category::FfnDown, &[Q3_K_L], ALWAYS, DType::Q4_K),
    (Category::FfnDown, &[Q4_K_M], FALCON_FIRST_16TH, DType::Q6_K),
    (Category::FfnDown, &[Q4_K_M], FALCON_MORE, DType::Q5_K),
    (Category::FfnDown, &[Q4_K_M], FALCON, DType::Q4_K),
    (Category::FfnDown, &[Q4_K_M, Q5_K_M], MORE, DType::Q6_K),
    (Category::FfnDown, &[IQ3_M], FIRST_8TH, DType::Q4_K),
    (Category::FfnDown, &[Q4_K_S], NOT_FALCON_FIRST_8TH, DType::Q5_K),
    (Category::FfnDown, &[IQ4_NL, IQ4_XS], FIRST_8TH, DType::Q5_K),

    (Category::FfnUp, &[IQ3_XS], MIDDLE, DType::IQ3_XXS),
    (Category::FfnGate, &[IQ3_XS], MIDDLE, DType::IQ3_XXS),
];

/// File types of 1 to 2 bits have their own rules, and no others.
#[rustfmt::skip]
const TINY_RULES: &[Rule] = &[
    (Category::TokenEmbd, &[IQ2_S, IQ2_M], ALWAYS, DType::IQ3_S),
    (Category::TokenEmbd, TINY, ALWAYS, DType::Q2_K),
    (Category::AttnV, TINY, GQA4_OR_EXPERTS4, DType::Q4_K),
    (Category::AttnV, &[IQ2_S, IQ2_M], ALWAYS, DType::IQ3_S),
    (Category::AttnV, TINY, ALWAYS, DType::Q2_K),
    (Category::AttnK, TINY, EXPERTS8, DType::Q4_K),
    (Category::FfnDown, &[IQ2_S, IQ2_M], FIRST_8TH, DType::IQ3_S),
    (Category::FfnDown, TINY, FIRST_8TH, DType::Q2_K),
    (Category::AttnOutput, TINY, EXPERTS8, DType::Q5_K),
    (Category::AttnOutput, &[IQ1_S, IQ1_M], ALWAYS, DType::IQ2_XXS),
    (Category::AttnOutput, &[IQ2_S, IQ2_M], ALWAYS, DType::IQ3_S),
];

/// In a rule: whatever the file type.
const EVERY: &[FileType] = &[];

impl Model {
    pub(super) fn new(file: &Gguf, file_type: FileType) -> Result<Self> {
        let arch = file.metadata.get_str("general.architecture")?.unwrap_or("");
        let number = |key: &str| file.metadata.get_u32(&format!("{arch}.{key}"));
        let first = |key: &str| first_number(file, &format!("{arch}.{key}"));
        let n_layer = number("block_count")?.unwrap_or(0) as usize;
        let n_head = first("attention.head_count")?.unwrap_or(1);
        let n_head_kv = first("attention.head_count_kv")?.unwrap_or(n_head);
        let gqa = n_head / n_head_kv.max(1);
        Ok(Model {
            file_type,
            falcon: arch == "falcon",
            is_70b: n_layer == 80 && (arch == "qwen2" || (arch == "llama" && gqa > 1)),
            n_layer,
            n_expert: number("expert_count")?.unwrap_or(0) as usize,
            gqa: gqa as usize,
            tied: file.tensor("output.weight").is_none(),
            n_attn_v: count_values(file),
        })
    }

    /// The type of a tensor that is to be converted. `rank` is its place among tensors of its kind.
    pub(super) fn pick(&self, name: &str, row_len: u64, rank: usize) -> DType {
        let category = self.category(name);
        let default = self.file_type.default_dtype();
        if category == Category::Output {
            return self.output(row_len, default);
        }
        if self.file_type == MXFP4_MOE {
            let expert = name.contains("_exps.");
            return if expert { default } else { DType::Q8_0 };
        }
        let place = Place {
            model: self,
            i: self.index(category, name, rank),
            n: if category == Category::AttnV {
                self.n_attn_v
            } else {
                self.n_layer
            },
        };
        let tiny = TINY.contains(&self.file_type);
        let rules = if tiny { TINY_RULES } else { RULES };
        let fits = |rule: &&Rule| {
            rule.0 == category
                && (rule.1.is_empty() || rule.1.contains(&self.file_type))
                && rule.2(&place)
        };
        let dtype = rules.iter().find(fits).map_or(default, |rule| rule.3);
        match category {
            Category::AttnV if !tiny => self.raise_values(dtype),
            _ => dtype,
        }
    }

    fn output(&self, row_len: u64, default: DType) -> DType {
        let ragged = !row_len.is_multiple_of(default.block_len() as u64);
        if self.file_type == MXFP4_MOE || self.falcon || ragged || default == DType::Q8_0 {
            return DType::Q8_0;
        }
        if TINY.contains(&self.file_type) || self.file_type == IQ3_XXS {
            return DType::Q5_K;
        }
        DType::Q6_K
    }

    /// Values are few where many heads share them, so they may have more bits.
    fn raise_values(&self, dtype: DType) -> DType {
        if self.n_expert == 8 {
            return DType::Q8_0;
        }
        match dtype {
            DType::Q3_K | DType::Q4_K if self.is_70b => DType::Q5_K,
            other => other,
        }
    }

    fn category(&self, name: &str) -> Category {
        let embedding = name == "token_embd.weight" || name == "per_layer_token_embd.weight";
        if name == "output.weight" || (self.tied && name == "token_embd.weight") {
            return Category::Output;
        }
        if embedding {
            return Category::TokenEmbd;
        }
        let known = CATEGORIES.iter().find(|(part, _)| name.contains(part));
        known.map_or(Category::Other, |(_, category)| *category)
    }

    /// Experts come several to a layer, so there the name says which layer it is.
    fn index(&self, category: Category, name: &str, rank: usize) -> usize {
        match category {
            Category::AttnV => rank,
            _ if self.n_expert > 1 => layer_of(name).unwrap_or(rank),
            _ => rank,
        }
    }

    /// What distinguishes kinds for ranks: tensors of one category count together.
    pub(super) fn kind(&self, name: &str) -> u8 {
        self.category(name) as u8
    }
}

/// The number, or the first element where there is one a layer.
fn first_number(file: &Gguf, key: &str) -> Result<Option<u32>> {
    if file
        .metadata
        .get(key)
        .is_some_and(|v| v.as_array().is_some())
    {
        return Ok(file.metadata.u32s(key)?.first().copied());
    }
    file.metadata.get_u32(key)
}

fn count_values(file: &Gguf) -> usize {
    let is_value = |name: &str| {
        let parts = CATEGORIES.iter().filter(|row| row.1 == Category::AttnV);
        parts.into_iter().any(|(part, _)| name.contains(part))
    };
    file.tensors().filter(|t| is_value(&t.name)).count()
}

/// The N of `blk.N.`.
pub(super) fn layer_of(name: &str) -> Option<usize> {
    name.strip_prefix("blk.")?.split('.').next()?.parse().ok()
}

/// Whether a tensor stays as it is, whatever the file type.
pub(super) fn is_kept(name: &str, shape: &[u64]) -> bool {
    let n_dims = shape
        .iter()
        .rposition(|&n| n > 1)
        .map_or(1, |last| last + 1);
    n_dims < 2
        || !name.ends_with("weight")
        || name == "position_embd.weight"
        || name == "token_types.weight"
        || KEPT.iter().any(|part| name.contains(part))
}

/// The type to take where rows are not a multiple of the block.
pub(super) fn fit_rows(dtype: DType, row_len: u64) -> DType {
    let fits = |t: DType| row_len.is_multiple_of(t.block_len() as u64);
    if fits(dtype) {
        return dtype;
    }
    let smaller = match dtype {
        DType::Q2_K | DType::Q3_K | DType::TQ1_0 | DType::TQ2_0 | DType::Q2_0 => DType::Q4_0,
        DType::Q4_K => DType::Q5_0,
        DType::Q5_K => DType::Q5_1,
        DType::Q6_K => DType::Q8_0,
        other if other.name().starts_with("IQ") => DType::IQ4_NL,
        _ => DType::F16,
    };
    if fits(smaller) { smaller } else { DType::F16 }
}
