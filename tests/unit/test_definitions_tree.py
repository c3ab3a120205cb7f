"""Which files count, and what a runlevel, a template, a drop-in and a mask are: services/README.md."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from linit import definitions
from linit.definitions import Definitions, foreign, tree
from linit.definitions.definition import Definition
from linit.definitions.folders import inside
from linit.definitions.keys import KEYS
from linit.model.paths import Paths
from linit.model.service import Kind

ETC, RUN, LIB = "etc/linit/services", "run/linit/services", "usr/lib/linit/services"
LEVELS = "etc/linit/runlevels"
COMMAND = "run: [/bin/program]\n"
Read = Callable[..., Definitions]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Reads a machine of these files; a value of None is an absolute symlink into nowhere."""

    def read_machine(files: dict[str, str | None]) -> Definitions:
        for name, content in ({"bin/program": "", "bin/sh": "", "etc/passwd": "root:x:0:0::/:\n"} | files).items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                path.symlink_to("/nowhere")
            else:
                path.write_text(content)
                path.chmod(0o755)
        return definitions.read(Paths.system(), str(tmp_path))

    return read_machine


def one(found: Definitions, name: str) -> Definition:
    (each,) = [each for each in found.services if each.name == name]
    return each


def described(found: Definitions) -> dict[str, str]:
    return {each.name: each.service.description for each in found.services}


def edges(found: Definitions, name: str) -> list[tuple[str, str, str]]:
    return [(edge.kind.value, edge.on, str(edge.place)) for edge in one(found, name).service.dependencies]


def test_a_file_in_a_stronger_folder_replaces_the_weaker_one_whole(read: Read) -> None:
    found = read({
        f"{LIB}/a.yaml": f"description: lib\nnice: 3\n{COMMAND}", f"{RUN}/a.yaml": f"description: run\n{COMMAND}",
        f"{ETC}/b.yaml": f"description: etc\n{COMMAND}", f"{RUN}/b.yaml": f"description: run\n{COMMAND}",
    })  # fmt: skip
    assert described(found) == {"a": "run", "b": "etc"}
    assert one(found, "a").service.execution.nice == 0
    assert str(one(found, "a").service.place) == "/run/linit/services/a.yaml:1:1"
    assert found.faults == ()


def test_an_empty_file_and_a_link_to_null_mask(read: Read, tmp_path: Path) -> None:
    (tmp_path / ETC).mkdir(parents=True)
    (tmp_path / ETC / "b.yaml").symlink_to("/dev/null")
    found = read({f"{LIB}/a.yaml": COMMAND, f"{LIB}/b.yaml": COMMAND, f"{LIB}/c.yaml": COMMAND, f"{ETC}/a.yaml": ""})
    assert (list(described(found)), found.faults) == (["c"], ())
    assert found.masks == {"a": "/etc/linit/services/a.yaml", "b": "/etc/linit/services/b.yaml"}


def test_drop_ins_are_merged_in_the_order_of_their_names_from_all_folders(read: Read) -> None:
    found = read({
        f"{LIB}/a.yaml": f"description: lib\nneed: x\nenvironment: {{A: 1, B: 2}}\nnice: 1\nrestart: always\n{COMMAND}",
        f"{ETC}/a.d/10.yaml": "need: [y]\nenvironment: {B: 3}\nnice: 2\n",
        f"{LIB}/a.d/20.yaml": "nice: 3\nscript: other\nrestart: {delay: 5}\n",
        f"{LIB}/a.d/10.yaml": "nice: 9\nneed: [hidden by the one in etc]\n",
    })  # fmt: skip
    made = one(found, "a").service
    assert found.faults == ()
    assert edges(found, "a") == [
        ("need", "x", "/usr/lib/linit/services/a.yaml:2:7"), ("need", "y", "/etc/linit/services/a.d/10.yaml:1:8"),
    ]  # fmt: skip
    assert (made.execution.environment, made.execution.nice) == ((("A", "1"), ("B", "3")), 3)
    assert made.run is not None
    assert made.run.argv[-2:] == ("other", "a")
    assert (made.restart.policy.value, made.restart.delay_s) == ("always", 5.0)


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("ExecStart", "the key is 'run'"),
        ("depends-on", "the key is 'need'"),
        ("memory_max", "the key is 'limits'"),
        ("runlevels", "`linitctl enable NAME [RUNLEVEL]` puts it into a runlevel"),
    ],
)
def test_a_word_of_another_init_system_gets_the_hint_what_to_write_here(read: Read, word: str, hint: str) -> None:
    found = read({f"{LIB}/a.yaml": f"{COMMAND}{word}: x\n"})
    expected = f"/{LIB}/a.yaml:2:1: found unknown key '{word}', expected a key of a definition; {hint}"
    assert [str(fault) for fault in found.faults] == [expected]


