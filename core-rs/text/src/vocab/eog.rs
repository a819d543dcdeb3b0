//! Which tokens end a generation. Files state one or two of them; chat models have more, known by
//! their text. The lists are llama.cpp's (`llama_vocab::impl::load`, MIT), as facts.

use super::{TokenType, Vocab};

/// End of turn, in order of preference, for a file that does not state it.
const EOT: &[&str] = &[
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<EOT>",
    "_<EOT>",
    "<｜end▁of▁sentence｜>",
    "<end_of_utterance>",
];

/// End of message (a tool call follows).
const EOM: &[&str] = &["<|eom_id|>"];

/// Texts that end a generation wherever they are in the vocabulary.
const EOG: &[&str] = &[
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|flush|>",
    "<|calls|>",
    "<end_of_turn>",
    "<turn|>",
    "<|tool_response>",
    "<|endoftext|>",
    "</s>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<eos>",
    // Fill-in-the-middle: padding, next file, next repository.
    "<|fim_pad|>",
    "<fim-pad>",
    "<fim_pad>",
    "<PAD>",
    "[PAD]",
    "<|fim_repo|>",
    "<|repo_name|>",
    "<fim-repo>",
    "<REPO>",
    "<reponame>",
    "<|file_sep|>",
];

/// Finds eot, eom and the set of ending tokens, and makes control tokens of those that a converter
/// left as ordinary ones.
pub(super) fn complete(vocab: &mut Vocab, model_name: &str) {
    vocab.special.eot = vocab.special.eot.or_else(|| adopt_first(vocab, EOT));
    vocab.special.eom = vocab.special.eom.or_else(|| adopt_first(vocab, EOM));
    let mut eog: Vec<u32> = EOG
        .iter()
        .filter_map(|t| adopt_first(vocab, &[t]))
        .collect();
    // gpt-oss ends a message with <|end|> and goes on with the next channel.
    let id = |text: &str| vocab.id(text.as_bytes());
    if let (Some(end), Some(_), Some(_)) = (id("<|end|>"), id("<|return|>"), id("<|call|>")) {
        eog.retain(|&t| t != end);
        if vocab.special.eot == Some(end) {
            vocab.special.eot = id("<|return|>");
        }
    }
    let special = vocab.special;
    eog.extend(
        [special.eos, special.eot, special.eom]
            .into_iter()
            .flatten(),
    );
    eog.sort_unstable();
    eog.dedup();
    vocab.eog = eog;
    mark_strips_right(vocab, model_name);
}

fn adopt_first(vocab: &mut Vocab, texts: &[&str]) -> Option<u32> {
    let id = texts.iter().find_map(|t| vocab.id(t.as_bytes()))?;
    vocab.types[id as usize] = TokenType::Control;
    Some(id)
}

/// Phi-3's special tokens take the blanks after them (`rstrip` in its tokenizer.json, which GGUF
/// does not carry).
fn mark_strips_right(vocab: &mut Vocab, model_name: &str) {
    let name = model_name.to_ascii_lowercase();
    if !name.contains("phi-3") && !name.contains("phi3") {
        return;
    }
    let keep: [&[u8]; 3] = [b"<unk>", b"<s>", b"<|endoftext|>"];
    let special = |t: TokenType| t.is_hidden() || t == TokenType::UserDefined;
    vocab.strips_right = (0..vocab.tokens.len())
        .filter(|&i| special(vocab.types[i]) && !keep.contains(&vocab.tokens[i].as_slice()))
        .map(|i| i as u32)
        .collect();
}
