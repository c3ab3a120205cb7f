"""The bundle of PID 1's modules does what their sources do, and loads little: linit/bundling/README.md."""

from __future__ import annotations

import ast
import copy
import errno
import importlib.util
import itertools
import os
import py_compile
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from linit.bundling import __main__ as bundling
from linit.bundling.leaner import drop_unused, lean
from linit.bundling.records import CannotBundle
from linit.lean import ctypes as lean_ctypes
from linit.lean import os as lean_os
from linit.lean import signal as lean_signal
from linit.runtime import interpreter

TOP = Path(__file__).parents[2]
LAUNCHER = """\
import marshal, posix, sys
sys.path[:] = {path!r}
before = set(sys.modules)
file = posix.open({bundle!r}, posix.O_RDONLY | posix.O_CLOEXEC)
_, version, size = posix.read(file, 64).split()
assert int(version, 16) == sys.hexversion
loader, *parts = marshal.loads(posix.read(file, int(size)))
names = {{"__name__": "linit.lean.bundle"}}
exec(loader, names)
names["load"](file, 64 + int(size), *parts)
"""
FIRST_MAY_LOAD = {
    "abc", "io", "codecs",  # of the interpreter
    "msgpack",
}  # fmt: skip
"""What of the standard library the first service may wait for; besides what is written in C."""


@pytest.fixture(scope="module")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The beginning of a program that gets its modules from a bundle."""
    file = tmp_path_factory.mktemp("bundle") / "bundle"
    file.write_bytes(bundling.bundle())
    return LAUNCHER.format(path=[str(TOP), *sys.path], bundle=str(file))


def run(program: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", program], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def leaned(source: str) -> dict[str, Any]:
    """What a module is after it was made lean and run."""
    trees = {"sample": lean(textwrap.dedent(source), "sample.py")}
    drop_unused(trees)
    space: dict[str, Any] = {"__name__": "sample"}
    exec(bundling.compiled(trees["sample"], "sample.py"), space)
    return space


def unchanged(source: str) -> dict[str, Any]:
    """What it is as it stands."""
    space: dict[str, Any] = {"__name__": "sample"}
    exec(textwrap.dedent(source), space)
    return space


# -- the whole


def test_before_the_first_service_hardly_anything_of_the_library_is_loaded(launcher: str) -> None:
    loaded = run(launcher + "print(*sorted(sys.modules.keys() - before))").split()
    library = {name for name in loaded if name.partition(".")[0] in sys.stdlib_module_names and name[0] != "_"}
    in_c = {name for name in library if not getattr(sys.modules.get(name), "__file__", "/x.so").endswith(".py")}
    assert library - in_c - FIRST_MAY_LOAD == set()
    assert "linit.system.machine" in loaded
    assert not [name for name in loaded if name.startswith(("linit.definitions", "linit.planning", "linit.compiler"))]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The part of the library that is kept, as the image has it: bytecode without sources."""
    folder = tmp_path_factory.mktemp("library")
    for name in bundling.library(bundling.IN_TROUBLE):
        spec = importlib.util.find_spec(name)
        assert spec is not None and spec.origin is not None
        end = "/__init__.pyc" if spec.submodule_search_locations else ".pyc"
        py_compile.compile(spec.origin, str(folder / (name.replace(".", "/") + end)), doraise=True)
    return str(folder)


KEEP = """
from linit.lean import bundle
assert bundle.is_open()
machine_code = [each for each in sys.path if each.endswith("lib-dynload")]
sys.path[:] = [{library!r}]
print(*bundle.keep())
sys.path[:] = machine_code
try:
    posix.fstat(file)
except OSError:
    print("closed")
import linit.control.server, linit.runtime.notify, linit.system.shutdown
import traceback, re, hashlib
print(sys.modules["linit.system.shutdown"].__file__, re.__file__)
print(re.sub("a", "b", "a"), hashlib.sha256(b"").hexdigest()[:4], traceback.format_exc().strip())
"""