def test_every_hint_for_a_foreign_word_names_a_key_that_there_is() -> None:
    assert set(foreign.MEANT) <= set(KEYS)


def test_a_fault_in_a_drop_in_is_told_at_its_place_and_takes_the_service_out(read: Read) -> None:
    drop_ins = {f"{ETC}/a.d/x.yaml": "ncie: 3\nname: b\n", f"{ETC}/b.d/x.yaml": "nice: 3\n"}
    found = read({f"{LIB}/a.yaml": COMMAND} | drop_ins)
    assert [str(fault) for fault in found.faults] == [
        "/etc/linit/services/a.d/x.yaml:1:1: found unknown key 'ncie', expected a key of a definition; "
        "did you mean 'nice'?",
        "/etc/linit/services/a.d/x.yaml:2:1: name: found the key in a drop-in, expected it only in a definition",
        "/etc/linit/services/b.d/x.yaml: found a drop-in of 'b', expected a defined service",
    ]
    assert one(found, "a").service.broken == "definition"


def test_instances_exist_when_they_are_listed_enabled_or_named_by_an_edge(read: Read) -> None:
    found = read({
        f"{LIB}/getty@.yaml": "description: on ${instance}\ninstances: [ttyS0]\nneed: 'log@${instance}'\n" + COMMAND,
        f"{LIB}/log@.yaml": "description: logs ${instance}\n" + COMMAND,
        f"{LIB}/a.yaml": "want: getty@tty1\n" + COMMAND,
        f"{LEVELS}/default/getty@tty2": None,
    })  # fmt: skip
    assert described(found) == {
        "a": "", "default": "runlevel default",
        "getty@tty1": "on tty1", "getty@tty2": "on tty2", "getty@ttyS0": "on ttyS0",
        "log@tty1": "logs tty1", "log@tty2": "logs tty2", "log@ttyS0": "logs ttyS0",
    }  # fmt: skip


def test_a_file_or_drop_in_for_one_instance_counts_for_it_alone(read: Read) -> None:
    found = read({
        f"{LIB}/t@.yaml": "instances: [a, b, c]\nnice: 1\n" + COMMAND, f"{ETC}/t@.d/x.yaml": "umask: 077\n",
        f"{ETC}/t@b.yaml": "description: own\n" + COMMAND, f"{ETC}/t@c.d/x.yaml": "nice: 7\n",
    })  # fmt: skip
    assert found.faults == ()
    assert [(each.name, each.service.execution.nice, each.service.execution.umask) for each in found.services] == [
        ("t@a", 1, 0o77), ("t@b", 0, 0o22), ("t@c", 7, 0o77),
    ]  # fmt: skip


def test_a_fault_of_a_template_is_told_once_and_breaks_each_instance(read: Read) -> None:
    found = read({f"{LIB}/t@.yaml": "instances: [a, b]\nncie: 1\n" + COMMAND, f"{LIB}/u@.yaml": "ncie: 1\n" + COMMAND})
    assert [str(fault).partition(": ")[0] for fault in found.faults] == [
        "/usr/lib/linit/services/t@.yaml:2:1", "/usr/lib/linit/services/u@.yaml:1:1",
    ]  # fmt: skip
    assert {each.name: each.service.broken for each in found.services} == {"t@a": "definition", "t@b": "definition"}


def test_a_template_that_needs_ever_more_of_itself_ends(read: Read) -> None:
    found = read({f"{LIB}/t@.yaml": "instances: x\nneed: t@${instance}x\n" + COMMAND})
    assert found.faults != ()
    assert len(found.services) <= tree.INSTANCES_MAX


def test_a_runlevel_wants_its_entries_and_what_it_stacks_on(read: Read) -> None:
    found = read({
        f"{LIB}/a.yaml": COMMAND, f"{LIB}/sysinit.yaml": "kind: runlevel\n",
        f"{LIB}/boot.yaml": "kind: runlevel\nstack: sysinit\n",
        f"{LEVELS}/boot/a": None, f"{LEVELS}/boot/.keep": "", f"{LEVELS}/default/a": "", f"{LEVELS}/default/gone": None,
    })  # fmt: skip
    assert found.faults == ()
    assert edges(found, "boot") == [
        ("want", "sysinit", "/usr/lib/linit/services/boot.yaml:2:8"), ("want", "a", "/etc/linit/runlevels/boot/a"),
    ]  # fmt: skip
    assert edges(found, "default") == [
        ("want", "boot", "implied: runlevel default has no definition"),
        ("want", "a", "/etc/linit/runlevels/default/a"), ("want", "gone", "/etc/linit/runlevels/default/gone"),
    ]  # fmt: skip
    assert all(edge.implied for edge in one(found, "default").service.dependencies)
    assert found.enabled == {"a": ("boot", "default"), "gone": ("default",)}
    assert one(found, "default").service.kind is Kind.RUNLEVEL


