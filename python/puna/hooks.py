"""Logits processors and stopping criteria: functions of Python that are called for each token.

Both get the tokens so far (prompt and completion) and the logits of the next one. A processor answers
the logits to choose by, a criterion whether the completion ends here. Arrays are numpy's, i32 and f32,
where numpy is installed (natively it always is), else `array.array` of the same types.
"""

import array
import importlib.util
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from puna.arguments import short, wrong_type
from puna.errors import ArgumentError, ArgumentTypeError

LogitsProcessor: TypeAlias = Callable[[Any, Any], Any]
StoppingCriteria: TypeAlias = Callable[[Any, Any], bool]
# As the core calls it; see core-rs/py/src/hook.rs.
Hook: TypeAlias = Callable[[bytes, bytearray], bool | bytes | None]

HAS_NUMPY = importlib.util.find_spec("numpy") is not None


class LogitsProcessorList(list[LogitsProcessor]):
    """Processors one after another."""

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        for processor in self:
            scores = processor(input_ids, scores)
        return scores


class StoppingCriteriaList(list[StoppingCriteria]):
    """Whether one of several criteria holds."""

    def __call__(self, input_ids: Any, logits: Any) -> bool:
        return any(bool(criterion(input_ids, logits)) for criterion in self)


class MinTokensLogitsProcessor:
    """Forbids the end of the text before `min_tokens` tokens."""

    def __init__(self, min_tokens: int, token_eos: int) -> None:
        self.min_tokens = min_tokens
        self.token_eos = token_eos
        self.prompt_tokens: int | None = None

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        if self.prompt_tokens is None:
            self.prompt_tokens = len(input_ids)
        if len(input_ids) - self.prompt_tokens < self.min_tokens:
            scores[self.token_eos] = float("-inf")
        return scores


def hook(processors: object, criteria: object) -> Hook | None:
    """Both as the core calls them; `None` where there are none."""
    process = called("logits_processor", processors)
    ends = called("stopping_criteria", criteria)
    if process is None and ends is None:
        return None

    def call(tokens: bytes, logits: bytearray) -> bool | bytes | None:
        input_ids = shared(tokens, "i")
        # The criteria see the logits as the model gives them, so they come first.
        if ends is not None and ends(input_ids, shared(bytes(logits), "f")):
            return True
        if process is None:
            return None
        return changed(process(input_ids, shared(logits, "f")))

    return call


def processed(hook: Hook | None, tokens: Sequence[int], logits: Any) -> Any:
    """Logits `[n_vocab]` after a hook; `None` where it ends the completion."""
    if hook is None:
        return logits
    data = bytearray(memoryview(logits))
    answer = hook(array.array("i", tokens).tobytes(), data)
    if answer is True:
        return None
    found = answer if isinstance(answer, bytes) else data
    if len(found) != len(data):
        expected = f"{len(data)} of n_vocab = {len(data) // 4} values"
        raise ArgumentError(f"logits_processor = {len(found)} bytes of logits, expected {expected}")
    return shared(found, "f")


def called(name: str, given: object) -> Callable[[Any, Any], Any] | None:
    """One function, or a list of them, as one."""
    if given is None or given == []:
        return None
    if callable(given):
        return given
    if isinstance(given, Sequence) and all(callable(item) for item in given):
        return (LogitsProcessorList if name == "logits_processor" else StoppingCriteriaList)(given)
    raise wrong_type(name, given, "a function or a list of functions")


def shared(data: bytes | bytearray, typecode: str) -> Any:
    """`data` as an array; of a bytearray it may be written."""
    if HAS_NUMPY:
        import numpy

        return numpy.frombuffer(data, dtype={"i": numpy.intc, "f": numpy.single}[typecode])
    return array.array(typecode, bytes(data))


def token_array(tokens: Sequence[int]) -> Any:
    """Token ids as an array of i32, which is nobody else's."""
    return shared(bytearray(array.array("i", tokens).tobytes()), "i")


def changed(scores: Any) -> bytes:
    """What a processor answered, as bytes of f32."""
    try:
        view = memoryview(scores)
        return view.tobytes() if view.format == "f" else array.array("f", view.tolist()).tobytes()
    except TypeError:
        pass
    try:
        return array.array("f", scores).tobytes()
    except (TypeError, OverflowError) as error:
        message = f"logits_processor answered {short(scores)}, expected the logits"
        raise ArgumentTypeError(message) from error
