//! Continuous batching: each step evaluates one batch made of the next token of every running
//! request and of as much waiting prompt as fits (Yu et al. 2022, "Orca").

use std::collections::VecDeque;

use puna_graph::{Output, Read};

use crate::error::{Error, Result};
use crate::request::{Event, Finish, Request, Running};
use crate::session::{Item, Session};

pub type RequestId = u64;

/// Runs requests on the sequences of a session.
pub struct Scheduler {
    session: Session,
    waiting: VecDeque<(RequestId, Request)>,
    running: Vec<Running>,
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
        Scheduler {
            session,
            waiting: VecDeque::new(),
            running: vec![],
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
        &mut self.session
    }

    /// A sequence as bytes; see [`Session::save`]. Requests go on.
    ///
    /// # Errors
    /// Those of [`Session::save`].
    pub fn save(&mut self, seq: u32) -> Result<Option<Vec<u8>>> {
        self.session.save(seq)
    }

    /// Puts a saved sequence where no request works, and answers where.
    ///
    /// # Errors
    /// Those of [`Session::load`]; no sequence that is idle.
    pub fn load_idle(&mut self, bytes: &[u8]) -> Result<u32> {
        let seq = self.idle().min_by_key(|&seq| self.session.n_past(seq));
        let seq = seq.ok_or_else(|| {
            Error::argument(
                "sequences",
                "all at work",
                "one that is idle; see n_seq_max",
            )
        })?;
        self.session.load(seq, bytes)?;
        Ok(seq)
    }

    /// Forgets every sequence.
    pub fn reset(&mut self) {
        let n = self.session.n_seq_max() as u32;
        let session = self.session_mut();
        (0..n).for_each(|seq| session.truncate(seq, 0));
    }

    /// Sequences that no request works on.
    fn idle(&self) -> impl Iterator<Item = u32> + use<> {
        let busy: Vec<u32> = self.running.iter().map(|r| r.seq).collect();
        (0..self.session.n_seq_max() as u32).filter(move |seq| !busy.contains(seq))
    }

    /// Queues a request.
    ///
    /// # Errors
    /// An empty prompt, or one that leaves no room for a token, as llama.cpp has it; an id outside
    /// the vocabulary, sampling parameters out of range.
    pub fn add(&mut self, mut request: Request) -> Result<RequestId> {
        let n_ctx = self.session.n_ctx();
        let n_tokens = request.prompt.len();
        if n_tokens == 0 {
            return Err(Error::argument("prompt", "no tokens", "at least one token"));
        }
        if n_tokens >= n_ctx {
            return Err(Error::PromptTooLong { n_tokens, n_ctx });
        }
        // Prompt and completion together are what the context holds: its last token needs no cell,
        // but the next turn of a conversation has it in its prompt.
        let room = n_ctx - n_tokens;
        request.max_tokens = Some(request.max_tokens.map_or(room, |n| n.min(room)));
        let n_vocab = self.session.n_vocab();
        if let Some(&id) = request.prompt.iter().find(|&&t| t as usize >= n_vocab) {
            return Err(Error::Token { id, n_vocab });
        }
        if request.prompt_logprobs && !self.session.logits_all() {
            let expected = "false, or a session with logits_all";
            return Err(Error::argument("prompt_logprobs", true, expected));
        }
        puna_text::Sampler::new(request.sampling.clone(), self.session.tokenizer())?;
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
            let common = |seq: u32| {
                let pairs = self.session.history(seq).iter().zip(&request.prompt);
                pairs.take_while(|(a, b)| a == b).count()
            };
            let best = self
                .idle()
                .max_by_key(|&s| (common(s), std::cmp::Reverse(s)));
            let Some(seq) = best else {
                self.waiting.push_front((id, request));
                return Ok(());
            };
            // At least the last token is evaluated again: its logits are needed.
            let n_reused = match request.prompt_logprobs {
                true => 0,
                false => common(seq).min(request.prompt.len() - 1),
            };
            let n_reused = match self.session.can_resume(seq, n_reused) {
                true => n_reused,
                false => 0,
            };
            self.session.truncate(seq, n_reused);
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
                        output: k + 1 == wanted || r.request.prompt_logprobs,
                    }),
            );
            i += 1;
        }
        items
    }

    /// Frees cells of sequences no request uses; whether there is room for `n` now.
    fn forget_idle_history(&mut self, room: &mut usize, n: usize) -> bool {
        for seq in self.idle() {
            if *room < n {
                let before = self.session.n_free();
                self.session.truncate(seq, 0);
                *room += self.session.n_free() - before;
            }
        }
        *room >= n
    }

    /// Takes what was put into a batch off the requests; answers those with an output row.
    fn advance(&mut self, items: &[Item]) -> Vec<RequestId> {
        let mut rows = vec![];
        for item in items {
            if let Some(r) = self.running.iter_mut().find(|r| r.seq == item.seq) {
                r.pending.pop_front();
                if item.output {
                    rows.push(r.id);
                }
            }
        }
        rows
    }

    /// What a row of the output brings to its request: a token chosen, or, for a row within a
    /// prompt, the log-probability of the prompt's next token.
    fn choose(&mut self, id: RequestId, row: usize, output: &Output) -> Result<Option<Event>> {
        let n_vocab = self.session.n_vocab();
        let tokenizer = self.session.tokenizer().clone();
        // A request cancelled while the device worked has no use for its row.
        let Some(at) = self.running.iter().position(|r| r.id == id) else {
            return Ok(None);
        };
        let running = &mut self.running[at];
        let event = match output {
            Output::Ids(ids) => running.accept(ids[row], None, &tokenizer)?,
            Output::F32(logits) => {
                let logits = &logits[row * n_vocab..][..n_vocab];
                let chosen = running.choose(logits, &tokenizer);
                // Logits from which nothing can be drawn, a hook's perhaps, end one request alone.
                chosen.unwrap_or_else(|error| running.fail(Box::new(error)))
            }
        };
        if event.finish.is_some() {
            self.running.remove(at);
        }
        Ok(Some(event))
    }

    fn by_id(&self, id: RequestId) -> Option<&Running> {
        self.running.iter().find(|r| r.id == id)
    }
}
