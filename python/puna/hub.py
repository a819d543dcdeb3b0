"""Models of huggingface.co, through the package `huggingface_hub`: its cache, its tokens, its endpoint
(`HF_HOME`, `HF_TOKEN`, `HF_ENDPOINT`).

A file comes into a `.part` beside its place, where the next try goes on after an interruption; it gets its
name when its size and its hash are those that the server promised.
"""

import fnmatch
import glob
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias
from urllib.parse import urlparse

from puna.errors import ArgumentError, DownloadError, MissingFileError, UnsupportedError

# The parts of a split model: NAME-00001-of-00003.gguf.
PART = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")
# The ids of files: a SHA-256 of large ones, git's of small ones. They name files of the cache.
HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
# GGUF files that are no models of text by themselves.
BESIDE = re.compile(r"(^|[-._/])(mmproj|imatrix)([-._]|$)", re.IGNORECASE)
# What llama.cpp takes where nothing is said.
QUANT = "Q4_K_M"

Folder: TypeAlias = str | os.PathLike[str] | None


def pull(
    spec: str,
    filename: str | None = None,
    *,
    token: str | None = None,
    local_dir: Folder = None,
    offline: bool = False,
) -> Path:
    """The path of the model that `spec` names, `user/repository[:quant]`, downloaded where it is not there
    yet. Without a `quant` (`Q8_0`, say) it is Q4_K_M's file, or else the first; `filename` names one instead.
    """
    repo_id, quant = split(spec)
    names, offline = listed(repo_id, token, None, offline)
    first = matching(repo_id, filename, names) if filename else of_quant(repo_id, quant, names)
    return fetch_all(repo_id, parts(first), token=token, local_dir=local_dir, offline=offline)[0]


def split(spec: str) -> tuple[str, str]:
    """The repository and the quantization of `user/repository[:quant]`; that is empty where it is left open."""
    repo_id, _, quant = spec.partition(":")
    user, _, name = repo_id.partition("/")
    if not user or not name or "/" in name or spec.endswith(":"):
        raise ArgumentError(f"{spec!r}, expected user/repository or user/repository:quant")
    return repo_id, "" if quant == "latest" else quant


def download(
    repo_id: str,
    filename: str | None = None,
    additional_files: Sequence[str] = (),
    local_dir: Folder = None,
    cache_dir: Folder = None,
) -> Path:
    """The path of a model file of a repository, downloaded where it is not there yet.

    `filename` is a name or a pattern that exactly one file matches, by default `*.gguf`. Of a split model
    it names the first part; the others come with it, and so does what matches `additional_files`.
    """
    names, offline = listed(repo_id, None, cache_dir, offline=False)
    place = f"the cache of {repo_id}" if offline else repo_id
    first = matching(place, filename or "*.gguf", names)
    wanted = [*parts(first), *(matching(place, pattern, names) for pattern in additional_files)]
    return fetch_all(repo_id, wanted, local_dir=local_dir, cache_dir=cache_dir, offline=offline)[0]


def listed(repo_id: str, token: str | None, cache_dir: Folder, offline: bool) -> tuple[list[str], bool]:
    """The files of a repository, and whether they are those of the cache alone (`offline`): where nobody
    answers, or may not be asked (HF_HUB_OFFLINE), what was fetched before will do."""
    try:
        return (cached_files(repo_id, cache_dir) if offline else files(repo_id, token)), offline
    except DownloadError:
        if not (cache(repo_id, cache_dir) / "refs/main").exists():
            raise
        return cached_files(repo_id, cache_dir), True


def files(repo_id: str, token: str | None = None) -> list[str]:
    """The files of a repository."""
    module = hub()
    with explained(repo_id):
        return [file.rfilename for file in module.HfApi().model_info(repo_id, token=token).siblings or ()]


def cached_files(repo_id: str, cache_dir: Folder = None) -> list[str]:
    """The files of a repository that are in the cache."""
    folder = cache(repo_id, cache_dir)
    try:
        commit = (folder / "refs/main").read_text()
    except OSError as error:
        found = f"{repo_id} is not in the cache {folder.parent}"
        raise MissingFileError(f"{found}, expected a model that was pulled before") from error
    snapshot = folder / "snapshots" / commit
    return sorted(p.relative_to(snapshot).as_posix() for p in snapshot.rglob("*") if p.is_file())


