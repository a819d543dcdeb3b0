//! Continuous batching: each step evaluates one batch made of the next token of every running
//! request and of as much waiting prompt as fits (Yu et al. 2022, "Orca").

use std::collections::VecDeque;

use puna_graph::{Output, Read};

use crate::error::{Error, Result};
use crate::request::{Event, Finish, Request, Running, TokenLogprobs};
use crate::session::{Item, Session};

pub type RequestId = u64;

/// Runs requests on the sequences of a session.
pub struct Scheduler {
    session: Session,
    waiting: VecDeque<(RequestId, Request)>,
    running: Vec<Running>,
    /// Tokens in the cache for each sequence, kept after a request for the next one's prefix.
    history: Vec<Vec<u32>>,
    next_id: RequestId,
    step: Option<Step>,
}

/// A batch that was started: which requests have an output row, in order of rows.
struct Step {
    rows: Vec<RequestId>,
    read: Read,
    /// What happened without a result: requests that found no room.
    events: Vec<Event>,
}

impl Scheduler {
    pub fn new(session: Session) -> Scheduler {
        let n = session.n_seq_max();
        Scheduler {
            session,
            waiting: VecDeque::new(),
            running: vec![],
            history: vec![vec![]; n],
            next_id: 0,
            step: None,
        }
    }

    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The session, for evaluating tokens directly. Requests at work are lost.
    pub fn session_mut(&mut self) -> &mut Session {
        self.running.clear();
        self.waiting.clear();
        self.step = None;
        for seq in 0..self.history.len() {
            self.history[seq].truncate(self.session.n_past(seq as u32));
        }
        &mut self.session
    }

    /// Tokens of a sequence in the cache.
    pub fn history(&self, seq: u32) -> &[u32] {
        &self.history[seq as usize]
    }

    /// Notes tokens that were evaluated through [`Scheduler::session_mut`].
    pub fn note(&mut self, seq: u32, tokens: &[u32]) {
        self.history[seq as usize].extend_from_slice(tokens);
    }

    /// Forgets every sequence.
    pub fn reset(&mut self) {
        for seq in 0..self.history.len() {
            self.session_mut().truncate(seq as u32, 0);
            self.history[seq].clear();
        }
    }

    /// Queues a request.
    ///
    /// # Errors
    /// An empty or too long prompt, an id outside the vocabulary, sampling parameters out of range.
    pub fn add(&mut self, request: Request) -> Result<RequestId> {
        let n_ctx = self.session.n_ctx();
        let n_tokens = request.prompt.len();
        if n_tokens == 0 {
            return Err(Error::argument("prompt", "no tokens", "at least one token"));
        }
        if n_tokens > n_ctx {
            return Err(Error::PromptTooLong { n_tokens, n_ctx });
        }
        let n_vocab = self.session.n_vocab();
        if let Some(&id) = request.prompt.iter().find(|&&t| t as usize >= n_vocab) {
            return Err(Error::Token { id, n_vocab });
        }
        puna_text::Sampler::new(request.sampling.clone(), n_vocab)?;
        let id = self.next_id;
        self.next_id += 1;
        self.waiting.push_back((id, request));
        Ok(id)
    }

