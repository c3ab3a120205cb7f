"""What a definition that is right means. services/README.md is the reference; a test holds both together."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linit.definitions import definition
from linit.definitions.definition import Definition
from linit.definitions.document import Map, Node, Text, parse
from linit.definitions.keys import KEYS
from linit.definitions.nearest import nearest, suggestion
from linit.definitions.values import parse_duration
from linit.model.place import Place
from linit.model.service import (
    Command,
    EdgeKind,
    Execution,
    Kind,
    Output,
    Readiness,
    ReadinessKind,
    Restart,
    RestartPolicy,
    Service,
    StopStep,
    StopTo,
)

README = Path(__file__).parents[2] / "services" / "README.md"
RUN = "run: [/bin/program]\n"


def read(text: str, name: str = "a") -> Definition:
    (document,) = parse("f", text)
    assert document.top is not None
    found = definition.read(name, document.top, tuple(document.faults))
    assert found.faults == ()
    return found


def service(text: str, name: str = "a") -> Service:
    return read(text, name).service


def test_every_key_of_the_table_is_in_the_reference_and_no_other() -> None:
    section = README.read_text().partition("\n## Keys\n")[2].partition("\n## Templates\n")[0]
    rows = re.findall(r"^\| `([a-z_]+)`[^|]*\|(?!.*\| \|$)[^|]*\|[^|]*\|", section, re.MULTILINE)
    restart_fields = {"policy", "delay", "factor", "delay_max", "limit", "window", "healthy_after"}
    limits = {"memory_max", "memory_high", "cpu_max", "cpu_weight", "pids_max", "io_weight"}
    assert (set(rows) | {"ready"}) - restart_fields - limits - {"notify"} == set(KEYS)


def test_every_example_of_the_reference_is_right() -> None:
    for block in re.findall(r"```yaml\n(.*?)```", README.read_text(), re.DOTALL):
        for document in parse("README.md", block):
            assert document.top is not None
            items = dict(document.top.items)
            if not items.keys() & {"run", "script"}:
                items["run"] = (Text(Place("x"), "run"), Text(Place("x"), "/bin/true"))
            name = "a@b" if "instances" in items else "a"
            assert definition.read(name, Map(Place("x"), items)).faults == ()


def test_the_defaults_are_those_of_the_reference() -> None:
    made = service(RUN)
    assert (made.kind, made.start_timeout_s, made.stop_timeout_s, made.stop_steps) == (Kind.PROCESS, 60.0, 15.0, ())
    assert made.restart == Restart(RestartPolicy.ON_FAILURE)
    assert made.readiness == Readiness()
    assert made.execution == Execution()
    assert (made.success_statuses, made.stop_to, made.stop_when_unneeded) == ((0,), StopTo.ALL, False)
    assert service("kind: oneshot\n" + RUN).restart == Restart(RestartPolicy.NEVER)


@pytest.mark.parametrize(
    ("written", "argv"),
    [
        ("run: [/bin/a, -g, 'daemon off;']", ("/bin/a", "-g", "daemon off;")),
        ("run: /bin/a -g 'daemon off;'", ("/bin/a", "-g", "daemon off;")),
        ("run: [a, '']", ("a", "")),
        ("run: [/bin/a, 0755, no, 1:30, null]", ("/bin/a", "0755", "no", "1:30", "null")),
        ("script: echo hi", ("/bin/sh", "-e", "-c", "echo hi", "a")),
        ("run: {script: echo hi}", ("/bin/sh", "-e", "-c", "echo hi", "a")),
        ("run: {script: x, interpreter: [/bin/bash, -eu]}", ("/bin/bash", "-eu", "-c", "x", "a")),
        ("run: p ${options} '${options}'\nvars: {options: -a -b}", ("p", "-a", "-b", "-a -b")),
        ("run: [p, '${options}']\nvars: {options: -a -b}", ("p", "-a -b")),
    ],
)
def test_a_command_is_an_argv_however_it_is_written(written: str, argv: tuple[str, ...]) -> None:
    """Only `script` runs a shell, with the name of the service as `$0`."""
    run = service(written).run
    assert run is not None
    assert run.argv == argv


def test_a_list_of_texts_is_one_command_and_any_other_list_several() -> None:
    made = service(RUN + "pre: [/bin/a, b]\npost: [[/bin/a, b], /bin/c d]\nstop: [{script: x, timeout: 2min}]\n")
    assert [command.argv for command in made.pre] == [("/bin/a", "b")]
    assert [command.argv for command in made.post] == [("/bin/a", "b"), ("/bin/c", "d")]
    assert made.stop == (Command(("/bin/sh", "-e", "-c", "x", "a"), Place("f", 4, 8), 120.0),)


def test_variables_are_replaced_in_every_text_and_two_dollars_are_one() -> None:
    made = service(
        "vars: {port: 80, url: 'http://${name}:${port}'}\ndescription: ${url} $$ $x $${y}\n"
        "script: 'test $HOME = $${HOME} && kill $$$$'\nenvironment: {URL: '${url}'}\nready: {tcp: '${port}'}\n"
    )
    assert made.description == "http://a:80 $ $x ${y}"
    assert made.run is not None
    assert made.run.argv[-2] == "test $HOME = ${HOME} && kill $$"
    assert made.execution.environment == (("URL", "http://a:80"),)
    assert made.readiness.value == "127.0.0.1:80"


def test_an_instance_knows_what_follows_its_at() -> None:
    made = service("run: [getty, '${instance}']\ntty: /dev/${instance}\ndescription: ${name}\n", "getty@tty1")
    assert made.run is not None
    assert (made.run.argv[1], made.execution.tty, made.description) == ("tty1", "/dev/tty1", "getty@tty1")


def test_each_edge_keeps_the_place_that_wrote_it() -> None:
    made = read(
        RUN + "need: b\nuse: [c,\n  d]\nbefore: e\nprovide: [f, g]\nconflicts: h\nearly: true\nprefer: [z, y, z]\n"
    )
    assert [(edge.kind, edge.on, str(edge.place)) for edge in made.service.dependencies] == [
        (EdgeKind.NEED, "b", "f:2:7"), (EdgeKind.USE, "c", "f:3:7"), (EdgeKind.USE, "d", "f:4:3"),
        (EdgeKind.CONFLICTS, "h", "f:7:12"),
    ]  # fmt: skip
    assert [(edge.kind, edge.on, str(edge.place)) for edge in made.before] == [(EdgeKind.AFTER, "e", "f:5:9")]
    assert made.provides == (("f", Place("f", 6, 11)), ("g", Place("f", 6, 14)))
    assert made.is_early
    assert made.service.prefer == ("z", "y")


@pytest.mark.parametrize(
    ("written", "readiness"),
    [
        ("notify", Readiness(ReadinessKind.NOTIFY)),
        ("none", Readiness()),
        ("{fd: 3}", Readiness(ReadinessKind.FD, "3")),
        ("{pidfile: /run/x}", Readiness(ReadinessKind.PIDFILE, "/run/x")),
        ("{tcp: 80}", Readiness(ReadinessKind.TCP, "127.0.0.1:80")),
        ("{tcp: 'localhost:80'}", Readiness(ReadinessKind.TCP, "127.0.0.1:80")),
        ("{tcp: '[::1]:80'}", Readiness(ReadinessKind.TCP, "[::1]:80")),
        ("{unix: /run/x}", Readiness(ReadinessKind.UNIX, "/run/x")),
        ("{path: /run/x}", Readiness(ReadinessKind.PATH, "/run/x")),
        (
            "{probe: [p, x], interval: 2s}",
            Readiness(ReadinessKind.PROBE, "", Command(("p", "x"), Place("f", 2, 16)), 2.0),
        ),
    ],
)
def test_readiness_in_each_of_its_forms(written: str, readiness: Readiness) -> None:
    assert service(f"{RUN}ready: {written}\n").readiness == readiness


def test_a_stop_step_without_a_wait_waits_for_the_stop_timeout() -> None:
    assert service(RUN + "stop_signal: QUIT\nstop_timeout: 7\n").stop_steps == (StopStep(3, 7.0),)
    steps = "stop_signal: [{signal: SIGINT, wait: 5s}, TERM]\n"
    assert service(RUN + steps).stop_steps == (StopStep(2, 5.0), StopStep(15, 15.0))
    assert service(RUN + "stop_signal: 1\nstop_timeout: never\n").stop_steps == (StopStep(1, math.inf),)


def test_never_is_no_limit() -> None:
    made = service(RUN + "start_timeout: never\nstop_timeout: never\n")
    assert (made.start_timeout_s, made.stop_timeout_s) == (None, None)


def test_restart_in_both_of_its_forms() -> None:
    assert service(RUN + "restart: always\n").restart == Restart(RestartPolicy.ALWAYS)
    made = service(RUN + "restart: {delay: 1s, factor: 1.5, delay_max: 1min, limit: 2, window: 90, healthy_after: 5}\n")
    assert made.restart == Restart(RestartPolicy.ON_FAILURE, 1.0, 1.5, 60.0, 2, 90.0, 5.0)


def test_rights_and_surroundings() -> None:
    made = service(
        RUN + "user: redis\ngroup: 7\ngroups: [adm, tty]\ndirectory: /var\numask: '0o27'\noutput: console\nnice: -5\n"
        "oom_score_adj: -500\nrlimits: {nofile: 9, core: unlimited, nproc: [1, unlimited]}\n"
        "environment: {B: x, A: ''}\n"
    )
    assert made.execution == Execution(
        "redis", "7", ("adm", "tty"), "/var", 0o27, (("B", "x"), ("A", "")), "", Output.CONSOLE, -5, -500,
        (("core", -1, -1), ("nofile", 9, 9), ("nproc", 1, -1)),
    )  # fmt: skip
    assert service(RUN + "groups: []\n").execution.groups == ()


@pytest.mark.parametrize(
    ("written", "output", "to"),
    [
        ("log", Output.LOG, ()),
        ("console", Output.CONSOLE, ()),
        ("'null'", Output.NULL, ()),
        ("syslog", Output.SYSLOG, ("daemon.info",)),
        ("{syslog: local3.warning}", Output.SYSLOG, ("local3.warning",)),
        ("{file: /var/log/mail}", Output.FILE, ("/var/log/mail",)),
        ("{command: [svlogd, -tt, /var/log/mail]}", Output.COMMAND, ("svlogd", "-tt", "/var/log/mail")),
        ("{command: svlogd /var/log/mail}", Output.COMMAND, ("svlogd", "/var/log/mail")),
    ],
)
def test_output_in_each_of_its_forms(written: str, output: Output, to: tuple[str, ...]) -> None:
    execution = service(f"{RUN}output: {written}\n").execution
    assert (execution.output, execution.output_to) == (output, to)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("file", "log, console, syslog, null, or a mapping with one of file, syslog, command"),
        ("{file: /a, syslog: mail.err}", "log, console, syslog, null, or a mapping with one of file, syslog, command"),
        ("{file: a}", "a path that begins with /"),
        ("{syslog: daemon}", "FACILITY.LEVEL of syslog(3), such as daemon.info"),
        ("{command: ./logger}", "a path that begins with /, or a bare program name"),
    ],
)
def test_an_output_that_is_none_is_a_fault(written: str, expected: str) -> None:
    (document,) = parse("f", f"{RUN}output: {written}\n")
    assert document.top is not None
    faults = definition.read("a", document.top, ()).faults
    assert faults[0].expected == expected


def test_reload_is_a_command_or_a_signal() -> None:
    assert service(RUN + "reload: {signal: HUP}\n").reload_signal == 1
    made = service(RUN + "reload: [/bin/r]\n")
    assert (made.reload, made.reload_signal) == (Command(("/bin/r",), Place("f", 2, 9)), 0)


def test_a_digest_changes_with_the_meaning_only() -> None:
    """A reload compares it: moving a key to another line is no change."""
    base = service(RUN + "need: b\nnice: 3\n").digest
    assert service("# moved\nnice: 3\ndescription: x\nneed: [b]\n" + RUN).digest == base
    for other in ("nice: 4\nneed: b\n", "nice: 3\nwant: b\n", "nice: 3\nneed: b\nready: notify\n"):
        assert service(RUN + other).digest != base


@pytest.mark.parametrize(
    ("written", "seconds"), [("90", 90.0), ("1.5s", 1.5), ("500ms", 0.5), ("2min", 120.0), ("1h", 3600.0), (".5", 0.5)]
)
def test_a_duration_in_each_of_its_forms(written: str, seconds: float) -> None:
    assert parse_duration(written) == seconds


@given(st.text(max_size=12))
def test_any_text_is_a_duration_of_at_most_a_year_or_refused(written: str) -> None:
    try:
        seconds = parse_duration(written)
    except ValueError as error:
        assert str(error) == "expected a duration such as 90, 1.5s, 500ms, 2min or 1h"
    else:
        assert 0 <= seconds <= 366 * 86400


@given(st.text(max_size=60) | st.text("[]{}:-,&*! \n#'\"|>ab", max_size=60))
def test_any_text_is_documents_or_a_fault_with_a_place(text: str) -> None:
    """Whatever a person writes, and however the parser takes it."""
    for document in parse("f", text):
        assert document.top is not None or document.faults
        assert all(fault.place.file == "f" for fault in document.faults)
        if document.top is not None:
            definition.read("a", document.top)


def test_places_count_lines_and_columns_from_one() -> None:
    (document,) = parse("f", "a: b\nc:\n  - d\n")
    assert document.top is not None
    key, value = document.top.items["c"]
    assert (key.place, places(value)) == (Place("f", 2, 1), [Place("f", 3, 5)])


def places(node: Node) -> list[Place]:
    return [item.place for item in getattr(node, "items", [])]


def test_the_nearest_name_is_close_or_none() -> None:
    assert nearest("netwrok", ["network", "net", "nginx"]) == "network"
    assert nearest("zebra", ["network", "net", "nginx"]) == ""
    assert (suggestion("ned", ["need"]), suggestion("x", ["need"])) == ("did you mean 'need'?", "")
