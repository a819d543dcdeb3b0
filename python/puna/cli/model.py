"""Flags that name a model and how it runs; llama.cpp's names."""

import argparse
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from puna.cli.parser import Parser, UsageError, count, file, number, override
from puna.cli.positional import looks_of_hub
from puna.cli.pull import add_hub, pulled, spec
from puna.cli.reading import read_text
from puna.cli.terminal import Progress, note
from puna.errors import ArgumentError, SoftwareDeviceWarning
from puna.formats import FORMATS
from puna.gguf import Reader
from puna.llama import Llama
from puna.options import KV_TYPES
from puna.sources import bundled

# A cache for all that a model was trained for may not fit in memory.
MOST_CTX = 4096

# llama.cpp's names of templates, where they differ.
TEMPLATES = {"llama2": "llama-2", "llama3": "llama-3"}


def add_model(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("model")
    group.add_argument(
        "-m", "--model", type=file, metavar="FILE", help="a GGUF file; default: the bundled tiny model"
    )
    group.add_argument(
        "-hf", "-hfr", "--hf-repo", type=spec, metavar="USER/REPOSITORY[:QUANT]",
        help="a model of huggingface.co, pulled where it is not there yet (see puna pull)",
    )  # fmt: skip
    add_hub(group)


def add_execution(parser: Parser) -> None:
    group = parser.add_argument_group("execution")
    group.add_argument(
        "-t", "--threads", type=threads, default=0, metavar="N", help="CPU threads; -1: one a core (default)"
    )
    group.add_argument(
        "-tb", "--threads-batch", type=threads, metavar="N", help="of prompts, which run on those of -t"
    )
    group.add_argument(
        "-ngl", "--gpu-layers", "--n-gpu-layers", type=layers, default=0, metavar="N",
        help="layers on the GPU: all or -1 for all; default: 0",
    )  # fmt: skip
    group.add_argument(
        "-b", "--batch-size", type=count(1), default=512, metavar="N",
        help="most tokens at once (default: %(default)s)",
    )  # fmt: skip
    group.add_argument(
        "-ub", "--ubatch-size", type=count(1), metavar="N", help="the same; the smaller counts"
    )
    add_cache_types(group)
    mapping = group.add_mutually_exclusive_group()
    mapping.add_argument("--mmap", action="store_true", default=True, help="map the file (default)")
    mapping.add_argument("--no-mmap", action="store_false", dest="mmap", help="read it instead")
    group.add_argument(
        "-fa", "--flash-attn", choices=("on", "off", "auto", "1", "0"), nargs="?",
        metavar="on|off|auto", help="taken, and the same either way",
    )  # fmt: skip
    group.add_argument(
        "--swa-full",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="keep what slides out of windows too (default); --no-swa-full: do not, on the CPU",
    )
    parser.agree("-kvo", "--kv-offload")
    add_overrides(group)
    group.add_argument("-v", "--verbose", action="store_true", help="say more, on standard error")


def add_cache_types(group: argparse._ArgumentGroup) -> None:
    types = [name for name in KV_TYPES if isinstance(name, str)]
    for what in "kv":
        group.add_argument(
            f"-ct{what}", f"--cache-type-{what}", choices=types, default="f16", metavar="TYPE",
            help=f"type of the {what} cache: {', '.join(types)} (default: f16)",
        )  # fmt: skip


def add_overrides(group: argparse._ArgumentGroup) -> None:
    """What is otherwise in the model's metadata."""
    group.add_argument(
        "--rope-freq-base", type=number(0), default=0.0, metavar="X", help="default: the model's"
    )
    scale = group.add_mutually_exclusive_group()
    scale.add_argument(
        "--rope-freq-scale", type=number(0), default=0.0, metavar="X", help="default: the model's"
    )
    scale.add_argument("--rope-scale", type=number(1e-9), metavar="X", help="1 / --rope-freq-scale")
    group.add_argument(
        "--override-kv", action="append", default=[], type=override, metavar="KEY=TYPE:VALUE",
        help="read the model as if its metadata said so; TYPE is int, float, bool or str",
    )  # fmt: skip


def add_template(parser: argparse._ActionsContainer) -> None:
    template = parser.add_mutually_exclusive_group()
    template.add_argument(
        "--chat-template",
        type=template_name,
        metavar="NAME",
        help="a known one (chatml, llama2, llama3, gemma, vicuna, ...) or Jinja; default: the model's",
    )
    template.add_argument("--chat-template-file", metavar="FILE", help="a file with the template, Jinja")


def threads(text: str) -> int:
    """A number of threads; 0 is one a core, as -1 is."""
    return max(0, count(-1, 1024)(text))


def template_name(text: str) -> str:
    """The name of a template as `Llama` has it, or Jinja as it is."""
    name = TEMPLATES.get(text, text)
    if name not in FORMATS and not is_jinja(text):
        raise argparse.ArgumentTypeError(f"{text!r}, expected Jinja or one of {', '.join(FORMATS)}")
    return name


def layers(text: str) -> int:
    if text == "all":
        return -1
    try:
        return count(-1)(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error}; all is all of them") from error


def path_of(given: argparse.Namespace) -> str:
    """The file of the flags; one of huggingface.co is pulled first."""
    if given.hf_repo and given.model:
        raise UsageError(f"models by -m {given.model} and -hf {given.hf_repo}, expected one")
    if given.model and looks_of_hub(given.model):
        hint = f"one of huggingface.co comes by -hf {given.model}"
        raise ArgumentError(f"{given.model}: No such file or directory; {hint}")
    if given.hf_repo:
        given.model = pulled(given, given.hf_repo)
        given.hf_repo = None
    elif given.hf_file and not given.model:
        raise UsageError(f"-hff {given.hf_file}, expected -hf with it: the repository")
    return given.model or str(bundled())


def load(given: argparse.Namespace, n_ctx: int | None = None, **options: Any) -> Llama:
    """The model of the flags. Without `n_ctx` what it was trained for, up to `MOST_CTX`."""
    if given.threads_batch not in (None, given.threads):
        note(
            f"-tb {given.threads_batch or -1}: prompts run on the threads of -t, {given.threads or 'one a core'}"
        )
    path = path_of(given)
    if n_ctx is None:
        metadata = Reader(path).metadata
        trained = metadata.get(f"{metadata.get('general.architecture')}.context_length")
        n_ctx = min(trained, MOST_CTX) if isinstance(trained, int) else MOST_CTX
    with warnings_as_notes():
        return Llama(
            path,
            n_ctx=n_ctx,
            n_threads=given.threads,
            n_gpu_layers=given.gpu_layers,
            n_batch=given.batch_size,
            n_ubatch=given.ubatch_size,
            type_k=given.cache_type_k,
            type_v=given.cache_type_v,
            use_mmap=given.mmap,
            swa_full=given.swa_full,
            rope_freq_base=given.rope_freq_base,
            rope_freq_scale=1 / given.rope_scale if given.rope_scale else given.rope_freq_scale,
            kv_overrides=dict(given.override_kv) | template_override(given),
            chat_format=chat_format(given),
            verbose=given.verbose,
            progress=Progress("loading"),
            **options,
        )


@contextmanager
def warnings_as_notes() -> Iterator[None]:
    """Says in a line what the package warns of, by the command line's names."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        found = warning.message
        if isinstance(found, SoftwareDeviceWarning):
            found = SoftwareDeviceWarning(found.device, "-ngl 0")
        note(str(found))


def chat_format(given: argparse.Namespace) -> str | None:
    """The name of a template; `None` for the model's, or one given in full."""
    given_name: str | None = getattr(given, "chat_template", None)
    return None if given_name is None or is_jinja(given_name) else given_name


def has_template(given: argparse.Namespace, llm: Llama) -> bool:
    """Whether there is a chat template: the model's, or one of the flags."""
    named = given.chat_template or given.chat_template_file
    return bool(named) or "tokenizer.chat_template" in llm.metadata


def require_template(given: argparse.Namespace, llm: Llama) -> None:
    if not has_template(given, llm):
        expected = f"--chat-template with Jinja or one of {', '.join(FORMATS)}"
        raise ArgumentError(f"{llm.model_path} has no chat template, expected {expected}")


def template_override(given: argparse.Namespace) -> dict[str, str]:
    """A template given in full, in the place of the model's."""
    text = getattr(given, "chat_template", None)
    if path := getattr(given, "chat_template_file", None):
        text = read_text(path)
    return {"tokenizer.chat_template": text} if text is not None and (path or is_jinja(text)) else {}


def is_jinja(text: str) -> bool:
    return "{{" in text or "{%" in text
