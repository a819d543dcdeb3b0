//! Takes off blanks before punctuation, as `clean_up_tokenization_spaces` of `transformers` and
//! llama.cpp's `llama_detokenize` do for some vocabularies. It loses text that had such blanks.

/// `text` without blanks before `?!.,`, around a single `'`, and before `'s`, `'m`, `'re` and `'ve`.
/// Each of the three is a pass over what the one before has left.
pub(super) fn clean_spaces(text: Vec<u8>) -> Vec<u8> {
    let text = keep(&text, |text, i| match text[i] {
        b'?' | b'!' | b'.' | b',' => Take::BlankBefore,
        _ => Take::Nothing,
    });
    let text = keep(&text, |text, i| match text[i..] {
        [b'\'', b' ', ..] => Take::BlanksAround,
        _ => Take::Nothing,
    });
    keep(&text, |text, i| match text[i..] {
        [b'\'', b's' | b'm', ..] | [b'\'', b'r' | b'v', b'e', ..] => Take::BlankBefore,
        _ => Take::Nothing,
    })
}

enum Take {
    Nothing,
    BlankBefore,
    BlanksAround,
}

/// What is left of `text`, where `take` tells what goes at a place after a blank.
fn keep(text: &[u8], take: impl Fn(&[u8], usize) -> Take) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut after_blank = false;
    let mut i = 0;
    while i < text.len() {
        let taken = if after_blank {
            take(text, i)
        } else {
            Take::Nothing
        };
        if !matches!(taken, Take::Nothing) {
            out.pop();
        }
        out.push(text[i]);
        after_blank = text[i] == b' ';
        i += match taken {
            Take::BlanksAround => 2, // a blank that is gone is before nothing
            _ => 1,
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::clean_spaces;

    #[test]
    fn blanks_before_punctuation_go() {
        for (text, cleaned) in [
            ("hello , world !", "hello, world!"),
            ("it ' s , isn 't it ?", "it's, isn 't it?"),
            ("they 're and I 'm", "they're and I'm"),
            (" !", "!"),
            ("a  .", "a ."),
            ("we 'll 'd", "we 'll 'd"),
            ("", ""),
        ] {
            let text = clean_spaces(text.into());
            assert_eq!(String::from_utf8_lossy(&text), cleaned);
        }
    }
}