def test_what_trouble_asks_for_can_be_had_when_the_disk_is_gone_once_the_bundle_was_kept(
    launcher: str, library: str
) -> None:
    names, closed, shown, works = run(launcher + KEEP.format(library=library)).splitlines()
    assert {"linit.control.server", "linit.system.shutdown", "linit.runtime.health"} <= set(names.split())
    assert closed == "closed"
    assert shown == f"{TOP}/linit/system/shutdown.py {library}/re/__init__.pyc"
    assert works == "b e3b0 NoneType: None"


AFTER_THE_BOOT_NEVER = {
    "logging": "asyncio says what it has to say to linit",
    "subprocess": "linit spawns and reaps itself",
    "threading": "PID 1 has one thread",
    "concurrent": "no executors",
    "_asyncio": "no tasks and futures; it brings traceback along",
    "asyncio.tasks": "no coroutines",
    "asyncio.futures": "no coroutines",
    "asyncio.streams": "linit reads and writes descriptors itself",
    "asyncio.transports": "likewise",
    "asyncio.sslproto": "linit speaks to nobody over the network",
    "asyncio.unix_events": "signals and children come by linit.runtime.reap",
    "ssl": "likewise",
    "inspect": "0.5 MB with ast, dis and tokenize",
    "ast": "likewise",
    "dis": "likewise",
    "tokenize": "likewise",
    "traceback": "kept by the bundle until there is a fault",
    "linecache": "likewise",
    "re": "0.6 MB with enum and functools; kept by the bundle",
    "enum": "linit.lean.enum",
    "functools": "linit.lean.functools",
    "contextlib": "linit.lean.contextlib",
    "dataclasses": "written out by the bundle",
    "typing": "for type checkers",
    "string": "letters can be written down",
    "ctypes": "_ctypes does it",
    "socket": "linit.lean.socket",
    "selectors": "linit.lean.selectors",
    "signal": "linit.lean.signal",
    "hashlib": "kept by the bundle until a source of the plan has changed",
    "linit.system.shutdown": "kept by the bundle",
}
"""What PID 1 does not hold in memory while it runs, and why: it was 5 MB of 12."""
SETTLED = """
from linit.model.paths import Paths
from linit.model.service import Plan
from linit.runtime.assembly import Assembly
from linit.runtime.supervisor import Surroundings
assembly = Assembly(Paths.system({folder!r}), "user", Surroundings())
assembly.begin(Plan(()))
for _ in assembly._settling_steps(): pass
assembly._give_back()
print(*sorted(sys.modules.keys() - before))
assembly.close()
"""


def test_after_the_boot_pid_1_holds_only_what_it_works_with(launcher: str, tmp_path: Path) -> None:
    loaded = run(launcher + SETTLED.format(folder=str(tmp_path))).split()
    assert {"asyncio.selector_events", "linit.control.server", "linit.runtime.thrift"} <= set(loaded)
    assert not [name for name in loaded if name in AFTER_THE_BOOT_NEVER]


LOGS_NEVER = {"dataclasses", "inspect", "ast", "typing", "socket", "selectors", "contextlib", "signal", "linit.engine"}
"""What the log process does without when it comes out of its bundle: it was half of its memory."""


def test_the_log_process_comes_out_of_a_bundle_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "linit/logs/process.bundle"
    file.parent.mkdir(parents=True)
    file.write_bytes(bundling.bundle_of_logs())
    before = sys.path[:]
    sys.path[:] = [str(tmp_path), *(each for each in before if each and Path(each) != TOP)]
    try:
        command = interpreter.command("linit.logs.process")
    finally:
        sys.path[:] = before
    asked = command[-1].replace("sys.exit(status)", "print(*sys.modules); sys.exit(status)")
    ended = subprocess.run([*command[:-1], asked], env={}, capture_output=True, text=True, check=False)
    assert ended.stderr == "linit.logs: LINIT_LOG_DIR is not set; linit starts this, people use linitctl logs\n"
    assert ended.returncode == 2
    assert "linit.logs.process" in ended.stdout.split()
    assert not LOGS_NEVER & set(ended.stdout.split())


