//! How many workers take part in a run: all, unless others use the machine too.
//!
//! Workers wait for each other after every op, so one that the system takes off its core for a few
//! milliseconds, to run another program there, holds up all: two workers beside one busy program are
//! several times slower than one alone. So where waiting takes much of the time, one worker fewer is
//! tried, and kept if that is faster; now and then one more is tried again.
//!
//! Times are compared between windows of runs with the same number of tokens.

use std::time::Duration;

/// A window is long enough to see several turns of the system's scheduler.
const WINDOW: Duration = Duration::from_millis(24);
/// The share of time lost by waiting from which fewer workers are tried.
const MUCH: u32 = 4;
/// What counts as faster, in percent of the time before.
const FASTER: u128 = 92;
/// Windows until the next trial; twice as many after one that failed.
const PATIENCE: (u32, u32) = (8, 256);

pub(crate) struct Crew {
    most: usize,
    n: usize,
    window: Window,
    /// The size before, and the time of a run then.
    trial: Option<(usize, Duration)>,
    /// Windows since the last trial, and how many there must be until the next.
    rested: u32,
    patience: u32,
}

/// Runs of one kind.
#[derive(Clone, Copy, Default)]
struct Window {
    n_tokens: usize,
    n_runs: u32,
    took: Duration,
    lost: Duration,
}

impl Crew {
    pub(crate) fn new(most: usize) -> Crew {
        Crew {
            most,
            n: most,
            window: Window::default(),
            trial: None,
            rested: PATIENCE.0,
            patience: PATIENCE.0,
        }
    }

    /// Workers of the next run.
    pub(crate) fn n(&self) -> usize {
        self.n
    }

    /// Takes note of a run: how long it took, and how long its workers waited asleep, all together.
    pub(crate) fn ran(&mut self, n_tokens: usize, took: Duration, waited: Duration) {
        if self.most == 1 {
            return;
        }
        if self.window.n_tokens != n_tokens {
            // What was tried with other runs cannot be judged with these.
            self.n = self.trial.take().map_or(self.n, |(before, _)| before);
            self.window = Window::default();
        }
        let w = &mut self.window;
        w.n_tokens = n_tokens;
        w.n_runs += 1;
        w.took += took;
        // Where one is late, all others wait.
        w.lost += waited / (self.n as u32 - 1).max(1);
        if w.took >= WINDOW {
            let window = *w;
            self.window = Window {
                n_tokens,
                ..Window::default()
            };
            self.judge(
                window.took / window.n_runs,
                window.lost > window.took / MUCH,
            );
        }
    }

    fn judge(&mut self, each: Duration, waits: bool) {
        if let Some((before, time)) = self.trial.take() {
            let is_faster = each.as_nanos() * 100 < time.as_nanos() * FASTER;
            self.patience = match is_faster {
                true => PATIENCE.0,
                false => (2 * self.patience).min(PATIENCE.1),
            };
            // Where even fewer may be better, they are tried at once.
            self.rested = if is_faster && waits { PATIENCE.0 } else { 0 };
            self.n = if is_faster { self.n } else { before };
            return;
        }
        self.rested += 1;
        if self.rested < self.patience {
            return;
        }
        let next = match waits && self.n > 1 {
            true => self.n - 1,
            false => (self.n + 1).min(self.most),
        };
        if next != self.n {
            self.trial = Some((self.n, each));
            self.n = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sizes of the crew in runs whose time and waiting depend on it.
    fn sizes(crew: &mut Crew, n_runs: usize, run: impl Fn(usize) -> (u64, u64)) -> Vec<usize> {
        (0..n_runs)
            .map(|_| {
                let n = crew.n();
                let (took, waited) = run(n);
                let ms = Duration::from_millis;
                crew.ran(1, ms(took), ms(waited));
                n
            })
            .collect()
    }

    fn share(sizes: &[usize], n: usize) -> f64 {
        sizes.iter().filter(|&&size| size == n).count() as f64 / sizes.len() as f64
    }

    #[test]
    fn a_quiet_machine_uses_all_workers_always() {
        let all = sizes(&mut Crew::new(8), 10_000, |n| (16 / n as u64, 0));
        assert_eq!(share(&all, 8), 1.0);
    }

    #[test]
    fn a_core_that_is_taken_is_left_and_found_again() {
        let mut crew = Crew::new(2);
        let busy = sizes(&mut crew, 4_000, |n| if n == 2 { (8, 6) } else { (3, 0) });
        assert!(share(&busy[10..], 1) > 0.95, "{}", share(&busy, 1));
        let quiet = sizes(&mut crew, 8_000, |n| if n == 2 { (2, 0) } else { (3, 0) });
        assert!(share(&quiet, 2) > 0.5, "{}", share(&quiet, 2));
        assert_eq!(crew.n(), 2);
    }

    #[test]
    fn waiting_that_fewer_workers_do_not_mend_is_borne() {
        let long = sizes(&mut Crew::new(4), 20_000, |n| (12 - n as u64, 10));
        assert!(share(&long, 4) > 0.95, "{}", share(&long, 4));
    }

    #[test]
    fn runs_of_another_kind_end_a_trial() {
        let mut crew = Crew::new(2);
        let ms = Duration::from_millis;
        crew.ran(1, ms(30), ms(20));
        assert_eq!(crew.n(), 1);
        crew.ran(512, ms(300), ms(0));
        assert_eq!(crew.n(), 2);
    }
}
