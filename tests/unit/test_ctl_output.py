"""What a person sees: the output of linitctl, whole. The format is linit's own; ctl/README.md shows it."""

from __future__ import annotations

import json
import os

import pytest
from linitctl.status import command_text
from linitctl.style import Style, age, duration, printable, wants_colour
from linitctl.table import render

from linit.model.place import Fault, Place, Severity
from linit.model.service import Kind, Plan, Service

from .control_world import NOTIFY, Ran, World, runlevel, service, world

SMALL_SYSTEM = [
    service("net", description="the network", kind=Kind.ONESHOT),
    service("nginx", ("need", "net"), ("after", "sysinit"), description="HTTP server", runlevels=("default",)),
    service("php", ("need", "nginx"), description="PHP"),
    service("redis", description="key-value store"),
    service("bad", description="never works", runlevels=("default",)),
    runlevel("sysinit"),
    runlevel("default", "nginx", "php", "bad"),
]


def booted(here: World) -> World:
    """A minute after a boot in which one service failed."""
    here.supervisor.exits["bad"] = 1 << 8
    here.start("default")
    here.loop.now_s += 61
    return here


def test_list_shows_what_runs_or_should_aligned_with_the_reason_of_a_failure() -> None:
    with world(*SMALL_SYSTEM) as here:
        assert booted(here).ctl("list") == Ran(
            0,
            "NAME   STATE   PID        FOR    TOOK  DESCRIPTION\n"
            "bad    failed       1 min 1 s          exited with status 1\n"
            "net    up           1 min 1 s  0.00 s  the network\n"
            "nginx  up      103  1 min 1 s  0.00 s  HTTP server\n"
            "php    up      104  1 min 1 s  0.00 s  PHP\n",
            "",
        )


def test_list_all_shows_also_what_is_down_and_runlevels() -> None:
    with world(*SMALL_SYSTEM) as here:
        out = booted(here).ctl("list", "--all").out
        assert [line.split()[0] for line in out.splitlines()] == [
            "NAME", "bad", "default", "net", "nginx", "php", "redis", "sysinit",
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["ng"], ["nginx"]),
        (["n*"], ["net", "nginx"]),
        (["re"], ["redis"]),
        (["re", "n?t"], ["net", "redis"]),
        (["--failed"], ["bad"]),
        (["--runlevel", "default"], ["bad", "nginx"]),
        (["--json", "p?p"], ["php"]),
    ],
)
def test_list_is_narrowed_by_name_state_and_runlevel(arguments: list[str], names: list[str]) -> None:
    with world(*SMALL_SYSTEM) as here:
        records = json.loads(booted(here).ctl("list", "--json", *arguments).out)
        assert [each["name"] for each in records] == names


def test_failed_services_are_red_when_colour_is_asked_for() -> None:
    with world(service("bad")) as here:
        here.supervisor.exits["bad"] = 1 << 8
        here.start("bad")
        assert here.ctl("list", "--color=always").out == (
            "\x1b[1mNAME\x1b[0m  \x1b[1mSTATE\x1b[0m   \x1b[1mPID\x1b[0m  \x1b[1mFOR\x1b[0m  \x1b[1mTOOK\x1b[0m  "
            "\x1b[1mDESCRIPTION\x1b[0m\n"
            "\x1b[31mbad\x1b[0m   \x1b[31mfailed\x1b[0m       0 s        \x1b[31mexited with status 1\x1b[0m\n"
        )


def test_nothing_failed_is_said() -> None:
    with world(service("net")) as here:
        assert here.ctl("list", "--failed") == Ran(0, "nothing has failed\n", "")
        assert here.ctl("list") == Ran(0, "no such services\n", "")


def test_status_of_a_service_shows_everything_about_it() -> None:
    with world(*SMALL_SYSTEM) as here:
        here.supervisor.status_texts["nginx"] = "serving"
        assert booted(here).ctl("status", "nginx") == Ran(
            0,
            "nginx: up for 1 min 1 s, took 0.00 s\n"
            "  description  HTTP server\n"
            "  reason       wanted by runlevel default (runlevels/default/nginx)\n"
            "  processes    103 (main)\n"
            "  command      /usr/sbin/nginx\n"
            "  says         serving\n"
            "  restarts     never\n"
            "  timeouts     start 60 s, stop 15 s\n"
            "  runlevels    default\n"
            "  definition   services/nginx.yaml\n",
            "",
        )


