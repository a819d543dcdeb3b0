"""One text, every executor: each instruction set of the CPU, wgpu on software devices, and in a tab
both SIMD builds and WebGPU, say the same."""

import asyncio
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import puna
from puna.sources import IN_BROWSER

PROMPT = "Once upon a time"
# What llama.cpp answers, from the README of the data.
TEXT = (
    ", there was a little girl named Lily. She loved to play outside in the park. One day, she saw a big, "
    "red ball. She wanted to play with it, but it was too high."
)
LAVAPIPE = sorted(Path("/usr/share/vulkan/icd.d").glob("lvp_icd*.json"))
SWIFTSHADER = sorted(Path("/usr/lib/chromium").glob("vk_swiftshader_icd.json"))


@dataclass
class Executor:
    """Where a model runs: environment and layers on the GPU."""

    name: str
    environment: dict[str, str] = field(default_factory=dict)
    n_gpu_layers: int = 0
    missing: str = ""


def executors() -> list[Executor]:
    cpu = puna.devices()[0]
    found = [Executor(f"cpu-{isa}", {"PUNA_ISA": isa}) for isa in cpu.detail["isas"]]
    if IN_BROWSER:
        has_gpu = len(puna.devices()) > 1
        found.append(Executor("webgpu", {}, -1, "" if has_gpu else "this engine has no WebGPU"))
        return found
    for name, drivers in (("lavapipe", LAVAPIPE), ("swiftshader", SWIFTSHADER)):
        missing = "" if drivers else f"the driver {name} is not installed"
        environment = {"VK_ICD_FILENAMES": str(drivers[0]) if drivers else ""}
        found.append(Executor(f"wgpu-{name}", environment, -1, missing))
        if name == "lavapipe":  # the faster of the two
            found.append(Executor("wgpu-lavapipe-2-layers", environment, 2, missing))
    return found


async def answer(path: str, n_gpu_layers: int) -> dict:
    llm = await puna.Llama.aload(path, n_gpu_layers=n_gpu_layers, n_ctx=128)
    completion = await llm.acreate_completion(PROMPT, max_tokens=len(TEXT), temperature=0, stop=["high."])
    device = llm.device
    llm.close()
    return {"text": completion["choices"][0]["text"] + "high.", "device": device}


def run(executor: Executor, path: Path, monkeypatch: pytest.MonkeyPatch) -> dict:
    """In this process, or in one of its own where the driver is chosen: it is loaded once a process."""
    if "VK_ICD_FILENAMES" not in executor.environment:
        for name, value in executor.environment.items():
            monkeypatch.setenv(name, value)
        return asyncio.run(answer(str(path), executor.n_gpu_layers))
    command = [sys.executable, __file__, str(path), str(executor.n_gpu_layers)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | executor.environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("version", ["stories260K.gguf", "stories260K-v1.gguf"])
@pytest.mark.parametrize("executor", executors(), ids=lambda executor: executor.name)
def test_stories_continue_as_in_llama_cpp(executor, version, data, monkeypatch):
    if executor.missing:
        pytest.skip(executor.missing)
    found = run(executor, data / "models" / version, monkeypatch)
    assert found["text"] == TEXT
    kind = "gpu" if executor.n_gpu_layers else executor.environment["PUNA_ISA"]
    assert kind in found["device"].lower()


if __name__ == "__main__":
    print(json.dumps(asyncio.run(answer(sys.argv[1], int(sys.argv[2])))))
