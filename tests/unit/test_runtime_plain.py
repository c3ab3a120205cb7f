"""Programs run without a copy of linit, and those that are not: the same to the program, and to who waits for it."""

from __future__ import annotations

import fcntl
import os
import resource
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from linit.model.service import Execution, Limits
from linit.runtime import kernel_files, plain, programs
from linit.runtime.plain import EXECUTES, Launcher, is_plain
from linit.runtime.posix_spawn import THREADS_OWN, Spawner
from linit.runtime.spawn import Launch, fork_exec

Start = Callable[[Launch, tuple[int, ...], tuple[int, ...]], tuple[int, int]]

ENVIRONMENT = {"PATH": "/usr/bin:/bin"}


@pytest.fixture(params=["plain", "forked"])
def start(request: pytest.FixtureRequest) -> Start:
    """Both ways."""
    return Launcher().start if request.param == "plain" else fork_exec


def said(start: Start, script: str, launch: Launch | None = None, **execution: Any) -> str:
    """What a shell's script says to its standard output."""
    ours, theirs = os.pipe2(os.O_CLOEXEC)
    launch = launch or Launch((), Execution(**execution), ENVIRONMENT)
    pid, gate = start(replace(launch, argv=("/bin/sh", "-c", script), output=theirs), (), ())
    os.close(theirs)
    with open(ours, encoding="utf-8") as file:
        text = file.read()
    assert os.waitpid(pid, 0)[1] == 0, text
    if gate != EXECUTES:
        assert os.read(gate, 100) == b""
        os.close(gate)
    return text


def failure(start: Start, launch: Launch) -> str:
    """Why a program could not be executed."""
    pid, gate = start(launch, (), ())
    os.set_blocking(gate, True)
    text = os.read(gate, 1000).decode()
    os.close(gate)
    os.waitpid(pid, 0)
    return text


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """No child, no descriptor, and what was lent was taken back."""
    before = set(os.listdir("/proc/self/fd")), resource.getrlimit(resource.RLIMIT_NOFILE), oom_score_adj()
    mask = os.umask(0o021)
    yield
    assert os.umask(mask) == 0o021
    assert before == (set(os.listdir("/proc/self/fd")), resource.getrlimit(resource.RLIMIT_NOFILE), oom_score_adj())
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def oom_score_adj() -> str:
    return kernel_files.read(plain.OOM_SCORE_ADJ)


# -- what a program finds


def test_a_shell_needs_no_fork() -> None:
    """EXECUTES in place of a gate: when the call comes back the program executes."""
    pid, gate = Launcher().start(Launch(("sh", "-c", "exit 3"), environment=ENVIRONMENT), (), ())
    assert gate == EXECUTES
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3


def test_standard_descriptors_and_nothing_else(start: Start) -> None:
    """0 is /dev/null, 1 and 2 are the output, 3 is ls's own; also of what nobody marked close-on-exec."""
    open_to_all = os.dup(0)
    os.set_inheritable(open_to_all, True)
    found = said(start, "ls -l /proc/self/fd | sed -n 's/.* \\([0-9]*\\) -> \\([a-z/]*\\).*/\\1 \\2/p'")
    os.close(open_to_all)
    assert found.split("\n")[:3] == ["0 /dev/null", "1 pipe", "2 pipe"]
    assert found.count("\n") == 4


def test_errors_go_elsewhere_where_that_was_said(start: Start) -> None:
    ours, theirs = os.pipe2(os.O_CLOEXEC)
    launch = Launch((), environment=ENVIRONMENT, errors=theirs)
    assert said(start, "echo out; echo err >&2", launch) == "out\n"
    os.close(theirs)
    assert os.read(ours, 100) == b"err\n"
    os.close(ours)


def test_kept_descriptors_have_their_numbers_and_nothing_lies_between(start: Start) -> None:
    """Also where ours have numbers that others are to get."""
    first, second = os.pipe2(os.O_CLOEXEC), os.pipe2(os.O_CLOEXEC)
    one, two = (fcntl.fcntl(pipe[1], fcntl.F_DUPFD_CLOEXEC, 100) for pipe in (first, second))
    launch = Launch((), environment=ENVIRONMENT, keep=((one, two), (two, one)))
    found = said(start, f"exec bash -c 'echo one >&{two}; echo two >&{one}; ls /proc/self/fd'", launch)
    assert sorted(map(int, found.split())) == [0, 1, 2, 3, one, two]  # 3 is ls's own
    for fd in (one, two, first[1], second[1]):
        os.close(fd)
    for (end, _), text in ((first, b"one\n"), (second, b"two\n")):
        assert os.read(end, 100) == text
        os.close(end)


