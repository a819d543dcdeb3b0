"""merge.py SIMD128.whl RELAXED.whl OUT: one wheel from two, with both builds of the module in it,
and with what only a tab needs: the GPU's driver in JavaScript.

The second module is not named `.so`: Pyodide compiles every `.so` of a wheel when the wheel is
loaded, which costs time and, on an engine without relaxed SIMD, prints an error.
"""

import base64
import hashlib
import sys
import zipfile
from pathlib import Path

RELAXED_NAME = "puna/_core_relaxed.bin"
WEBGPU_NAME = "puna/webgpu.js"


def module_name(wheel: zipfile.ZipFile) -> str:
    names = [name for name in wheel.namelist() if name.endswith(".so")]
    if len(names) != 1 or not names[0].startswith("puna/_core."):
        raise ValueError(f"{wheel.filename}: expected puna/_core.*.so and no other .so, found {names}")
    return names[0]


def record_line(name: str, data: bytes) -> str:
    """A line of RECORD, as the wheel specification writes it."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(data)}\n"


def merge(simd128: Path, relaxed: Path, out: Path) -> Path:
    """Writes the wheel into the folder `out`, under the name of `simd128`; returns its path."""
    path = out / simd128.name
    part = path.with_name(path.name + ".part")
    with (
        zipfile.ZipFile(simd128) as base,
        zipfile.ZipFile(relaxed) as other,
        zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as wheel,
    ):
        module_name(base)
        webgpu = Path(__file__).with_name("webgpu.js").read_bytes()
        added = {RELAXED_NAME: other.read(module_name(other)), WEBGPU_NAME: webgpu}
        for info in base.infolist():
            data = base.read(info)
            if info.filename.endswith(".dist-info/RECORD"):
                # RECORD closes an archive, as the specification recommends.
                lines = (record_line(name, data) for name, data in added.items())
                last, record = info, data.decode() + "".join(lines)
            elif not info.is_dir():
                wheel.writestr(info, data, zipfile.ZIP_DEFLATED, 9)
        # The date of every wheel that maturin builds: the same input gives the same file.
        for name, data in added.items():
            info = zipfile.ZipInfo(name, last.date_time)
            info.external_attr = 0o100644 << 16
            wheel.writestr(info, data, zipfile.ZIP_DEFLATED, 9)
        wheel.writestr(last, record, zipfile.ZIP_DEFLATED, 9)
    return part.replace(path)


if __name__ == "__main__":
    print(merge(*map(Path, sys.argv[1:])))
