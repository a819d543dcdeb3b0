"""Which text is nearest to a question: their vectors compared. Better with a model made for it (bert)."""

import sys

import puna

TEXTS = ["The cat sleeps in the sun.", "Rain falls on the sea.", "A dog runs in the park."]
QUESTION = "What does the dog do?"

path = sys.argv[1] if len(sys.argv) > 1 else None
# A model that was trained to embed says itself how to pool; this one gets the mean.
pooling = -1 if path else "mean"
with puna.Llama(path, embedding=True, pooling_type=pooling) as llm:
    question, *texts = llm.embed([QUESTION, *TEXTS], normalize=True)
    print(QUESTION)
    likeness = [sum(a * b for a, b in zip(question, text)) for text in texts]
    for value, text in sorted(zip(likeness, TEXTS), reverse=True):
        print(f"{value:6.3f}  {text}")
