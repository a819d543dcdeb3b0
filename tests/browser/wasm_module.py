"""What a WebAssembly module imports and exports, read from its bytes (WebAssembly 3.0, section 5.5)."""

from dataclasses import dataclass, field

CUSTOM, IMPORT, EXPORT = 0, 2, 7
FUNCTION, TABLE, MEMORY, GLOBAL, TAG = range(5)


@dataclass
class Module:
    first_section: str = ""
    imports: list[tuple[str, str, int]] = field(default_factory=list)  # (from, name, kind)
    exports: list[tuple[str, int]] = field(default_factory=list)  # (name, kind)


class Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def number(self) -> int:
        """An unsigned LEB128 integer."""
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7

    def name(self) -> str:
        n_bytes = self.number()
        self.at += n_bytes
        return self.data[self.at - n_bytes : self.at].decode()

    def limits(self) -> None:
        """Size bounds of a table or a memory."""
        has_maximum = self.byte() & 1
        self.number()
        if has_maximum:
            self.number()

    def extern_type(self, kind: int) -> None:
        if kind == FUNCTION:
            self.number()
        elif kind == TABLE:
            self.byte()
            self.limits()
        elif kind == MEMORY:
            self.limits()
        elif kind == GLOBAL:
            self.byte(), self.byte()
        elif kind == TAG:
            self.byte(), self.number()
        else:
            raise ValueError(f"import of kind {kind} at byte {self.at}")


def read_module(data: bytes) -> Module:
    if data[:8] != b"\0asm\1\0\0\0":
        raise ValueError(f"not a WebAssembly module of version 1: it begins with {data[:8]!r}")
    reader, module = Reader(data), Module()
    reader.at = 8
    while reader.at < len(data):
        section, n_bytes = reader.byte(), reader.number()
        end = reader.at + n_bytes
        if not module.first_section:
            module.first_section = reader.name() if section == CUSTOM else f"section {section}"
        elif section == IMPORT:
            for _ in range(reader.number()):
                source, name, kind = reader.name(), reader.name(), reader.byte()
                reader.extern_type(kind)
                module.imports.append((source, name, kind))
        elif section == EXPORT:
            for _ in range(reader.number()):
                module.exports.append((reader.name(), reader.byte()))
                reader.number()
        reader.at = end
    return module
