//! The most likely token, straight from the logits: nothing is copied.

/// Place of the highest logit, of equal ones the first; `None` if all are -inf.
pub(super) fn argmax(logits: &[f32]) -> Option<u32> {
    // The highest of each block first (this form is vectorised), then the place in the first block
    // that has it.
    const BLOCK: usize = 256;
    let mut best = f32::NEG_INFINITY;
    let mut from = 0;
    for (i, block) in logits.chunks(BLOCK).enumerate() {
        let max = block
            .iter()
            .fold(f32::NEG_INFINITY, |a, &b| if b > a { b } else { a });
        if max > best {
            (best, from) = (max, i * BLOCK);
        }
    }
    let at = logits[from.min(logits.len())..]
        .iter()
        .position(|&x| x == best)?;
    (best > f32::NEG_INFINITY).then_some((from + at) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_first_of_equal_logits() {
        let mut logits = vec![-1.0; 1000];
        logits[300] = 2.0;
        logits[900] = 2.0;
        assert_eq!(argmax(&logits), Some(300));
    }

    #[test]
    fn finds_nothing_where_nothing_is_allowed() {
        assert_eq!(argmax(&[f32::NEG_INFINITY; 3]), None);
        assert_eq!(argmax(&[]), None);
    }
}
