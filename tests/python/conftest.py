"""What all Python tests share: test data, and which tests need more than a browser tab has."""

import functools
import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
IN_PYODIDE = sys.platform == "emscripten"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    skip = pytest.mark.skip(reason="needs threads, processes or sockets, which a browser tab has not")
    for item in items:
        if IN_PYODIDE and item.get_closest_marker("native"):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of test data that is not in the repository: $PUNA_DATA, else ../shared/data."""
    folder = Path(os.environ.get("PUNA_DATA", ROOT.parent / "shared/data"))
    if not folder.is_dir():
        pytest.skip(f"no test data at {folder} (set PUNA_DATA)")
    return folder


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of small golden files, each with the script that made it."""
    return ROOT / "tests/golden"


@pytest.fixture(scope="session")
def stories(data: Path) -> Path:
    """A trained model of 260,000 parameters, F32, without a chat template."""
    return data / "models/stories260K.gguf"


@pytest.fixture(scope="session")
def tiny() -> bytes:
    """A model with random weights and a vocabulary of bytes: for what does not depend on sense."""
    from puna._native import core

    return core.tiny_model()


@pytest.fixture(scope="session")
def bundled() -> Path:
    """The model that comes with the package."""
    import puna

    try:
        return puna.bundled()
    except puna.PunaError as error:
        pytest.skip(str(error))


@pytest.fixture
def llm(tiny: bytes):
    """The tiny random model, opened."""
    import puna

    with puna.Llama(tiny, n_ctx=128, seed=1) as llm:
        yield llm


@pytest.fixture(scope="session")
def f32_cache() -> dict:
    """Options under which a batch and single tokens give the same: they sum in another order, and in a cache of
    f16 the last bits would tip what is rounded."""
    return {"n_ctx": 64, "type_k": "f32", "type_v": "f32", "seed": 1}


@pytest.fixture
def fast(tiny: bytes, f32_cache: dict):
    """The tiny model, whose `generate` is a request among others."""
    import puna

    with puna.Llama(tiny, **f32_cache) as llm:
        yield llm


@pytest.fixture
def every(tiny: bytes, f32_cache: dict):
    """The same with `logits_all`, whose `generate` evaluates by hand."""
    import puna

    with puna.Llama(tiny, **f32_cache, logits_all=True) as llm:
        yield llm


@pytest.fixture
def hub(tiny, tmp_path, monkeypatch):
    """A hub, which the package huggingface_hub of this process takes for its own."""
    from hub_server import Hub, use
    from huggingface_hub import constants

    found = Hub()
    found.files = {
        "README.md": b"#",
        "m-Q8_0.gguf": tiny + b"8",
        "m-Q4_K_M.gguf": tiny,
        "mmproj-m-Q4_K_M.gguf": b"x",
    }
    found.home = tmp_path / "home"
    found.environment = os.environ | {
        "HF_ENDPOINT": found.url, "HF_HOME": str(found.home), "HF_TOKEN": "hf_secret", "HF_HUB_DISABLE_XET": "1",
    }  # fmt: skip
    use(monkeypatch, found.url)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(found.home / "hub"))
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    yield found
    found.close()


@pytest.fixture
def puna_(capsys):
    """Runs a command; answers exit code, text, and notes."""
    from puna.cli import main

    def run(*arguments):
        try:
            code = main([str(a) for a in arguments])
        except SystemExit as end:
            code = end.code
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def pull(hub, puna_):
    """Pulls in this process; answers exit code, text and errors."""
    return functools.partial(puna_, "pull")
