//! Tokens a second with several sequences in one batch, as llama-batched-bench's column S_TG:
//!
//! ```sh
//! cargo run --release -p puna-engine --example bench_batched -- MODEL [THREADS [TOKENS [DEPTH [SEQS…]]]]
//! ```
//!
//! Each sequence holds DEPTH tokens of its own before TOKENS more are generated.

use std::path::Path;
use std::time::Instant;

use puna_engine::{Item, Model, Result, Session, SessionOptions};
use puna_graph::Read;

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let path = args.next().ok_or("expected a model")?;
    let numbers: Vec<usize> = args
        .map(|a| a.parse())
        .collect::<std::result::Result<_, _>>()?;
    let number = |i: usize, default| numbers.get(i).copied().unwrap_or(default);
    let (n_threads, n_gen, depth) = (number(0, 2), number(1, 32), number(2, 0));
    let counts = match numbers.get(3..) {
        Some(counts @ [_, ..]) => counts,
        _ => &[1, 2, 4, 8],
    };
    let most = counts.iter().copied().max().unwrap_or(1);
    let options = SessionOptions {
        n_ctx: most * (n_gen + depth),
        n_seq_max: most,
        n_threads: Some(n_threads),
        ..SessionOptions::default()
    };
    let model = Model::open(Path::new(&path))?;
    let mut session = model.session(&options, None, &mut |_, _| true)?;
    println!("{}", session.device());
    let mut one = None;
    for &n_seq in counts {
        (0..most as u32).for_each(|seq| session.truncate(seq, 0));
        let speed = generate(&mut session, n_seq, n_gen, depth)?;
        let times = speed / *one.get_or_insert(speed);
        println!("{n_seq:3} sequences  {speed:8.1} tokens/s  {times:5.2} x");
    }
    Ok(())
}

/// Tokens a second of all sequences together.
fn generate(session: &mut Session, n_seq: usize, n_gen: usize, depth: usize) -> Result<f64> {
    let (n_vocab, n_batch) = (session.n_vocab(), session.n_batch());
    let item = |i: usize, seq: usize, output| Item {
        token: ((300 + i * 7 + seq * 13) % n_vocab) as u32,
        seq: seq as u32,
        output,
    };
    for seq in 0..n_seq {
        let prompt: Vec<Item> = (0..depth).map(|i| item(i, seq, false)).collect();
        for chunk in prompt.chunks(n_batch) {
            session.start(chunk)?;
        }
    }
    let start = Instant::now();
    for i in depth..depth + n_gen {
        let items: Vec<Item> = (0..n_seq).map(|seq| item(i, seq, true)).collect();
        session.start(&items)?;
        session.finish(Read::Greedy)?;
    }
    Ok((n_seq * n_gen) as f64 / start.elapsed().as_secs_f64())
}
