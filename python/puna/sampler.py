"""`Sampler`: llama.cpp's chain of samplers, for logits at hand."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Unpack

from puna import arguments
from puna._native import core
from puna.sampling import Sampling, SamplingOptions
from puna.tokenizer import Tokenizer


class Sampler:
    """Chooses tokens by logits, and remembers which ones came before.

    Options and defaults are those of `Llama.create_completion`; 0 (of `top_p` and `typical_p` 1, of
    penalties 0 or 1) turns a sampler off. The chain is, in llama.cpp's order, `logit_bias`, then the
    `samplers` penalties, dry, top_n_sigma, top_k, typ_p, top_p, min_p, xtc, temperature; another order,
    or fewer of them, by `samplers`. `last_n` tokens are those that penalties look at (-1: all of them).
    With a `seed` the choices can be repeated.

    `vocab` is a `Tokenizer` or, where no sampler reads the texts of tokens (DRY's breakers do), a number
    of tokens. Sources: Holtzman et al. 2019 (top_p), Meister et al. 2022 (typical_p), Basu et al. 2020
    (mirostat), Nguyen et al. 2024 (min_p), Tang et al. 2024 (top_n_sigma).
    """

    def __init__(
        self,
        vocab: Tokenizer | int,
        *,
        last_n: int = 64,
        seed: int | None = None,
        **options: Unpack[SamplingOptions],
    ) -> None:
        self._history: list[int] = []
        arguments.refuse("Sampler", [f.name for f in fields(Sampling)], unknown(options), {})
        params = Sampling(**options).params(arguments.integer("last_n", last_n, -1), seed)
        if isinstance(vocab, Tokenizer):
            self.n_vocab = vocab.n_vocab
            self._core = core.Sampler(params, self.n_vocab, vocab._core)
        elif not hasattr(vocab, "__index__"):
            expected = "a Tokenizer (model.tokenizer; of a Llama llm.tokenizer()) or a number of tokens"
            raise arguments.wrong_type("vocab", vocab, expected)
        else:
            self.n_vocab = arguments.integer("vocab", vocab, 1)
            self._core = core.Sampler(params, self.n_vocab)

    def __call__(self, logits: Any, history: Sequence[int] | None = None) -> int:
        """The token chosen by `logits`: f32 `[n_vocab]`, or rows of it of which the last counts (an array,
        or a list of numbers). `history` are the tokens before it: those accepted and what came since;
        with another beginning the sampler is reset first."""
        self._follow(history)
        return self._core.sample(logits)

    def probabilities(self, logits: Any, history: Sequence[int] | None = None) -> list[tuple[int, float]]:
        """What the chain leaves of `logits`: token ids with their probabilities, the likeliest first."""
        self._follow(history)
        return self._core.apply(logits)

    def accept(self, *tokens: int) -> None:
        """Tells the sampler which tokens came next."""
        self._core.accept(arguments.token_list("tokens", tokens))
        self._history += tokens

    def reset(self) -> None:
        """Forgets the tokens accepted, and begins again from the seed."""
        self._core.reset()
        self._history = []

    def _follow(self, history: Sequence[int] | None) -> None:
        if history is None:
            return
        given = arguments.token_list("history", history)
        if given[: len(self._history)] != self._history:
            self.reset()
        self.accept(*given[len(self._history) :])


def unknown(options: SamplingOptions) -> dict[str, object]:
    names = {f.name for f in fields(Sampling)}
    return {name: value for name, value in options.items() if name not in names}
