"""The exceptions of Puna. Each is a `PunaError`, and also the built-in exception that fits.

A message names the thing, the value found and what was expected.
"""

import os
from typing import Any


class PunaError(Exception):
    """Anything that Puna refuses or cannot do."""


class ArgumentError(PunaError, ValueError):
    """An argument outside its range."""


class ArgumentTypeError(ArgumentError, TypeError):
    """An argument of a wrong type: a `TypeError`, as Python has it, and an `ArgumentError`."""


class UnknownArgumentError(PunaError, TypeError):
    """An argument that does not exist; the message says which one may have been meant."""


class UnsupportedError(PunaError, ValueError):
    """Something that exists, but not here: an architecture, a tensor type, an option of llama-cpp-python."""


class FileError(PunaError, OSError):
    """The operating system refused to read or write a file; `errno` and `filename` say more."""

    def __reduce__(self) -> Any:
        # OSError would leave out errno and filename, which are not among its arguments here.
        return type(self), self.args, {**self.__dict__, "errno": self.errno, "filename": self.filename}

    def __str__(self) -> str:
        # OSError would write errno and filename instead of the message, which has both.
        return str(self.args[0]) if self.args else ""


class DownloadError(FileError):
    """A file that could not be fetched, or did not come as it was promised."""


class MissingFileError(FileError, FileNotFoundError):
    """There is no such file."""


class FormatError(PunaError, ValueError):
    """Bytes that are no sound GGUF file, or no sound tensor data."""


class MissingNameError(PunaError, KeyError):
    """A tensor or a metadata key that a file does not have."""

    def __str__(self) -> str:
        # KeyError would write the message's repr.
        return str(self.args[0]) if self.args else ""


class TruncatedError(FormatError):
    """A file that ends before what its header promises does: the end is missing."""


class ModelError(PunaError, ValueError):
    """A sound file with a model that is not: tensors missing, sizes that contradict each other."""


class ContextError(PunaError, ValueError):
    """More tokens than the context holds."""


class LongTextError(ContextError):
    """A text to embed of `n_tokens`, where `most` go through the model at once."""

    def __init__(
        self, n_tokens: int, most: int, remedy: str = "(n_batch and n_ctx), or truncate = True"
    ) -> None:
        super().__init__(f"a text of {n_tokens} tokens, expected at most {most} {remedy}")
        self.n_tokens, self.most, self._remedy = n_tokens, most, remedy

    def __reduce__(self) -> Any:
        # By default with the message, which is no argument: a process of a pool could not send it back.
        return type(self), (self.n_tokens, self.most, self._remedy)


class TokenError(PunaError, ValueError):
    """A token id that the vocabulary does not have."""


class TemplateError(PunaError, ValueError):
    """A chat template that is missing, broken, or refuses the conversation."""


class DeviceError(PunaError, RuntimeError):
    """No GPU where one is asked for, or one that failed."""


class OutOfMemory(PunaError, MemoryError):
    """Too little memory for the weights or the cache."""


class Cancelled(PunaError, RuntimeError):
    """The work was stopped by the caller before it was done."""


class ClosedError(PunaError, ValueError):
    """The model, or the reader of a file, was closed."""


class SoftwareDeviceWarning(RuntimeWarning):
    """The GPU `device` is a program on the CPU."""

    def __init__(self, device: str, remedy: str = "n_gpu_layers = 0") -> None:
        super().__init__(f"{device}: no GPU but a program that plays one, {remedy} is far faster")
        self.device, self._remedy = device, remedy

    def __reduce__(self) -> Any:
        return type(self), (self.device, self._remedy)


def refused(error: OSError, path: "str | os.PathLike[str] | None" = None) -> FileError:
    """What the operating system refused Python, as an exception of Puna; `path` is the file meant where the
    system names none, as with a write to a full disk."""
    kind = MissingFileError if isinstance(error, FileNotFoundError) else FileError
    name = os.fspath(path) if error.filename is None and path is not None else error.filename
    reason = error.strerror or str(error)
    found = kind(reason if name is None else f"{name}: {reason}")
    found.errno, found.filename = error.errno, name
    return found