def test_status_shows_what_a_service_uses_with_peaks_and_limits() -> None:
    used = {
        "cpu_s": 75.0, "memory_bytes": 3 << 19, "memory_peak_bytes": 5 << 20, "memory_max_bytes": 64 << 20,
        "read_bytes": 1000, "written_bytes": 3 << 30, "tasks": 3, "tasks_peak": 7, "tasks_max": None, "lost": "",
        "unenforced": "",
    }  # fmt: skip
    with world(*SMALL_SYSTEM) as here:
        here.supervisor.usages["nginx"] = used
        assert booted(here).ctl("status", "nginx").out.partition("  command ")[0].splitlines()[4:] == [
            "  cpu time     1 min 15 s",
            "  memory       1.5 MiB, at most 5.0 MiB so far, limit 64.0 MiB",
            "  io           1000 B read, 3.0 GiB written",
            "  tasks        3, at most 7 so far",
        ]


def test_status_says_what_its_figures_lack_and_that_limits_are_not_in_force() -> None:
    unknown = dict.fromkeys(
        ("cpu_s", "memory_peak_bytes", "memory_max_bytes", "read_bytes", "written_bytes", "tasks_peak", "tasks_max")
    )
    used = {**unknown, "memory_bytes": 1 << 20, "tasks": 1, "lost": "no cgroup: added up", "unenforced": "no cgroup v2"}
    with world(*SMALL_SYSTEM) as here:
        here.supervisor.usages["nginx"] = used
        assert booted(here).ctl("status", "nginx").out.partition("  command ")[0].splitlines()[4:] == [
            "  memory       1.0 MiB",
            "  tasks        1",
            "  figures      no cgroup: added up",
            "  limits       not in force: no cgroup v2",
        ]


def test_status_without_a_name_shows_the_system() -> None:
    fault = Fault(Severity.ERROR, Place("services/x.yaml", 1, 1), "run", "7", "a command", service="x")
    with world(*SMALL_SYSTEM, faults=(fault,)) as here:
        assert booted(here).ctl("status") == Ran(
            0,
            "system    running, runlevel default\n"
            "services  3 up, 1 failed, 1 down\n"
            "failed    bad: exited with status 1\n"
            "fault     services/x.yaml:1:1: run: found 7, expected a command\n"
            f"linit     0.1.0, pid {os.getpid()}, user mode\n",
            "",
        )


def test_the_system_counts_all_that_it_names_as_failed_and_says_nothing_twice() -> None:
    """A name that nobody provides any more is no service; why a definition is broken is told by its service."""
    fault = Fault(Severity.ERROR, Place("services/x.yaml", 1, 1), "run", "7", "a command", service="x")
    broken = service("x", broken="definition", broken_by=(str(fault),))
    mta = service("mta", ("provided_by", "bad"), kind=Kind.VIRTUAL)
    timer = Service("job.timer", Place("x.yaml"), Kind.TIMER, activates="job")
    with world(*SMALL_SYSTEM, broken, mta, timer, faults=(fault,)) as here:
        here.supervisor.exits["job.timer"] = 1
        booted(here).start("job.timer")
        here.start("mta")
        assert here.ctl("status").out.splitlines()[1:-1] == [
            "services  3 up, 2 failed, 1 down",
            "triggers  1 failed",
            "failed    bad: exited with status 1",
            "failed    job.timer: could not be run: its address is taken",
            "failed    x: its definition is broken: services/x.yaml:1:1: run: found 7, expected a command",
        ]


def test_start_says_that_it_is_up_and_after_how_long() -> None:
    with world(*SMALL_SYSTEM) as here:
        assert here.ctl("start", "nginx") == Ran(0, "nginx: up after 0.00 s\n", "")


def test_a_start_that_fails_says_why_and_where_to_look() -> None:
    with world(*SMALL_SYSTEM) as here:
        here.supervisor.exits["net"] = 11
        assert here.ctl("start", "nginx") == Ran(
            1,
            "",
            "nginx: failed: needs net, which failed (services/nginx.yaml:3:3)\n"
            "see: linitctl why nginx; linitctl logs nginx\n",
        )


