"""Token ids in, token ids out: `generate` and `sample`.

A generation runs as a request among others, which leaves no logits. With `logits_all` it is what
llama-cpp-python's is, a loop of `eval` and `sample`: `scores` then has the logits of every token evaluated,
within a program's own loop over it and afterwards. Both choose the same tokens.
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from typing import Any, Unpack

from puna import arguments, hooks
from puna._native import core
from puna.caches import common
from puna.errors import ArgumentError, UnsupportedError
from puna.request import (
    GENERATE_ORDER,
    SAMPLE_ORDER,
    CompletionRequest,
    GenerateOptions,
    Request,
    SampleOptions,
)
from puna.states import States
from puna.steps import Steps

# What one token alone does not have, each with the reason.
OF_SEVERAL = dict.fromkeys(
    ("stopping_criteria", "ignore_eos"), "sample() chooses one token, and ends nothing"
)


class Tokenwise(States):
    """What `Llama` generates without text."""

    last_n_tokens_size: int
    _steps: Steps | None

    def generate(
        self, tokens: Sequence[int], *by_place: Any, **options: Unpack[GenerateOptions]
    ) -> Iterator[int]:
        """Token ids after `tokens`, until the context ends, a stopping criterion holds or the iterator is
        closed; a token that ends the text ends nothing (`ignore_eos`). With `reset` off they come after what
        is in the context. Tokens given to the iterator's `send` come next. Options: temp=0.8, reset=True,
        those of `puna.Sampler`, logits_processor=None, stopping_criteria=None.

        With `logits_all` each token that comes finds in `scores` the logits of all those before it."""
        given: dict[str, Any] = arguments.by_place("Llama.generate", GENERATE_ORDER, by_place, options)
        arguments.only_sampling("generate", given, {})
        if not given.get("ignore_eos", True):
            expected = "True: generate() goes on behind the end of a text, break at llm.token_eos()"
            raise UnsupportedError(f"ignore_eos = False is not supported, expected {expected}")
        before = [] if arguments.flag("reset", given.pop("reset", True)) else self.eval_tokens
        prompt = [*before, *arguments.token_list("tokens", tokens)]
        request = CompletionRequest.of_tokens("Llama.generate", given)
        core_options = request.core_options() | {"ignore_eos": True}
        after = self._after_by_hand if self._session.logits_all else self._after
        while True:
            sent = None
            with closing(after(prompt, self._sampling(request), core_options)) as chosen:
                for token in chosen:
                    sent = yield token
                    prompt.append(token)
                    if sent is not None:
                        break
            if sent is None:
                return
            prompt += arguments.token_list("tokens", sent)

    def sample(self, *by_place: Any, **options: Unpack[SampleOptions]) -> int:
        """A token chosen by the logits of the last one evaluated, or of token `idx` (`logits_all`).
        Options: temp=0.8, idx=None, those of `puna.Sampler`, logits_processor=None, seed=None."""
        given: dict[str, Any] = arguments.by_place("Llama.sample", SAMPLE_ORDER, by_place, options)
        arguments.only_sampling("sample", given, OF_SEVERAL)
        idx = given.pop("idx", None)
        request = CompletionRequest.of_tokens("Llama.sample", given)
        sampler = core.Sampler(self._sampling(request), self.n_vocab(), self._tokenizer._core)
        history, row = self.eval_tokens, self._row(idx)
        sampler.accept(history if idx is None else history[: idx + 1])
        return sampler.sample(hooks.processed(request.hook(), history, row))

    def n_vocab(self) -> int:
        return self._tokenizer.n_vocab

    @property
    def _started(self) -> Steps:
        if self._steps is None:
            self._session  # noqa: B018 says what is missing
        assert self._steps is not None
        self._check_generates()
        return self._steps

    def _sampling(self, request: Request) -> core.SamplerParams:
        return request.sampling(self.last_n_tokens_size, self._seeds.next(request.seed))

    def _after(
        self, prompt: list[int], sampling: core.SamplerParams, options: dict[str, Any]
    ) -> Generator[int]:
        """What comes after `prompt`, by a request of its own."""
        with closing(self._started.events(prompt, sampling, options)) as events:
            for event in events:
                if event.error is not None:
                    raise event.error
                if event.token is not None:
                    yield event.token

    def _after_by_hand(
        self, prompt: list[int], sampling: core.SamplerParams, options: dict[str, Any]
    ) -> Generator[int]:
        """The same by evaluation and choice in turn."""
        self._started.check(prompt, sampling, options)
        tokens, hook = [*prompt], options["hook"]
        sampler = core.Sampler(sampling, self.n_vocab(), self._tokenizer._core)
        sampler.accept(tokens)
        while len(tokens) < self._session.n_ctx:
            logits = hooks.processed(hook, tokens, self._logits_after(tokens))
            if logits is None:
                return
            tokens.append(sampler.sample(logits))
            sampler.accept(tokens[-1:])
            yield tokens[-1]

    def _logits_after(self, tokens: list[int]) -> Any:
        """Logits after `tokens`, f32 `[n_vocab]`, those of all of them kept. What the context already has of
        them is kept: all but the last, unless somebody else has used the model since."""
        with self._started.alone(), self._evaluating():
            n_past = self._session.n_past()
            n_kept = 0
            if self._n_rows() == n_past:  # of a completion's tokens there are no logits
                n_kept = min(common(self._session.tokens(), tokens), len(tokens) - 1)
            if n_kept < n_past:
                try:
                    self.n_tokens = n_kept
                except ArgumentError:  # a sliding window has given up what is seen from there
                    self.n_tokens = n_kept = 0
            self._make_room(len(tokens))
            self._evaluate(tokens[n_kept:])
            return self._rows[-1][-1]

    def _make_room(self, n_tokens: int) -> None:
        """Empties other sequences until `n_tokens` fit beside the rest."""
        n_held = [n_tokens, *(self._session.n_past(seq) for seq in range(1, self._session.n_seq_max))]
        for seq in range(1, len(n_held)):
            if sum(n_held) > self._session.n_ctx:
                self._session.remove(seq, 0, self._session.n_ctx)
                n_held[seq] = 0
