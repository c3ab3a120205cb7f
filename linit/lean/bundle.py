"""How does PID 1 get its modules out of one file? The launcher runs `load` of the file's own copy of this module.

The file: a line of text that names the interpreter and two lengths; marshalled code that a boot needs, in the order in
which it runs; then that of each other module. The first part costs one read and no search; a module of the second is
read when it is imported. `keep` copies what a machine in trouble may need into a file in memory, while its disk can
still be read: there it takes a fifth of what it takes when it is imported, and nobody may ever ask for it.
"""

from __future__ import annotations

import marshal
import posix
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import CodeType, ModuleType

    Entry = tuple[str, bool, str, CodeType]  # name, is it a package, where its source is, its code
    Place = tuple[bool, str, int, int]  # is it a package, where its source is, offset in the file, length

HEADER_BYTES = 16  # of a .pyc: PEP 552
_found: Bundle | None = None


def load(file: int, base: int, eager: tuple[Entry, ...], later: dict[str, Place], library: tuple[str, ...]) -> None:
    """Runs the modules that the boot needs and takes over the import of the others; `file`: a descriptor of the bundle,
    `base`: where in it the code of the others begins, `library`: modules of the library that `keep` takes along.

    Whatever these modules raise comes through, with none of them left: the caller has their sources.
    """
    global _found
    _module("linit", True, "")
    _module("linit.lean", True, "")
    _module(__name__, False, "").__dict__.update(is_open=is_open, keep=keep, close=close)
    try:
        for name, is_package, path, code in eager:
            exec(code, _module(name, is_package, path).__dict__)
    except BaseException:
        for name in [name for name in sys.modules if name.partition(".")[0] == "linit"]:
            del sys.modules[name]
        raise
    _found = Bundle(file, base, later, library)
    sys.meta_path.insert(0, _found)


def is_open() -> bool:
    """Do modules come out of a bundle?"""
    return _found is not None


def keep() -> Iterator[str]:
    """Take along what was not needed yet, a module at each step; the disk is then needed no more. Raises OSError."""
    if _found is not None:
        yield from _found.keep()


def close() -> None:
    """Nothing comes out of the file any more."""
    global _found
    if _found is not None:
        sys.meta_path.remove(_found)
        posix.close(_found.file)
        _found = None


def _module(name: str, is_package: bool, path: str) -> ModuleType:
    module = sys.modules.get(name) or type(sys)(name)
    parent, _, last = name.rpartition(".")
    module.__file__ = path
    module.__package__ = name if is_package else parent
    if is_package:
        module.__path__ = [path.rpartition("/")[0]]
    sys.modules[name] = module
    if parent:
        setattr(sys.modules[parent], last, module)
    return module


class Bundle:
    """A finder and loader, as importlib wants them, of the modules that were not needed at once."""

    def __init__(self, file: int, base: int, later: dict[str, Place], library: tuple[str, ...]) -> None:
        self.file = file
        self.base = base
        self.later = later
        self.library = library

    def keep(self) -> Iterator[str]:
        """See the function above."""
        memory = posix.memfd_create("linit-modules", posix.MFD_CLOEXEC)
        kept: dict[str, Place] = {}
        end = 0
        for name in (*self.later, *self.library):
            found = None if name in sys.modules else self._data_of(name)
            if found is not None:
                is_package, path, data = found
                posix.write(memory, data)
                kept[name] = is_package, path, end, len(data)
                end += len(data)
            yield name
        posix.close(self.file)
        self.file, self.base, self.later, self.library = memory, 0, kept, ()

    def _data_of(self, name: str) -> tuple[bool, str, bytes] | None:
        """A module's marshalled code; None where it is not there as bytecode."""
        if name in self.later:
            is_package, path, offset, length = self.later[name]
            return is_package, path, posix.pread(self.file, length, self.base + offset)
        for folder in sys.path:
            for is_package, end in ((False, ".pyc"), (True, "/__init__.pyc")):
                path = f"{folder}/{name.replace('.', '/')}{end}"
                try:
                    file = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
                except OSError:
                    continue
                data = posix.read(file, posix.fstat(file).st_size)
                posix.close(file)
                return is_package, path, data[HEADER_BYTES:]
        return None

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> Any:
        """What importlib asks first for every module."""
        if name not in self.later:
            return None
        is_package, path, _, _ = self.later[name]
        kind: Any = type(sys.__spec__)
        spec = kind(name, self, origin=path, is_package=is_package)
        spec.has_location = True
        if is_package:
            spec.submodule_search_locations = [path.rpartition("/")[0]]
        return spec

    def create_module(self, _spec: object) -> None:
        """An ordinary one."""

    def exec_module(self, module: ModuleType) -> None:
        """Runs its code."""
        _, _, offset, length = self.later[module.__name__]
        code = marshal.loads(posix.pread(self.file, length, self.base + offset))
        exec(code, module.__dict__)
        self.later.pop(module.__name__, None)
