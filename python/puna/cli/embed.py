"""`puna embed`: texts as vectors."""

import argparse
import json
import math
from collections.abc import Sequence
from typing import Any

from puna.cli import llamacpp
from puna.cli.model import add_execution, add_model, load
from puna.cli.parser import Parser, UsageError, count, unescaped
from puna.cli.positional import take_model
from puna.cli.reading import is_piped, read_input
from puna.cli.text import add_escape, check_texts, note_bundled
from puna.embedding import NAMES
from puna.errors import LongTextError

EPILOG = """examples:
  puna embed -m bert.gguf "a cat" "a dog"                     a line of numbers each
  puna embed -m bert.gguf -p "a cat\\na dog" --embd-output-format json+
  puna embed -m model.gguf --pooling mean -f lines.txt --embd-output-format array
  cat lines.txt | puna embed -m bert.gguf                     each line a text
  puna embed -m model.gguf --embd-normalize -1 --embd-separator "<#sep#>" -p "one<#sep#>two"
"""

Vector = Sequence[float]


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "embed",
        help="turn texts into vectors",
        usage="puna embed [FLAG ...] [TEXT ...]",
        description=__doc__,
        epilog=EPILOG,
    )
    parser.set_defaults(run=run)
    add_model(parser)
    add_texts(parser)
    add_vectors(parser)
    parser.add_argument(
        "-c",
        "--ctx-size",
        type=count(0),
        metavar="N",
        help="tokens of context; 0: as trained; default: as trained, up to 4096",
    )
    add_execution(parser)
    parser.set_defaults(batch_size=2048)
    parser.add_argument(
        "--log-disable", action="store_false", dest="show_timings",
        help="do not say which model it is where none was named",
    )  # fmt: skip
    parser.agree("--no-warmup")
    parser.refuse(llamacpp.COMMON + llamacpp.EMBEDDING, "llama-embedding")


def add_texts(parser: Parser) -> None:
    parser.add_argument(
        "words", nargs="*", metavar="TEXT", help="a text each, if not given by a flag or a pipe"
    )
    parser.add_argument("-p", "--prompt", metavar="TEXT", help="the texts, a line each")
    parser.add_argument("-f", "--file", metavar="FILE", help="a file of them; -: standard input")
    add_escape(parser)
    parser.add_argument(
        "--embd-separator",
        default="\n",
        metavar="TEXT",
        help="between two texts of -p, -f or a pipe; default: a line's end",
    )


def add_vectors(parser: Parser) -> None:
    parser.add_argument(
        "--pooling", choices=[*NAMES], metavar="HOW",
        help=f"how vectors of tokens become one: {', '.join(NAMES)}; default: the model's way",
    )  # fmt: skip
    parser.add_argument(
        "--embd-normalize", type=count(-1), default=2, metavar="N",
        help="-1: no, 0: largest to 32760, 1: taxicab, 2: euclidean (default), more: p-norm",
    )  # fmt: skip
    parser.add_argument(
        "--embd-output-format", choices=("array", "json", "json+", "raw"), metavar="FORMAT",
        help="array, json (OpenAI's), json+ (with cosine similarities), raw; default: for reading",
    )  # fmt: skip


def run(given: argparse.Namespace) -> int:
    take_model(given)
    check_texts(given)
    texts = texts_of(given)
    pooling = -1 if given.pooling is None else NAMES[given.pooling]
    with load(given, given.ctx_size, embedding=True, pooling_type=pooling) as llm:
        try:
            found = llm.embed(texts, truncate=False)
        except LongTextError as error:
            raise LongTextError(error.n_tokens, error.most, "(-b N and -c N set more)") from error
        note_bundled(given, llm.metadata)
        # Without pooling a text has a vector a token, and each is one of its own.
        rows = [row for each in found for row in (each if is_matrix(each) else [each])]
    vectors = [normalized(row, given.embd_normalize) for row in rows]
    show = {"array": show_array, "json": show_json, "json+": show_json_plus, "raw": show_raw}
    show.get(given.embd_output_format, show_table)(vectors, given.embd_normalize)
    return 0


def texts_of(given: argparse.Namespace) -> list[str]:
    """The texts, by whichever flag they came."""
    named = [given.prompt is not None, bool(given.words), given.file is not None]
    if not any(named) and is_piped():
        given.file, named = "-", [True]
    if sum(named) != 1:
        found = "several texts" if any(named) else "no text"
        raise UsageError(f"{found}, expected one of -p TEXT, words, -f FILE and a pipe")
    read = unescaped if given.escape else str
    if given.words:
        return [read(word) for word in given.words]
    separator = read(given.embd_separator)
    text = read_input(given.file).removesuffix("\n") if given.prompt is None else read(given.prompt)
    return text.split(separator) if separator else [text]


def is_matrix(found: Any) -> bool:
    return len(found) > 0 and hasattr(found[0], "__len__")


def normalized(vector: Vector, p: int) -> list[float]:
    """A vector of length 1 by the norm `p`: 0 stands for the largest, as 32760."""
    values = [float(x) for x in vector]
    if p == -1:
        return values
    if p == 0:
        norm = max(map(abs, values), default=0.0) / 32760
    elif p == 2:
        norm = math.sqrt(sum(x * x for x in values))
    else:
        norm = sum(abs(x) ** p for x in values) ** (1 / p)
    return [x / norm if norm else 0.0 for x in values]


def similarity(a: Vector, b: Vector) -> float:
    """The cosine of the angle; of two vectors of zeros 1, of one 0."""
    lengths = [math.sqrt(sum(x * x for x in v)) for v in (a, b)]
    if not all(lengths):
        return 0.0 if any(lengths) else 1.0
    return sum(x * y for x, y in zip(a, b)) / (lengths[0] * lengths[1])


def similarities(vectors: Sequence[Vector]) -> list[list[float]]:
    return [[round(similarity(a, b), 6) for b in vectors] for a in vectors]


def show_table(vectors: Sequence[Vector], p: int) -> None:
    for i, vector in enumerate(vectors):
        print(f"embedding {i}:", " ".join(f"{x:6.0f}" if p == 0 else f"{x:9.6f}" for x in vector))
    if len(vectors) > 1:
        print("\ncosine similarity matrix:\n")
        for row in similarities(vectors):
            print(" ".join(f"{x:6.2f}" for x in row))


def show_array(vectors: Sequence[Vector], _: int) -> None:
    print(json.dumps(vectors))


def show_json(vectors: Sequence[Vector], _: int) -> None:
    print(json.dumps(listed(vectors), indent=2))


def show_json_plus(vectors: Sequence[Vector], _: int) -> None:
    print(json.dumps(listed(vectors) | {"cosineSimilarity": similarities(vectors)}, indent=2))


def listed(vectors: Sequence[Vector]) -> dict[str, Any]:
    data = [{"object": "embedding", "index": i, "embedding": v} for i, v in enumerate(vectors)]
    return {"object": "list", "data": data}


def show_raw(vectors: Sequence[Vector], _: int) -> None:
    for vector in vectors:
        print(" ".join(f"{x:.7g}" for x in vector))
