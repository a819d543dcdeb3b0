//! From prompts to text on the CPU, with a trained model (`PUNA_DATA`) and tiny random ones.

mod support;

use puna_engine::{Event, Finish, Item, Model, Request, Scheduler, SessionOptions};
use support::{greedy, run, session, stories, text, tiny};

const ONCE: &str = "Once upon a time";
/// data/README.md: what llama.cpp says.
const STORY: &str = ", there was a little girl named Lily. She loved to play outside in the park. \
                     One day, she saw a big, red ball. She wanted to play with it, but it was too high.";

#[test]
fn a_trained_model_tells_its_known_story() {
    for file in ["stories260K.gguf", "stories260K-v1.gguf"] {
        let Some(model) = stories(file) else { return };
        let mut scheduler = Scheduler::new(session(&model, &SessionOptions::default()));
        let mut request = greedy(&model, ONCE, 200);
        request.stop = vec![" high.".into()];
        let events = run(&mut scheduler, vec![request]);
        assert_eq!(text(&events, 0), STORY.trim_end_matches(" high."), "{file}");
    }
}

#[test]
fn a_long_prompt_in_small_chunks_gives_the_same_text() {
    let Some(model) = stories("stories260K.gguf") else {
        return;
    };
    let prompt = format!("{ONCE}{STORY}");
    let answer = |n_batch: usize| {
        let options = SessionOptions {
            n_batch,
            ..SessionOptions::default()
        };
        let mut scheduler = Scheduler::new(session(&model, &options));
        text(&run(&mut scheduler, vec![greedy(&model, &prompt, 30)]), 0)
    };
    assert_eq!(answer(7), answer(512));
}

#[test]
fn requests_in_one_batch_equal_each_alone() {
    let Some(model) = stories("stories260K.gguf") else {
        return;
    };
    let prompts = [ONCE, "The dog was", "Lily and Tom went to the park to", "A"];
    let options = SessionOptions {
        n_seq_max: 3, // one request must wait
        ..SessionOptions::default()
    };
    let mut scheduler = Scheduler::new(session(&model, &options));
    let requests = prompts.iter().map(|p| greedy(&model, p, 24)).collect();
    let together = run(&mut scheduler, requests);
    for (i, prompt) in prompts.iter().enumerate() {
        let mut alone = Scheduler::new(session(&model, &SessionOptions::default()));
        let events = run(&mut alone, vec![greedy(&model, prompt, 24)]);
        assert_eq!(text(&together, i as u64), text(&events, 0), "{prompt}");
    }
}

#[test]
fn a_second_turn_evaluates_only_what_is_new() {
    let Some(model) = stories("stories260K.gguf") else {
        return;
    };
    let mut scheduler = Scheduler::new(session(&model, &SessionOptions::default()));
    run(&mut scheduler, vec![greedy(&model, ONCE, 8)]);
    let longer = format!("{ONCE}, there was a");
    scheduler.add(greedy(&model, &longer, 1)).expect("added");
    scheduler.start().expect("started");
    let n_shared = greedy(&model, ONCE, 1).prompt.len();
    assert!(scheduler.session().history(0).len() > n_shared);
    let fresh = Scheduler::new(session(&model, &SessionOptions::default()));
    let again = run(&mut { fresh }, vec![greedy(&model, &longer, 1)]);
    let events = scheduler.finish().expect("finished").expect("no wait");
    assert_eq!(events[0].token, again[0].token);
}

#[test]
fn generation_ends_at_max_tokens_and_at_the_context() {
    let model = tiny("llama");
    let options = SessionOptions {
        n_ctx: 16,
        ..SessionOptions::default()
    };
    let mut request = greedy(&model, "abc", 5);
    request.ignore_eos = true;
    let mut endless = request.clone();
    endless.max_tokens = None;
    let finish = |events: &[Event]| events.last().expect("events").finish;
    let mut scheduler = Scheduler::new(session(&model, &options));
    let events = run(&mut scheduler, vec![request]);
    assert_eq!((events.len(), finish(&events)), (5, Some(Finish::Length)));
    let events = run(&mut scheduler, vec![endless.clone()]);
    assert_eq!(finish(&events), Some(Finish::Length));
    // What llama-cpp-python gives: prompt and completion fill the context, and no more.
    assert_eq!(endless.prompt.len() + events.len(), 16);
}

#[test]
fn a_prompt_that_fills_the_context_has_no_room_for_a_token() {
    let model = tiny("llama");
    let mut request = greedy(&model, "abc", 5);
    request.ignore_eos = true;
    let options = SessionOptions {
        n_ctx: request.prompt.len(),
        ..SessionOptions::default()
    };
    let mut scheduler = Scheduler::new(session(&model, &options));
    let refused = scheduler.add(request.clone()).expect_err("no room");
    assert!(
        refused.to_string().contains("expected at most"),
        "{refused}"
    );
    request.prompt.pop();
    assert_eq!(run(&mut scheduler, vec![request]).len(), 1);
}

#[test]
fn a_cancelled_request_ends_and_frees_its_sequence() {
    let model = tiny("llama");
    let mut scheduler = Scheduler::new(session(&model, &SessionOptions::default()));
    let id = scheduler.add(greedy(&model, "abc", 100)).expect("added");
    scheduler.step().expect("step");
    let event = scheduler.cancel(id).expect("it ran");
    assert_eq!(event.finish, Some(Finish::Cancelled));
    assert!(scheduler.is_idle());
    assert_eq!(run(&mut scheduler, vec![greedy(&model, "b", 3)]).len(), 3);
}

#[test]
fn bad_requests_are_named() {
    let model = tiny("llama");
    let options = SessionOptions {
        n_ctx: 8,
        ..SessionOptions::default()
    };
    let mut scheduler = Scheduler::new(session(&model, &options));
    let message = |r: Request, s: &mut Scheduler| s.add(r).expect_err("refused").to_string();
    let mut request = greedy(&model, "a much too long prompt", 1);
    assert!(message(request.clone(), &mut scheduler).contains("n_ctx = 8"));
    request.prompt = vec![9999];
    assert!(message(request.clone(), &mut scheduler).contains("9999"));
    request.prompt = vec![];
    assert!(message(request, &mut scheduler).contains("prompt"));
    let bad = SessionOptions {
        n_gpu_layers: -1,
        ..SessionOptions::default()
    };
    let error = model
        .session(&bad, None, &mut |_, _| true)
        .err()
        .expect("no GPU");
    assert!(error.to_string().contains("n_gpu_layers"), "{error}");
}

#[test]
fn shifting_the_context_keeps_the_recent_past() {
    let model = tiny("llama");
    let mut s = session(&model, &SessionOptions::default());
    let items = |tokens: &[u32]| -> Vec<Item> {
        let last = tokens.len() - 1;
        let all = tokens.iter().enumerate().map(|(i, &token)| Item {
            token,
            seq: 0,
            output: i == last,
        });
        all.collect()
    };
    s.eval(&items(&[1, 40, 50, 60, 70])).expect("eval");
    s.shift(0, 1, 2).expect("shift");
    assert_eq!(s.n_past(0), 3);
    s.eval(&items(&[80])).expect("eval goes on at position 3");
    assert_eq!(s.n_past(0), 4);
}

#[test]
fn loading_can_be_cancelled() {
    let model: Model = tiny("llama");
    let stopped = model.session(&SessionOptions::default(), None, &mut |_, _| false);
    assert!(
        stopped
            .err()
            .expect("cancelled")
            .to_string()
            .contains("cancelled")
    );
}
