//! Layers that keep only their sliding window (`swa_full = false`) beside layers that keep all.

mod support;

use puna_engine::{Item, Scheduler, Session, SessionOptions};
use puna_graph::KvDType;
use support::{greedy, run, session, tiny};

/// Models whose layers have windows of 8: every second, every second by a pattern, all.
const ARCHS: [&str; 3] = ["gemma2", "gemma3", "phi3"];
/// Cells lie elsewhere, so sums come in another order.
const TOLERANCE: f32 = 1e-4;
const N_BATCH: usize = 5;

fn options(swa_full: bool, n_ctx: usize) -> SessionOptions {
    SessionOptions {
        n_ctx,
        n_batch: N_BATCH,
        n_seq_max: 3,
        swa_full,
        type_k: KvDType::F32,
        type_v: KvDType::F32,
        ..SessionOptions::default()
    }
}

/// A session that keeps all and one that does not; what is done to both gives the same logits.
struct Pair([Session; 2]);

impl Pair {
    fn new(arch: &str) -> Pair {
        let model = tiny(arch);
        Pair([true, false].map(|full| session(&model, &options(full, 128))))
    }

    /// Evaluates `n` more tokens of each sequence, in batches as large as they may be.
    fn eval(&mut self, seqs: &[u32], n: usize) {
        for first in (0..n).step_by(N_BATCH / seqs.len()) {
            let end = n.min(first + N_BATCH / seqs.len());
            let [a, b] = self.0.each_mut().map(|s| {
                let at = |seq: u32| s.n_past(seq);
                let items: Vec<Item> = seqs
                    .iter()
                    .flat_map(|&seq| {
                        (0..end - first).map(move |i| (seq, at(seq) + i, i + 1 == end - first))
                    })
                    .map(|(seq, pos, output)| Item {
                        token: (3 + (pos * 31 + seq as usize * 57) % 200) as u32,
                        seq,
                        output,
                    })
                    .collect();
                s.eval(&items).expect("eval")
            });
            let worst = a.iter().zip(&b).map(|(a, b)| (a - b).abs());
            let worst = worst.fold(0.0, f32::max);
            assert!(worst < TOLERANCE, "{worst}");
        }
    }

    fn both(&mut self, mut f: impl FnMut(&mut Session)) {
        self.0.iter_mut().for_each(&mut f);
    }
}

#[test]
fn logits_are_those_of_layers_that_keep_all() {
    for arch in ARCHS {
        let mut pair = Pair::new(arch);
        pair.eval(&[0], 23);
        pair.eval(&[0, 1], 20);
        pair.eval(&[2, 0], 9);
        pair.eval(&[1], 1);
    }
}

#[test]
fn a_gpu_refuses_to_keep_windows_alone() {
    let no_gpu = |_, _: &SessionOptions| {
        let asked = puna_graph::Error::Device {
            executor: "gpu".into(),
            message: "asked for".into(),
        };
        Err(asked.into())
    };
    let refusal = |arch, swa_full, n_gpu_layers| {
        let options = SessionOptions {
            n_gpu_layers,
            ..options(swa_full, 128)
        };
        let opened = tiny(arch).session(&options, Some(&mut { no_gpu }), &mut |_, _| true);
        opened.err().expect("no GPU here").to_string()
    };
    for n_gpu_layers in [-1, 1] {
        let refused = refusal("phi3", false, n_gpu_layers);
        assert!(
            refused.contains("swa_full = False, expected True"),
            "{refused}"
        );
        assert!(refusal("phi3", true, n_gpu_layers).contains("asked for"));
        assert!(refusal("llama", false, n_gpu_layers).contains("asked for"));
    }
}

#[test]
fn memory_does_not_grow_with_the_context() {
    let model = tiny("phi3");
    let bytes = |full, n_ctx| session(&model, &options(full, n_ctx)).n_bytes();
    assert_eq!(bytes(false, 1024), bytes(false, 4096));
    let (kept, all) = (bytes(false, 4096), bytes(true, 4096));
    assert!(kept < all / 2, "{kept} of {all} bytes");
}

