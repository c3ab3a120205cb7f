"""What a boot does not need of linit's modules comes when it is asked for: linit/bundling/README.md."""

from __future__ import annotations

import ast
import sys
import textwrap
from pathlib import Path

import pytest

from linit.bundling import __main__ as bundling
from linit.bundling import halves, reduction
from tests.unit.test_bundling import LAUNCHER, SCENARIO, TOP, run

SOURCE = """
    from linit.model.state import Finish, Role
    LIMIT = 3
    UNUSED = 4
    def used(count, most=LIMIT):
        return count < most
    def unused():
        return UNUSED
    def super_named(self):
        return super()
    class Made:
        size = LIMIT
        def ran(self):
            return used(self.size)
        def did_not(self, by=2, *, of="a"):
            return Finish, by, of
        @property
        def length(self):
            return self.size
        def of_limit(self, most=LIMIT):
            return Role
    if LIMIT:
        def always():
            return UNUSED
"""


def halved(table: str) -> halves.Halves:
    """The sample in halves."""
    trees = {"sample": ast.parse(textwrap.dedent(SOURCE))}
    return halves.divided(trees, halves.awake_functions(table))["sample"]


def names(tree: ast.Module) -> set[str]:
    """What a module defines."""
    return {name for each in tree.body for name in halves.bound(each) or ()}


def test_what_nothing_awake_speaks_of_is_left_for_later() -> None:
    found = halved("sample\n  Made.ran")
    assert names(found.rest) == {"unused", "super_named", "Finish"}
    assert {"LIMIT", "Role", "used", "Made", "UNUSED"} <= names(found.first)


def test_a_function_is_asleep_where_its_code_can_be_put_in_place_of_a_stub() -> None:
    """One whose defaults are not plain keeps them, and so its body: `used` and `of_limit`."""
    assert list(halved("sample\n  Made.ran").asleep) == ["Made.did_not", "Made.length"]
    assert list(halved("sample Made.ran Made.did_not\n  Made.length").asleep) == []


def test_decorators_are_applied_to_a_stub() -> None:
    assert "length = property(_asleep())" in ast.unparse(halved("sample Made.ran").first)


def test_a_module_that_the_table_does_not_name_is_not_divided() -> None:
    assert halves.divided({"sample": ast.parse("a = 1")}, {"other": frozenset()}) == {}


def test_the_table_names_modules_and_their_functions() -> None:
    text = "linit.a one Two.three\n  Two.four\nlinit.b\n"
    assert halves.awake_functions(text) == {"linit.a": {"one", "Two.three", "Two.four"}, "linit.b": frozenset()}


def every_module(path: Path) -> Path:
    """A table by which nothing ran."""
    path.write_text("".join(f"{name}\n" for name, _ in bundling.modules(bundling.PACKAGES)))
    return path


@pytest.fixture(scope="module")
def all_asleep(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A launcher with a bundle in which every function sleeps that can."""
    folder = tmp_path_factory.mktemp("asleep")
    (folder / "bundle").write_bytes(bundling.bundle(table=str(every_module(folder / "table"))))
    return LAUNCHER.format(path=[str(TOP), *sys.path], bundle=str(folder / "bundle"))


def test_a_table_that_is_not_true_changes_nothing_but_time(all_asleep: str) -> None:
    theirs = run(f"import sys; sys.path[:] = {[str(TOP), *sys.path]!r}\n{SCENARIO}")
    assert run(all_asleep + SCENARIO) == theirs.replace("<Signals.SIGTERM: 15>", "15")


@pytest.fixture(scope="module")
def one_divided(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A launcher with a bundle in which only the module that ends the machine is in halves."""
    folder = tmp_path_factory.mktemp("divided")
    (folder / "table").write_text("linit.system.shutdown Patience.__init__\n")
    (folder / "bundle").write_bytes(bundling.bundle(table=str(folder / "table")))
    head = LAUNCHER.format(path=[str(TOP), *sys.path], bundle=str(folder / "bundle"))
    return f"{head}import linit.system.shutdown as it\n"


WOKEN = """
same = it.Patience.has_ended
print(sorted(name for name in vars(it) if name[0] != "_"), same.__qualname__)
print(it.swap_paths("Filename\\n/a 1\\n"), it.Patience.has_ended is same, same.__qualname__, len(vars(it)) > 40)
try:
    it.no_such_name
except AttributeError as error:
    print(error)
"""


def test_names_and_functions_come_when_they_are_asked_for_and_stay_the_same_objects(one_divided: str) -> None:
    assert run(one_divided + WOKEN).splitlines() == [
        "['FINISHES', 'Patience', 'TOTAL_LIMIT_S', 'signal', 'time'] _waking",
        "['/a'] True Patience.has_ended True",
        "module 'linit.system.shutdown' has no attribute 'no_such_name'",
    ]


UNREADABLE = """
kept = posix.dup(file)
posix.close(file)
for asked in (lambda: it.Patience().has_ended(1), lambda: it.swap_paths("")):
    try:
        asked()
    except OSError as error:
        print(error.strerror)
posix.dup2(kept, file)
print(it.Patience().has_ended(-1), it.swap_paths(""))
"""


def test_a_bundle_that_cannot_be_read_is_an_error_of_that_call_and_read_at_the_next(one_divided: str) -> None:
    assert run(one_divided + UNREADABLE).splitlines() == ["Bad file descriptor", "Bad file descriptor", "False []"]


FORKED = """
import linit.runtime.spawn, linit.runtime.confinement
from linit.lean import bundle
found = names["_found"]
bundle.complete({only})
posix.close(file)
print(sorted(rest.name for rest in found.divided if rest.name in found.child))
print(bool(found.divided), linit.runtime.spawn.confining(linit.runtime.spawn.Execution()))
"""


def test_before_a_fork_all_is_made_whole_that_the_child_comes_to(all_asleep: str) -> None:
    """It closes what it inherited, the bundle too."""
    assert run(all_asleep + FORKED.format(only=True)).splitlines() == ["[]", "True frozenset()"]
    assert run(all_asleep + FORKED.format(only=False)).splitlines() == ["[]", "False frozenset()"]


def test_a_module_that_is_imported_after_everything_was_made_whole_is_whole(all_asleep: str) -> None:
    program = "from linit.lean import bundle; bundle.complete(); import linit.system.shutdown; posix.close(file)\n"
    program += "print('_asleep' in vars(linit.system.shutdown), names['_found'].divided)"
    assert run(all_asleep + program) == "True []\n"


def test_what_was_kept_needs_no_disk(all_asleep: str) -> None:
    program = "from linit.lean import bundle; list(bundle.keep())\nfrom linit.model.place import Place\n"
    program += "from linit.engine.respawn import Next; print(Place('a', 1, 2), Next.GIVE_UP.value)"
    assert run(all_asleep + program) == "a:1:2 give_up\n"


def test_the_table_names_modules_that_there_are() -> None:
    """Functions that are gone cost nothing; a module that was renamed would be whole again."""
    with open(bundling.AWAKE, encoding="utf-8") as file:
        table = halves.awake_functions(file.read())
    known = {name for name, _ in bundling.modules(bundling.PACKAGES)} | set(reduction.sources())
    assert table.keys() <= known
    assert len(table) > 50
