//! Logits of tiny seeded models against those of `transformers` (tests/golden/logits, made by
//! tests/golden/make_logits.py), computed by the scalar interpreter.

mod support;

use puna_graph::Executor;
use support::{all_rows, golden_cases, reference, worst};

/// The golden values are f32 results of another program in another order of summing.
const TOLERANCE: f32 = 1e-3;

#[test]
fn logits_equal_those_of_transformers() {
    let cases = golden_cases();
    assert!(cases.len() >= 8, "only {} golden cases found", cases.len());
    for case in cases {
        let mut exec = reference(&case.gguf, case.tokens.len());
        let rows = all_rows(&mut exec, &case.tokens);
        let worst = worst(&rows, &case.rows);
        assert!(
            worst < TOLERANCE,
            "{}: off by {worst} ({})",
            case.name,
            exec.name()
        );
    }
}
