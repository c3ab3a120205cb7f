"""Children, orphans and their ends, with real forks and no loop: the tests decide when something is read."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from linit.engine.effects import Signal, To
from linit.engine.events import Emptied, Event, Exited, Spawned, SpawnFailed
from linit.model.state import Role
from linit.runtime import accounts, plain, sessions
from linit.runtime.cgroups import Cgroups
from linit.runtime.failure import errno_words, error_words
from linit.runtime.members import Members
from linit.runtime.processes import Processes
from linit.runtime.reap import Signals
from linit.runtime.spawn import Launch
from tests.unit.test_runtime_loop import Recorder


class World:
    """Members of services without cgroups; `reported` is what the engine would be told."""

    def __init__(self) -> None:
        self.loop = Recorder()
        self.signals = Signals(self.loop)
        self.processes = Processes(self.loop, self.signals)
        self.reported: list[Event] = []
        self.members = Members(self.loop, self.processes, "", self.reported.append)

    def run(self, *argv: str) -> int:
        """Spawn a main process of service `a`; its pid."""
        self.members.spawn("a", Role.MAIN, lambda _cgroup: Launch(argv, environment={"PATH": "/usr/bin:/bin"}))
        return self.members.main_pid("a")

    def wait_dead(self, pid: int) -> None:
        """Until a child is a zombie; it is not reaped by this. Source: waitid(2), WNOWAIT."""
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)

    def run_until_it_executes(self, *argv: str) -> int:
        """The same, and then do what the loop would when the child's gate becomes readable, if it has one."""
        before = len(self.loop.asked)
        pid = self.run(*argv)
        for _, fd, callback, *args in [what for what in self.loop.asked[before:] if what[0] == "reader"]:
            os.set_blocking(fd, True)  # the loop would wait; so does this
            callback(*args)
        return pid


@dataclass
class Named:
    """The owner of a service's command."""

    name: str
    reported: list[Event]

    def executing(self, pid: int) -> None:
        self.reported.append(Spawned(self.name, Role.MAIN, pid))

    def exited(self, _pid: int, status: int) -> None:
        self.reported.append(Exited(self.name, Role.MAIN, status))

    def failed(self, _pid: int, text: str) -> None:
        self.reported.append(SpawnFailed(self.name, Role.MAIN, text))


@pytest.fixture(params=["plain", "forked"])
def world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A world that ends without children; with both ways of making them."""
    if request.param == "forked":
        monkeypatch.setattr(plain, "is_plain", lambda _launch: False)
    world = World()
    yield world
    world.members.kill_all("a")
    while world.members.pids("a"):
        world.processes.reap()
    world.signals.close()
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_spawned_comes_before_exited_also_when_the_end_is_seen_first(world: World) -> None:
    """The gate of a dead child is read before its end is told."""
    pid = world.run("/bin/sh", "-c", "exit 3")
    world.wait_dead(pid)
    world.processes.reap()
    assert world.reported == [Spawned("a", Role.MAIN, pid), Exited("a", Role.MAIN, 3 << 8)]


def test_of_ends_that_are_seen_together_that_of_the_highest_rank_is_told_first(world: World) -> None:
    """During a boot: its dependents are spawned before those of others."""
    pids = [world.processes.start(Launch(("/bin/true",)), Named(name, world.reported)) for name in ("b", "c", "d")]
    for pid in pids:
        world.wait_dead(pid)
    world.processes.rank = {"b": 1, "c": 0, "d": 7}.__getitem__
    world.processes.reap()
    assert [event.name for event in world.reported if isinstance(event, Exited)] == ["d", "b", "c"]


def test_a_program_that_cannot_be_executed_is_told_once_and_has_no_end(world: World) -> None:
    """SpawnFailed, without Spawned or Exited."""
    world.wait_dead(world.run("/nowhere"))
    world.processes.reap()
    text = "exec /nowhere: ENOENT (no such file or directory)"
    assert world.reported == [SpawnFailed("a", Role.MAIN, text)]
    assert world.members.is_empty("a")


def test_a_child_killed_before_its_program_ran_has_an_end(world: World) -> None:
    """The gate is closed without a word, by whatever closed it."""
    pid = world.run("/bin/sleep", "1000")
    os.kill(pid, signal.SIGKILL)
    world.wait_dead(pid)
    world.processes.reap()
    assert world.reported == [Spawned("a", Role.MAIN, pid), Exited("a", Role.MAIN, signal.SIGKILL)]


def test_a_signal_reaches_a_child_that_was_forked_just_now(world: World) -> None:
    """It has neither session nor cgroup yet, and still our handlers: the signal waits until it has become itself."""
    pid = world.run("/bin/sleep", "1000")
    world.members.signal(Signal("a", signal.SIGTERM, To.ALL))
    world.wait_dead(pid)
    world.processes.reap()
    assert world.reported[-1] == Exited("a", Role.MAIN, signal.SIGTERM)


def test_killing_nobody_is_reported_at_once(world: World) -> None:
    """KillAll in engine/effects.py."""
    world.members.kill_all("a")
    assert world.reported == [Emptied("a")]


def test_what_an_exit_leaves_is_reported_when_it_is_gone(world: World) -> None:
    """Exited with `left`, and Emptied after the last one's end."""
    left, right = os.pipe()
    os.set_inheritable(right, True)
    launch = Launch(
        ("/bin/sh", "-c", "sleep 1000 & echo $! >&3"), environment={"PATH": "/usr/bin:/bin"}, keep=((right, 3),)
    )
    world.members.spawn("a", Role.MAIN, lambda _cgroup: launch)
    pid = world.members.main_pid("a")
    os.close(right)
    grandchild = int(os.read(left, 100))
    os.close(left)
    world.wait_dead(pid)
    world.processes.reap()
    assert world.reported[-1] == Exited("a", Role.MAIN, 0, left=True)
    assert world.members.pids("a") == [grandchild]
    assert world.members.has("a", grandchild)
    world.members.kill_all("a")
    while world.members.pids("a"):
        assert Emptied("a") not in world.reported
    while Emptied("a") not in world.reported:  # who reaps the grandchild is not up to us here
        callback, *args = next(what[2:] for what in reversed(world.loop.asked) if what[0] == "at")
        callback(*args)


