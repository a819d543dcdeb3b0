"""Models of huggingface.co, through the package `huggingface_hub`: its cache, its tokens, its endpoint."""

import fnmatch
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from puna.errors import ArgumentError, MissingFileError, UnsupportedError

# The parts of a split model: NAME-00001-of-00003.gguf.
PART = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")


def download(
    repo_id: str,
    filename: str | None = None,
    additional_files: Sequence[str] = (),
    local_dir: str | os.PathLike[str] | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
) -> Path:
    """The path of a model file of a repository, downloaded where it is not there yet.

    `filename` is a name or a pattern that exactly one file matches, by default `*.gguf`. Of a split model
    it names the first part; the others come with it, and so does what matches `additional_files`.
    """
    names = files(repo_id)
    first = matching(repo_id, filename or "*.gguf", names)
    wanted = [*parts(first), *(matching(repo_id, pattern, names) for pattern in additional_files)]
    paths = [
        hub().hf_hub_download(repo_id=repo_id, filename=name, local_dir=local_dir, cache_dir=cache_dir)
        for name in wanted
    ]
    return Path(paths[0])


def files(repo_id: str) -> list[str]:
    """The files of a repository."""
    module = hub()
    try:
        return list(module.HfApi().list_repo_files(repo_id))
    except module.errors.HfHubHTTPError as error:
        raise MissingFileError(f"{repo_id}: {error}") from error
    except module.errors.HFValidationError as error:
        raise ArgumentError(f"repo_id = {repo_id!r}, expected user/repository: {error}") from error


def matching(repo_id: str, pattern: str, names: Sequence[str]) -> str:
    """The one name that matches; of a split model the first part stands for all."""
    found = [name for name in names if fnmatch.fnmatch(name, pattern)]
    firsts = [name for name in found if (part := PART.search(name)) is None or part[1] == "00001"]
    if len(found) == 1 or len(firsts) == 1:
        return found[0] if len(found) == 1 else firsts[0]
    shown = ", ".join(found or names[:40]) or "none"
    what = "several files match" if found else "no file matches; there are"
    raise ArgumentError(f"filename = {pattern!r} in {repo_id}: {what}: {shown}; expected one")


def parts(name: str) -> list[str]:
    """The files of a model whose first part has this name."""
    part = PART.search(name)
    if part is None:
        return [name]
    return [f"{name[: part.start()]}-{i:05}-of-{part[2]}.gguf" for i in range(1, int(part[2]) + 1)]


def hub() -> Any:
    try:
        import huggingface_hub
        import huggingface_hub.errors
    except ImportError as error:
        raise UnsupportedError(
            "models of huggingface.co need the package huggingface_hub: pip install huggingface_hub"
        ) from error
    return huggingface_hub
