"""`puna.Session` on a GPU and on both: the same logits, states and sequences as on the CPU."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

DRIVERS = sorted(Path("/usr/share/vulkan/icd.d").glob("lvp_icd*.json"))
TOLERANCE = 1e-4  # another order of sums in f32, on logits of about 1
LAYERS = {"all": -1, "two-of-three": 2}

# A driver is chosen once a process, so this runs in one of its own; it prints differences by name.
PROGRAM = """
import json, sys
import puna
from puna._native import core

A, B, C = [5, 6, 7, 8], [9, 8], [20, 21, 22]
found = {}


def differ(name, one, other):
    pairs = zip(one.tolist(), other.tolist(), strict=True)
    found[name] = max(abs(x - y) for row in pairs for x, y in zip(*row, strict=True))


model = puna.Model(core.tiny_model())
options = {"n_ctx": 128, "n_seq_max": 4, "logits_all": True, "hidden": True, "type_k": "f32", "type_v": "f32"}
gpu, cpu = (puna.Session(model, n_gpu_layers=n, **options) for n in (int(sys.argv[1]), 0))
batch = {0: A, 3: B, 1: C}
rows = [session.eval(batch, all=True) for session in (gpu, cpu)]
for seq in batch:
    differ(f"logits of {seq}", rows[0][seq], rows[1][seq])
    differ(f"states of {seq}", gpu.hidden[seq], cpu.hidden[seq])


def both(name, tokens, change, seq):
    for session in (gpu, cpu):
        change(session)
    differ(name, *(session.eval({seq: tokens})[seq] for session in (gpu, cpu)))


both("copy", C, lambda session: session.copy(0, 2), 2)
both("remove", B, lambda session: session.remove(0, 2), 0)
both("shift", B, lambda session: session.shift(1, 0, 1), 1)
both("save and load", C, lambda session: session.load(session.save(3), 0), 0)
vectors = []
for n in (int(sys.argv[1]), 0):
    with puna.Llama(core.tiny_model(), embedding=True, pooling_type="mean", n_gpu_layers=n, type_k="f32",
                    type_v="f32") as llm:
        vectors.append(llm.embed("abc"))
found["embedding"] = max(abs(x - y) for x, y in zip(*vectors, strict=True))
print(json.dumps({"device": gpu.device, "found": found}))
"""


@pytest.mark.native
@pytest.mark.skipif(not DRIVERS, reason="the driver lavapipe is not installed")
@pytest.mark.parametrize("n_gpu_layers", LAYERS.values(), ids=LAYERS)
def test_it_is_the_same_on_a_gpu(n_gpu_layers):
    environment = os.environ | {"VK_ICD_FILENAMES": str(DRIVERS[0])}
    command = [sys.executable, "-c", PROGRAM, str(n_gpu_layers)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    assert "gpu" in answer["device"]
    assert len(answer["found"]) == 11
    assert {name: value for name, value in answer["found"].items() if value > TOLERANCE} == {}


WARNS = """
import contextlib, io, sys, warnings
import puna
from puna._native import core
from puna.cli import main

tiny = core.tiny_model()
for open_it in (puna.Llama, puna.Session):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        open_it(tiny, n_gpu_layers=-1).close()
        open_it(tiny).close()
    (warning,) = caught
    assert warning.category is puna.errors.SoftwareDeviceWarning
    assert "n_gpu_layers = 0 is far faster" in str(warning.message)
    assert warning.filename == "<string>"
open("tiny.gguf", "wb").write(tiny)
main(["run", "-m", "tiny.gguf", "-p", "a", "-n", "1", "-ngl", "all"])
"""


@pytest.mark.native
@pytest.mark.skipif(not DRIVERS, reason="the driver lavapipe is not installed")
def test_a_gpu_that_is_a_program_is_warned_of(tmp_path):
    environment = os.environ | {"VK_ICD_FILENAMES": str(DRIVERS[0])}
    environment.pop("PUNA_GPU_DEVICE", None)
    command = [sys.executable, "-c", WARNS]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    notes = [line for line in done.stderr.splitlines() if "plays one" in line]
    assert len(notes) == 1
    assert "-ngl 0 is far faster" in notes[0]
