//! One completion: what was asked, how far it is, what comes out of each token.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use puna_text::{Logprobs, Sampler, SamplerParams, Tokenizer, Utf8Joiner, logprobs};

use crate::error::Result;
use crate::stops::StopTexts;

/// What a caller wants.
#[derive(Clone, Debug)]
pub struct Request {
    pub prompt: Vec<u32>,
    /// Most tokens to generate; `None` = until the model or the context ends.
    pub max_tokens: Option<usize>,
    /// Texts that end the completion; they are not part of it.
    pub stop: Vec<String>,
    pub sampling: SamplerParams,
    /// Log-probabilities of each token and of so many likeliest ones.
    pub logprobs: Option<usize>,
    /// Go on when the model says it is done.
    pub ignore_eos: bool,
    /// Write special tokens into the text.
    pub special: bool,
    /// Log-probabilities of the prompt's tokens too, an event each; the session must have
    /// `logits_all`, and nothing of the prompt is reused.
    pub prompt_logprobs: bool,
    pub hook: Option<Hook>,
}

/// A hook's refusal, whatever it is.
pub type HookError = Box<dyn std::error::Error + Send + Sync>;

type HookFn = dyn FnMut(&[u32], &mut Vec<f32>) -> std::result::Result<bool, HookError> + Send;

/// Called before each choice with the tokens so far and the logits `[n_vocab]`, which it may
/// change; true ends the completion without another token. An error ends it too.
#[derive(Clone)]
pub struct Hook(Arc<Mutex<HookFn>>);

impl Hook {
    pub fn new(
        hook: impl FnMut(&[u32], &mut Vec<f32>) -> std::result::Result<bool, HookError> + Send + 'static,
    ) -> Hook {
        Hook(Arc::new(Mutex::new(hook)))
    }

    fn call(&self, tokens: &[u32], logits: &mut Vec<f32>) -> std::result::Result<bool, HookError> {
        let mut hook = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hook(tokens, logits)
    }
}

impl std::fmt::Debug for Hook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hook")
    }
}

/// Why a completion ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// The model ended it, or a stop text came.
    Stop,
    /// `max_tokens` or the context was reached.
    Length,
    /// The caller cancelled it.
    Cancelled,
    /// Its hook failed, or no token could be drawn; the event has the error.
    Failed,
}

impl Finish {
    /// OpenAI's name.
    pub fn name(self) -> &'static str {
        match self {
            Finish::Stop => "stop",
            Finish::Length => "length",
            Finish::Cancelled => "cancelled",
            Finish::Failed => "failed",
        }
    }
}

/// What one step brought to one request.
#[derive(Debug)]
pub struct Event {
    pub request: u64,
    /// The sequence it works on.
    pub seq: u32,
    /// Tokens of the prompt that were in the cache already.
    pub n_reused: usize,
    /// Whether the token is one of the prompt (see [`Request::prompt_logprobs`]).
    pub of_prompt: bool,
    /// `None` when it ended without another token.
    pub token: Option<u32>,
    /// Text that is now certain: whole characters, no part of a stop text. Often empty.
    pub text: String,
    /// Of the token under the model: temperature 1, no filters.
    pub logprobs: Option<Logprobs>,
    pub finish: Option<Finish>,
    pub error: Option<HookError>,
}

/// A request at work on its sequence.
pub(crate) struct Running {
    pub id: u64,
    pub seq: u32,
    pub request: Request,
    /// Tokens not evaluated yet: the rest of the prompt, or the last token chosen.
    pub pending: VecDeque<u32>,
    pub sampler: Sampler,
    characters: Utf8Joiner,
    stops: StopTexts,
    /// Prompt and choices.
    tokens: Vec<u32>,
    n_reused: usize,
    n_generated: usize,
    /// Tokens of the prompt whose log-probabilities were told.
    n_told: usize,
}

