"""`devices()`: what there is to compute on."""

from dataclasses import dataclass
from typing import Any

from puna._native import core
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


def cpu() -> Device:
    facts = core.cpu()
    return Device("cpu", f"cpu {facts['isa']}", facts)
