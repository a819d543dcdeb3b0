//! Chat templates: a conversation to the text a model was trained on.
//!
//! Templates are Jinja programs that come with the model. They run here as `transformers` runs them
//! (`trim_blocks`, `lstrip_blocks`, loop controls, Python's methods, its `tojson`, `raise_exception`,
//! `strftime_now`; `{% generation %}` marks are passed over), on minijinja. They are as hostile as
//! the file they come from: instructions, nesting and output are bounded, and so is what their values
//! cost, which `rewrite.rs` makes them count.

use crate::{Error, Result};
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, ErrorKind, UndefinedBehavior};
use std::borrow::Cow;
use std::cell::Cell;

mod compat;
mod date;
mod filters;
mod json;
mod meter;
mod ops;
mod rewrite;

/// A compiled chat template with the texts of the tokens it may mention.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    bos: String,
    eos: String,
}

/// What a template is given besides the messages.
#[derive(Debug, Clone, Default)]
pub struct RenderOptions {
    /// End with the start of the assistant's turn.
    pub add_generation_prompt: bool,
    /// The tools offered, as the API has them (a list of objects).
    pub tools: Option<serde_json::Value>,
    /// Further variables (`enable_thinking`, `documents`, …); they win against those above.
    pub extra: serde_json::Map<String, serde_json::Value>,
    /// The time `strftime_now` tells, in seconds since 1970 where the user is; `None` = now, UTC.
    pub now: Option<i64>,
}

/// Instructions a template may run: several hundred times what the longest real conversations need,
/// and some seconds.
const FUEL: u64 = 30_000_000;

/// Macros within macros; bounded by the stack of a browser tab.
const MAX_DEPTH: usize = 100;

/// Bytes a template may write, captured blocks included.
const MAX_OUTPUT_BYTES: usize = 64 << 20;

/// Bytes of a template; the longest in use has 30,000.
const MAX_SOURCE_BYTES: usize = 1 << 20;

thread_local! {
    /// What is left of `MAX_OUTPUT_BYTES` and the time of the rendering under way on this thread.
    static LEFT: Cell<usize> = const { Cell::new(0) };
    static NOW: Cell<i64> = const { Cell::new(0) };
}

impl ChatTemplate {
    /// Compiles `source`. `bos` and `eos` are the texts of those tokens, empty where there is none.
    ///
    /// # Errors
    /// A template that does not parse (with the line), or one of more than 1 MiB.
    pub fn new(source: &str, bos: &str, eos: &str) -> Result<Self> {
        if source.len() > MAX_SOURCE_BYTES {
            let found = source.len();
            return Err(Error::Template(format!(
                "{found} bytes; expected at most {MAX_SOURCE_BYTES}"
            )));
        }
        let mut environment = environment();
        let syntax = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()
            .expect("the default delimiters differ");
        rewrite::rewrite(&without_generation_marks(source), syntax)
            .and_then(|measured| environment.add_template_owned(NAME, measured))
            .map_err(|e| Error::Template(describe(&e)))?;
        Ok(Self {
            environment,
            bos: bos.into(),
            eos: eos.into(),
        })
    }

    /// The text of a conversation. `messages` is a list of objects with `role` and `content`, and
    /// whatever else the template reads (`tool_calls`, `reasoning_content`, …).
    ///
    /// # Errors
    /// The template refuses the conversation (`raise_exception`, with its message), fails, or
    /// exceeds its bounds.
    pub fn render(&self, messages: &serde_json::Value, options: &RenderOptions) -> Result<String> {
        let mut variables = serde_json::Map::new();
        variables.insert("messages".into(), messages.clone());
        variables.insert("tools".into(), options.tools.clone().unwrap_or_default());
        variables.insert("documents".into(), serde_json::Value::Null);
        variables.insert(
            "add_generation_prompt".into(),
            options.add_generation_prompt.into(),
        );
        variables.insert("bos_token".into(), self.bos.clone().into());
        variables.insert("eos_token".into(), self.eos.clone().into());
        variables.extend(options.extra.clone());
        self.run(&variables.into(), options.now)
    }

    /// Runs the template with nothing but these variables.
    ///
    /// # Errors
    /// As [`Self::render`].
    pub fn render_variables(&self, variables: &serde_json::Value) -> Result<String> {
        self.run(variables, None)
    }

    fn run(&self, variables: &serde_json::Value, now: Option<i64>) -> Result<String> {
        LEFT.set(MAX_OUTPUT_BYTES);
        NOW.set(now.unwrap_or_else(date::now));
        let template = self.environment.get_template(NAME);
        let mut out = Bounded(Vec::new());
        let variables = json::value(variables);
        template
            .and_then(|t| {
                meter::start(&variables)?;
                t.render_captured_to(variables, &mut out).map(drop)
            })
            .map_err(|e| Error::Template(describe(&e)))?;
        String::from_utf8(out.0)
            .map_err(|_| Error::Template("wrote bytes that are not UTF-8".into()))
    }
}

const NAME: &str = "chat_template";

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Lenient);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(MAX_DEPTH);
    environment.set_formatter(|out, _, value| {
        if value.is_undefined() {
            return Ok(());
        }
        let text = match value.as_str() {
            Some(text) => Cow::Borrowed(text),
            None => meter::text(value)?.into(),
        };
        spend(text.len()).map_err(|e| minijinja::Error::new(ErrorKind::WriteFailure, e))?;
        out.write_str(&text).map_err(minijinja::Error::from)
    });
    compat::add_to(&mut environment);
    filters::add_to(&mut environment);
    meter::add_to(&mut environment);
    ops::add_to(&mut environment);
    environment
}

/// Takes `n` bytes off what the template may still write.
fn spend(n: usize) -> std::result::Result<(), String> {
    let left = LEFT.get().checked_sub(n);
    left.map(|left| LEFT.set(left))
        .ok_or_else(|| format!("more than {MAX_OUTPUT_BYTES} bytes of output"))
}

/// Collects the output, and refuses more than its bound.
struct Bounded(Vec<u8>);

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_OUTPUT_BYTES {
            let reason = format!("more than {MAX_OUTPUT_BYTES} bytes of output");
            return Err(std::io::Error::other(reason));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// `{% generation %}` marks what the assistant wrote, for training. Here it is a block like any
/// other: it becomes `{% if true %}`, so that blanks around it are trimmed as ever.
fn without_generation_marks(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = rest.find("{%") {
        let (before, tag) = rest.split_at(at + 2);
        out.push_str(before);
        let name_at = tag
            .find(|c: char| c.is_ascii_alphabetic())
            .unwrap_or(tag.len());
        let (marks, name) = tag.split_at(name_at);
        let word = name
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(name.len());
        let closes = name[word..]
            .trim_start()
            .trim_start_matches(['-', '+'])
            .starts_with("%}");
        let only_marks = marks
            .trim_matches(|c: char| c.is_whitespace() || c == '-' || c == '+')
            .is_empty();
        let new = match &name[..word] {
            "generation" if closes && only_marks => "if true",
            "endgeneration" if closes && only_marks => "endif",
            other => other,
        };
        out.push_str(marks);
        out.push_str(new);
        rest = &name[word..];
    }
    out + rest
}

/// What went wrong and in which line, with its causes.
fn describe(error: &minijinja::Error) -> String {
    let mut text = error
        .detail()
        .map_or_else(|| error.kind().to_string(), String::from);
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    match error.line() {
        Some(line) => format!("{text} (line {line})"),
        None => text,
    }
}