def test_a_connection_is_input_and_output(start: Start) -> None:
    """As of `accept`; errors go to the log."""
    import socket

    ours, theirs = socket.socketpair()
    launch = Launch((), environment=ENVIRONMENT, connection=theirs.fileno())
    ours.send(b"hello\n")
    assert (
        said(start, "read word; echo $word; [ $(readlink /proc/self/fd/0) = $(readlink /proc/$$/fd/1) ]", launch) == ""
    )
    theirs.close()
    assert ours.recv(100) == b"hello\n"
    ours.close()


def test_environment_directory_mask_and_session(start: Start) -> None:
    """The definition's variables come on top of linit's."""
    launch = Launch((), Execution(environment=(("A", "own"),), umask=0o027, directory="/proc"), {"A": "x", "B": "y"})
    script = "echo $A $B $(umask) $(pwd) $PATH; read pid name state parent group session rest < /proc/$$/stat; "
    found = said(start, script + "[ $pid = $group ] && [ $pid = $session ]", launch).split()
    assert found[:4] == ["own", "y", "0027", "/proc"]


def test_no_signal_is_ignored_or_blocked(start: Start) -> None:
    """But what linit was told nothing of. Source: proc_pid_status(5)."""
    ignored = [number for number in signal.valid_signals() if signal.getsignal(number) is signal.SIG_IGN]
    before = signal.signal(signal.SIGQUIT, signal.SIG_IGN)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGUSR1,))
    launch = Launch((), environment=ENVIRONMENT)

    def with_signals(one: Launch, *_: object) -> tuple[int, int]:
        return start(one, (), (signal.SIGQUIT, *ignored))

    found = said(with_signals, "grep -E '^Sig(Blk|Ign)' /proc/self/status", launch)
    signal.signal(signal.SIGQUIT, before)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    blocked, still_ignored = (int(line.split()[1], 16) for line in found.splitlines())
    assert blocked == 0
    assert not still_ignored & sum(1 << number - 1 for number in (signal.SIGQUIT, *ignored, *THREADS_OWN))


def test_the_place_with_the_oom_killer(start: Start) -> None:
    assert said(start, "cat /proc/self/oom_score_adj", oom_score_adj=300) == "300\n"
    assert said(start, "cat /proc/self/oom_score_adj") == "0\n"


def test_a_soft_limit_is_lent(start: Start) -> None:
    """As linit's own limit of descriptors is larger than what its services get."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    launch = Launch((), environment=ENVIRONMENT, rlimits=(("nofile", 99, hard),))
    assert said(start, "ulimit -Sn", launch) == "99\n"


def may_raise_limits() -> bool:
    """CAP_SYS_RESOURCE: capabilities(7), proc_pid_status(5)."""
    status = kernel_files.read("/proc/self/status").partition("CapEff:")[2].split()
    return bool(int(status[0], 16) & 1 << 24)


@pytest.mark.skipif(
    not may_raise_limits(), reason="this machine lets nobody raise a hard limit; the VM's nginx has one"
)
def test_a_hard_limit_above_ours_is_lent(start: Start) -> None:
    """A web server has more descriptors than PID 1 during a boot. The fixture sees that ours is as before."""
    before = resource.getrlimit(resource.RLIMIT_NPROC)
    resource.setrlimit(resource.RLIMIT_NPROC, (5000, 6000))
    try:
        launch = Launch((), environment=ENVIRONMENT, rlimits=(("nproc", 7000, 8000),))
        assert said(start, "ulimit -Su; ulimit -Hu", launch) == "7000\n8000\n"
        assert resource.getrlimit(resource.RLIMIT_NPROC) == (5000, 6000)
    finally:
        resource.setrlimit(resource.RLIMIT_NPROC, before)


def test_a_hard_limit_below_ours_is_not_lent() -> None:
    """Who has given one up may not get it back."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    launch = Launch(("sh", "-c", "exit 3"), environment=ENVIRONMENT, rlimits=(("nofile", soft, hard - 1),))
    pid, gate = Launcher().start(launch, (), ())
    assert gate != EXECUTES
    os.close(gate)
    os.waitpid(pid, 0)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (soft, hard)


# -- what cannot be done