#[test]
fn sequences_are_shared_removed_and_shifted() {
    for arch in ARCHS {
        let mut pair = Pair::new(arch);
        pair.eval(&[0], 21);
        pair.both(|s| s.share(0, 1, 21).expect("share"));
        pair.eval(&[0, 1], 12);
        pair.both(|s| s.truncate(0, 0));
        pair.eval(&[1, 0], 14);
        pair.both(|s| s.remove(1, 30, 33).expect("remove"));
        pair.eval(&[1], 7);
        pair.both(|s| s.shift(0, 0, 6).expect("shift"));
        pair.eval(&[0], 10);
    }
}

#[test]
fn saved_sequences_go_on() {
    for arch in ARCHS {
        let mut pair = Pair::new(arch);
        pair.eval(&[0, 1], 30);
        let mut saved = vec![];
        pair.both(|s| saved.push(s.save(0).expect("save").expect("bytes")));
        pair.eval(&[0, 1], 4);
        let mut bytes = saved.iter();
        pair.both(|s| {
            let bytes = bytes.next().expect("two");
            s.load(0, bytes).expect("load");
            s.load(2, bytes).expect("load");
        });
        pair.eval(&[0, 1, 2], 11);
    }
}

#[test]
fn a_loaded_sequence_goes_back_no_further_than_the_saved_one() {
    for arch in ARCHS {
        let mut pair = Pair::new(arch);
        pair.eval(&[0], 40);
        // Others take the places of what the idle sequence no longer sees.
        pair.eval(&[1], 40);
        let [all, windowed] = &mut pair.0;
        let saved = windowed.save(0).expect("save").expect("bytes");
        windowed.load(2, &saved).expect("load");
        for at in 0..=40 {
            let (was, is) = (windowed.can_resume(0, at), windowed.can_resume(2, at));
            assert!(was || !is, "{arch}: {at}");
        }
        assert!(windowed.can_resume(2, 40));
        let error = all.load(0, &saved).expect_err("rows are missing");
        assert!(error.to_string().contains("swa_full"), "{error}");
    }
}

#[test]
fn what_has_slid_out_is_not_gone_back_to() {
    let mut pair = Pair::new("gemma2");
    pair.eval(&[0], 40);
    let s = &mut pair.0[1];
    assert!(s.can_resume(0, 40) && s.can_resume(0, 38) && s.can_resume(0, 0));
    assert!(!s.can_resume(0, 12));
    let error = s.remove(0, 12, usize::MAX).expect_err("lost").to_string();
    assert!(error.contains("position = 12, expected 0"), "{error}");
    let error = s.share(0, 1, 12).expect_err("lost").to_string();
    assert!(error.contains("swa_full = True"), "{error}");
    let error = s.shift(0, 10, 25).expect_err("lost").to_string();
    assert!(error.contains("keep = 10, expected 0"), "{error}");
    assert_eq!(s.n_past(0), 40);
    pair.both(|s| s.truncate(0, 38));
    pair.eval(&[0], 5);
}

#[test]
fn a_turn_that_shares_a_lost_prefix_is_evaluated_again() {
    let model = tiny("gemma2");
    let turns = [true, false].map(|full| {
        let mut scheduler = Scheduler::new(session(&model, &options(full, 128)));
        let turn = |prompt| {
            let events = run(&mut scheduler, vec![greedy(&model, prompt, 12)]);
            let tokens: Vec<_> = events.iter().map(|e| e.token).collect();
            (tokens, events[0].n_reused)
        };
        ["abcdefghijklmnopqrstuvwxyz", "abcdefghijkl"].map(turn)
    });
    let [all, kept] = turns;
    assert_eq!((&all[0].0, &all[1].0), (&kept[0].0, &kept[1].0));
    assert_eq!((all[1].1, kept[1].1), (13, 0));
}