def of_quant(repo_id: str, quant: str, names: Sequence[str]) -> str:
    """The file of a quantization, or of the usual one; of a split model the first part."""
    models = [name for name in names if name.endswith(".gguf") and not BESIDE.search(name)]
    firsts = [name for name in models if (part := PART.search(name)) is None or part[1] == "00001"]
    wanted = re.compile(rf"(^|[-._/]){re.escape(quant or QUANT)}([-._/]|$)", re.IGNORECASE)
    found = [name for name in firsts if wanted.search(name)]
    if not firsts:
        shown = ", ".join(names[:40]) or "none"
        raise MissingFileError(f"{repo_id}: no GGUF file of a model; there are {shown}")
    if not found and quant:
        raise MissingFileError(f"{repo_id}:{quant}: no such file; there are {', '.join(firsts[:40])}")
    return (found or firsts)[0]


def matching(place: str, pattern: str, names: Sequence[str]) -> str:
    """The one name that matches; of a split model the first part stands for all. `place` has the names."""
    found = [name for name in names if fnmatch.fnmatch(name, pattern)]
    firsts = [name for name in found if (part := PART.search(name)) is None or part[1] == "00001"]
    if len(found) == 1 or len(firsts) == 1:
        return found[0] if len(found) == 1 else firsts[0]
    shown = ", ".join(found or names[:40]) or "none"
    what = "several files match" if found else "no file matches; there are"
    raise ArgumentError(f"filename = {pattern!r} in {place}: {what}: {shown}; expected one")


def parts(name: str) -> list[str]:
    """The files of a model whose first part has this name."""
    part = PART.search(name)
    if part is None:
        return [name]
    return [f"{name[: part.start()]}-{i:05}-of-{part[2]}.gguf" for i in range(1, int(part[2]) + 1)]


def fetch_all(
    repo_id: str,
    names: Sequence[str],
    *,
    token: str | None = None,
    local_dir: Folder = None,
    cache_dir: Folder = None,
    offline: bool = False,
) -> list[Path]:
    """The paths of files, fetched where they are not there yet."""
    module = hub()
    with explained(repo_id):
        if local_dir is not None and not offline:
            return [fetch(repo_id, name, token, Path(local_dir) / checked(repo_id, name)) for name in names]
        for name in names if not offline else ():
            fetch(repo_id, name, token, None, cache_dir)
        options = {"token": token, "cache_dir": cache_dir, "local_files_only": offline}
        return [Path(module.hf_hub_download(repo_id, name, **options)) for name in names]


def fetch(repo_id: str, name: str, token: str | None, place: Path | None, cache_dir: Folder = None) -> Path:
    """Brings a file to its place, or into the cache as the hub's package keeps it there: by its hash."""
    module = hub()
    url = module.hf_hub_url(repo_id, name)
    promised = module.get_hf_file_metadata(url, token=token)
    if promised.etag is None or not HASH.fullmatch(promised.etag):
        raise DownloadError(
            f"{repo_id}/{name}: ETag {promised.etag!r}, expected a SHA-256 or git's id of a file"
        )
    blob: Path = cache(repo_id, cache_dir) / "blobs" / promised.etag
    if place is None:
        # Larger files come another way, which only the package itself knows.
        if blob.exists() or (promised.size or 0) > module.constants.MAX_HTTP_DOWNLOAD_SIZE:
            return blob
        place = blob
    elif (
        place.exists() and place.stat().st_size == promised.size and digest(place, promised) == promised.etag
    ):
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_name(f".{place.name}.{promised.etag[:8]}.part")
    with module.utils.WeakFileLock(place.with_name(f".{place.name}.lock")):
        for other in place.parent.glob(f".{glob.escape(place.name)}.????????.part"):
            if other != part:  # of a version that the server had before
                other.unlink()
        if place != blob or not blob.exists():
            receive(repo_id, name, promised, part, token)
            part.replace(place)
    place.with_name(f".{place.name}.lock").unlink(missing_ok=True)
    return place


