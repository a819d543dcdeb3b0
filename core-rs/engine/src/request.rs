//! One completion: what was asked, how far it is, what comes out of each token.

use std::collections::VecDeque;

use puna_text::{Sampler, SamplerParams, Tokenizer, Utf8Joiner};

use crate::error::Result;

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
}

impl Finish {
    /// OpenAI's name.
    pub fn name(self) -> &'static str {
        match self {
            Finish::Stop => "stop",
            Finish::Length => "length",
            Finish::Cancelled => "cancelled",
        }
    }
}

/// Natural logarithms of probabilities under the model (temperature 1, no filters).
#[derive(Clone, Debug, PartialEq)]
pub struct TokenLogprobs {
    pub logprob: f32,
    /// The likeliest tokens, best first.
    pub top: Vec<(u32, f32)>,
}

/// What one step brought to one request.
#[derive(Clone, Debug)]
pub struct Event {
    pub request: u64,
    /// `None` when it ended without another token.
    pub token: Option<u32>,
    /// Text that is now certain: whole characters, no part of a stop text. Often empty.
    pub text: String,
    pub logprobs: Option<TokenLogprobs>,
    pub finish: Option<Finish>,
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
    n_generated: usize,
}

impl Running {
    pub fn new(
        id: u64,
        seq: u32,
        request: Request,
        n_reused: usize,
        tokenizer: &Tokenizer,
    ) -> Result<Running> {
        let mut sampler = Sampler::new(request.sampling.clone(), tokenizer.n_vocab())?;
        request.prompt.iter().for_each(|&t| sampler.accept(t));
        Ok(Running {
            id,
            seq,
            pending: request.prompt[n_reused..].iter().copied().collect(),
            sampler,
            characters: Utf8Joiner::default(),
            stops: StopTexts::new(request.stop.clone()),
            n_generated: 0,
            request,
        })
    }

    /// Whether the choice needs no more than the largest logit.
    pub fn is_greedy(&self) -> bool {
        self.request.logprobs.is_none() && self.sampler.is_greedy()
    }

    /// Takes the chosen token: text out, and whether that was the end.
    pub fn accept(
        &mut self,
        token: u32,
        logprobs: Option<TokenLogprobs>,
        tokenizer: &Tokenizer,
    ) -> Result<Event> {
        self.sampler.accept(token);
        self.pending.push_back(token);
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
            request: self.id,
            token: Some(token),
            text,
            logprobs,
            finish,
        })
    }

    /// The end without another token.
    pub fn end(&mut self, finish: Finish) -> Event {
        Event {
            request: self.id,
            token: None,
            text: self.flush(),
            logprobs: None,
            finish: Some(finish),
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

/// Finds stop texts in a stream, holding back what may become one.
struct StopTexts {
    stops: Vec<String>,
    held: String,
}

impl StopTexts {
    fn new(mut stops: Vec<String>) -> Self {
        stops.retain(|s| !s.is_empty());
        StopTexts {
            stops,
            held: String::new(),
        }
    }

    /// Text that can go out, and whether a stop text was found (it and what follows is dropped).
    fn push(&mut self, piece: &str) -> (String, bool) {
        self.held += piece;
        let found = self.stops.iter().filter_map(|s| self.held.find(s)).min();
        if let Some(at) = found {
            self.held.truncate(at);
            return (std::mem::take(&mut self.held), true);
        }
        let keep = self.stops.iter().map(|s| overlap(&self.held, s)).max();
        let rest = self.held.split_off(self.held.len() - keep.unwrap_or(0));
        (std::mem::replace(&mut self.held, rest), false)
    }
}

/// Bytes of the longest end of `text` that is a beginning of `stop`.
fn overlap(text: &str, stop: &str) -> usize {
    (1..=stop.len().min(text.len()))
        .rev()
        .find(|&n| stop.is_char_boundary(n) && text.ends_with(&stop[..n]))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(stops: &[&str], pieces: &[&str]) -> (Vec<String>, bool) {
        let mut s = StopTexts::new(stops.iter().map(|s| s.to_string()).collect());
        let mut out = vec![];
        for piece in pieces {
            let (text, stopped) = s.push(piece);
            out.push(text);
            if stopped {
                return (out, true);
            }
        }
        (out, false)
    }

    #[test]
    fn a_stop_text_over_several_pieces_never_shows() {
        let (out, stopped) = stream(&["\n\nUser:"], &["Hi", "\n", "\nUs", "er: x"]);
        assert_eq!((out.join(""), stopped), ("Hi".into(), true));
    }

    #[test]
    fn what_only_began_like_a_stop_text_comes_out_later() {
        let (out, stopped) = stream(&["END"], &["aE", "N", "x"]);
        assert_eq!(
            (out, stopped),
            (vec!["a".into(), "".into(), "ENx".into()], false)
        );
    }

    #[test]
    fn the_earliest_stop_text_wins() {
        let (out, stopped) = stream(&["c", "b"], &["abc"]);
        assert_eq!((out.join(""), stopped), ("a".into(), true));
    }
}