    /// Ends a request; its last event is answered, if it was there.
    pub fn cancel(&mut self, id: RequestId) -> Option<Event> {
        self.waiting.retain(|(waiting, _)| *waiting != id);
        let at = self.running.iter().position(|r| r.id == id)?;
        Some(self.running.remove(at).end(Finish::Cancelled))
    }

    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty()
    }

    /// One step, blocking: the events it brought. Empty when there is nothing to do, or while a
    /// long prompt is evaluated in chunks.
    ///
    /// # Errors
    /// A device that fails, or that must be awaited (use start and finish).
    pub fn step(&mut self) -> Result<Vec<Event>> {
        if !self.start()? {
            return Ok(vec![]);
        }
        self.finish()?.ok_or_else(|| {
            let device = self.session.device();
            Error::argument("step", device, "a device that can be waited for")
        })
    }

    /// Starts a batch; false when there is nothing to do.
    ///
    /// # Errors
    /// A device that fails. The requests at work are then ended.
    pub fn start(&mut self) -> Result<bool> {
        if self.step.is_some() {
            return Ok(true);
        }
        self.admit()?;
        let mut events = vec![];
        let items = self.next_batch(&mut events);
        if items.is_empty() && events.is_empty() {
            return Ok(false);
        }
        let mut rows = vec![];
        if !items.is_empty() {
            self.session
                .start(&items)
                .inspect_err(|_| self.running.clear())?;
            rows = self.advance(&items);
        }
        let greedy = rows
            .iter()
            .all(|&id| self.by_id(id).is_some_and(|r| r.is_greedy()));
        let read = if greedy { Read::Greedy } else { Read::Logits };
        self.step = Some(Step { rows, read, events });
        Ok(true)
    }

    /// Events of the batch that was started; `None` = await the device and ask again.
    ///
    /// # Errors
    /// A device that fails, logits from which nothing can be drawn.
    pub fn finish(&mut self) -> Result<Option<Vec<Event>>> {
        let Some(step) = &self.step else {
            return Ok(Some(vec![]));
        };
        if step.rows.is_empty() {
            // A chunk in the middle of a prompt: nothing to read, nothing to wait for.
            return Ok(self.step.take().map(|s| s.events));
        }
        let output = match self.session.finish(step.read) {
            Ok(None) => return Ok(None),
            Ok(Some(output)) => output,
            Err(e) => {
                self.step = None;
                self.running.clear();
                return Err(e);
            }
        };
        let Some(mut step) = self.step.take() else {
            return Ok(Some(vec![]));
        };
        for (row, &id) in step.rows.iter().enumerate() {
            // Requests behind the failed row would wait for a token that never comes.
            let event = self.choose(id, row, &output);
            step.events
                .extend(event.inspect_err(|_| self.running.clear())?);
        }
        Ok(Some(step.events))
    }

    /// Gives waiting requests free sequences, each the one that shares the longest prefix.
    fn admit(&mut self) -> Result<()> {
        while let Some((id, request)) = self.waiting.pop_front() {
            let busy = |seq: &u32| self.running.iter().any(|r| r.seq == *seq);
            let common = |seq: u32| {
                let pairs = self.history[seq as usize].iter().zip(&request.prompt);
                pairs.take_while(|(a, b)| a == b).count()
            };
            let free = (0..self.history.len() as u32).filter(|s| !busy(s));
            let Some(seq) = free.max_by_key(|&s| (common(s), std::cmp::Reverse(s))) else {
                self.waiting.push_front((id, request));
                return Ok(());
            };
            // At least the last token is evaluated again: its logits are needed.
            let n_reused = common(seq).min(request.prompt.len() - 1);
            self.session.truncate(seq, n_reused);
            self.history[seq as usize].truncate(n_reused);
            let tokenizer = self.session.tokenizer().clone();
            let running = Running::new(id, seq, request, n_reused, &tokenizer)?;
            self.running.push(running);
        }
        Ok(())
    }

    /// Next tokens of every request, those that generate first; ends requests without room.
    fn next_batch(&mut self, events: &mut Vec<Event>) -> Vec<Item> {
        self.running.sort_by_key(|r| r.pending.len() > 1);
        let mut room = self.session.n_free();
        let mut items: Vec<Item> = vec![];
        let mut i = 0;
        while i < self.running.len() {
            let wanted = self.running[i].pending.len();
            let n = wanted.min(self.session.n_batch() - items.len());
            if n > room && !self.forget_idle_history(&mut room, n) {
                let mut ended = self.running.remove(i);
                events.push(ended.end(Finish::Length));
                continue;
            }
            room -= n;
            let r = &self.running[i];
            items.extend(
                r.pending
                    .iter()
                    .take(n)
                    .enumerate()
                    .map(|(k, &token)| Item {
                        token,
                        seq: r.seq,
                        output: k + 1 == wanted,
                    }),
            );
            i += 1;
        }
        items
    }

    /// Frees cells of sequences no request uses; whether there is room for `n` now.
    fn forget_idle_history(&mut self, room: &mut usize, n: usize) -> bool {
        for seq in 0..self.history.len() {
            if *room < n && self.running.iter().all(|r| r.seq != seq as u32) {
                let before = self.session.n_free();
                self.session.truncate(seq as u32, 0);
                self.history[seq].clear();
                *room += self.session.n_free() - before;
            }
        }
        *room >= n
    }

    /// Takes what was put into a batch off the requests; answers those with an output row.
    fn advance(&mut self, items: &[Item]) -> Vec<RequestId> {
        let mut rows = vec![];
        for item in items {
            self.history[item.seq as usize].push(item.token);
            if let Some(r) = self.running.iter_mut().find(|r| r.seq == item.seq) {
                r.pending.pop_front();
                if item.output {
                    rows.push(r.id);
                }
            }
        }
        rows
    }

    /// Chooses the next token of a request from its row of the output.
    fn choose(&mut self, id: RequestId, row: usize, output: &Output) -> Result<Option<Event>> {
        let n_vocab = self.session.n_vocab();
        let tokenizer = self.session.tokenizer().clone();
        // A request cancelled while the device worked has no use for its row.
        let Some(at) = self.running.iter().position(|r| r.id == id) else {
            return Ok(None);
        };
        let running = &mut self.running[at];
        let (token, logprobs) = match output {
            Output::Ids(ids) => (ids[row], None),
            Output::F32(logits) => {
                let logits = &logits[row * n_vocab..][..n_vocab];
                let token = running.sampler.sample(logits)?;
                let n_top = running.request.logprobs;
                (token, n_top.map(|n| logprobs(logits, token, n)))
            }
        };
        let event = running.accept(token, logprobs, &tokenizer)?;
        if event.finish.is_some() {
            self.running.remove(at);
        }
        Ok(Some(event))
    }

    fn by_id(&self, id: RequestId) -> Option<&Running> {
        self.running.iter().find(|r| r.id == id)
    }
}

/// Log-softmax of one token and of the `n` likeliest.
fn logprobs(logits: &[f32], token: u32, n: usize) -> TokenLogprobs {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|&x| ((x - max) as f64).exp()).sum();
    let log_sum = max as f64 + sum.ln();
    let logprob = |id: u32| (logits[id as usize] as f64 - log_sum) as f32;
    let mut ids: Vec<u32> = (0..logits.len() as u32).collect();
    let n = n.min(ids.len());
    let by_logit = |a: &u32, b: &u32| logits[*b as usize].total_cmp(&logits[*a as usize]);
    if n > 0 && n < ids.len() {
        ids.select_nth_unstable_by(n - 1, by_logit);
    }
    ids.truncate(n);
    ids.sort_by(by_logit);
    TokenLogprobs {
        logprob: logprob(token),
        top: ids.into_iter().map(|id| (id, logprob(id))).collect(),
    }
}