def test_a_log_process_with_a_bundle_that_is_damaged_comes_from_its_modules(tmp_path: Path) -> None:
    file = tmp_path / "linit/logs/process.bundle"
    file.parent.mkdir(parents=True)
    file.write_bytes(bundling.bundle_of_logs()[:999])
    before = sys.path[:]
    sys.path[:] = [str(tmp_path), str(TOP), *before]
    try:
        command = interpreter.command("linit.logs.process")
    finally:
        sys.path[:] = before
    ended = subprocess.run(command, env={}, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr[:11]) == (2, "linit.logs:"), ended.stderr


# -- the loop of asyncio

LOOP = """
import os, selectors
from asyncio.selector_events import BaseSelectorEventLoop
loop = BaseSelectorEventLoop(selectors.DefaultSelector())
loop.set_exception_handler(lambda loop, context: print(repr(context["exception"])))
near, far = os.pipe()
def read():
    print("read", os.read(near, 9))
    loop.remove_reader(near)
    os.close(near)
    loop.call_at(loop.time() + 0.02, loop.stop)
def write():
    loop.remove_writer(far)
    os.write(far, b"written")
loop.add_reader(near, print, "never")
loop.add_reader(near, read)
loop.call_at(loop.time() + 0.002, print, "second")
loop.call_at(loop.time() + 0.001, print, "first")
loop.call_at(loop.time() + 0.001, print, "never").cancel()
loop.call_at(loop.time() + 0.003, loop.add_writer, far, write)
loop.call_soon(print, "soon")
loop.call_soon(print, "never").cancel()
loop.call_soon(lambda: 1 / 0)
try:
    loop.add_reader(99, print)
except OSError as error:
    print(error.errno, 99 in loop._selector.get_map())
loop.run_forever()
print(loop.is_running(), len(loop._selector.get_map()))
loop.close()
try:
    loop.call_soon(print)
except RuntimeError as error:
    print(error)
"""


def test_the_loop_of_the_bundle_does_what_the_librarys_does(launcher: str) -> None:
    theirs = run(f"import sys; sys.path[:] = {[str(TOP), *sys.path]!r}\n{LOOP}")
    assert theirs.splitlines()[1:5] == ["soon", "ZeroDivisionError('division by zero')", "first", "second"]
    assert run(launcher + LOOP) == theirs


def test_a_fault_in_a_callback_is_told_with_the_line_of_the_callback(launcher: str) -> None:
    program = """
from asyncio.selector_events import BaseSelectorEventLoop
def fails(): 1 / 0
loop = BaseSelectorEventLoop()
loop.set_exception_handler(lambda loop, context: print(repr(context["handle"])))
loop.call_soon(fails)
loop.call_soon(loop.stop)
loop.run_forever()
def handler(loop, context): raise ValueError("in the handler")
loop.set_exception_handler(handler)
loop.call_soon(fails)
loop.call_soon(loop.stop)
sys.stderr = sys.stdout
loop.run_forever()
loop.close()
"""
    first, *rest = run(launcher + program).splitlines()
    line = 1 + (launcher + program).splitlines().index("def fails(): 1 / 0")
    assert first == f"<Handle fails() at <string>:{line}>"
    assert rest[0] == "asyncio: Unhandled error in exception handler"
    assert rest[-1].endswith("ValueError('in the handler')")


def test_what_the_loop_does_not_use_of_asyncio_is_not_there(launcher: str) -> None:
    program = "import asyncio.base_events as it; print(hasattr(it, 'BaseEventLoop'), hasattr(it, 'Server'))"
    assert run(launcher + program) == "True False\n"


