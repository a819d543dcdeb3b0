"""How tokens are chosen: every sampler's parameters, by llama-cpp-python's names where it has them.

The samplers, their order and their defaults are llama.cpp's (`puna.Sampler` says more).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from puna._native import core
from puna.arguments import integer, number, texts, wrong_type


class SamplingOptions(TypedDict, total=False):
    """Keywords of all calls that choose tokens; `Sampling` says their defaults."""

    temperature: float
    top_p: float
    min_p: float
    top_k: int
    typical_p: float
    top_n_sigma: float
    xtc_probability: float
    xtc_threshold: float
    dynatemp_range: float
    dynatemp_exponent: float
    min_keep: int
    frequency_penalty: float
    presence_penalty: float
    repeat_penalty: float
    dry_multiplier: float
    dry_base: float
    dry_allowed_length: int
    dry_penalty_last_n: int
    dry_sequence_breakers: Sequence[str]
    mirostat_mode: int
    mirostat_tau: float
    mirostat_eta: float
    adaptive_target: float
    adaptive_decay: float
    samplers: Sequence[str] | None
    logit_bias: Mapping[int, float] | None


# Those whose names the core has too, by kind.
NUMBERS = """temperature top_p min_p typical_p top_n_sigma xtc_probability xtc_threshold dynatemp_range
dynatemp_exponent frequency_penalty presence_penalty repeat_penalty dry_multiplier dry_base mirostat_tau
mirostat_eta adaptive_target adaptive_decay""".split()
INTEGERS = {"top_k": -(2**31), "min_keep": 0, "dry_allowed_length": -(2**31), "dry_penalty_last_n": -1}


@dataclass(kw_only=True)
class Sampling:
    """Parameters of the samplers."""

    temperature: float = 0.8  # 0: always the likeliest token
    top_p: float = 0.95  # 1: off
    min_p: float = 0.05  # 0: off
    top_k: int = 40  # 0: all
    typical_p: float = 1.0  # 1: off
    top_n_sigma: float = -1.0  # 0 and less: off
    xtc_probability: float = 0.0  # 0: off
    xtc_threshold: float = 0.1
    dynatemp_range: float = 0.0  # 0: off
    dynatemp_exponent: float = 1.0
    min_keep: int = 0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    repeat_penalty: float = 1.0
    dry_multiplier: float = 0.0  # 0: off
    dry_base: float = 1.75
    dry_allowed_length: int = 2
    dry_penalty_last_n: int = -1  # -1: the whole context
    dry_sequence_breakers: Sequence[str] = ("\n", ":", '"', "*")
    mirostat_mode: int = 0  # 1 or 2: mirostat after the penalties, instead of the filters
    mirostat_tau: float = 5.0
    mirostat_eta: float = 0.1
    adaptive_target: float = -1.0
    adaptive_decay: float = 0.9
    samplers: Sequence[str] | None = None  # None: llama.cpp's order
    logit_bias: Mapping[int, float] | None = None

    def params(self, penalty_last_n: int, seed: int | None) -> core.SamplerParams:
        """The parameters as the core takes them."""
        found: dict[str, Any] = {name: number(name, getattr(self, name)) for name in NUMBERS}
        found |= {name: integer(name, getattr(self, name), least) for name, least in INTEGERS.items()}
        found["mirostat"] = integer("mirostat_mode", self.mirostat_mode, 0, 2)
        found["dry_sequence_breakers"] = texts("dry_sequence_breakers", self.dry_sequence_breakers)
        found["penalty_last_n"] = integer("last_n_tokens_size", penalty_last_n, -1)
        found["logit_bias"] = biases(self.logit_bias)
        found["seed"] = seed
        if self.samplers is not None:
            found["samplers"] = texts("samplers", self.samplers)
        elif self.mirostat_mode:
            # llama-cpp-python's chain: its temperature does not enter.
            found["samplers"] = ["penalties", "mirostat"]
        return core.SamplerParams(**found)


def biases(logit_bias: Mapping[int, float] | None) -> list[tuple[int, float]]:
    given = {} if logit_bias is None else logit_bias
    if not isinstance(given, Mapping):
        raise wrong_type("logit_bias", given, "a dict from token id to bias")
    return [
        (integer("logit_bias: token id", token_id(token), 0), number("logit_bias", value))
        for token, value in given.items()
    ]


def token_id(key: object) -> object:
    """A key of `logit_bias`: JSON has texts for keys."""
    return int(key) if isinstance(key, str) and key.isdecimal() else key
