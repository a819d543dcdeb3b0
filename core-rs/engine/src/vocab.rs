//! From `tokenizer.ggml.*` to the tokenizer's input.

use puna_format::{Metadata, Strings};
use puna_text::{FimIds, VocabData};

use crate::error::Result;

/// Reads the vocabulary of a file; nothing is checked beyond the types of the keys.
pub fn vocab_data(m: &Metadata) -> Result<VocabData> {
    let list = |key: &str| -> Result<Vec<Vec<u8>>> {
        let strings: Option<&Strings> = m.get_strings(key)?;
        Ok(strings.map_or(vec![], |s| s.iter().map(<[u8]>::to_vec).collect()))
    };
    let id = |role: &str| m.get_u32(&format!("tokenizer.ggml.{role}_token_id"));
    // Keys of older files go by the deprecated name.
    let fim = |role: &str, old: &str| -> Result<Option<u32>> {
        let new = id(&format!("fim_{role}"))?;
        Ok(if new.is_none() { id(old)? } else { new })
    };
    let charsmap = m
        .get_i32s("tokenizer.ggml.precompiled_charsmap")?
        .unwrap_or_default();
    let text = |key: &str| -> Result<Option<String>> { Ok(m.get_str(key)?.map(str::to_string)) };
    Ok(VocabData {
        model: m.str("tokenizer.ggml.model")?.to_string(),
        pre: text("tokenizer.ggml.pre")?,
        model_name: text("general.name").unwrap_or(None),
        architecture: text("general.architecture").unwrap_or(None),
        tokens: list("tokenizer.ggml.tokens")?,
        scores: m.get_f32s("tokenizer.ggml.scores")?.unwrap_or_default(),
        token_types: m.get_i32s("tokenizer.ggml.token_type")?.unwrap_or_default(),
        merges: list("tokenizer.ggml.merges")?,
        bos: id("bos")?,
        eos: id("eos")?,
        unk: id("unknown")?,
        sep: id("seperator")?,
        pad: id("padding")?,
        eot: id("eot")?,
        eom: id("eom")?,
        mask: id("mask")?,
        fim: FimIds {
            prefix: fim("pre", "prefix")?,
            suffix: fim("suf", "suffix")?,
            middle: fim("mid", "middle")?,
            pad: id("fim_pad")?,
            repo: id("fim_rep")?,
            separator: id("fim_sep")?,
        },
        add_bos: m.get_bool("tokenizer.ggml.add_bos_token")?,
        add_eos: m.get_bool("tokenizer.ggml.add_eos_token")?,
        add_space_prefix: m.get_bool("tokenizer.ggml.add_space_prefix")?,
        remove_extra_whitespaces: m.get_bool("tokenizer.ggml.remove_extra_whitespaces")?,
        precompiled_charsmap: charsmap.iter().map(|&b| b as u8).collect(), // a sign or not
        lowercase: m.get_bool("tokenizer.ggml.normalizer.lowercase")?,
        strip_accents: m.get_bool("tokenizer.ggml.normalizer.strip_accents")?,
    })
}
