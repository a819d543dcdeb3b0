"""`puna list`: the models of huggingface.co that are here."""

import argparse
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from puna import hub
from puna.cli.info import size
from puna.cli.terminal import note

EPILOG = """examples:
  puna list                               name, size and path of what puna pull and -hf fetched
  puna run -hf user/repository:Q4_K_M     a name of the list runs
  puna list --json                        the same as a JSON list

`hf cache rm model/user/repository`, of the package huggingface_hub, deletes a model.
"""

# A quantization in the name of a file: model-Q4_K_M.gguf, model.f16.gguf.
QUANT = re.compile(r"[-._/]((?:I?Q|TQ)\d\w*|BF16|F16|F32|MXFP4\w*|NVFP4)(?=[-._])", re.IGNORECASE)


@dataclass(frozen=True)
class Model:
    """A model of the cache."""

    name: str  # as -hf takes it
    n_bytes: int  # of all parts
    path: str  # of the first part


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "list", help="list the models that were pulled", description=__doc__, epilog=EPILOG
    )
    parser.set_defaults(run=run)
    parser.add_argument("--json", action="store_true", help="print a JSON list")


def run(given: argparse.Namespace) -> int:
    found = sorted(models(), key=lambda model: model.name)
    if given.json:
        print(json.dumps([asdict(model) for model in found]))
        return 0
    if not found:
        note(f"no models in {hub.hub().constants.HF_HUB_CACHE}: puna pull user/repository fetches one")
    width = max((len(model.name) for model in found), default=0)
    for model in found:
        print(f"{model.name:{width}} {size(model.n_bytes):>10}  {model.path}")
    return 0


def models() -> Iterator[Model]:
    """The models of the cache; of several versions the one that was pulled last."""
    module = hub.hub()
    try:
        cache = module.scan_cache_dir(module.constants.HF_HUB_CACHE)
    except module.errors.CacheNotFound:
        return
    for repo in cache.repos:
        revision = max(repo.revisions, key=lambda revision: revision.last_modified, default=None)
        if repo.repo_type == "model" and revision is not None:
            yield from models_of(repo.repo_id, revision)


def models_of(repo_id: str, revision: Any) -> Iterator[Model]:
    """The models of a version of a repository."""
    root = revision.snapshot_path
    files = {file.file_path.relative_to(root).as_posix(): file for file in revision.files}
    for name in files:
        part = hub.PART.search(name)
        if not name.endswith(".gguf") or hub.BESIDE.search(name) or (part and part[1] != "00001"):
            continue
        parts = [files[other] for other in hub.parts(name) if other in files]
        quant = QUANT.findall(name)
        yield Model(
            name=f"{repo_id}:{quant[-1]}" if quant else repo_id,
            n_bytes=sum(file.size_on_disk for file in parts),
            path=str(files[name].file_path),
        )
