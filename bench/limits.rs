//! What this machine can do at most, so that speeds can be quoted as shares of it:
//! bytes read from memory a second, and int8 products a second, by N threads at once.
//!
//!     rustc --edition 2024 -O -C target-cpu=native limits.rs -o limits && ./limits 2
//!
//! prints one line of JSON: {"threads": 2, "read_gb_s": ..., "int8_gmac_s": ..., "int8_by": "..."}.
//! Both loops do nothing else; a program that does something useful stays below them.

use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

/// Far more than any last-level cache, so that memory is what is measured.
const BUFFER_BYTES: usize = 1 << 30;
const ROUNDS: usize = 8;

/// Best rate of `ROUNDS` when `threads` threads each do `work(thread)`, in units of `amount` a second.
/// A round lasts from the first thread's start to the last one's end, by the threads' own clocks: a
/// bystander that waits for them is woken late on a busy machine, and would see rounds too short.
fn best_rate(threads: usize, amount: f64, work: impl Fn(usize) + Sync) -> f64 {
    let mut best = 0.0f64;
    for _ in 0..ROUNDS {
        let barrier = Barrier::new(threads);
        let run = |i| {
            barrier.wait();
            let start = Instant::now();
            work(i);
            (start, Instant::now())
        };
        let run = &run;
        let times: Vec<(Instant, Instant)> = thread::scope(|scope| {
            let handles: Vec<_> = (0..threads).map(|i| scope.spawn(move || run(i))).collect();
            handles
                .into_iter()
                .map(|h| h.join().expect("a loop does not panic"))
                .collect()
        });
        let start = times.iter().map(|t| t.0).min().expect("threads >= 1");
        let end = times.iter().map(|t| t.1).max().expect("threads >= 1");
        best = best.max(amount / (end - start).as_secs_f64());
    }
    best
}

/// The plain loops below are what the compiler turns into wide loads; anything cleverer became gathers.
fn read_one_stream(words: &[u64]) {
    black_box(words.iter().fold(0, |sum, w| sum ^ w));
}

/// Two places at once, each with its own page: some prefetchers follow two streams better.
fn read_two_streams(words: &[u64]) {
    let (left, right) = words.split_at(words.len() / 2);
    let pairs = left.iter().zip(right);
    black_box(pairs.fold(0, |sum, (x, y)| sum ^ x ^ y));
}

fn read_bandwidth(threads: usize) -> f64 {
    let words: Vec<u64> = (0..BUFFER_BYTES as u64 / 8).collect();
    let part = words.len() / threads;
    let slice = |i: usize| &words[i * part..(i + 1) * part];
    let one = best_rate(threads, BUFFER_BYTES as f64, |i| read_one_stream(slice(i)));
    let two = best_rate(threads, BUFFER_BYTES as f64, |i| read_two_streams(slice(i)));
    one.max(two)
}

/// Independent sums: enough to hide the latency of the dot instruction on every CPU named below.
const CHAINS: usize = 12;
/// Some milliseconds a round: far above the skew of the threads' starts, and soon done.
const STEPS: usize = 5_000_000;

/// A loop of `STEPS` × `CHAINS` dot instructions on registers.
macro_rules! dot_loop {
    ($feature:literal, $name:ident, $zero:expr, $a:expr, $b:expr, $dot:expr) => {
        #[target_feature(enable = $feature)]
        fn $name() {
            let (a, b) = (black_box($a), black_box($b));
            let mut sums = [$zero; CHAINS];
            for _ in 0..STEPS {
                for sum in &mut sums {
                    *sum = $dot(*sum, a, b);
                }
            }
            black_box(sums);
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod isa {
    use super::{CHAINS, STEPS, black_box};
    use std::arch::x86_64::*;

    dot_loop!(
        "avx512f,avx512vnni",
        avx512_vnni,
        _mm512_setzero_si512(),
        _mm512_set1_epi8(3),
        _mm512_set1_epi8(1),
        _mm512_dpbusd_epi32
    );
    dot_loop!(
        "avx2,avxvnni",
        avx_vnni,
        _mm256_setzero_si256(),
        _mm256_set1_epi8(3),
        _mm256_set1_epi8(1),
        _mm256_dpbusd_avx_epi32
    );
    dot_loop!(
        "avx2",
        avx2,
        _mm256_setzero_si256(),
        _mm256_set1_epi8(3),
        _mm256_set1_epi8(1),
        |sum, a, b| {
            _mm256_add_epi32(
                sum,
                _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), _mm256_set1_epi16(1)),
            )
        }
    );

    /// The widest int8 dot of this CPU: its name, products an instruction, the loop.
    pub fn widest() -> Option<(&'static str, usize, fn())> {
        // SAFETY: each loop is reached only where its features were detected at run time.
        if is_x86_feature_detected!("avx512vnni") {
            Some(("AVX-512 VNNI", 64, || unsafe { avx512_vnni() }))
        } else if is_x86_feature_detected!("avxvnni") {
            Some(("AVX-VNNI", 32, || unsafe { avx_vnni() }))
        } else if is_x86_feature_detected!("avx2") {
            Some(("AVX2", 32, || unsafe { avx2() }))
        } else {
            None
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod isa {
    /// No loop is written for this CPU: shares of the int8 peak are then left out.
    pub fn widest() -> Option<(&'static str, usize, fn())> {
        None
    }
}

fn main() {
    let threads: usize = match std::env::args().nth(1).map(|s| s.parse()) {
        Some(Ok(n)) if n > 0 => n,
        given => {
            eprintln!("usage: limits THREADS (a number of 1 or more, got {given:?})");
            std::process::exit(2);
        }
    };
    let read = read_bandwidth(threads) / 1e9;
    let (name, rate) = match isa::widest() {
        Some((name, width, run)) => {
            let products = (threads * STEPS * CHAINS * width) as f64;
            (name, best_rate(threads, products, |_| run()) / 1e9)
        }
        None => ("", 0.0),
    };
    println!(
        "{{\"threads\": {threads}, \"read_gb_s\": {read:.1}, \"int8_gmac_s\": {rate:.0}, \"int8_by\": \"{name}\"}}"
    );
}
