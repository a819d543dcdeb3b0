//! GPT-2's printable alphabet: each byte is written as one character. Bytes that print in Latin-1
//! (`!`…`~`, `¡`…`¬`, `®`…`ÿ`) are themselves; the other 68 are U+0100 and up, in order.

/// Whether a byte is written as the character of the same number.
const fn is_itself(b: u8) -> bool {
    matches!(b, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF)
}

/// The bytes written from U+0100 on.
const MOVED: [u8; 68] = {
    let mut moved = [0; 68];
    let (mut n, mut b) = (0, 0);
    while b < 256 {
        if !is_itself(b as u8) {
            moved[n] = b as u8;
            n += 1;
        }
        b += 1;
    }
    moved
};

/// The bytes that `text` writes; `None` if a character of it is not in the alphabet.
pub(super) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok()?;
    let mut out = Vec::with_capacity(text.len());
    for c in text.chars() {
        out.push(match u32::from(c) {
            n @ 0..=0xFF if is_itself(n as u8) => n as u8,
            n @ 0x100.. => *MOVED.get(n as usize - 0x100)?,
            _ => return None,
        });
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_and_newline_are_moved() {
        assert_eq!(decode("ĠaĊ".as_bytes()), Some(b" a\n".to_vec()));
    }

    #[test]
    fn every_byte_has_one_character() {
        let mut seen: Vec<u8> = (0..0x144u32)
            .filter_map(char::from_u32)
            .filter_map(|c| decode(c.to_string().as_bytes()))
            .map(|bytes| bytes[0])
            .collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..=255).collect::<Vec<u8>>());
    }

    #[test]
    fn other_characters_are_refused() {
        assert_eq!(decode("<｜end▁of▁sentence｜>".as_bytes()), None);
        assert_eq!(decode(b" "), None);
    }
}
