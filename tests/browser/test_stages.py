"""tools/test.py: the closing lines that it counts, and what makes it fail."""

import importlib.util
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "tools/test.py"
spec = importlib.util.spec_from_file_location("stages", SOURCE)
stages = importlib.util.module_from_spec(spec)
sys.modules["stages"] = stages  # where dataclass looks for the module of its class
spec.loader.exec_module(stages)

LINES = [
    ("test result: ok. 12 passed; 0 failed; 3 ignored; 0 measured; 0 filtered out", (12, 0, 3)),
    ("test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out", (1, 2, 0)),
    ("======= 1 failed, 14 passed, 1 skipped in 0.31s =======", (14, 1, 1)),
    ("\x1b[32m====== \x1b[32m\x1b[1m2 passed\x1b[0m, 1 error in 61.2s (0:01:01) ======\x1b[0m", (2, 1, 0)),
    ("5 passed, 0 failed", (5, 0, 0)),
    ("neon: 5 passed, 1 failed, 2 skipped", (5, 1, 2)),
    ("ℹ pass 7", (7, 0, 0)),
    ("# fail 1", (0, 1, 0)),
    ("all 3 passed my exam", (0, 0, 0)),
    ("running 12 tests", (0, 0, 0)),
]


@pytest.mark.parametrize(("line", "expected"), LINES)
def test_closing_lines_are_counted(line, expected):
    found = stages.count(line + "\n")
    assert tuple(found.get(key, 0) for key in ("passed", "failed", "skipped")) == expected


def run_stages(monkeypatch, tmp_path, capsys, *table):
    monkeypatch.setattr(stages, "STAGES", list(table))
    monkeypatch.setattr(stages, "LOGS", tmp_path)
    code = stages.main([])
    return code, capsys.readouterr().out


def test_a_failed_stage_fails_the_run_and_stops_what_needs_it(monkeypatch, tmp_path, capsys):
    first = stages.Stage("first", "breaks", ["sh", "-c", "exit 3"])
    second = stages.Stage("second", "needs it", ["sh", "-c", "echo never"], needs=("first",))
    third = stages.Stage("third", "does not", ["sh", "-c", "echo 4 passed, 0 failed"])
    code, out = run_stages(monkeypatch, tmp_path, capsys, first, second, third)
    assert code == 1
    assert "FAILED (exit 3)" in out and "not run: first failed" in out and "never" not in out
    assert out.splitlines()[-1] == "4 passed, 2 failed, 0 skipped"


def test_a_stage_without_its_file_is_skipped_with_the_reason(monkeypatch, tmp_path, capsys):
    stage = stages.Stage("absent", "is not there", ["false"], only_if="no/such/file")
    code, out = run_stages(monkeypatch, tmp_path, capsys, stage)
    assert code == 0
    assert "skipped: no no/such/file" in out


def test_an_unknown_stage_is_refused_with_the_names_there_are():
    with pytest.raises(SystemExit, match="no stage nonsense; there are: tools build"):
        stages.main(["nonsense"])