SCENARIO = """
from linit.engine.engine import Engine
from linit.engine import events
from linit.model.place import Place
from linit.model.service import Command, Dependency, EdgeKind, Kind, Plan, Service
from linit.model.state import Finish, Role
from linit.plan import codec
from linit.record.codec import pack_event
here = Place("a.yaml", 3, 1)
def service(name, *needs):
    edges = tuple(Dependency(EdgeKind.NEED, each, here) for each in needs)
    return Service(name, here, run=Command(("/bin/" + name,), here), dependencies=edges)
plan = codec.decode(codec.encode(Plan((service("a"), service("b", "a"), service("c", "a", "b")))))
engine = Engine(plan)
def told(event, at_s):
    print(pack_event(event, at_s).hex())
    for effect in engine.handle(event, at_s):
        print(repr(effect), sep="")
told(events.Request(1, events.Verb.START, ("c",), "a test"), 1.0)
for number, name in enumerate("abc"):
    told(events.Spawned(name, Role.MAIN, 10 + number), 2.0 + number)
told(events.Exited("a", Role.MAIN, 256), 9.0)
told(events.Shutdown(Finish.REBOOT, "a test"), 10.0)
print(plan.services[0] == service("a"), hash(here) == hash(Place("a.yaml", 3, 1)), here < Place("b.yaml"))
"""


def test_the_engine_of_the_bundle_does_what_that_of_the_sources_does(launcher: str) -> None:
    theirs = run(f"import sys; sys.path[:] = {[str(TOP), *sys.path]!r}\n{SCENARIO}")
    assert run(launcher + SCENARIO) == theirs.replace("<Signals.SIGTERM: 15>", "15")


def test_a_bundle_that_fails_leaves_nothing_behind(launcher: str) -> None:
    broken = launcher.replace(
        'names["load"]',
        'parts[0] = parts[0][:3] + (("linit.x", False, "x", compile("1/0", "x", "exec")),)\nnames["load"]',
    )
    head, last = broken.rsplit("\n", 2)[0], broken.rsplit("\n", 2)[1]
    told = run(
        f"{head}\ntry: {last}\nexcept ZeroDivisionError: print([name for name in sys.modules if 'linit' in name])"
    )
    assert told == "[]\n"


# -- its parts

RECORD = """
    from __future__ import annotations
    import itertools
    from dataclasses import dataclass, field, replace
    from typing import Any

    @dataclass({options})
    class Made:
        '''A value.'''
        name: str
        count: int = 3
        names: dict[str, Any] = field(default_factory=dict)
        number: int = field(default_factory=lambda: 7)
        hidden: int = field(init=False)

        def __post_init__(self) -> None:
            object.__setattr__(self, "hidden", self.count + 1)

    other = replace(Made("a"), count=5)
"""


@pytest.mark.parametrize(
    "options", ["frozen=True, slots=True", "slots=True", "slots=True, eq=False", "order=True, slots=True"]
)
def test_a_dataclass_written_out_behaves_as_the_librarys(options: str) -> None:
    ours = leaned(RECORD.format(options=options))["Made"]
    theirs = _library(options)
    assert repr(ours("a", number=8)) == repr(theirs("a", number=8))
    assert (ours("a") == ours("a"), ours("a") == ours("b")) == (theirs("a") == theirs("a"), theirs("a") == theirs("b"))
    assert ours("a") != theirs("a")
    assert (ours.__hash__ is None) == (theirs.__hash__ is None)
    assert (ours.__slots__, ours.__match_args__) == (theirs.__slots__, theirs.__match_args__)
    assert ours("a").names is not ours("b").names
    wrongs: tuple[tuple[Any, ...], ...] = ((), ("a", 1, {}, 2, 3))
    for wrong in wrongs:
        with pytest.raises(TypeError):
            ours(*wrong)
    if "order" in options:
        assert ours("a") < ours("b") <= ours("b")


def _library(options: str) -> Any:
    class Made:
        name: str
        count: int = 3
        names: dict[str, Any] = field(default_factory=dict)
        number: int = field(default_factory=lambda: 7)
        hidden: int = field(init=False)

        def __post_init__(self) -> None:
            object.__setattr__(self, "hidden", self.count + 1)

    Made.__qualname__ = "Made"
    return dataclass(**eval(f"dict({options})"))(Made)