impl Running {
    pub fn new(
        id: u64,
        seq: u32,
        request: Request,
        n_reused: usize,
        tokenizer: &Arc<Tokenizer>,
    ) -> Result<Running> {
        let mut sampler = Sampler::new(request.sampling.clone(), tokenizer)?;
        request.prompt.iter().for_each(|&t| sampler.accept(t));
        Ok(Running {
            id,
            seq,
            pending: request.prompt[n_reused..].iter().copied().collect(),
            sampler,
            characters: Utf8Joiner::default(),
            stops: StopTexts::new(request.stop.clone()),
            tokens: request.prompt.clone(),
            n_reused,
            n_generated: 0,
            n_told: 1, // nothing comes before the first
            request,
        })
    }

    /// Whether the choice needs no more than the largest logit.
    pub fn is_greedy(&self) -> bool {
        let wants = &self.request;
        wants.logprobs.is_none()
            && !wants.prompt_logprobs
            && wants.hook.is_none()
            && self.sampler.is_greedy()
    }

    /// What a row of logits brings: the next token of the prompt, where its log-probabilities are
    /// wanted, else a choice.
    pub fn choose(&mut self, logits: &[f32], tokenizer: &Tokenizer) -> Result<Event> {
        let n_top = self.request.logprobs.unwrap_or(0);
        if self.request.prompt_logprobs && self.n_told < self.request.prompt.len() {
            let token = self.request.prompt[self.n_told];
            self.n_told += 1;
            return Ok(Event {
                token: Some(token),
                of_prompt: true,
                logprobs: Some(logprobs(logits, token, n_top)),
                ..self.event()
            });
        }
        let mut changed = vec![];
        if let Some(hook) = &self.request.hook {
            changed = logits.to_vec();
            match hook.call(&self.tokens, &mut changed) {
                Ok(false) => {}
                Ok(true) => return Ok(self.end(Finish::Stop)),
                Err(error) => return Ok(self.fail(error)),
            }
        }
        let seen = if changed.is_empty() { logits } else { &changed };
        let token = self.sampler.sample(seen)?;
        let found = self.request.logprobs.map(|n| logprobs(logits, token, n));
        self.accept(token, found, tokenizer)
    }

    /// An event in which nothing happens.
    fn event(&self) -> Event {
        Event {
            request: self.id,
            seq: self.seq,
            n_reused: self.n_reused,
            of_prompt: false,
            token: None,
            text: String::new(),
            logprobs: None,
            finish: None,
            error: None,
        }
    }

    /// Takes the chosen token: text out, and whether that was the end.
    pub fn accept(
        &mut self,
        token: u32,
        logprobs: Option<Logprobs>,
        tokenizer: &Tokenizer,
    ) -> Result<Event> {
        self.sampler.accept(token);
        self.pending.push_back(token);
        self.tokens.push(token);
        self.n_generated += 1;
        let ended = tokenizer.is_eog(token) && !self.request.ignore_eos;
        let mut text = String::new();
        let mut stopped = false;
        if !ended || self.request.special {
            let bytes = tokenizer.token_bytes(token, self.request.special)?;
            let piece = self.characters.push(bytes);
            (text, stopped) = self.stops.push(&piece);
        }
        let full = self
            .request
            .max_tokens
            .is_some_and(|n| self.n_generated >= n);
        let finish = match (ended || stopped, full) {
            (true, _) => Some(Finish::Stop),
            (false, true) => Some(Finish::Length),
            (false, false) => None,
        };
        if finish.is_some() && !stopped {
            text += &self.flush();
        }
        Ok(Event {
            token: Some(token),
            text,
            logprobs,
            finish,
            ..self.event()
        })
    }

    /// The end without another token.
    pub fn end(&mut self, finish: Finish) -> Event {
        Event {
            text: self.flush(),
            finish: Some(finish),
            ..self.event()
        }
    }

    /// The end by an error.
    pub fn fail(&mut self, error: HookError) -> Event {
        Event {
            error: Some(error),
            ..self.end(Finish::Failed)
        }
    }

    /// What was held back: bytes of an unfinished character, the start of a stop text.
    fn flush(&mut self) -> String {
        let rest = self.characters.flush();
        let (mut text, stopped) = self.stops.push(&rest);
        if !stopped {
            text += &std::mem::take(&mut self.stops.held);
        }
        text
    }
}