def test_stop_says_before_what_else_it_stops() -> None:
    with world(*SMALL_SYSTEM) as here:
        assert booted(here).ctl("stop", "net") == Ran(0, "stop first: php, nginx\nnet: stopped by WHO\n", "")


def test_stop_without_cascade_stops_nothing_that_others_need() -> None:
    with world(*SMALL_SYSTEM) as here:
        assert booted(here).ctl("stop", "--no-cascade", "net") == Ran(
            1,
            "",
            "net: nginx would stop with it\nsee: linitctl rdeps net; without --no-cascade they stop first\n",
        )
        assert here.state("net") == "up"


def test_restart_says_what_restarts_with_it() -> None:
    with world(*SMALL_SYSTEM) as here:
        assert booted(here).ctl("restart", "nginx") == Ran(0, "restarts with it: php\nnginx: up after 0.00 s\n", "")
        assert here.ctl("restart", "--only", "nginx") == Ran(0, "nginx: up after 0.00 s\n", "")


def test_reload_without_a_name_shows_the_difference_and_what_is_wrong() -> None:
    with world(*SMALL_SYSTEM) as here:
        booted(here)
        fault = Fault(Severity.WARNING, Place("services/new.yaml", 2), "run", "'x'", service="new")
        kept = [each for each in SMALL_SYSTEM if each.name not in ("redis", "nginx")]
        nginx = service("nginx", ("need", "net"), runlevels=("default",), digest="other")
        here.supervisor.next_plan = Plan((*kept, nginx, service("new")), (fault,))
        assert here.ctl("reload") == Ran(
            0,
            "added     new\nremoved   redis\noutdated  nginx\nto put it to use: linitctl restart nginx\n",
            "warning: services/new.yaml:2: run: found 'x'\n",
        )
        here.supervisor.next_plan = Plan((*kept, nginx, service("new")))
        assert here.ctl("reload") == Ran(0, "outdated  nginx\nto put it to use: linitctl restart nginx\n", "")
        line = "nginx  up      103  1 min 1 s  0.00 s  its definition changed: a restart puts the new one to use\n"
        assert line in here.ctl("list").out
        here.ctl("restart", "nginx")
        assert here.ctl("reload") == Ran(0, "nothing changed\n", "")


def test_a_reload_of_a_definition_that_broke_says_that_the_old_one_stays_in_use() -> None:
    """What would take a service down is not advised, and refused."""
    with world(*SMALL_SYSTEM) as here:
        booted(here)
        fault = "services/nginx.yaml:1:1: run: found 7"
        nginx = service("nginx", digest="other", broken="definition", broken_by=(fault,))
        here.supervisor.next_plan = Plan(tuple(nginx if each.name == "nginx" else each for each in SMALL_SYSTEM))
        words = "outdated  nginx\nnew definition broken, so the old one stays in use: nginx\n"
        assert here.ctl("reload") == Ran(0, words, "")
        line = "nginx  up      103  1 min 1 s  0.00 s  its new definition is broken: it goes on by the old one\n"
        assert line in here.ctl("list").out
        lines = here.ctl("status", "nginx").out.splitlines()
        assert f"  fault        {fault}" in lines
        assert lines[-1] == "  out of date  its new definition is broken: it goes on by the old one"
        refused = f"nginx: its new definition is broken, so it is left as it is: {fault}\n"
        ran = here.ctl("restart", "nginx")
        assert (ran.status, refused in ran.err) == (1, True)
        assert here.state("nginx") == "up"
        here.supervisor.next_plan = Plan(tuple(each for each in SMALL_SYSTEM if each.name != "nginx"))
        assert here.ctl("reload") == Ran(0, "removed  nginx\n", "")


def test_kill_says_what_was_sent_to_whom() -> None:
    with world(*SMALL_SYSTEM) as here:
        booted(here)
        assert here.ctl("kill", "-s", "hup", "nginx") == Ran(0, "nginx: SIGHUP sent to its main process\n", "")
        assert here.ctl("kill", "nginx", "--all") == Ran(0, "nginx: SIGTERM sent to all its processes\n", "")
        assert here.supervisor.signals == [("nginx", 1, "main"), ("nginx", 15, "all")]


