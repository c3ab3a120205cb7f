"""Which shared libraries does an ELF file ask for?

The DT_NEEDED entries of its dynamic section, as the dynamic linker reads them: elf(5). 64-bit little-endian only,
since the image is amd64.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

PT_LOAD: Final = 1
PT_DYNAMIC: Final = 2
DT_NEEDED: Final = 1
DT_STRTAB: Final = 5


def needed_libraries(file: Path) -> list[str]:
    """The names that the dynamic section of `file` asks for; none for a static program or another kind of file."""
    with file.open("rb") as opened:
        if opened.read(6) != b"\x7fELF\x02\x01":
            return []
        opened.seek(0)
        return list(_needed(opened.read()))


def _needed(data: bytes) -> Iterator[str]:
    """Walks program headers, the dynamic section, and the string table that it names by address."""
    header_offset, entry_size, entry_count = struct.unpack_from("<32xQ14xHH", data)
    segments = [
        struct.unpack_from("<IIQQQQ", data, header_offset + index * entry_size) for index in range(entry_count)
    ]  # type, flags, offset, virtual address, physical address, size in the file
    loaded = [(offset, address, size) for kind, _, offset, address, _, size in segments if kind == PT_LOAD]
    for kind, _, offset, _, _, size in segments:
        if kind != PT_DYNAMIC:
            continue
        entries = list(struct.iter_unpack("<QQ", data[offset : offset + size - size % 16]))
        strings_address = next(value for tag, value in entries if tag == DT_STRTAB)
        strings = next(
            at + strings_address - start for at, start, size in loaded if start <= strings_address < start + size
        )
        for tag, value in entries:
            if tag == DT_NEEDED:
                yield data[strings + value : data.index(b"\0", strings + value)].decode()
