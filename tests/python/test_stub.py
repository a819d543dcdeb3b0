"""The stub of the extension module says what the module has."""

import subprocess
import sys
from pathlib import Path

import pytest

# Python sees a buffer written in C from 3.12 on only.
ALLOWED = "puna\\._core\\.Array\\.__buffer__\n"


@pytest.mark.native
def test_the_stub_is_that_of_the_module(tmp_path):
    pytest.importorskip("mypy", reason="mypy is not installed")
    allowed = tmp_path / "allowed.txt"
    allowed.write_text(ALLOWED)
    command = [sys.executable, "-m", "mypy.stubtest", "puna._core", "--allowlist", str(allowed)]
    command += ["--ignore-unused-allowlist"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2] / "python")
    assert done.returncode == 0, done.stdout + done.stderr
