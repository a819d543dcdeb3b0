"""`devices()`: what there is to compute on."""

import os
import warnings
from dataclasses import dataclass
from typing import Any

from puna._native import core
from puna.errors import SoftwareDeviceWarning
from puna.sources import IN_BROWSER


@dataclass(frozen=True)
class Device:
    """A CPU or GPU. `detail` is what is known besides, by name."""

    type: str  # "cpu" or "gpu"
    name: str
    detail: dict[str, Any]


def devices() -> list[Device]:
    """The CPU, then the GPUs; the first of them is the one that `n_gpu_layers` takes (another by a part
    of its name in the environment variable PUNA_GPU_DEVICE)."""
    found = [cpu(), *(Device("gpu", facts.pop("name"), facts) for facts in core.gpus())]
    if IN_BROWSER:
        from puna import browser

        found += [Device("gpu", "webgpu", {"backend": "webgpu"})] if browser.has_webgpu() else []
    return found


def warn_of_software(session: core.Session) -> None:
    """Says so where the GPU that was opened is a program on the CPU, unless it was asked for by name."""
    if session.is_software and not os.environ.get("PUNA_GPU_DEVICE"):
        warnings.warn(SoftwareDeviceWarning(session.device), stacklevel=3)


def warn_of_threads(n_threads: int | None, n_threads_batch: int | None) -> None:
    """Says which number counts where another one was asked for prompts than for generation."""
    if n_threads_batch and n_threads_batch != (n_threads or core.cpu()["threads"]):
        same = "prompt and generation run on the same threads"
        message = f"n_threads_batch = {n_threads_batch}: {same}, n_threads = {n_threads or n_threads_batch}"
        warnings.warn(message, RuntimeWarning, stacklevel=3)


def cpu() -> Device:
    facts = core.cpu()
    return Device("cpu", f"cpu {facts['isa']}", facts)
