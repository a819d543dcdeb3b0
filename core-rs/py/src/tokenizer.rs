//! The tokenizer and the chat template of a model.

use std::borrow::Cow;
use std::sync::Arc;

use puna_text::{DecodeOptions, EncodeOptions, RenderOptions};
use pyo3::prelude::*;

use crate::error::{Result, argument, token_ids};

/// Text to token ids and back.
#[pyclass(frozen, module = "puna._core")]
pub struct Tokenizer(pub Arc<puna_text::Tokenizer>);

/// What a token is for: its name in [`Tokenizer::special`], GGUF's as a rule, and where it is.
type Role = (&'static str, fn(&puna_text::Tokenizer) -> Option<u32>);

const ROLES: &[Role] = &[
    ("bos", puna_text::Tokenizer::bos),
    ("eos", puna_text::Tokenizer::eos),
    ("unk", puna_text::Tokenizer::unk),
    ("sep", puna_text::Tokenizer::sep),
    ("pad", puna_text::Tokenizer::pad),
    ("eot", puna_text::Tokenizer::eot),
    ("eom", puna_text::Tokenizer::eom),
    ("mask", puna_text::Tokenizer::mask),
    ("fim_pre", |t| t.fim().prefix),
    ("fim_suf", |t| t.fim().suffix),
    ("fim_mid", |t| t.fim().middle),
    ("fim_pad", |t| t.fim().pad),
    ("fim_rep", |t| t.fim().repo),
    ("fim_sep", |t| t.fim().separator),
];

#[pymethods]
impl Tokenizer {
    /// Token ids of text that should be UTF-8.
    #[pyo3(signature = (text, *, add_special=true, parse_special=false))]
    fn encode(
        &self,
        py: Python<'_>,
        text: Cow<'_, [u8]>,
        add_special: bool,
        parse_special: bool,
    ) -> Vec<u32> {
        let options = EncodeOptions {
            add_special,
            parse_special,
        };
        py.detach(|| self.0.encode_bytes(&text, options))
    }

    /// The bytes of tokens; `clean` takes blanks off before punctuation, where llama.cpp does.
    #[pyo3(signature = (tokens, *, special=false, clean=false))]
    fn decode(&self, tokens: Vec<i64>, special: bool, clean: bool) -> Result<Cow<'static, [u8]>> {
        let tokens = token_ids(&tokens, self.0.n_vocab())?;
        let options = DecodeOptions { special };
        Ok(match clean {
            true => self.0.decode_clean(&tokens, options).into(),
            false => self.0.decode(&tokens, options).into(),
        })
    }

    /// The bytes of one token as it stands within a text.
    #[pyo3(signature = (token, *, special=false))]
    fn token_bytes(&self, token: i64, special: bool) -> Result<Cow<'_, [u8]>> {
        Ok(self.0.token_bytes(self.id(token)?, special)?.into())
    }

    /// A token as the file writes it.
    fn token_text(&self, token: i64) -> Result<Cow<'_, [u8]>> {
        Ok(self.0.token_text(self.id(token)?)?.into())
    }

    /// Whether a generation ends with this token.
    fn is_eog(&self, token: i64) -> Result<bool> {
        Ok(self.0.is_eog(self.id(token)?))
    }

    /// The token with a role (see [`ROLES`]); `None` where the vocabulary has none.
    fn special(&self, role: &str) -> Result<Option<u32>> {
        let found = ROLES.iter().find(|(name, _)| *name == role);
        let (_, get) = found.ok_or_else(|| {
            let known: Vec<_> = ROLES.iter().map(|(name, _)| *name).collect();
            argument(
                "role",
                format!("{role:?}"),
                &format!("one of {}", known.join(" ")),
            )
        })?;
        Ok(get(&self.0))
    }

    #[getter]
    fn n_vocab(&self) -> usize {
        self.0.n_vocab()
    }

    #[getter]
    fn add_bos(&self) -> bool {
        self.0.add_bos()
    }

    #[getter]
    fn add_eos(&self) -> bool {
        self.0.add_eos()
    }
}

impl Tokenizer {
    fn id(&self, token: i64) -> Result<u32> {
        Ok(token_ids(&[token], self.0.n_vocab())?[0])
    }
}

/// A compiled chat template.
#[pyclass(frozen, module = "puna._core")]
pub struct ChatTemplate(puna_text::ChatTemplate);

#[pymethods]
impl ChatTemplate {
    #[new]
    #[pyo3(signature = (source, *, bos="", eos=""))]
    fn new(source: &str, bos: &str, eos: &str) -> Result<Self> {
        Ok(ChatTemplate(puna_text::ChatTemplate::new(
            source, bos, eos,
        )?))
    }

    /// The text of a conversation; `messages` and `extra` are JSON: a list and an object.
    #[pyo3(signature = (messages, *, add_generation_prompt=true, extra="{}"))]
    fn render(
        &self,
        py: Python<'_>,
        messages: &str,
        add_generation_prompt: bool,
        extra: &str,
    ) -> Result<String> {
        let json = |name: &'static str, text: &str| {
            let parsed = serde_json::from_str::<serde_json::Value>(text);
            parsed.map_err(|e| argument(name, e, "JSON"))
        };
        let messages = json("messages", messages)?;
        let serde_json::Value::Object(extra) = json("extra", extra)? else {
            return Err(argument("extra", extra, "a JSON object"));
        };
        let options = RenderOptions {
            add_generation_prompt,
            extra,
            ..RenderOptions::default()
        };
        Ok(py.detach(|| self.0.render(&messages, &options))?)
    }
}
