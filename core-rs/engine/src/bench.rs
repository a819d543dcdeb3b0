//! Speed as llama-bench measures it: `pp` evaluates a prompt of random tokens, `tg` generates one
//! token after another, each from an empty cache, without sampling.

use std::time::Instant;

use puna_graph::Read;

use crate::error::{Error, Result};
use crate::session::{Item, Session};

/// Tokens a second of each repetition.
#[derive(Clone, Debug, Default)]
pub struct Speed {
    pub pp: Vec<f64>,
    pub tg: Vec<f64>,
}

/// Measures `reps` times a prompt of `n_prompt` tokens and `n_gen` generated ones; 0 leaves a
/// part out. One run of each comes before, for caches and clocks. `tick` answers false to cancel.
///
/// # Errors
/// Sizes beyond the context; a device that fails or must be awaited.
pub fn run(
    session: &mut Session,
    n_prompt: usize,
    n_gen: usize,
    reps: usize,
    tick: &mut dyn FnMut() -> bool,
) -> Result<Speed> {
    let n_ctx = session.n_ctx();
    for (name, n) in [("n_prompt", n_prompt), ("n_gen", n_gen)] {
        if n > n_ctx {
            return Err(Error::argument(name, n, format!("at most n_ctx = {n_ctx}")));
        }
    }
    let mut speed = Speed::default();
    for rep in 0..=reps {
        // The first round warms up: a shorter text generated, the same prompt.
        let warm_up = rep == 0;
        if n_prompt > 0 {
            let seconds = prompt(session, n_prompt, tick)?;
            if !warm_up {
                speed.pp.push(n_prompt as f64 / seconds);
            }
        }
        if n_gen > 0 {
            let n = if warm_up { n_gen.min(4) } else { n_gen };
            let seconds = generate(session, n, tick)?;
            if !warm_up {
                speed.tg.push(n as f64 / seconds);
            }
        }
    }
    session.truncate(0, 0);
    Ok(speed)
}

fn prompt(session: &mut Session, n: usize, tick: &mut dyn FnMut() -> bool) -> Result<f64> {
    session.truncate(0, 0);
    let items: Vec<Item> = (0..n).map(|i| item(session, i, i + 1 == n)).collect();
    let start = Instant::now();
    for chunk in items.chunks(session.n_batch()) {
        step(session, chunk, tick)?;
    }
    Ok(start.elapsed().as_secs_f64())
}

fn generate(session: &mut Session, n: usize, tick: &mut dyn FnMut() -> bool) -> Result<f64> {
    session.truncate(0, 0);
    let start = Instant::now();
    for i in 0..n {
        let one = item(session, i, true);
        step(session, &[one], tick)?;
    }
    Ok(start.elapsed().as_secs_f64())
}

fn step(session: &mut Session, items: &[Item], tick: &mut dyn FnMut() -> bool) -> Result<()> {
    session.start(items)?;
    if items.iter().any(|i| i.output) && session.finish(Read::Greedy)?.is_none() {
        let device = session.device();
        return Err(Error::argument(
            "bench",
            device,
            "a device that can be waited for",
        ));
    }
    match tick() {
        true => Ok(()),
        false => Err(puna_graph::Error::Cancelled.into()),
    }
}

/// Some token of the vocabulary, the same in every run.
fn item(session: &Session, i: usize, output: bool) -> Item {
    let token = (300 + i % 700) % session.n_vocab();
    Item {
        token: token as u32,
        seq: 0,
        output,
    }
}
