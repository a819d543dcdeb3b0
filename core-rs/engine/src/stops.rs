//! Stop texts: what ends a completion and is not part of it.

/// Finds stop texts in a stream, holding back what may become one.
pub(crate) struct StopTexts {
    stops: Vec<String>,
    /// What may become a stop text.
    pub held: String,
}

impl StopTexts {
    pub fn new(mut stops: Vec<String>) -> Self {
        stops.retain(|s| !s.is_empty());
        StopTexts {
            stops,
            held: String::new(),
        }
    }

    /// Text that can go out, and whether a stop text was found (it and what follows is dropped).
    pub fn push(&mut self, piece: &str) -> (String, bool) {
        self.held += piece;
        let found = self.stops.iter().filter_map(|s| self.held.find(s)).min();
        if let Some(at) = found {
            self.held.truncate(at);
            return (std::mem::take(&mut self.held), true);
        }
        let keep = self.stops.iter().map(|s| overlap(&self.held, s)).max();
        let rest = self.held.split_off(self.held.len() - keep.unwrap_or(0));
        (std::mem::replace(&mut self.held, rest), false)
    }
}

/// Bytes of the longest end of `text` that is a beginning of `stop`.
fn overlap(text: &str, stop: &str) -> usize {
    (1..=stop.len().min(text.len()))
        .rev()
        .find(|&n| stop.is_char_boundary(n) && text.ends_with(&stop[..n]))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(stops: &[&str], pieces: &[&str]) -> (Vec<String>, bool) {
        let mut s = StopTexts::new(stops.iter().map(|s| s.to_string()).collect());
        let mut out = vec![];
        for piece in pieces {
            let (text, stopped) = s.push(piece);
            out.push(text);
            if stopped {
                return (out, true);
            }
        }
        (out, false)
    }

    #[test]
    fn a_stop_text_over_several_pieces_never_shows() {
        let (out, stopped) = stream(&["\n\nUser:"], &["Hi", "\n", "\nUs", "er: x"]);
        assert_eq!((out.join(""), stopped), ("Hi".into(), true));
    }

    #[test]
    fn what_only_began_like_a_stop_text_comes_out_later() {
        let (out, stopped) = stream(&["END"], &["aE", "N", "x"]);
        assert_eq!(
            (out, stopped),
            (vec!["a".into(), "".into(), "ENx".into()], false)
        );
    }

    #[test]
    fn the_earliest_stop_text_wins() {
        let (out, stopped) = stream(&["c", "b"], &["abc"]);
        assert_eq!((out.join(""), stopped), ("a".into(), true));
    }
}