def test_a_bug_in_an_owner_loses_nobody_elses_end(world: World) -> None:
    """The statuses of one round were all read already."""

    class Breaks:
        def executing(self, pid: int) -> None: ...

        def failed(self, pid: int, text: str) -> None: ...

        def exited(self, pid: int, status: int) -> None:
            raise KeyError(pid)

    confessed: list[str] = []
    world.processes.confess = lambda what, bug: confessed.append(f"{what}: {bug!r}")
    broken = world.processes.start(Launch(("/bin/true",)), Breaks())
    pid = world.run("/bin/true")
    for one in (broken, pid):
        world.wait_dead(one)
    world.processes.reap()
    assert confessed == [f"the end of pid {broken}, wait status 0: KeyError({broken})"]
    assert world.reported[-1] == Exited("a", Role.MAIN, 0)


def test_the_session_of_a_process_is_found_whatever_its_name_is(tmp_path: Path, world: World) -> None:
    """Fields of /proc/PID/stat follow a name that may hold spaces and parentheses. Source: proc_pid_stat(5)."""
    program = tmp_path / ") R 1 1 1 ("
    program.symlink_to("/bin/sleep")
    pid = world.run_until_it_executes(str(program), "1000")
    assert sessions.session_of(pid) == pid
    assert sessions.members({pid}) == [pid]


def test_users_and_groups_are_read_from_the_files_alone(tmp_path: Path) -> None:
    """passwd(5), group(5); lines that make no sense are skipped, numbers need no line."""
    passwd, group = tmp_path / "passwd", tmp_path / "group"
    passwd.write_text("nonsense\nredis:x:104:109::/var/lib/redis:/usr/sbin/nologin\nbare:x:5:6:::\n")
    group.write_text("redis:x:109:\ntty:x:5:redis\nlogs:x:7:other,redis\n")
    redis = accounts.user("redis", str(passwd))
    assert redis == accounts.Account("redis", 104, 109, "/var/lib/redis", "/usr/sbin/nologin")
    assert accounts.user("104", str(passwd)) == redis
    assert accounts.user("bare", str(passwd)) == accounts.Account("bare", 5, 6, "/", "/bin/sh")
    assert accounts.user("4242", str(passwd)).uid == 4242
    assert accounts.group_ids_of(redis, redis.gid, str(group)) == [109, 5, 7]
    assert accounts.group_id("logs", str(group)) == 7
    with pytest.raises(accounts.UnknownAccount, match=f'no user "nobody" in {passwd}'):
        accounts.user("nobody", str(passwd))
    with pytest.raises(accounts.UnknownAccount, match=f'no group "nobody" in {group}'):
        accounts.group_id("nobody", str(group))


def test_without_cgroup_kill_every_process_is_killed_by_itself(tmp_path: Path, world: World) -> None:
    """A kernel before 5.14. A plain folder is enough: those of children are gone through, too."""
    pid = world.run("/bin/sleep", "1000")
    (tmp_path / "below").mkdir()
    (tmp_path / "cgroup.procs").write_text("")
    (tmp_path / "below" / "cgroup.procs").write_text(f"{pid}\n0\n")
    Cgroups(str(tmp_path), world.loop, print).kill(str(tmp_path))
    world.wait_dead(pid)
    world.processes.reap()
    assert world.reported[-1] == Exited("a", Role.MAIN, signal.SIGKILL)


def test_errors_of_the_kernel_have_one_form() -> None:
    """errno's name, and its words as part of a sentence."""
    assert errno_words(2) == "ENOENT (no such file or directory)"
    assert errno_words(4242) == "errno 4242 (unknown error 4242)"
    assert error_words(OSError(13, "", "/etc/x")) == "/etc/x: EACCES (permission denied)"
    assert error_words(OSError(28, "")) == "ENOSPC (no space left on device)"
