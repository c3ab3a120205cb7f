"""Small questions with whole answers: addresses, words, commands."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from linit.engine.effects import Transition
from linit.engine.unit import Unit
from linit.model.place import Place
from linit.model.reason import Cause, Reason
from linit.model.runlevel import with_a_runlevel
from linit.model.service import Kind, Plan, Service
from linit.model.state import Role, UnitState
from linit.runtime import interpreter
from linit.runtime.readiness import tcp_address
from linit.runtime.wording import transition_words

HERE = Place("test.yaml")
UP, DOWN, FAILED = UnitState.UP, UnitState.DOWN, UnitState.FAILED


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:80", (socket.AF_INET, ("127.0.0.1", 80))),
        ("80", (socket.AF_INET, ("127.0.0.1", 80))),
        (":80", (socket.AF_INET, ("127.0.0.1", 80))),
        ("localhost:6379", (socket.AF_INET, ("127.0.0.1", 6379))),
        ("0.0.0.0:22", (socket.AF_INET, ("127.0.0.1", 22))),
        ("[::1]:80", (socket.AF_INET6, ("::1", 80))),
        ("[::]:80", (socket.AF_INET6, ("::1", 80))),
        ("www.example.org:80", None),
        ("127.0.0.1:http", None),
        ("127.0.0.1:0", None),
        ("127.0.0.1:65536", None),
        ("", None),
    ],
)
def test_addresses_are_numeric(text: str, expected: object) -> None:
    """No name is looked up: PID 1 would wait for an answer over the network."""
    assert tcp_address(text) == expected


@pytest.mark.parametrize(
    ("after", "reason", "duration_s", "kind", "expected"),
    [
        (UP, Reason(Cause.READY), 0.8, Kind.PROCESS, "up (pid 412, ready after 0.8 s)"),
        (UP, Reason(Cause.READY), 0.031, Kind.ONESHOT, "up (pid 412, done after 0.03 s)"),
        (FAILED, Reason(Cause.EXITED, status=256), None, Kind.PROCESS, "failed: exited with status 1"),
        (DOWN, Reason(Cause.STOPPED, by="root"), 12.34, Kind.PROCESS, "down (stopped by root, after 12.3 s)"),
        (
            UnitState.BACKOFF,
            Reason(Cause.RESPAWN, status=9, limit_s=0.2),
            None,
            Kind.PROCESS,
            "killed by SIGKILL; starts again after 0.2 s",
        ),
        (UP, Reason(Cause.READY), 0.8, Kind.FORKING, "up (pid 412, ready after 0.8 s)"),
        (UP, Reason(Cause.READY), 0.0, Kind.TIMER, "up"),
        (UnitState.STARTING, Reason(Cause.STARTING, text="starting"), None, Kind.PROCESS, "starting"),
        (UnitState.WAITING, Reason(Cause.WAITS_FOR, of="net"), None, Kind.PROCESS, "waiting (waits for net)"),
    ],
)
def test_a_change_of_state_is_one_line(
    after: UnitState, reason: Reason, duration_s: float | None, kind: Kind, expected: str
) -> None:
    """STYLE.md: subject first, with the numbers an operator asks for next."""
    unit = Unit("a", Service("a", HERE, kind), pids={Role.MAIN: 412})
    transition = Transition("a", DOWN, after, reason, 0.0, duration_s)
    assert transition_words(transition, unit) == expected


def test_a_second_program_finds_linit_wherever_the_first_found_it() -> None:
    """Isolated and without site, as in the image; sys.path is passed on."""
    argv = interpreter.command("tests.unit.test_runtime_texts", "one", "two")
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env={})
    assert (done.returncode, done.stdout) == (3, "['tests.unit.test_runtime_texts', 'one', 'two'] True True\n"), done


def main() -> int:
    """What the test above runs."""
    print(sys.argv, bool(sys.flags.isolated), bool(sys.flags.no_site))
    return 3


def test_without_runlevels_there_is_one_that_wants_everything() -> None:
    """`linit --user DIR` in a folder of nothing but services."""
    plan = Plan((Service("b", HERE), Service("v", HERE, Kind.VIRTUAL), Service("z", HERE, Kind.ONESHOT)))
    made = with_a_runlevel(plan)
    assert [service.name for service in made.services] == ["b", "default", "v", "z"]
    assert [edge.on for edge in made.services[1].dependencies] == ["b", "z"]
    assert with_a_runlevel(made) is made
