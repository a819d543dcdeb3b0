//! Special tokens that swallow the blanks beside them. Their tokenizer.json says so (`lstrip`,
//! `rstrip`); GGUF does not carry it, so they are known by their models, as in llama.cpp.

use super::{TokenType, Vocab, VocabData};

/// Ids of special tokens, ascending.
#[derive(Debug, Default)]
pub(crate) struct Strips {
    /// They take the blanks before them.
    pub(crate) left: Vec<u32>,
    /// They take the blanks after them.
    pub(crate) right: Vec<u32>,
}

/// Pre-tokenizers and architectures of models whose `<mask>` takes the blanks before it.
const MASK_PRE: &[&str] = &["jina-v2-de", "jina-v2-es", "jina-v2-code"];
const MASK_ARCHITECTURES: &[&str] = &["nomic-bert-moe", "jina-bert-v3"];

/// Phi-3's special tokens that leave blanks as they are.
const PHI3_KEEPS: [&[u8]; 3] = [b"<unk>", b"<s>", b"<|endoftext|>"];

impl Strips {
    /// Of the model that `data` names.
    pub(super) fn new(vocab: &Vocab, data: &VocabData) -> Self {
        let has = |text: &Option<String>, parts: &[&str]| {
            let text = text.as_deref().unwrap_or("").to_ascii_lowercase();
            parts.iter().any(|part| text.contains(part))
        };
        let left = |text: &[u8]| Self {
            left: vocab.id(text).into_iter().collect(),
            right: Vec::new(),
        };
        if has(&data.pre, MASK_PRE) || has(&data.architecture, MASK_ARCHITECTURES) {
            left(b"<mask>")
        } else if has(&data.model_name, &["phi-3", "phi3"]) {
            Self {
                left: Vec::new(),
                right: phi3(vocab),
            }
        } else if has(&data.model_name, &["modern-bert"]) {
            left(b"[MASK]")
        } else {
            Self::default()
        }
    }
}

fn phi3(vocab: &Vocab) -> Vec<u32> {
    let special = |t: TokenType| t.is_hidden() || t == TokenType::UserDefined;
    (0..vocab.tokens.len())
        .filter(|&i| special(vocab.types[i]) && !PHI3_KEEPS.contains(&vocab.tokens[i].as_slice()))
        .map(|i| i as u32)
        .collect()
}
