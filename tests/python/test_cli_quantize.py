"""`puna quantize`: the types it chooses, the files it writes, and what it refuses."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from math import prod

import pytest

import puna
from puna.cli import main
from puna.gguf import Reader


@pytest.fixture
def f16(tmp_path):
    """The names of a model, F16."""
    path = tmp_path / "f16.gguf"
    writer = puna.gguf.Writer({"general.architecture": "llama", "llama.block_count": 1})
    row = puna.quantize([i % 7 / 7 for i in range(256)], "F16")
    for name in ("token_embd.weight", "blk.0.attn_v.weight", "blk.0.ffn_down.weight", "output.weight"):
        writer.add_tensor(name, row * 4, "F16", shape=(256, 4))
    writer.write(path)
    return path


def quantize(*arguments):
    """The exit code of the command."""
    try:
        return main(["quantize", *map(str, arguments)])
    except SystemExit as end:
        return end.code


def types(path):
    return [tensor.dtype for tensor in Reader(path).tensors.values()]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("name", "grouped tied experts large falcon fused ragged odd".split())
def test_mixtures_are_those_of_llama_cpp(name, golden, tmp_path):
    model = json.loads((golden / "mixtures.json").read_text())[name]
    writer = puna.gguf.Writer(model["metadata"])
    for tensor, shape in model["tensors"].items():
        writer.add_tensor(tensor, bytes(4 * prod(shape)), "F32", shape=shape)
    writer.write(tmp_path / "model.gguf")
    for file_type, runs in model["types"].items():
        if file_type.startswith("IQ3"):
            continue  # no encoder: refused, see below
        steps = puna.quantize_file(tmp_path / "model.gguf", None, file_type)
        assert {s.name: s.dtype_after for s in steps} == dict(zip(model["tensors"], unrolled(runs))), (
            file_type
        )


def unrolled(runs):
    """`A*2 B` as A A B."""
    for run in runs.split():
        kind, _, n = run.partition("*")
        yield from [kind] * int(n or 1)


def test_a_file_is_written_and_summed_up(f16, tmp_path, capsys):
    out = tmp_path / "q.gguf"
    assert quantize(f16, out, "q4_k_m", 2) == 0
    assert types(out) == ["Q4_K", "Q6_K", "Q6_K", "Q6_K"]
    assert Reader(out).metadata["general.file_type"] == 15
    text, err = capsys.readouterr()
    assert f"{out}: " in text
    assert "16.00 bits each" in text
    assert err == ""


def test_without_out_the_file_is_named_by_its_type(f16, tmp_path):
    assert quantize(f16, "Q4_K", 1) == 0
    assert quantize(f16, "7") == 0
    assert names(tmp_path) == ["f16.gguf", "ggml-model-Q4_K_M.gguf", "ggml-model-Q8_0.gguf"]
    assert types(tmp_path / "ggml-model-Q8_0.gguf") == ["Q8_0"] * 4


def test_a_dry_run_writes_nothing(f16, tmp_path, capsys):
    assert quantize("--dry-run", f16, "Q4_K_S") == 0
    text = capsys.readouterr().out
    assert "blk.0.attn_v.weight    F16      -> Q5_K" in text
    assert names(tmp_path) == ["f16.gguf"]


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--pure"], ["Q4_K"] * 4),
        (["--leave-output-tensor"], ["Q4_K", "Q6_K", "Q6_K", "F16"]),
        (["--output-tensor-type", "q8_0"], ["Q4_K", "Q6_K", "Q6_K", "Q8_0"]),
        (["--token-embedding-type", "f32"], ["F32", "Q6_K", "Q6_K", "Q6_K"]),
        (
            ["--tensor-type", r"ATTN_V=q8_0", "--tensor-type", r"blk\.\d=q5_0"],
            ["Q4_K", "Q8_0", "Q5_0", "Q6_K"],
        ),
        (["--tensor-type", "output=q4_0", "--output-tensor-type", "q8_0"], ["Q4_K", "Q6_K", "Q6_K", "Q8_0"]),
    ],
)
def test_flags_change_types(flags, expected, f16, tmp_path):
    assert quantize(*flags, f16, tmp_path / "q.gguf", "Q4_K_M") == 0
    assert types(tmp_path / "q.gguf") == expected


def test_tensor_types_come_from_a_file_too(f16, tmp_path):
    (tmp_path / "types.txt").write_text("attn_v=Q8_0\nffn_down=q4_0 output=f16")
    assert quantize("--tensor-type-file", tmp_path / "types.txt", f16, tmp_path / "q.gguf", "Q6_K") == 0
    assert types(tmp_path / "q.gguf") == ["Q6_K", "Q8_0", "Q4_0", "F16"]


def test_a_copy_has_other_metadata_and_the_same_tensors(f16, tmp_path):
    flags = ["--override-kv", "general.name=str:mine: really", "--override-kv", "llama.block_count=int:2"]
    flags += ["--override-kv", "a.b=bool:true", "--override-kv", "a.c=float:0.5"]
    assert quantize(*flags, f16, tmp_path / "q.gguf", "COPY") == 0
    copy = Reader(tmp_path / "q.gguf")
    assert copy.metadata["general.name"] == "mine: really"
    assert [copy.metadata[key] for key in ("llama.block_count", "a.b", "a.c")] == [2, True, 0.5]
    assert "general.file_type" not in copy.metadata
    data = [[bytes(t.data) for t in Reader(path).tensors.values()] for path in (f16, tmp_path / "q.gguf")]
    assert data[0] == data[1]


def test_parts_stay_parts(golden, tmp_path, capsys):
    first = golden / "containers" / "split-00001-of-00003.gguf"
    assert quantize("--keep-split", "--allow-requantize", first, tmp_path / "q.gguf", "Q8_0") == 0
    n_parts = int(first.stem[-5:])
    assert names(tmp_path) == [f"q-{i:05}-of-{n_parts:05}.gguf" for i in range(1, n_parts + 1)]
    assert f"\n{tmp_path / names(tmp_path)[0]}: " in capsys.readouterr().out
    whole = Reader(tmp_path / names(tmp_path)[0])
    assert whole.tensors.keys() == Reader(first).tensors.keys()


@pytest.mark.parametrize("out", ["o", "o.gguf", "o.v2"])
def test_the_one_part_of_a_whole_model_is_summed_up_by_its_name(out, f16, tmp_path, capsys):
    assert quantize("--keep-split", f16, tmp_path / out, "Q4_0") == 0
    _, written = names(tmp_path)
    assert written == f"{out.removesuffix('.gguf')}-00001-of-00001.gguf"
    assert f"\n{tmp_path / written}: " in capsys.readouterr().out


def test_parts_do_not_replace_those_that_are_read(golden, tmp_path, capsys):
    first = golden / "containers" / "split-00001-of-00003.gguf"
    for part in first.parent.glob("split-*-of-*.gguf"):
        (tmp_path / part.name).write_bytes(part.read_bytes())
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    code = quantize("--keep-split", "--allow-requantize", tmp_path / first.name, tmp_path / "split", "Q8_0")
    assert code == 1
    assert "expected another file" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.native
def test_only_files_are_replaced_and_links_are_followed(f16, tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name, kind in (("pipe", "a device or a pipe"), ("folder", "a folder")):
        assert quantize(f16, tmp_path / name, "Q8_0") == 1
        assert f"{name}: what is there is {kind}, expected a file" in capsys.readouterr().err
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    (tmp_path / "target.gguf").write_bytes(b"old")
    (tmp_path / "link.gguf").symlink_to("target.gguf")
    assert quantize(f16, tmp_path / "link.gguf", "Q8_0") == 0
    assert (tmp_path / "link.gguf").is_symlink()
    assert Reader(tmp_path / "target.gguf").tensors
    assert names(tmp_path) == ["f16.gguf", "folder", "link.gguf", "pipe", "target.gguf"]


def test_quantized_tensors_are_taken_on_request_only(f16, tmp_path, capsys):
    assert quantize(f16, tmp_path / "q8.gguf", "Q8_0") == 0
    assert quantize(tmp_path / "q8.gguf", tmp_path / "q4.gguf", "Q4_0") == 1
    assert "expected F32, F16 or BF16, or --allow-requantize\n" in capsys.readouterr().err
    assert quantize("--allow-requantize", tmp_path / "q8.gguf", tmp_path / "q4.gguf", "Q4_0") == 0


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ("IN", 2, "expected IN [OUT] TYPE [THREADS]"),
        ("IN out.gguf", 2, "expected IN [OUT] TYPE [THREADS]"),
        ("IN out.gguf Q4-K-M", 2, "TYPE: 'Q4-K-M', expected Q4_K_M"),
        ("IN q4km", 2, "TYPE: 'q4km', expected Q4_K_M"),
        ("IN out.gguf Q9_K", 2, "TYPE: 'Q9_K', expected one of F32 F16"),
        ("IN out.gguf Q8_0 many", 2, "'many', expected a whole number, 1 to 1024"),
        ("IN out.gguf Q8_0 1 2", 2, "expected IN [OUT] TYPE [THREADS]"),
        ("IN IN Q8_0", 1, "error: OUT: f16.gguf, expected another file than those that are read"),
        ("IN out.gguf IQ2_XXS", 2, "TYPE: 'IQ2_XXS' can be run but not made, expected one of F32"),
        ("IN out.gguf IQ3_M", 2, "TYPE: 'IQ3_M' can be run but not made"),
        ("nothing.gguf out.gguf Q8_0", 1, "nothing.gguf"),
        ("IN no/such/folder/out.gguf Q8_0", 1, "no/such/folder/out.gguf"),
        ("--imatrix a.dat IN out.gguf Q8_0", 2, "--imatrix is a flag of llama-quantize that Puna has not"),
        ("--prune-layers 1,2 IN out.gguf Q8_0", 2, "--prune-layers is a flag of llama-quantize"),
        ("--tensor-type a=q9 IN out.gguf Q8_0", 2, "'q9', expected one of F32 F16"),
        ("--tensor-type (=q4_0 IN out.gguf Q8_0", 2, "'(', expected a regular expression"),
        ("--output-tensor-type q9 IN out.gguf Q8_0", 2, "'q9', expected one of F32 F16"),
        ("--override-kv a=int:x IN out.gguf Q8_0", 2, "'a=int:x', expected KEY=TYPE:VALUE"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(arguments, code, says, f16, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert quantize(*arguments.replace("IN", "f16.gguf").split()) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("puna: error: ")
    assert err.count("\n") == 1
    assert says in err
    assert names(tmp_path) == ["f16.gguf"]


@pytest.mark.native
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_disk_leaves_no_file(f16, tmp_path):
    resource = pytest.importorskip("resource")
    command = [sys.executable, "-m", "puna", "quantize", f16, tmp_path / "q.gguf", "F32"]

    def few_bytes():  # a disk of 4 kB
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    done = subprocess.run(command, preexec_fn=few_bytes, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "q.gguf" in done.stderr
    assert done.stderr.count("\n") == 1
    assert names(tmp_path) == ["f16.gguf"]


@pytest.mark.native
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for a child")
def test_ctrl_c_leaves_no_file(tmp_path):
    source = tmp_path / "f16.gguf"
    writer = puna.gguf.Writer({"general.architecture": "llama"})
    row = puna.quantize([i % 7 / 7 for i in range(4096)], "F16")
    writer.add_tensor("blk.0.ffn_up.weight", row * 4096, "F16", shape=(4096, 4096))
    writer.write(source)
    command = [sys.executable, "-m", "puna", "quantize", source, tmp_path / "q.gguf", "Q3_K", "1"]
    default = lambda: signal.signal(signal.SIGINT, signal.default_int_handler)  # noqa: E731
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=default)
    deadline = time.monotonic() + 60
    while len(names(tmp_path)) < 2 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == b""
    assert names(tmp_path) == ["f16.gguf"]