@pytest.mark.parametrize(
    ("launch", "text"),
    [
        (Launch(("/usr/bin/nothing-like-it",)), "exec /usr/bin/nothing-like-it: ENOENT (no such file or directory)"),
        (Launch(("/usr/bin",)), "exec /usr/bin: EACCES (permission denied)"),
        (Launch(("nothing-like-it",)), "exec nothing-like-it: not found in PATH (/usr/sbin:/usr/bin:/sbin:/bin)"),
        (
            Launch(("/bin/true",), Execution(directory="/run/nothing-like-it")),
            "directory /run/nothing-like-it: ENOENT (no such file or directory)",
        ),
        (
            Launch(("/bin/true",), cgroup="/sys/nothing-like-it"),
            "cgroup /sys/nothing-like-it/cgroup.procs: ENOENT (no such file or directory)",
        ),
        (Launch(("/bin/true",), output="/dev/nothing"), "output /dev/nothing: ENOENT (no such file or directory)"),
        (Launch(("/bin/true", "\0")), "exec: ValueError: embedded null byte"),
    ],
)
def test_a_failure_names_its_step(start: Start, launch: Launch, text: str) -> None:
    """posix_spawn(3) returns a number only; the fork that follows knows what it was."""
    assert failure(start, launch) == text


def test_where_the_library_cannot_do_it_everything_is_forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """As before glibc 2.34, for want of a function. Nobody tries twice."""
    asked = []

    def fails(_self: Spawner, _defaults: object) -> None:
        asked.append(True)
        raise AttributeError("posix_spawn_file_actions_addclosefrom_np")

    monkeypatch.setattr(Spawner, "__init__", fails)
    launcher = Launcher()
    assert said(launcher.start, "echo forked") == said(launcher.start, "echo forked") == "forked\n"
    assert asked == [True]


def test_where_the_library_knows_no_cgroups_what_has_one_is_forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """glibc before 2.39, musl. Everything else is not."""
    monkeypatch.setattr(Spawner, "knows_cgroups", False)
    launcher = Launcher()
    pid, gate = launcher.start(Launch(("/bin/true",), cgroup="/nowhere"), (), ())
    assert gate != EXECUTES
    os.close(gate)
    os.waitpid(pid, 0)
    assert launcher.start(Launch(("/bin/true",)), (), ())[1] == EXECUTES
    os.wait()


# -- the rule


@pytest.mark.parametrize(
    "execution",
    [
        {"user": "daemon"}, {"group": "daemon"}, {"groups": ()}, {"chroot": "/"}, {"nice": 1},
        {"scheduler": ("idle", 0)}, {"cpu_affinity": (0,)}, {"environment_files": (("/etc/x", True),)},
        {"directory": "/srv"}, {"ionice": "idle"},
        {"no_new_privs": True}, {"capabilities": ()}, {"ambient": ("kill",)}, {"private_tmp": True},
        {"private_network": True}, {"private_devices": True}, {"read_only_paths": ("/",)}, {"hidden_paths": ("/srv",)},
    ],
)  # fmt: skip
def test_what_needs_a_step_of_our_own_is_not_plain(execution: dict[str, Any]) -> None:
    assert is_plain(Launch(("true",), Execution()))
    assert not is_plain(Launch(("true",), Execution(**execution)))


def test_what_a_launch_may_ask_for_without_being_plain() -> None:
    """A terminal, its own pid in a variable, limits of its cgroup, an output that may be anywhere."""
    limited = Execution(limits=Limits(pids_max=5))
    assert is_plain(Launch(("true",), limited))
    assert not is_plain(Launch(("true",), limited, cgroup="/sys/fs/cgroup/x"))
    assert not is_plain(Launch(("true",), tty="/dev/tty1"))
    assert not is_plain(Launch(("true",), with_pid=("LISTEN_PID",)))
    assert not is_plain(Launch(("true",), output="/srv/log"))


@pytest.mark.parametrize(
    ("program", "path", "found"),
    [
        ("/bin/sh", "", "/bin/sh"),
        ("/srv/bin/sh", "", ""),
        ("/usr/local/bin/sh", "", ""),
        ("/usr/../srv/sh", "", ""),
        ("sh", "/sbin:/bin", "/bin/sh"),
        ("sh", "/usr/local/bin:/bin", ""),
        ("sh", "/bin:/usr/local/bin", "/bin/sh"),
        ("sh", ":/bin", ""),
        ("nothing-like-it", "/usr/bin:/bin", ""),
    ],
)
def test_a_plain_program_is_the_systems_own(program: str, path: str, found: str) -> None:
    """linit waits until it is executed, and no disk may keep it waiting that it could do without."""
    assert programs.found(program, {"PATH": path}, lambda _: False) == found
