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
    from types import CodeType, FunctionType, ModuleType

    Entry = tuple[str, bool, str, CodeType]  # name, is it a package, where its source is, its code
    Place = tuple[bool, str, int, int]  # is it a package, where its source is, offset in the file, length
    Part = tuple[bool, int, int]  # has it names, offset in the file, length
    Beyond = tuple[dict[str, Place], dict[str, Part], frozenset[str], tuple[str, ...]]  # see `load`

HEADER_BYTES = 16  # of a .pyc: PEP 552
_found: Bundle | None = None


def load(file: int, base: int, eager: tuple[Entry, ...], beyond: Beyond) -> None:
    """Runs the modules that the boot needs and takes over the import of the others; `file`: a descriptor of the bundle,
    `base`: where in it the code of the others begins, `beyond`: where the other modules are and the rests of those that
    are divided, the modules that a forked child comes to, those of the library that `keep` takes along.

    Whatever these modules raise comes through, with none of them left: the caller has their sources.
    """
    global _found
    _module("linit", True, "")
    _module("linit.lean", True, "")
    _module(__name__, False, "").__dict__.update(is_open=is_open, keep=keep, close=close, complete=complete)
    _found = Bundle(file, base, beyond)
    try:
        for name, is_package, path, code in eager:
            _run(name, code, _module(name, is_package, path).__dict__)
    except BaseException:
        _found = None
        for name in [name for name in sys.modules if name.partition(".")[0] == "linit"]:
            del sys.modules[name]
        raise
    sys.meta_path.insert(0, _found)


def is_open() -> bool:
    """Do modules come out of a bundle?"""
    return _found is not None


def keep() -> Iterator[str]:
    """Take along what was not needed yet, a module at each step; the disk is then needed no more. Raises OSError."""
    if _found is not None:
        yield from _found.keep()


def close() -> None:
    """Nothing comes out of the file any more: for a bundle of which nothing is left for later."""
    global _found
    if _found is not None:
        assert not _found.divided, "linit bug: modules without their rest"
        sys.meta_path.remove(_found)
        posix.close(_found.file)
        _found = None


def complete(only: bool = False) -> None:
    """Have every module whole, those too that are still to be imported: for before a fork(2), since a child closes the
    file and goes on. `only`: those that a child comes to which becomes a program. Raises OSError."""
    if _found is not None:
        _found.complete(only)


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


def _run(name: str, code: CodeType, space: dict[str, Any]) -> None:
    """What a module does when it is imported."""
    assert _found is not None, "linit bug: a module of a bundle that is closed"
    rest = Rest(name, space) if name in _found.rests else None
    exec(code, space)
    if rest is not None:
        rest.follow()


class Rest:
    """What of a module no boot needs as long as all goes well: functions asleep, and names that are not there yet."""

    __slots__ = ("_asleep", "_code", "_functions", "_has_run", "_space", "name")

    def __init__(self, name: str, space: dict[str, Any]) -> None:
        assert _found is not None, "linit bug: the rest of a module without a bundle"
        self.name = name
        self._space = space
        self._asleep: list[FunctionType] = []
        self._functions: tuple[Any, ...] = ()
        self._code: CodeType | None = None
        self._has_run = False
        _found.divided.append(self)
        space["_asleep"] = self.stub
        if _found.rests[name][0]:
            space["__getattr__"] = self.find

    def stub(self) -> FunctionType:
        """What stands for the next function that is asleep, and becomes that when it is called."""
        number = len(self._asleep)
        made: FunctionType = _Function(_WAKING, self._space, "asleep")
        made.__kwdefaults__ = {"_rest": self, "_number": number}
        self._asleep.append(made)
        if self._functions:
            _become(made, *self._functions[number])
        return made

    def find(self, name: str) -> Any:
        """A name that the module has not yet. Raises AttributeError; OSError where the bundle cannot be read."""
        if name[:2] != "__":
            self.wake()
            if name in self._space:
                return self._space[name]
        raise AttributeError(f"module {self.name!r} has no attribute {name!r}")

    def wake(self) -> None:
        """Completes the module. Raises OSError, and nothing has changed."""
        if self._functions or _found is None:
            return
        self._code, functions = marshal.loads(_found.rest_of(self.name))
        self._functions = functions or ((),)
        for made, function in zip(self._asleep, functions, strict=False):
            _become(made, *function)
        if self._has_run:
            self.follow()

    def follow(self) -> None:
        """The module has run; what is left of it does so now if it was asked for: it may need all that is before."""
        self._has_run = True
        code, self._code = self._code, None
        if self._functions:
            self._space.pop("__getattr__", None)
        if code is not None:
            exec(code, self._space)

    def function(self, number: int) -> FunctionType:
        """One that was asleep."""
        self.wake()
        return self._asleep[number]


def _waking(*given: Any, _rest: Rest, _number: int, **words: Any) -> Any:
    return _rest.function(_number)(*given, **words)


def _become(made: FunctionType, code: CodeType, defaults: Any, words: Any) -> None:
    made.__code__ = code
    made.__defaults__ = defaults
    made.__kwdefaults__ = words
    made.__name__ = code.co_name
    made.__qualname__ = code.co_qualname


_Function: Any = type(_waking)
_WAKING = _waking.__code__  # it asks for no name of its module: it runs in that of the function it stands for


class Bundle:
    """A finder and loader, as importlib wants them, of the modules that were not needed at once."""

    def __init__(self, file: int, base: int, beyond: Beyond) -> None:
        self.file = file
        self.base = base
        self.later, self.rests, self.child, self.library = beyond
        self.divided: list[Rest] = []
        self.is_whole = False

    def complete(self, only: bool = False) -> None:
        """See the function above."""
        while wanted := [rest for rest in self.divided if not only or rest.name in self.child]:
            for rest in wanted:
                rest.wake()  # which may import others, and have these complete in turn
                if rest in self.divided:
                    self.divided.remove(rest)
        self.is_whole = self.is_whole or not only

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
        parts: dict[str, Part] = {}
        for name, (has_names, offset, length) in self.rests.items():
            posix.write(memory, posix.pread(self.file, length, self.base + offset))
            parts[name] = has_names, end, length
            end += length
            yield name
        posix.close(self.file)
        self.file, self.base, self.later, self.rests, self.library = memory, 0, kept, parts, ()

    def rest_of(self, name: str) -> bytes:
        """The rest of a module, marshalled. Raises OSError."""
        _, offset, length = self.rests[name]
        return posix.pread(self.file, length, self.base + offset)

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
        _run(module.__name__, code, module.__dict__)
        if self.is_whole:
            self.complete()
        self.later.pop(module.__name__, None)