def test_replace_gives_the_same_value_with_other_fields() -> None:
    assert leaned(RECORD.format(options="slots=True"))["other"].count == 5


def test_what_the_bundle_cannot_say_is_named() -> None:
    source = "@dataclass(kw_only=True)\nclass A:\n    name: str\n"
    with pytest.raises(CannotBundle, match="kw_only"):
        lean(source, "sample.py")


def test_a_named_tuple_written_out_is_a_tuple_with_names() -> None:
    made = leaned("from typing import NamedTuple\nclass Pair(NamedTuple):\n    left: int\n    right: int = 2\n")["Pair"]
    assert made(1) == (1, 2)
    assert (made(1).left, made(left=3).right, repr(made(1))) == (1, 2, "Pair(left=1, right=2)")


def test_what_only_type_checkers_read_is_left_out() -> None:
    source = """
        '''Doc.'''
        from __future__ import annotations
        from typing import TYPE_CHECKING, Final, Protocol, TypeVar
        if TYPE_CHECKING:
            import asyncio
        T = TypeVar("T")
        Names = tuple[str, ...]
        LIMIT: Final = 3
        class Part(Protocol):
            def part(self) -> int: ...
        def asked(names: Names, one: T) -> T:
            '''Doc.'''
            count: int
            count = len(names)
            assert count < LIMIT
            return one
    """
    tree = lean(textwrap.dedent(source), "sample.py")
    drop_unused({"sample": tree})
    expected = """
        LIMIT = 3
        class Part:
            def part(self):
                pass
        def asked(names, one):
            count = len(names)
            assert count < LIMIT
            return one
    """
    assert ast.unparse(tree) == ast.unparse(ast.parse(textwrap.dedent(expected)))


def test_a_module_gets_the_librarys_where_the_small_one_has_not_all_it_asks_for() -> None:
    assert "linit.lean" in ast.unparse(lean("import contextlib\ncontextlib.suppress(OSError)", "a"))
    assert "linit.lean" not in ast.unparse(lean("import contextlib\ncontextlib.ExitStack()", "a"))


MANAGED = """
    import contextlib

    @contextlib.contextmanager
    def told(told, answers=False):
        told.append("before")
        try:
            yield told
        except KeyError:
            if not answers:
                raise
        finally:
            told.append("behind")
"""


@pytest.mark.parametrize("of", [leaned, unchanged])
def test_a_context_manager_sees_the_faults_of_its_block(of: Callable[[str], dict[str, Any]]) -> None:
    told = of(MANAGED)["told"]
    seen: list[str] = []
    with told(seen) as given:
        given.append("in")
    with told(seen, answers=True):
        raise KeyError
    for kind in (KeyError, ValueError, StopIteration):
        with pytest.raises(kind), told(seen):
            raise kind
    assert seen == ["before", "in", "behind", *["before", "behind"] * 4]


MOODS = """
    import enum
    class Mood(enum.Enum):
        GOOD = "good"
        BAD = "bad"
        FINE = "good"

        def __init__(self, value):
            self.length = len(value)

        @property
        def is_good(self):
            return self is Mood.GOOD
"""


@pytest.mark.parametrize("of", [leaned, unchanged])
def test_an_enumeration_has_names_values_order_and_methods(of: Callable[[str], dict[str, Any]]) -> None:
    mood = of(MOODS)["Mood"]
    assert [each.name for each in mood] == ["GOOD", "BAD"]
    assert (mood("bad"), mood["FINE"], mood(mood.BAD)) == (mood.BAD, mood.GOOD, mood.BAD)
    assert (repr(mood.BAD), str(mood.BAD)) == ("<Mood.BAD: 'bad'>", "Mood.BAD")
    assert (mood.BAD.length, mood.GOOD.is_good, "bad" in mood.__members__, len(mood)) == (3, True, False, 2)
    assert copy.deepcopy(mood.BAD) is mood.BAD
    with pytest.raises(ValueError, match=r"^'so' is not a valid Mood$"):
        mood("so")


