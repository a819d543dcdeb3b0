"""What the README shows runs, and what it lists is what there is."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from puna._native import core

PATH = Path(__file__).parents[2] / "README.md"
README = PATH.read_text(encoding="utf-8") if PATH.exists() else ""  # a tab has the tests alone
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
pytestmark = pytest.mark.native

# One is for a browser tab, with the address of a model left open.
PROGRAMS = [block for block in BLOCKS if "await" not in block]


def test_the_readme_has_programs():
    assert len(PROGRAMS) == 3


@pytest.mark.parametrize("program", PROGRAMS, ids=range(len(PROGRAMS)))
def test_a_program_runs(program, bundled, tmp_path):
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize("name", core.architectures())
def test_an_architecture_is_listed(name):
    assert f"`{name}`" in README


def test_every_tensor_type_is_listed_and_no_other():
    (row,) = re.findall(r"^\| tensor types \| (.*) \|$", README, re.MULTILINE)
    assert set(row.split(", ")) == {name for name, *_, can_decode, _ in core.dtypes() if can_decode}
