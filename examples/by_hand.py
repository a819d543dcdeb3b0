"""Two ways to go on from one beginning: the context is copied, not evaluated again."""

import sys

import puna

model = puna.Model(sys.argv[1] if len(sys.argv) > 1 else puna.bundled())
begin = model.tokenizer.encode("Once upon a time there was a")
endings = [" fox", " ship"]
with puna.Session(model, n_ctx=256, n_seq_max=1 + len(endings)) as session:
    session.eval({0: begin})
    texts = {}
    for seq, ending in enumerate(endings, start=1):
        session.copy(0, seq)
        texts[seq] = model.tokenizer.encode(ending, add_bos=False)
    samplers = {seq: puna.Sampler(model.tokenizer, temperature=0) for seq in texts}
    new = dict(texts)
    for _ in range(24):
        # One step of the model for both sequences.
        logits = session.eval(new)
        new = {seq: [samplers[seq](logits[seq])] for seq in texts}
        for seq, tokens in new.items():
            texts[seq] = [*texts[seq], *tokens]
    for seq, tokens in texts.items():
        print(f"{seq}: {model.tokenizer.decode([*begin, *tokens])!r}")