def receive(repo_id: str, name: str, promised: Any, part: Path, token: str | None) -> None:
    """Fetches what is missing of `part`. Error: it has not the size or the hash promised; then it goes."""
    module = hub()
    headers = module.utils.build_hf_headers(token=token)
    if urlparse(promised.location).netloc != urlparse(module.constants.ENDPOINT).netloc:
        headers.pop("authorization", None)  # other servers need not know the token
    if part.exists() and promised.size is not None and part.stat().st_size > promised.size:
        part.unlink()  # it was never a beginning
    with part.open("ab") as file:
        module.file_download.http_get(
            promised.location,
            file,
            resume_size=part.stat().st_size,
            headers=headers,
            expected_size=promised.size,
            displayed_filename=name,
        )
    found = digest(part, promised)
    if found != promised.etag:
        part.unlink()
        raise DownloadError(
            f"{repo_id}/{name}: the bytes that came have the hash {found}, expected {promised.etag}"
        )


def digest(path: Path, promised: Any) -> str:
    """The hash of a file, of the kind that was promised."""
    if len(promised.etag) == 64:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    git = hashlib.sha1(b"blob %d\0" % path.stat().st_size)
    git.update(path.read_bytes())  # such files are small
    return git.hexdigest()


def checked(repo_id: str, name: str) -> PurePosixPath:
    """A name that stays within a folder."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name:
        raise DownloadError(f"{repo_id}: {name!r}, expected a name within the repository")
    return path


def cache(repo_id: str, cache_dir: Folder = None) -> Path:
    """Where the hub's package keeps a repository."""
    module = hub()
    folder: str = module.file_download.repo_folder_name(repo_id=repo_id, repo_type="model")
    return Path(cache_dir or module.constants.HF_HUB_CACHE) / folder


@contextmanager
def explained(repo_id: str) -> Iterator[None]:
    """Errors of the hub's package as ours, in a line."""
    errors = hub().errors
    try:
        yield
    except errors.HFValidationError as error:
        raise ArgumentError(f"repo_id = {repo_id!r}, expected user/repository: {error}") from error
    except errors.GatedRepoError as error:
        raise MissingFileError(
            f"{repo_id}: only for those who were granted access, expected their token: {line(error)}"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise MissingFileError(f"{repo_id}: no such repository, or it needs a token (HF_TOKEN)") from error
    except errors.EntryNotFoundError as error:
        raise MissingFileError(f"{repo_id}: {line(error)}") from error
    except (DownloadError, MissingFileError):
        raise
    except errors.HfHubHTTPError as error:  # it answered
        raise DownloadError(f"{repo_id}: {line(error)}") from error
    except errors.OfflineModeIsEnabled as error:
        raise DownloadError(f"{repo_id} is not here yet, and HF_HUB_OFFLINE forbids to fetch it") from error
    except errors.HfHubHTTPError.__bases__[0] as error:  # the HTTP library's own
        raise broken(repo_id, error) from error
    except OSError as error:
        if error.errno is not None:  # the disk, not the network
            raise
        raise broken(repo_id, error) from error


def broken(repo_id: str, error: Exception) -> DownloadError:
    """Nobody answers, or nobody any more."""
    if "Connect" in type(error).__name__:
        address = hub().constants.ENDPOINT
        helps = "HF_ENDPOINT names another address; a model of your own, opened by its path, needs none"
        return DownloadError(f"{repo_id}: {address} could not be reached: {line(error)}; {helps}")
    return DownloadError(f"{repo_id}: broke off: {line(error)}; the next try goes on where this one ended")


def line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def hub() -> Any:
    try:
        import huggingface_hub
        import huggingface_hub.constants
        import huggingface_hub.errors
        import huggingface_hub.file_download
        import huggingface_hub.utils
    except ImportError as error:
        raise UnsupportedError(
            "models of huggingface.co need the package huggingface_hub: pip install 'puna[hub]'"
        ) from error
    return huggingface_hub
