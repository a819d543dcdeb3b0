"""Embeddings: texts as vectors, pooled from the states behind a model's last layer."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from puna import arguments
from puna._native import core
from puna.errors import ArgumentError, DeviceError, LongTextError, UnsupportedError
from puna.evaluation import Evaluation
from puna.hooks import HAS_NUMPY
from puna.sources import beside_loop
from puna.tokenizer import Tokenizer

# llama.cpp's numbers.
UNSPECIFIED, NONE, MEAN, CLS, LAST, RANK = -1, 0, 1, 2, 3, 4
NAMES = {"none": NONE, "mean": MEAN, "cls": CLS, "last": LAST, "rank": RANK}


class Embeddings(Evaluation):
    """What `Llama` embeds, when it was opened with `embedding=True`."""

    model_path: str
    _tokenizer: Tokenizer
    _pooling: int
    _embeds: bool

    def create_embedding(self, input: str | list[str], model: str | None = None) -> dict[str, Any]:
        """OpenAI's dictionary of the embeddings of one or several texts, not normalised.

        Without pooling (`pooling_type` 0, or a model that names none) there is a vector a token.
        """
        inputs = texts_of(input)
        vectors, n_tokens = self._embed(inputs, False, True)
        return self._response(vectors, n_tokens, model)

    async def acreate_embedding(self, input: str | list[str], model: str | None = None) -> dict[str, Any]:
        """The same, awaited."""
        return await beside_loop(self.create_embedding, input, model)

    def embed(
        self,
        input: str | list[str],
        normalize: bool = False,
        truncate: bool = True,
        return_count: bool = False,
    ) -> Any:
        """The vector `[n_embd]` of a text, or those of a list of texts; without pooling those of every
        token, `[n_tokens, n_embd]`.

        `normalize` scales each to length 1. A text longer than `n_batch` tokens is cut, or with
        `truncate=False` an error. With `return_count` the number of tokens comes too.
        """
        vectors, n_tokens = self._embed(
            texts_of(input), arguments.flag("normalize", normalize), arguments.flag("truncate", truncate)
        )
        found = vectors[0] if isinstance(input, str) else vectors
        return (found, n_tokens) if arguments.flag("return_count", return_count) else found

    async def aembed(self, input: str | list[str], **options: Any) -> Any:
        """The same, awaited."""
        return await beside_loop(self.embed, input, **options)

    def pooling_type(self) -> int:
        """How vectors of tokens become one: 0 not at all, 1 mean, 2 the first, 3 the last, 4 a rank."""
        return self._pooling

    def _response(self, vectors: list[Any], n_tokens: int, model: str | None) -> dict[str, Any]:
        data = [
            {"object": "embedding", "embedding": vector, "index": index}
            for index, vector in enumerate(vectors)
        ]
        usage = {"prompt_tokens": n_tokens, "total_tokens": n_tokens}
        return {"object": "list", "data": data, "model": model or self.model_path, "usage": usage}

    def _embed(self, inputs: list[str], normalize: bool, truncate: bool) -> tuple[list[Any], int]:
        if not self._embeds:
            raise UnsupportedError(
                "embedding = False: this model was opened to generate, expected embedding = True"
            )
        session = self._session
        tokenized = [self._cut(self._tokenizer.encode(text), truncate) for text in inputs]
        found: list[list[list[float]]] = []
        for group in batches(tokenized, session.n_batch, session.n_seq_max):
            with self._evaluating():
                states = list(self._states_of(group))
            for rows in states:
                vectors = finite(pooled(rows, self._pooling), len(found))
                found.append([unit(v) for v in vectors] if normalize else vectors)
        single = self._pooling != NONE
        return [vectors[0] if single else vectors for vectors in found], sum(map(len, tokenized))

    def _cut(self, tokens: list[int], truncate: bool) -> list[int]:
        most = min(self._session.n_batch, self._session.n_ctx)
        if len(tokens) > most and not truncate:
            raise LongTextError(len(tokens), most)
        return tokens[:most] or [0 if self._tokenizer.bos is None else self._tokenizer.bos]

    def _states_of(self, group: list[list[int]]) -> Iterator[list[core.Array]]:
        """The last layer's state of every token, text by text, all in one batch."""
        session = self._session
        for seq in range(len(group)):
            session.remove(seq, 0, 2**31)
        # A rank is read off one token, an embedding off all.
        wants = [range(len(t)) if self._pooling != RANK else (0,) for t in group]
        session.eval_start(
            [
                (token, seq, i in wants[seq])
                for seq, tokens in enumerate(group)
                for i, token in enumerate(tokens)
            ]
        )
        try:
            rows = self._finished(hidden=self._pooling != RANK)
        except UnsupportedError as error:
            if self._pooling != RANK:
                raise
            expected = "expected another pooling: this model has no head that ranks"
            raise UnsupportedError(f"pooling_type = {RANK} (rank), {expected}") from error
        for seq in range(len(group)):
            session.remove(seq, 0, 2**31)
        start = 0
        for wanted in wants:
            yield [rows[i] for i in range(start, start + len(wanted))]
            start += len(wanted)


def texts_of(value: object) -> list[str]:
    found = [value] if isinstance(value, str) else value
    expected = "a str or a list of at least one str"
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise arguments.wrong_type("input", value, expected)
    if not found:
        raise ArgumentError(f"input = {arguments.short(value)}, expected {expected}")
    return found


def batches(tokenized: list[list[int]], n_batch: int, n_seq: int) -> Iterator[list[list[int]]]:
    """Texts that fit one batch together, in their order."""
    group: list[list[int]] = []
    for tokens in tokenized:
        if group and (sum(map(len, group)) + len(tokens) > n_batch or len(group) == n_seq):
            yield group
            group = []
        group.append(tokens)
    yield group


def pooled(rows: Sequence[core.Array], kind: int) -> list[list[float]]:
    """The vectors of tokens, or the one that stands for all."""
    if kind == MEAN and HAS_NUMPY:
        import numpy

        mean: Any = numpy.mean([numpy.asarray(row) for row in rows], axis=0, dtype=numpy.float64)
        return [mean.tolist()]
    if kind == MEAN:
        columns = zip(*(row.tolist() for row in rows))
        return [[math.fsum(column) / len(rows) for column in columns]]
    if kind in (CLS, RANK):
        return [rows[0].tolist()]
    return [rows[-1].tolist()] if kind == LAST else [row.tolist() for row in rows]


def finite(vectors: list[list[float]], text: int) -> list[list[float]]:
    """The vectors of a text, where they are numbers."""
    broken = sum(not math.isfinite(x) for vector in vectors for x in vector)
    if broken:
        raise DeviceError(
            f"embedding of text {text}: {broken} values are NaN or infinite, expected numbers: "
            "weights of the model are broken, or too large"
        )
    return vectors


def unit(vector: list[float]) -> list[float]:
    length = math.sqrt(math.fsum(x * x for x in vector))
    return vector if length == 0 else [x / length for x in vector]


def pooling_of(wanted: object, named: object) -> int:
    """The pooling asked for, else that which the file names, else none."""
    kind = NAMES.get(wanted) if isinstance(wanted, str) else wanted
    if isinstance(wanted, str) and kind is None:
        expected = f"{', '.join(NAMES)}, or their numbers, {NONE} to {RANK} ({UNSPECIFIED}: the model's)"
        raise ArgumentError(f"pooling_type = {wanted!r}, expected {expected}")
    kind = arguments.integer("pooling_type", kind, UNSPECIFIED, RANK)
    if kind != UNSPECIFIED:
        return kind
    return named if isinstance(named, int) and named in NAMES.values() else NONE
