"""What PID 1 keeps of the environment, what it reads of processes, and what each signal means to it."""

from __future__ import annotations

import signal

from linit.engine.unit import Unit
from linit.model.place import Place
from linit.model.service import Kind, Plan, Service
from linit.model.state import Finish
from linit.system import rescue, signals
from linit.system.machine import all_down_limit_s, known_runlevel
from linit.system.processes import Process, parse_stat
from linit.system.surroundings import PATH, clean_environment


def test_words_of_the_kernel_command_line_do_not_stay_in_the_environment() -> None:
    """The kernel passes `name=value` words that it does not know on to init: bootparam(7)."""
    found = {"TERM": "linux", "LD_PRELOAD": "/tmp/evil.so", "PYTHONPATH": "/tmp", "linit.x": "1", "LANG": "C.UTF-8"}
    assert clean_environment(found, "tty0") == {"PATH": PATH, "TERM": "linux", "LANG": "C.UTF-8"}


def test_a_serial_console_is_no_linux_terminal() -> None:
    assert clean_environment({"TERM": "linux"}, "tty0 ttyS0\n")["TERM"] == "vt102"
    assert clean_environment({}, "ttyS0")["TERM"] == "vt102"
    assert clean_environment({"TERM": "xterm"}, "ttyS0")["TERM"] == "xterm"
    assert "TERM" not in clean_environment({}, "")


def test_the_rescue_shell_gets_an_environment_of_its_own() -> None:
    assert rescue.environment({"TERM": "vt102", "NOTIFY_SOCKET": "/x"}) == {**rescue.ENVIRONMENT, "TERM": "vt102"}


def test_busyboxs_signals_have_busyboxs_meaning() -> None:
    assert signals.FINISHES == {
        signal.SIGINT: Finish.REBOOT,
        signal.SIGTERM: Finish.REBOOT,
        signal.SIGUSR1: Finish.HALT,
        signal.SIGUSR2: Finish.POWEROFF,
        signal.SIGPWR: Finish.POWEROFF,
    }


def test_every_signal_has_exactly_one_meaning() -> None:
    faults = {
        signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGSYS, signal.SIGTRAP, signal.SIGABRT,
        signal.SIGSTKFLT,
    }  # fmt: skip
    groups = [set(signals.FINISHES), {signals.RELOAD}, {signal.SIGCHLD}, set(signals.IGNORED), faults]
    groups.append({signal.SIGKILL, signal.SIGSTOP})
    assert sum(map(len, groups)) == len(set().union(*groups))
    assert set().union(*groups) == set(signal.valid_signals())


def test_a_process_may_have_any_name() -> None:
    """proc_pid_stat(5): the name is in parentheses and may hold some itself."""
    rest = "S 1 2 2 0 -1 4194304 100 0"
    assert parse_stat(f"412 (a) b (c) {rest}") == Process(412, "a) b (c")
    assert str(Process(412, "vi")) == "vi (pid 412)"


def test_threads_of_the_kernel_and_zombies_are_nobody_to_end() -> None:
    assert parse_stat("2 (kthreadd) S 0 0 0 0 -1 2129984 0 0") is None
    assert parse_stat("9 (gone) Z 1 9 9 0 -1 4194304 0 0") is None
    assert parse_stat("") is None


def test_a_runlevel_that_is_not_there_becomes_the_default_and_is_told() -> None:
    place = Place("/services/x.yaml")
    plan = Plan((Service("default", place, Kind.RUNLEVEL), Service("single", place, Kind.RUNLEVEL)))
    told: list[str] = []
    assert known_runlevel("single", plan, told.append) == "single"
    assert told == []
    assert known_runlevel("singel", plan, told.append) == "default"
    assert told == ["there is no runlevel singel; booting default"]


def test_a_shutdown_has_a_limit_that_leaves_room_for_the_slowest_stops() -> None:
    def unit(stop_timeout_s: float | None) -> Unit:
        return Unit("x", Service("x", Place("/services/x.yaml"), stop_timeout_s=stop_timeout_s))

    assert all_down_limit_s([]) == 120.0
    assert all_down_limit_s([unit(15.0), unit(None)]) == 120.0
    assert all_down_limit_s([unit(15.0), unit(300.0)]) == 960.0