def test_a_runlevel_with_a_broken_definition_keeps_its_members(read: Read) -> None:
    """Or one wrong letter in boot.yaml would be the end of the boot."""
    found = read({
        f"{LIB}/sysinit.yaml": "kind: runlevel\nned: x\n", f"{LIB}/boot.yaml": "kind: runlevel\n\tstack: [",
        f"{LIB}/default.yaml": "kind: runlevel\nstack: [sysinit]\nned: x\n", f"{LEVELS}/default/a": None,
    })  # fmt: skip
    assert [str(fault) for fault in found.faults] == [
        "/usr/lib/linit/services/boot.yaml:2:1: found invalid YAML (while scanning a plain scalar found a tab "
        "character that violates indentation), expected valid YAML; indent with spaces, not tabs",
        "/usr/lib/linit/services/default.yaml:3:1: found unknown key 'ned', expected a key of a definition; "
        "did you mean 'need'?",
        "/usr/lib/linit/services/sysinit.yaml:2:1: found unknown key 'ned', expected a key of a definition; "
        "did you mean 'need'?",
    ]
    assert [(each.name, each.service.kind, each.service.broken) for each in found.services] == [
        ("boot", Kind.RUNLEVEL, ""), ("default", Kind.RUNLEVEL, ""), ("sysinit", Kind.RUNLEVEL, ""),
    ]  # fmt: skip
    wanted = {name: [on for _, on, _ in edges(found, name)] for name in ("boot", "default", "sysinit")}
    assert wanted == {"boot": ["sysinit"], "default": ["sysinit", "a"], "sysinit": []}


def test_what_is_no_runlevel_is_told(read: Read, tmp_path: Path) -> None:
    (tmp_path / LEVELS / "default" / "folder").mkdir(parents=True)
    found = read({f"{LIB}/a.yaml": COMMAND, f"{LEVELS}/file": "", f"{LEVELS}/a/a": None,
                  f"{LIB}/boot.yaml": "kind: runlevel\nstack: a\n"})  # fmt: skip
    assert [str(fault) for fault in found.faults] == [
        "/etc/linit/runlevels/a: found a process of this name (/usr/lib/linit/services/a.yaml:1:1), "
        "expected a runlevel; its entries enable nothing",
        "/etc/linit/runlevels/default/folder: found neither a symlink nor a file, "
        "expected an entry named like a service",
        "/etc/linit/runlevels/file: found a file, expected a folder that is named like a runlevel",
        "/usr/lib/linit/services/boot.yaml:2:8: stack: found 'a', a process, expected a runlevel; "
        "it is wanted all the same",
    ]


def test_what_a_link_means_below_another_root_stays_below_it(read: Read, tmp_path: Path) -> None:
    (tmp_path / LIB).mkdir(parents=True)
    (tmp_path / LIB / "a.yaml").symlink_to("/opt/a.yaml")
    (tmp_path / "sbin").symlink_to("/usr/sbin")
    found = read({"opt/a.yaml": "run: [/sbin/thing]\n", "usr/sbin/thing": ""})
    assert (list(described(found)), found.faults) == (["a"], ())
    (tmp_path / "loop").symlink_to("/loop")
    assert inside(str(tmp_path), "/loop/x").startswith(str(tmp_path))
    assert inside(str(tmp_path), "/../../etc/passwd") == f"{tmp_path}/etc/passwd"


def test_every_file_and_folder_that_counts_is_a_source_also_an_absent_one(read: Read) -> None:
    found = read({f"{LIB}/a.yaml": COMMAND, f"{LIB}/a.d/x.yaml": "nice: 1\n", f"{LEVELS}/default/a": None})
    assert sorted((source.path, source.size >= 0) for source in found.sources) == [
        ("/etc/linit/runlevels", True), ("/etc/linit/runlevels/default", True), ("/etc/linit/services", False),
        ("/run/linit/services", False), ("/usr/lib/linit/services", True), ("/usr/lib/linit/services/a.d", True),
        ("/usr/lib/linit/services/a.d/x.yaml", True), ("/usr/lib/linit/services/a.yaml", True),
    ]  # fmt: skip


def test_files_by_themselves_know_no_other_folders(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(f"run: [/bin/sh]\nneed: {name}\n")
    found = definitions.read_paths([str(tmp_path / "a.yaml")])
    assert [each.name for each in found.services] == ["a"]
    assert [each.name for each in definitions.read_paths([f"{tmp_path}/"]).services] == ["a", "b"]


def test_a_fifo_does_not_hold_the_compiler_up(read: Read, tmp_path: Path) -> None:
    (tmp_path / LIB).mkdir(parents=True)
    os.mkfifo(tmp_path / LIB / "a.yaml")
    assert [str(fault) for fault in read({}).faults] == [
        "/usr/lib/linit/services/a.yaml: found an unreadable file (not a regular file), "
        "expected a file that can be read"
    ]


