"""The kernel of the image: unpacked so that QEMU need not, and the modules that a QEMU guest uses.

QEMU starts an ELF kernel directly through its PVH entry point, which skips a decompression that takes the better part
of a second under TCG. The packed kernel's header tells where its payload is: Documentation/arch/x86/boot.rst in Linux.
"""

from __future__ import annotations

import lzma
import re
import struct
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from panux.faults import BuildError
from panux.image.selection import KERNEL_MODULES

SETUP_SECTORS: Final = 0x1F1
PAYLOAD_OFFSET: Final = 0x248
SECTOR_BYTES: Final = 512
ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
XZ_MAGIC: Final = b"\xfd7zXZ\0"
SIGNED: Final = b"~Module signature appended~\n"
SIGNATURE: Final = struct.Struct(">8xI")


def unpack_kernel(packed: Path, target: Path) -> None:
    """Writes the ELF kernel that is inside the boot file `packed`.

    Raises BuildError where that is compressed in a way that this does not know.
    """
    data = packed.read_bytes()
    start = (data[SETUP_SECTORS] + 1) * SECTOR_BYTES
    offset, length = struct.unpack_from("<II", data, PAYLOAD_OFFSET)
    payload = data[start + offset : start + offset + length]
    if payload.startswith(ZSTD_MAGIC):
        # the last four bytes tell the unpacked size and are no part of the frame
        ended = subprocess.run(["zstd", "-qdc"], input=payload[:-4], capture_output=True, check=False)
        unpacked = ended.stdout
    elif payload.startswith(XZ_MAGIC):
        unpacked = lzma.LZMADecompressor().decompress(payload)
    else:
        raise BuildError(f"{packed}: a payload that is neither zstd nor xz: {payload[:8].hex()}")
    if not unpacked.startswith(b"\x7fELF"):
        raise BuildError(f"{packed}: its payload is no ELF file")
    target.write_bytes(unpacked)


def module_information(module: bytes) -> dict[str, list[str]]:
    """The `key=value` entries of the .modinfo section, which stand in the file as text between zero bytes."""
    found: dict[str, list[str]] = {}
    for key, value in re.findall(rb"(?<=\0)(alias|depends|name)=([^\0]*)\0", module):
        found.setdefault(key.decode(), []).append(value.decode())
    return found


def module_name(file: Path) -> str:
    """The name by which the kernel knows a module: that of its file, with underscores."""
    return file.name.split(".ko")[0].replace("-", "_")


def keep_modules(release: Path, wanted: Iterable[str] = tuple(KERNEL_MODULES)) -> None:
    """Leaves in the directory `release` (usr/lib/modules/VERSION) only the wanted modules and what they depend on.

    They are stored unpacked and unsigned, since either costs boot time, with the `modules.dep` and `modules.alias` that
    modprobe reads. Raises BuildError for a module that the kernel package does not have.
    """
    packed = {module_name(file): file for file in release.rglob("*.ko*")}
    todo = [name.replace("-", "_") for name in wanted]
    dependencies: dict[str, list[str]] = {}
    aliases: list[str] = []
    while todo:
        name = todo.pop()
        if name in dependencies:
            continue
        if name not in packed:
            raise BuildError(f"{release}: the kernel package has no module {name}")
        data = lzma.decompress(packed[name].read_bytes()) if packed[name].suffix == ".xz" else packed[name].read_bytes()
        packed[name].with_name(packed[name].name.removesuffix(".xz")).write_bytes(unsigned(data))
        information = module_information(data)
        dependencies[name] = [needed.replace("-", "_") for needed in information["depends"][0].split(",") if needed]
        aliases += [f"alias {alias} {name}\n" for alias in information.get("alias", [])]
        todo += dependencies[name]
    for file in [*release.rglob("*.ko.xz"), *(file for file in release.glob("modules.*") if file.is_file())]:
        file.unlink()
    files = {module_name(file): file for file in release.rglob("*.ko")}
    for name, file in files.items():
        if name not in dependencies:
            file.unlink()
    lines = []
    for name in sorted(dependencies):
        last_first = load_order([name], dependencies)[::-1]  # as depmod(8) writes it: what is needed first stands last
        first, *needed = (str(files[entry].relative_to(release)) for entry in last_first)
        lines.append(" ".join([f"{first}:", *needed]))
    (release / "modules.dep").write_text("".join(f"{line}\n" for line in lines))
    (release / "modules.alias").write_text("".join(sorted(aliases)))
    for directory in sorted((path for path in release.rglob("*") if path.is_dir()), reverse=True):
        if not any(directory.iterdir()):
            directory.rmdir()


def unsigned(module: bytes) -> bytes:
    """A module without the signature at its end, which the kernel would verify for 50 million instructions each time.

    What enters the image was verified when it was built, and the kernel itself, started by QEMU, by nobody. Layout:
    struct module_signature in the kernel's include/linux/module_signature.h.
    """
    if not module.endswith(SIGNED):
        return module
    end = len(module) - len(SIGNED) - SIGNATURE.size
    signature_bytes: int = SIGNATURE.unpack_from(module, end)[-1]
    return module[: end - signature_bytes]


def load_order(names: Iterable[str], dependencies: dict[str, list[str]]) -> list[str]:
    """The modules and all that they depend on, each after what it depends on."""
    order: list[str] = []

    def visit(name: str) -> None:
        if name not in order:
            for needed in dependencies[name]:
                visit(needed)
            order.append(name)

    for name in names:
        visit(name)
    return order


def modules_in_load_order(release: Path, names: Iterable[str]) -> list[Path]:
    """The files of these modules and of what they depend on, in the order in which insmod must see them."""
    files: dict[str, Path] = {}
    dependencies: dict[str, list[str]] = {}
    for line in (release / "modules.dep").read_text().splitlines():
        file, _, needed = line.partition(":")
        files[module_name(Path(file))] = release / file
        dependencies[module_name(Path(file))] = [module_name(Path(entry)) for entry in needed.split()]
    return [files[name] for name in load_order([name.replace("-", "_") for name in names], dependencies)]
