//! Byte-level BPE: the text is cut into words by the pre-tokenizer, each byte of a word is a symbol,
//! and of all neighbours the pair that comes first in the list of merges is merged first.
//!
//! Vocabulary files write the bytes in GPT-2's printable alphabet (`Ġ` for a blank). That alphabet
//! is undone once at load; from there on everything is bytes and ids:
//!
//! - a *symbol* is a token id, or an id from `n_vocab` on for a text that only merges mention;
//! - a merge is a pair of symbols with its rank and the symbol that comes of it.

use super::merge::{Chain, Merge};
use super::split::{self, PreTokenizer};
use super::whole::WholeTokens;
use crate::Result;
use crate::vocab::{ByteTable, TokenType, Vocab};

mod alphabet;
mod pairs;

use pairs::{PairTable, Symbols};

#[derive(Debug)]
pub(super) struct Bpe {
    pre: &'static PreTokenizer,
    symbols: Symbols,
    /// Finds a token by its decoded bytes.
    by_bytes: ByteTable,
    pairs: PairTable,
    byte_symbols: Vec<u32>, // [256]
    whole: WholeTokens,
    n_vocab: usize,
}

impl Bpe {
    pub(super) fn new(vocab: &Vocab, merges: Vec<Vec<u8>>, pre: Option<&str>) -> Result<Self> {
        let pre = split::find(pre)?;
        let n_vocab = vocab.tokens.len();
        let (bytes, plain) = decoded(vocab);
        let by_bytes = ByteTable::new(&bytes, |i| plain[i]);
        let mut symbols = Symbols::new(bytes);
        let byte_symbols = (0..=255u8)
            .map(|b| symbols.intern(&[b], &by_bytes))
            .collect();
        let pairs = PairTable::new(&merges, &mut symbols, &by_bytes)?;
        Ok(Self {
            pre,
            symbols,
            by_bytes,
            pairs,
            byte_symbols,
            whole: WholeTokens::new(n_vocab),
            n_vocab,
        })
    }

    pub(super) fn adds_bos(&self) -> bool {
        self.pre.add_bos
    }

    pub(super) fn bytes(&self, token: usize) -> &[u8] {
        self.symbols.text(token)
    }

    /// Appends the tokens of `text`.
    pub(super) fn encode(&self, text: &[u8], out: &mut Vec<u32>) {
        let mut chain = Chain::default();
        let text = replace_wrong_bytes(text);
        self.pre.words(&text, |word| {
            self.encode_word(word.as_bytes(), &mut chain, out)
        });
    }

    fn encode_word(&self, word: &[u8], chain: &mut Chain, out: &mut Vec<u32>) {
        let token = self.symbols.find_token(word, &self.by_bytes);
        if let (true, Some(token)) = (self.pre.ignore_merges, token) {
            return out.push(token);
        }
        self.whole.encode(token, out, |out| {
            chain.clear();
            word.iter()
                .for_each(|&b| chain.push(self.byte_symbols[b as usize], 1));
            chain.merge(
                |a, b| {
                    self.pairs
                        .get(a.id, b.id)
                        .map(|(rank, id)| Merge { rank, id })
                },
                // A symbol that is no token is dropped, as llama.cpp drops it.
                |symbol| out.extend(Some(symbol.id).filter(|&id| (id as usize) < self.n_vocab)),
            );
        });
    }
}

/// The bytes of each token, and whether they are those of its text in GPT-2's alphabet. A token
/// whose text has other characters stands for its text as it is, and no word can become it.
fn decoded(vocab: &Vocab) -> (Vec<Vec<u8>>, Vec<bool>) {
    let decode = |(text, kind): (&Vec<u8>, &TokenType)| match alphabet::decode(text) {
        _ if matches!(kind, TokenType::Unused) => (Vec::new(), false),
        Some(bytes) => (bytes, true),
        None => (text.clone(), false),
    };
    vocab.tokens.iter().zip(&vocab.types).map(decode).unzip()
}

/// `text` with U+FFFD for each byte that is not part of a UTF-8 character.
fn replace_wrong_bytes(text: &[u8]) -> std::borrow::Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(text) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len() + 16);
    for chunk in text.utf8_chunks() {
        out.push_str(chunk.valid());
        out.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    out.into()
}
