"""Flags that say how tokens are chosen: llama.cpp's names, order and defaults.

A model file may have defaults of its own (`general.sampling.*`); a flag goes before them.
"""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from puna._native import core
from puna.cli.parser import count, number, unescaped
from puna.errors import ModelError, PunaError
from puna.options import RANDOM_SEED

# llama.cpp's letters.
LETTERS = {
    "e": "penalties", "d": "dry", "s": "top_n_sigma", "k": "top_k", "y": "typ_p", "p": "top_p", "m": "min_p",
    "x": "xtc", "t": "temperature", "i": "infill", "a": "adaptive_p",
}  # fmt: skip


@dataclass(frozen=True)
class Flag:
    """A number: its flags, what `Llama` calls it, and what it is where nothing else is said."""

    flags: str
    name: str
    parse: Callable[[str], Any]
    default: int | float
    help: str
    key: str = ""  # of `general.sampling.`, in files


def positive(text: str) -> float:
    """A number above 0, which something is divided by."""
    value = number()(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a number above 0")
    return value


FLAGS = (
    Flag("--temp --temperature", "temperature", number(), 0.8, "0: always the likeliest token", "temp"),
    Flag("--top-k", "top_k", count(-(2**31)), 40, "keep so many; 0: all", "top_k"),
    Flag("--top-p", "top_p", number(), 0.95, "keep the likeliest of so much probability; 1: off", "top_p"),
    Flag("--min-p", "min_p", number(), 0.05, "drop what is so much less likely than the best", "min_p"),
    Flag("--typical --typical-p", "typical_p", number(), 1.0, "locally typical sampling; 1: off"),
    Flag("--top-nsigma --top-n-sigma", "top_n_sigma", number(), -1.0, "keep within n sigma of the best; -1: off"),
    Flag("--xtc-probability", "xtc_probability", number(0, 1), 0.0, "exclude top choices; 0: off", "xtc_probability"),
    Flag("--xtc-threshold", "xtc_threshold", number(0), 0.1, "above 0.5: off", "xtc_threshold"),
    Flag("--repeat-penalty", "repeat_penalty", positive, 1.0, "1: off", "penalty_repeat"),
    Flag("--presence-penalty", "presence_penalty", number(), 0.0, "0: off"),
    Flag("--frequency-penalty", "frequency_penalty", number(), 0.0, "0: off"),
    Flag("--dry-multiplier", "dry_multiplier", number(), 0.0, "penalty of repeated sequences; 0: off"),
    Flag("--dry-base", "dry_base", number(), 1.75, "grows by this with every token"),
    Flag("--dry-allowed-length", "dry_allowed_length", count(0), 2, "longer repetitions are penalized"),
    Flag("--dry-penalty-last-n", "dry_penalty_last_n", count(-1), 64, "0: off; -1: the whole context"),
    Flag("--adaptive-target", "adaptive_target", number(), -1.0, "adaptive-p's probability; negative: off"),
    Flag("--adaptive-decay", "adaptive_decay", number(0, 0.99), 0.9, "how slowly it adapts"),
    Flag("--dynatemp-range", "dynatemp_range", number(0), 0.0, "temperature plus or minus this; 0: off"),
    Flag("--dynatemp-exp", "dynatemp_exponent", number(), 1.0, "exponent of the dynamic temperature"),
    Flag("--mirostat", "mirostat_mode", count(0, 2), 0, "1 or 2: Mirostat, which leaves out other samplers", "mirostat"),
    Flag("--mirostat-lr", "mirostat_eta", number(), 0.1, "its learning rate", "mirostat_eta"),
    Flag("--mirostat-ent", "mirostat_tau", number(), 5.0, "its target entropy", "mirostat_tau"),
)  # fmt: skip


def add_sampling(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("sampling")
    group.add_argument(
        "-s",
        "--seed",
        type=seed,
        default=RANDOM_SEED,
        metavar="N",
        help="-1: another one each time (default)",
    )
    for flag in FLAGS:
        names = flag.flags.split()
        kind = "N" if isinstance(flag.default, int) else "X"
        shown = f"{flag.help} (default: {flag.default})".replace("%", "%%")
        group.add_argument(*names, dest=flag.name, type=flag.parse, metavar=kind, help=shown)
    group.add_argument(
        "--repeat-last-n", type=count(-1), metavar="N", help="tokens penalized; -1: all (default: 64)"
    )
    group.add_argument(
        "--dry-sequence-breaker", action="append", metavar="TEXT",
        help="ends repeated sequences, instead of newline, colon, quote, star; none: nothing does",
    )  # fmt: skip
    order = group.add_mutually_exclusive_group()
    order.add_argument("--samplers", type=named, metavar="A;B;...", help="the samplers to run, in this order")
    order.add_argument(
        "--sampler-seq",
        "--sampling-seq",
        type=letters,
        metavar="LETTERS",
        help="the same (default: edskypmxt)",
    )
    group.add_argument(
        "-l", "--logit-bias", type=bias, action="append", metavar="TOKEN(+/-)X",
        help="make a token likelier or less so: 15043+1, 15043-inf",
    )  # fmt: skip
    group.add_argument("--ignore-eos", action="store_true", help="go on where the model would end the text")


def options(given: argparse.Namespace, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Keywords of `Llama.create_completion`."""
    found: dict[str, Any] = {flag.name: value_of(given, flag, metadata) for flag in FLAGS}
    found |= {"ignore_eos": given.ignore_eos, "samplers": samplers(given, found, metadata)}
    if given.logit_bias:
        found["logit_bias"] = dict(given.logit_bias)
    if given.dry_sequence_breaker is not None:
        texts = given.dry_sequence_breaker
        found["dry_sequence_breakers"] = [] if "none" in texts else texts
    return found


def last_n(given: argparse.Namespace, metadata: Mapping[str, Any]) -> int:
    """How many tokens are penalized."""
    if given.repeat_last_n is not None:
        return int(given.repeat_last_n)
    return int(checked("penalty_last_n", metadata, 64))


def value_of(given: argparse.Namespace, flag: Flag, metadata: Mapping[str, Any]) -> Any:
    value = getattr(given, flag.name)
    return checked(flag.key, metadata, flag.default) if value is None else value


def checked(key: str, metadata: Mapping[str, Any], default: int | float) -> int | float:
    """What the file says, where it does; a number of the default's kind."""
    value = metadata.get(f"general.sampling.{key}") if key else None
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ModelError(f"general.sampling.{key} = {value!r}, expected a number")
    return type(default)(value)


def samplers(given: argparse.Namespace, found: Mapping[str, Any], metadata: Mapping[str, Any]) -> Any:
    """The samplers to run; `None` for all, in llama.cpp's order."""
    if given.samplers is not None:
        return given.samplers
    if given.sampler_seq is not None:
        return given.sampler_seq
    if found["mirostat_mode"]:
        return ["temperature", "mirostat"]
    of_file = sequence_of(metadata)
    if found["adaptive_target"] >= 0:
        return [*(of_file or [LETTERS[letter] for letter in "edskypmxt"]), "adaptive_p"]
    return of_file


def sequence_of(metadata: Mapping[str, Any]) -> list[str] | None:
    """The samplers that a file wants."""
    sequence = metadata.get("general.sampling.sequence")
    try:
        return letters(sequence) if isinstance(sequence, str) else None
    except argparse.ArgumentTypeError as error:
        raise ModelError(f"general.sampling.sequence: {error}") from error


def named(text: str) -> list[str]:
    """Samplers by name, which the core knows."""
    names = [name for name in text.split(";") if name]
    try:
        core.Sampler(core.SamplerParams(samplers=[name for name in names if name != "infill"]), 1)
    except PunaError as error:  # infill alone looks at texts
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from error
    return names


def letters(text: str) -> list[str]:
    if wrong := [letter for letter in text if letter not in LETTERS]:
        raise argparse.ArgumentTypeError(f"{wrong[0]!r} in {text!r}, expected letters of {''.join(LETTERS)}")
    return [LETTERS[letter] for letter in text]


def seed(text: str) -> int:
    value = count(-1, RANDOM_SEED)(text)
    return RANDOM_SEED if value == -1 else value


def bias(text: str) -> tuple[int, float]:
    """A token and what its logit gets more."""
    place = max(text.find("+"), text.find("-"))
    token, value = text[:place], text[place:]
    try:
        if place < 1 or not token.isdecimal() or value in ("+nan", "-nan"):
            raise ValueError(text)
        return int(token), float(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a token id and a number: 15043+1") from None


def unescape(given: argparse.Namespace, *names: str) -> None:
    """Reads backslashes in texts of the command line, unless `--no-escape` says that they are just that."""
    for name in (*names, "dry_sequence_breaker"):
        value = getattr(given, name, None)
        if given.escape and isinstance(value, str):
            setattr(given, name, unescaped(value))
        elif given.escape and value:
            setattr(given, name, [unescaped(text) for text in value])