def test_deps_is_a_tree_of_edges_with_who_wrote_them() -> None:
    with world(*SMALL_SYSTEM) as here:
        assert booted(here).ctl("deps", "php") == Ran(
            0,
            "php\n"
            "└─ need nginx        up    services/php.yaml:3:3\n"
            "   ├─ need net       up    services/nginx.yaml:3:3\n"
            "   └─ after sysinit  down  services/nginx.yaml:4:3\n",
            "",
        )


def test_a_part_of_the_tree_that_was_shown_is_not_shown_again() -> None:
    two_ways = [service("a", ("need", "b"), ("need", "c")), service("b", ("need", "c"))]
    with world(*two_ways, service("c", ("want", "d")), service("d")) as here:
        assert here.ctl("deps", "a").out == (
            "a\n"
            "├─ need b              down  services/a.yaml:3:3\n"
            "│  └─ need c           down  services/b.yaml:3:3\n"
            "│     └─ want d        down  services/c.yaml:3:3\n"
            "└─ need c (see above)  down  services/a.yaml:4:3\n"
        )


def test_rdeps_is_a_table_when_asked_for() -> None:
    with world(*SMALL_SYSTEM) as here:
        assert booted(here).ctl("rdeps", "net", "--flat") == Ran(
            0,
            "SERVICE  EDGE  ON     STATE  PLACE\n"
            "nginx    need  net    up     services/nginx.yaml:3:3\n"
            "default  want  nginx  up     runlevels/default/nginx (implied)\n"
            "php      need  nginx  up     services/php.yaml:3:3\n"
            "default  want  php    up     runlevels/default/php (implied)\n",
            "",
        )


def test_why_is_a_paragraph_and_the_chain_to_the_root_cause() -> None:
    with world(*SMALL_SYSTEM) as here:
        here.supervisor.exits["net"] = 1 << 8
        booted(here)
        assert here.ctl("why", "php") == Ran(
            0,
            "php failed 1 min 1 s ago (CLOCK): needs nginx, which failed (services/php.yaml:3:3). "
            "It should be up: wanted by runlevel default (runlevels/default/php) since CLOCK; "
            "default was asked for by the test at CLOCK. "
            "nginx failed 1 min 1 s ago (CLOCK): needs net, which failed (services/nginx.yaml:3:3). "
            "net failed 1 min 1 s ago (CLOCK): exited with status 1. "
            "With restart: never it is not started again.\n"
            "\n"
            "php        failed  needs nginx, which failed (services/php.yaml:3:3)\n"
            "└─ nginx   failed  needs net, which failed (services/nginx.yaml:3:3)\n"
            "   └─ net  failed  exited with status 1\n"
            "\n"
            "net wrote nothing in that run\n",
            "",
        )


def test_why_tells_what_is_waited_for_and_how_much_longer() -> None:
    with world(service("net", readiness=NOTIFY), service("web", ("need", "net"))) as here:
        here.supervisor.held.add("net")
        here.start("web")
        here.loop.now_s += 12
        out = here.ctl("why", "web").out
        assert out == (
            "web has been waiting for 12 s (since CLOCK): waits for net. "
            "It should be up: asked for by the test at CLOCK. "
            "net has been starting for 12 s (since CLOCK), 48 s left (until CLOCK): runs, not ready yet (notify).\n"
            "\n"
            "web     waiting   waits for net\n"
            "└─ net  starting  runs, not ready yet (notify)\n"
        )


def test_runlevel_shows_where_we_are_and_switches() -> None:
    with world(*SMALL_SYSTEM, runlevel("single")) as here:
        assert booted(here).ctl("runlevel") == Ran(0, "default (running)\nothers: single, sysinit\n", "")
        assert here.ctl("runlevel", "single").status == 0
        assert here.state("nginx") == "down"


def test_report_tells_when_each_came_up() -> None:
    with world(*SMALL_SYSTEM) as here:
        lines = booted(here).ctl("report").out.splitlines()
        assert lines[:3] == [
            "NAME     OUTCOME      AT  WAITED    TOOK",
            "bad      failed   0.00 s  0.00 s  0.00 s",
            "default  up       0.00 s  0.00 s  0.00 s",
        ]
        assert {"boot         0.00 s to default", "failed       bad", "wake-ups     7"} <= set(lines)


