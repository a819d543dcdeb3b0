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

/// The byte that each character below U+0144 writes.
static BYTES: [Option<u8>; 0x144] = {
    let mut bytes = [None; 0x144];
    let mut n = 0;
    while n < bytes.len() {
        if n >= 0x100 {
            bytes[n] = Some(MOVED[n - 0x100]);
        } else if is_itself(n as u8) {
            bytes[n] = Some(n as u8);
        }
        n += 1;
    }
    bytes
};

/// Appends the bytes that `text` writes; `None` if a character of it is not in the alphabet. All
/// that are take one or two bytes of UTF-8.
pub(super) fn decode_into(mut text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    while let Some((&first, mut rest)) = text.split_first() {
        let mut n = usize::from(first);
        if first >= 0x80 {
            let (&second, after) = rest.split_first()?;
            if first & 0xE0 != 0xC0 || second & 0xC0 != 0x80 {
                return None;
            }
            n = usize::from(first & 0x1F) << 6 | usize::from(second & 0x3F);
            rest = after;
        }
        out.push((*BYTES.get(n)?)?);
        text = rest;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(text: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        decode_into(text, &mut out).map(|()| out)
    }

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
