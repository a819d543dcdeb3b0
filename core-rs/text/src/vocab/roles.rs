//! Special tokens that files often leave out, known by their text: which tokens end a generation,
//! which frame what is to be filled in. The lists are llama.cpp's (`llama_vocab::impl::load`, MIT),
//! as facts.

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
    "[EOT]",
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
    "<｜end▁of▁sentence｜>",
    "[e~[",
];

/// Before the gap: what is in front of it.
const FIM_PREFIX: &[&str] = &[
    "<|fim_prefix|>",
    "<fim-prefix>",
    "<fim_prefix>",
    "<｜fim▁begin｜>",
    "<PRE>",
    "▁<PRE>",
    "<|code_prefix|>",
    "<|prefix|>",
];

/// Before what comes after the gap.
const FIM_SUFFIX: &[&str] = &[
    "<|fim_suffix|>",
    "<fim-suffix>",
    "<fim_suffix>",
    "<｜fim▁hole｜>",
    "<SUF>",
    "▁<SUF>",
    "<|code_suffix|>",
    "<|suffix|>",
];

/// Before what the model fills in.
const FIM_MIDDLE: &[&str] = &[
    "<|fim_middle|>",
    "<fim-middle>",
    "<fim_middle>",
    "<｜fim▁end｜>",
    "<MID>",
    "▁<MID>",
    "<|code_middle|>",
    "<|middle|>",
];

const FIM_PAD: &[&str] = &["<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"];

/// Before the name of a repository.
const FIM_REPO: &[&str] = &[
    "<|fim_repo|>",
    "<|repo_name|>",
    "<fim-repo>",
    "<REPO>",
    "<reponame>",
];

/// Between files.
const FIM_SEPARATOR: &[&str] = &["<|file_sep|>"];

/// gpt-oss's marks of a message: they are shown, as what is between them cannot be told otherwise.
const ALWAYS_SHOWN: &[&str] = &["<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"];

/// Fills in the roles the file leaves out and the set of ending tokens, and makes control tokens of
/// those that a converter left as ordinary ones.
pub(super) fn complete(vocab: &mut Vocab) {
    let mut special = vocab.special;
    let fim = &mut special.fim;
    for (id, texts) in [
        (&mut special.eot, EOT),
        (&mut special.eom, EOM),
        (&mut fim.prefix, FIM_PREFIX),
        (&mut fim.suffix, FIM_SUFFIX),
        (&mut fim.middle, FIM_MIDDLE),
        (&mut fim.pad, FIM_PAD),
        (&mut fim.repo, FIM_REPO),
        (&mut fim.separator, FIM_SEPARATOR),
    ] {
        *id = id.or_else(|| adopt_first(vocab, texts));
    }
    let mut eog: Vec<u32> = EOG
        .iter()
        .filter_map(|t| adopt_first(vocab, &[t]))
        .collect();
    let ends = [special.eos, special.eot, special.eom];
    let gaps = [special.fim.pad, special.fim.repo, special.fim.separator];
    eog.extend(ends.into_iter().chain(gaps).flatten());
    vocab.special = special;
    keep_going(vocab, &mut eog);
    eog.sort_unstable();
    eog.dedup();
    vocab.eog = eog;
}

fn adopt_first(vocab: &mut Vocab, texts: &[&str]) -> Option<u32> {
    let id = texts.iter().find_map(|t| vocab.id(t.as_bytes()))?;
    vocab.types[id as usize] = TokenType::Control;
    Some(id)
}

/// Takes back what is no end, or no control token, in the vocabularies of some models.
fn keep_going(vocab: &mut Vocab, eog: &mut Vec<u32>) {
    for text in ALWAYS_SHOWN {
        if let Some(id) = vocab.id(text.as_bytes()) {
            vocab.types[id as usize] = TokenType::UserDefined;
        }
    }
    let ending = |vocab: &Vocab, eog: &[u32], text: &str| {
        vocab.id(text.as_bytes()).filter(|id| eog.contains(id))
    };
    // gpt-oss and Solar end a message with <|end|> and go on with the next channel.
    let has = |text: &str| ending(vocab, eog, text).is_some();
    let goes_on = (has("<|call|>") || has("<|calls|>")) && (has("<|return|>") || has("<|flush|>"));
    if let (true, Some(end)) = (goes_on, ending(vocab, eog, "<|end|>")) {
        eog.retain(|&id| id != end);
        vocab.types[end as usize] = TokenType::UserDefined;
        if vocab.special.eot == Some(end) {
            vocab.special.eot = vocab.id(b"<|return|>");
        }
    }
    // For Gemma 4 and PLaMo </s> is text.
    let is_text = ["<|tool_response>", "<|plamo:eos|>"]
        .iter()
        .any(|text| ending(vocab, eog, text).is_some());
    if let (true, Some(end)) = (is_text, ending(vocab, eog, "</s>")) {
        eog.retain(|&id| id != end);
        vocab.types[end as usize] = TokenType::Normal;
    }
}
