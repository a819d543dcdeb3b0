"""A small model with seeded random weights, of any architecture and tensor type, for tests and trials.

    python tools/random_model.py ARCHITECTURE FILE.gguf [--dtype F32] [--seed 0]
    python tools/random_model.py --list

Three layers of width 256, a vocabulary of bytes and small letters; it speaks nonsense at full speed.
"""

import argparse
from pathlib import Path

from puna._native import core


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("architecture", nargs="?", choices=core.architectures(), metavar="ARCHITECTURE")
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE.gguf")
    parser.add_argument("--dtype", default="F32", help="the type of matrices, such as F16, Q8_0 or Q4_K")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--list", action="store_true", help="say which architectures there are")
    options = parser.parse_args()
    if options.list:
        print("\n".join(core.architectures()))
    elif options.architecture is None or options.file is None:
        parser.error("an ARCHITECTURE and a FILE.gguf are needed, or --list")
    else:
        model = core.tiny_model(options.architecture, options.dtype, options.seed)
        options.file.write_bytes(model)
        print(f"{options.file}: {options.architecture}, {options.dtype}, {len(model):,} bytes")


if __name__ == "__main__":
    main()
