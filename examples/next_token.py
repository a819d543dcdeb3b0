"""What a model expects next: the probabilities behind a choice, from its logits."""

import math
import sys

import puna

with puna.Llama(sys.argv[1] if len(sys.argv) > 1 else None) as llm:
    text = "Once upon a"
    llm.eval(llm.tokenize(text.encode()))
    logits = [float(x) for x in llm.scores[-1]]
    largest = max(logits)
    total = sum(math.exp(x - largest) for x in logits)
    likeliest = sorted(range(len(logits)), key=lambda token: -logits[token])[:5]
    print(f"after {text!r}:")
    for token in likeliest:
        probability = math.exp(logits[token] - largest) / total
        print(f"{probability:6.1%}  {llm.detokenize([token]).decode(errors='replace')!r}")
