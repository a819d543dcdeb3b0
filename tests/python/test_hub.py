"""`puna pull`, `puna list` and `puna.hub`: what is fetched, and what is there already."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hub_server import COMMIT, REPO, bytes_of, path_of, use

import puna
import puna.hub
from puna.cli import main

pytestmark = pytest.mark.native
pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")


def test_a_model_is_pulled_once(hub, pull):
    path = path_of(pull(f"{REPO}:Q8_0"))
    assert path.endswith(f"/snapshots/{COMMIT}/m-Q8_0.gguf")
    assert bytes_of(path) == hub.files["m-Q8_0.gguf"]
    assert path_of(pull(f"{REPO}:q8_0")) == path
    assert len(hub.requests) == 1


def test_the_token_goes_to_the_hub_alone(hub, pull):
    pull(REPO)
    assert [authorization for *_, authorization in hub.requests] == [None]


def test_without_a_quant_it_is_llama_cpps_choice(hub, pull):
    assert path_of(pull(REPO)).endswith("/m-Q4_K_M.gguf")
    assert path_of(pull(f"{REPO}:latest")).endswith("/m-Q4_K_M.gguf")
    del hub.files["m-Q4_K_M.gguf"]
    assert path_of(pull(REPO)).endswith("/m-Q8_0.gguf")
    assert path_of(pull(REPO, "-hff", "mmproj*")).endswith("/mmproj-m-Q4_K_M.gguf")


def test_a_split_model_is_pulled_whole(hub, pull):
    for i in (1, 2, 3):
        hub.files[f"big/b-Q6_K-0000{i}-of-00003.gguf"] = bytes([i])
    path = path_of(pull(f"{REPO}:Q6_K"))
    assert path.endswith("/big/b-Q6_K-00001-of-00003.gguf")
    assert [bytes_of(path.replace("00001-of", f"0000{i}-of")) for i in (1, 2, 3)] == [
        b"\1",
        b"\2",
        b"\3",
    ]


def test_files_may_go_into_a_folder(hub, pull, tmp_path):
    for _ in range(2):
        assert path_of(pull(REPO, "--local-dir", tmp_path / "here")) == str(tmp_path / "here/m-Q4_K_M.gguf")
    assert [p.name for p in (tmp_path / "here").iterdir()] == ["m-Q4_K_M.gguf"]
    assert len(hub.requests) == 1


def test_what_was_pulled_is_there_without_the_hub(hub, pull):
    path = path_of(pull(REPO))
    assert path_of(pull(REPO, "--offline")) == path
    hub.status = 503
    hub.requests.clear()
    assert pull(f"{REPO}:Q8_0", "--offline")[0] == 1
    assert hub.requests == []


def test_where_nobody_answers_the_cache_does(hub, pull, monkeypatch):
    path = path_of(pull(REPO))
    use(monkeypatch, "http://127.0.0.1:9")
    assert path_of(pull(REPO)) == path
    code, _, err = pull("user/other")
    assert code == 1
    assert err.startswith("puna: error: user/other: http://127.0.0.1:9 could not be reached: ")
    assert "HF_ENDPOINT" in err
    assert "opened by its path" in err  # from Python too: no flag
    assert err.count("\n") == 1


def test_where_the_hub_must_not_be_asked_the_cache_answers(hub, pull):
    path = path_of(pull(REPO))
    refused = "puna: error: user/other is not here yet, and HF_HUB_OFFLINE forbids to fetch it\n"
    for model, answer in ((REPO, (0, f"{path}\n", "")), ("user/other", (1, "", refused))):
        command = [sys.executable, "-m", "puna", "pull", model]
        environment = hub.environment | {"HF_HUB_OFFLINE": "1"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout, done.stderr) == answer


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("user/nothing", "no such repository"),
        (f"{REPO}:Q2_K", "no such file; there are m-Q8_0.gguf, m-Q4_K_M.gguf"),
        (f"{REPO} -hff *.gguf", "several files match"),
        (f"{REPO} -hff nothing.gguf", "no file matches; there are: README.md"),
        ("model", "'model', expected user/repository"),
        (f"{REPO}:", "expected user/repository or user/repository:quant"),
        ("user/other --offline", "is not in the cache"),
    ],
)
def test_what_cannot_be_pulled_is_said_in_a_line(arguments, says, pull):
    code, out, err = pull(*arguments.split())
    assert (code, out) == (2 if "expected user/repo" in says else 1, "")
    assert err.startswith("puna: error: ")
    assert err.count("\n") == 1
    assert says in err


def test_commands_take_models_of_the_hub(hub, capsys):
    assert main(["info", "-hf", f"{REPO}:Q4_K_M", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["model"]["arch"] == "llama"
    assert main(["run", "-hf", REPO, "-no-cnv", "-n", "1", "a"]) == 0
    for word in (f"{REPO}:Q8_0", f"hf.co/{REPO}", f"https://huggingface.co/{REPO}:latest"):
        assert main(["run", word, "-no-cnv", "-n", "1", "a"]) == 0
        assert main(["info", word]) == 0
        assert capsys.readouterr().out.startswith("a")
    assert main(["run", "-hf", REPO, "-m", "b.gguf", "a"]) == 2
    assert "models by -m b.gguf and -hf user/model, expected one" in capsys.readouterr().err
    assert main(["run", "-hff", "b.gguf", "a"]) == 2
    assert "-hff b.gguf, expected -hf with it" in capsys.readouterr().err


def test_what_was_pulled_is_listed(hub, pull, capsys):
    assert main(["list"]) == 0
    out, err = capsys.readouterr()
    assert (out, err.endswith("puna pull user/repository fetches one\n")) == ("", True)
    for i in (1, 2):
        hub.files[f"big/b-Q6_K-0000{i}-of-00002.gguf"] = bytes(10 * i)
    paths = [path_of(pull(f"{REPO}:{quant}")) for quant in ("Q4_K_M", "Q6_K", "Q8_0")]
    assert main(["list", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [model["name"] for model in found] == [f"{REPO}:Q4_K_M", f"{REPO}:Q6_K", f"{REPO}:Q8_0"]
    assert [model["path"] for model in found] == paths
    assert [model["n_bytes"] for model in found] == [
        len(hub.files["m-Q4_K_M.gguf"]),
        30,
        len(hub.files["m-Q8_0.gguf"]),
    ]
    assert main(["list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        model["name"] for model in found
    ]


def test_from_pretrained_opens_a_model_of_the_hub(hub):
    with puna.Llama.from_pretrained(REPO, "*Q8_0.gguf", n_ctx=16) as llm:
        assert llm.n_vocab() > 0


@pytest.mark.parametrize("forbidden", [False, True], ids=["nobody answers", "HF_HUB_OFFLINE"])
@pytest.mark.parametrize("elsewhere", [False, True], ids=["usual cache", "cache_dir"])
def test_from_pretrained_takes_what_is_in_the_cache(hub, monkeypatch, tmp_path, forbidden, elsewhere):
    from huggingface_hub import constants

    where = {"cache_dir": tmp_path / "elsewhere"} if elsewhere else {}
    path = Path(puna.hub.download(REPO, "*Q8_0.gguf", **where))
    use(monkeypatch, "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", forbidden)
    for filename in ("*Q8_0.gguf", "m-Q8_0.gguf", None):
        with puna.Llama.from_pretrained(REPO, filename, **where, n_ctx=16) as llm:
            assert Path(llm.model_path) == path
    with pytest.raises(
        puna.errors.ArgumentError, match=r"in the cache of user/model: no file matches; .* m-Q8"
    ):
        puna.Llama.from_pretrained(REPO, "*Q4_K_M.gguf", **where)
    with pytest.raises(
        puna.errors.DownloadError, match="HF_HUB_OFFLINE" if forbidden else "could not be reached"
    ):
        puna.Llama.from_pretrained("user/other", "*.gguf", **where)


def test_names_that_leave_the_folder_are_refused(hub, pull, tmp_path):
    hub.files = {"../../m-Q4_K_M.gguf": b"x"}
    code, _, err = pull(REPO, "--local-dir", tmp_path / "a/b/c")
    assert code == 1
    assert "expected a name within the repository" in err


def test_without_the_package_its_name_is_said(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert main(["pull", REPO]) == 1
    assert "pip install 'puna[hub]'" in capsys.readouterr().err