def test_version_tells_both_versions_and_works_without_linit() -> None:
    with world() as here:
        assert here.ctl("version") == Ran(
            0, f"linitctl 0.1.0, protocol 1\nlinit 0.1.0, protocol 1, pid {os.getpid()}, user mode\n", ""
        )
        path = f"{here.folder}/nobody.sock"
        assert here.ctl("--socket", path, "version") == Ran(
            0, f"linitctl 0.1.0, protocol 1\nlinit does not answer on {path}\n", ""
        )


@pytest.mark.parametrize(
    "arguments",
    [
        ["list"], ["status"], ["status", "nginx"], ["start", "redis"], ["stop", "redis"], ["restart", "redis"],
        ["reset", "bad"], ["kill", "nginx"], ["deps", "nginx"], ["rdeps", "net"], ["why", "nginx"], ["runlevel"],
        ["report"], ["version"],
    ],
)  # fmt: skip
def test_every_command_writes_json_when_asked_and_nothing_else(arguments: list[str]) -> None:
    with world(*SMALL_SYSTEM) as here:
        ran = booted(here).ctl("--json", *arguments)
        assert ran.err == ""
        json.loads(ran.out)


# -- the pieces


def test_a_command_is_shown_as_one_would_type_it_and_a_script_by_its_length() -> None:
    assert command_text(["/bin/echo", "a b"]) == "/bin/echo 'a b'"
    assert command_text(["/bin/sh", "-e", "-c", "echo a\necho b\n", "web"]) == "/bin/sh, a script of 2 lines"
    assert command_text([]) == ""


@pytest.mark.parametrize(
    ("seconds", "how_long", "how_old"),
    [
        (0.0, "0.00 s", "0 s"),
        (0.214, "0.21 s", "0 s"),
        (9.99, "9.99 s", "9 s"),
        (12.34, "12.3 s", "12 s"),
        (60, "1 min", "1 min"),
        (125.7, "2 min 5 s", "2 min 5 s"),
        (3600, "1 h", "1 h"),
        (10_860, "3 h 1 min", "3 h 1 min"),
        (1_051_200, "12 d 4 h", "12 d 4 h"),
    ],
)
def test_times_are_told_in_their_two_largest_units(seconds: float, how_long: str, how_old: str) -> None:
    assert (duration(seconds), age(seconds)) == (how_long, how_old)


def test_the_last_column_is_cut_to_the_terminal_and_others_are_not() -> None:
    rows = [["nginx", "a very long description"], ["a", "b"]]
    assert render((), rows, Style(False), width=16) == ["nginx  a very l…", "a      b"]


def test_colours_do_not_disturb_the_alignment() -> None:
    rows: list[list[str | tuple[str, str]]] = [[("a", "31"), "x"], ["bbb", "y"]]
    assert render((), rows, Style(True)) == ["\x1b[31ma\x1b[0m    x", "bbb  y"]


class _Stream:
    def __init__(self, is_terminal: bool) -> None:
        self.is_terminal = is_terminal

    def isatty(self) -> bool:
        return self.is_terminal


@pytest.mark.parametrize(
    ("when", "is_terminal", "environment", "colour"),
    [
        ("auto", True, {}, True),
        ("auto", False, {}, False),
        ("auto", True, {"NO_COLOR": "1"}, False),
        ("auto", True, {"NO_COLOR": ""}, True),
        ("auto", True, {"TERM": "dumb"}, False),
        ("always", False, {"NO_COLOR": "1"}, True),
        ("never", True, {}, False),
    ],
)
def test_colour_is_for_terminals_and_may_be_switched_off(
    when: str, is_terminal: bool, environment: dict[str, str], colour: bool
) -> None:
    """NO_COLOR: no-color.org."""
    assert wants_colour(when, _Stream(is_terminal), lambda name: environment.get(name, "")) is colour  # type: ignore[arg-type]


def test_what_a_service_wrote_cannot_act_on_the_terminal() -> None:
    assert printable("a\tb\x1b]0;title\x07é") == "a\tb?]0;title?é"