def test_signals_have_the_librarys_names_and_numbers() -> None:
    import signal

    for name, member in signal.Signals.__members__.items():
        assert lean_signal.Signals.__members__[name].value == member.value
        assert lean_signal.Signals(member).name == member.name
    with pytest.raises(ValueError, match=r"^99 is not a valid Signals$"):
        lean_signal.Signals(99)


PATHS = (
    "",
    "/",
    "//",
    "a",
    "/a",
    "a/",
    "/a/",
    "a//b",
    "/usr/lib",
    "/usr/lib/",
    "//a/b",
    "a/../b",
    "./a/.",
    "/..",
    "/proc/self/exe",
)
"""Of files that are there and that are not."""


@pytest.mark.parametrize(
    "name", ["exists", "lexists", "isdir", "isfile", "ismount", "split", "dirname", "basename", "normpath"]
)
def test_functions_of_paths_are_the_librarys(name: str) -> None:
    for path in (*PATHS, "/proc", "/dev/null", "/bin", "/nowhere", "a\0b", *(f"{each}.." for each in PATHS)):
        if "\0" not in path or name != "normpath":
            assert getattr(lean_os.path, name)(path) == getattr(os.path, name)(path), path


def test_paths_are_joined_as_the_library_joins_them() -> None:
    for parts in itertools.product(PATHS, repeat=2):
        assert lean_os.path.join(*parts) == os.path.join(*parts)


def test_folders_are_made_as_the_library_makes_them(tmp_path: Path) -> None:
    deep = f"{tmp_path}/a/b/c/"
    lean_os.makedirs(deep, 0o700)
    assert (tmp_path / "a/b/c").stat().st_mode & 0o777 == 0o700
    lean_os.makedirs(deep, exist_ok=True)
    with pytest.raises(FileExistsError):
        lean_os.makedirs(deep)
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        lean_os.makedirs(f"{tmp_path}/file", exist_ok=True)


ENVIRONMENT = """\
from linit.lean import os as lean
{first}
lean.environ.clear()
lean.environ.update({{"PATH": "/bin", "B": "b"}})
import os
assert dict(os.environ) == dict(lean.environ) == {{"PATH": "/bin", "B": "b"}}, os.environ
assert os.popen("env | grep -v -e ^PWD= -e ^SHLVL= -e ^_=").read().split() == ["PATH=/bin", "B=b"]
print("same")
"""


def test_one_environment_is_seen_by_both_and_by_children() -> None:
    """Also by the library's `os` that is imported later, as PID 1 does after the boot."""
    program = f"import sys; sys.path.insert(0, {str(TOP)!r})\n" + ENVIRONMENT.format(first="")
    assert run(program) == "same\n"


def test_functions_of_the_c_library_are_called_as_through_the_librarys_module() -> None:
    library = lean_ctypes.CDLL(None, use_errno=True)
    assert library.getpid() == os.getpid()
    assert library.close(lean_ctypes.c_int(-1)) == -1
    assert lean_ctypes.get_errno() == errno.EBADF
    buffer = lean_ctypes.create_string_buffer(b"abc", 8)
    assert library.strlen(buffer) == 3
    assert buffer.raw == b"abc\0\0\0\0\0"
    with pytest.raises(AttributeError):
        assert library.no_such_function


def test_a_module_that_asks_for_more_than_the_smaller_one_has_gets_the_librarys() -> None:
    assert "linit.lean" in ast.unparse(lean("import os\nos.path.join('a')", "a"))
    assert "linit.lean" not in ast.unparse(lean("import os\nos.path.expanduser('~')", "a"))
    assert "linit.lean" not in ast.unparse(lean("import os\nos.walk('~')", "a"))
