"""What a service can see and do, and with what priority: as its own process finds it.

Source: services/README.md and the manual pages that it names. Each test runs a real service under a supervisor."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from linit.model.capabilities import NUMBERS
from linit.model.service import Execution
from linit.runtime import confinement  # noqa: F401 loaded before a test gives up the right to read it
from linit.runtime.spawn import Launch, fork_exec
from tests.integration.running import Running

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can confine")


def may_make_namespaces() -> bool:
    """A container may forbid it to its root."""
    pid = os.fork()
    if not pid:
        from linit.runtime import system_calls as calls

        try:
            calls.unshare(calls.CLONE_NEWNS | calls.CLONE_NEWNET)
            calls.mount("", "/", "", calls.MS_REC | calls.MS_SLAVE)
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitpid(pid, 0)[1] == 0


with_namespaces = pytest.mark.skipif(
    os.geteuid() != 0 or not may_make_namespaces(), reason="namespaces and mounts need a root that may make them"
)


def seen(linit: Running, script: str, **keys: Any) -> str:
    """What a oneshot wrote to its standard output."""
    linit.define("looking", kind="oneshot", script=script, output="console", **keys)
    linit.boot()
    assert linit.states["looking"] == "up", f"{linit.text('looking')}\n{linit.story()}"
    linit.end()
    lines = [line for line in linit.lines if not line.startswith(("looking: ", "linit: ", "default: "))]
    return "\n".join(lines)


def status(text: str) -> dict[str, int]:
    """The capabilities in /proc/PID/status, as bits. Source: proc_pid_status(5)."""
    return {line.split(":")[0]: int(line.split()[1], 16) for line in text.splitlines() if line.startswith("Cap")}


def bits(*names: str) -> int:
    return sum(1 << NUMBERS[name] for name in names)


# -- priorities


def test_scheduler_affinity_and_nice_are_as_the_process_finds_them(linit: Running) -> None:
    """sched(7), sched_setaffinity(2)."""
    program = (
        "import os; print(os.sched_getscheduler(0) == os.SCHED_BATCH, sorted(os.sched_getaffinity(0)), "
        "os.getpriority(os.PRIO_PROCESS, 0), flush=True)"
    )
    script = f"exec {sys.executable} -I -c '{program}'"
    cpu = min(os.sched_getaffinity(0))
    keys: dict[str, Any] = {"scheduler": "batch", "cpu_affinity": str(cpu), "nice": 3}
    assert seen(linit, script, **keys) == f"True [{cpu}] 3"


@as_root
def test_a_realtime_scheduler_has_its_priority(linit: Running) -> None:
    """sched_setscheduler(2)."""
    program = "import os; print(os.sched_getscheduler(0) == os.SCHED_RR, os.sched_getparam(0).sched_priority)"
    assert seen(linit, f"exec {sys.executable} -I -c '{program}'", scheduler="rr:7") == "True 7"


@pytest.mark.parametrize(("written", "told"), [("idle", "idle"), ("best-effort:6", "best-effort: prio 6")])
def test_ionice_is_as_the_process_finds_it(linit: Running, written: str, told: str) -> None:
    """ionice(1) tells what ioprio_get(2) says."""
    assert seen(linit, "exec ionice", ionice=written) == told


# -- environment from files


def test_files_of_variables_are_read_when_the_program_starts(linit: Running, tmp_path: Path) -> None:
    """systemd.exec(5), EnvironmentFile=: over `environment`, a later file over an earlier one; one may be missing."""
    (tmp_path / "first").write_text("# a comment\nexport A='one two'\nB=first\n")
    (tmp_path / "second").write_text('B="sec\\"ond"\n')
    found = seen(
        linit,
        'echo "$A|$B|$C"',
        env_file=[str(tmp_path / "first"), f"-{tmp_path}/missing", str(tmp_path / "second")],
        environment={"B": "defined", "C": "defined"},
    )
    assert found == 'one two|sec"ond|defined'


# -- rights


@as_root
def test_capabilities_bound_what_any_process_of_it_can_have(linit: Running) -> None:
    """capabilities(7), CapBnd; root's own are cut by it at its exec."""
    found = status(seen(linit, "cat /proc/self/status", capabilities=["chown", "net_raw"]))
    assert found["CapBnd"] == found["CapPrm"] == found["CapEff"] == bits("chown", "net_raw")


@as_root
def test_no_capabilities_at_all(linit: Running) -> None:
    """capabilities: []"""
    assert set(status(seen(linit, "cat /proc/self/status", capabilities=[])).values()) == {0}


@as_root
def test_a_user_keeps_ambient_capabilities_and_no_other(linit: Running) -> None:
    """capabilities(7), CapAmb: a daemon that binds port 80 without ever being root."""
    found = seen(linit, "id -u; cat /proc/self/status", user="daemon", ambient_capabilities=["net_bind_service"],
        capabilities=["net_bind_service", "chown"],
    )  # fmt: skip
    assert found.splitlines()[0] == "1"
    sets = status(found)
    assert sets["CapAmb"] == sets["CapEff"] == sets["CapPrm"] == sets["CapInh"] == bits("net_bind_service")
    assert sets["CapBnd"] == bits("net_bind_service", "chown")


@as_root
def test_a_user_without_ambient_capabilities_has_none(linit: Running) -> None:
    """Nothing of the steps in between is left over."""
    sets = status(seen(linit, "cat /proc/self/status", user="daemon", no_new_privs=True))
    assert sets["CapEff"] == sets["CapPrm"] == sets["CapAmb"] == sets["CapInh"] == 0


def test_no_new_privs_needs_no_rights_itself(linit: Running) -> None:
    """PR_SET_NO_NEW_PRIVS(2const)."""
    assert seen(linit, "grep NoNewPrivs /proc/self/status", no_new_privs=True).split() == ["NoNewPrivs:", "1"]


# -- what it sees


@with_namespaces
def test_a_private_tmp_is_seen_by_the_commands_of_the_service_only(linit: Running) -> None:
    """`pre` writes, `run` reads, nobody else sees it; it is gone with the service. As systemd's PrivateTmp=."""
    name = f"linit-test-{os.getpid()}"
    linit.define(
        "private",
        pre={"script": f"echo hidden > /tmp/{name}; echo too > /var/tmp/{name}"},
        script=f"cat /tmp/{name} /var/tmp/{name}; stat -c %a /tmp; exec sleep 1000",
        private_tmp=True,
        ready={"probe": f"/usr/bin/test -e /tmp/{name}"},
        output="console",
    )
    linit.boot()
    assert linit.states["private"] == "up", linit.text("private")
    assert not Path(f"/tmp/{name}").exists()
    assert not Path(f"/var/tmp/{name}").exists()
    rooms = linit.folder / "run" / "private"
    (room,) = rooms.iterdir()
    assert rooms.stat().st_mode & 0o777 == room.stat().st_mode & 0o777 == 0o700
    linit.wait(lambda: "1777" in linit.lines, "what it saw")
    assert [line for line in linit.lines if line in ("hidden", "too", "1777")] == ["hidden", "too", "1777"]
    linit.call("stop", names=["private"])
    linit.ask_until(lambda: not any(rooms.iterdir()), "that the room is gone")
    assert str(room) not in Path("/proc/self/mounts").read_text()


@with_namespaces
def test_a_private_tmp_outlives_a_crash_and_not_a_stop(linit: Running) -> None:
    """services/README.md: until it is at rest with no process left, over respawns too."""
    linit.define(
        "private",
        script="ls /tmp; echo looked; touch /tmp/mark; exec sleep 1000",
        private_tmp=True,
        restart={"policy": "always", "delay": "1ms"},
        ready={"probe": "/usr/bin/test -e /tmp/mark", "interval": "10ms"},
        output="console",
    )
    linit.boot()
    os.kill(linit.pid("private"), signal.SIGKILL)
    linit.wait(lambda: linit.lines.count("looked") == 2, "its second start")
    linit.call("restart", names=["private"])
    linit.wait(lambda: linit.lines.count("looked") == 3, "its third start")
    assert [line for line in linit.lines if line in ("mark", "looked")] == ["looked", "mark", "looked", "looked"]


@with_namespaces
def test_a_private_network_has_only_a_lo_that_its_commands_share(linit: Running) -> None:
    """network_namespaces(7); a probe reaches what the service listens at."""
    program = (
        "import socket, time, os; s = socket.socket(); s.bind(('127.0.0.1', 7)); s.listen(); "
        "print(sorted(name for _, name in socket.if_nameindex()), os.readlink('/proc/self/ns/net'), flush=True); "
        "time.sleep(1000)"
    )
    probe = f"{sys.executable} -I -c \"import socket; socket.create_connection(('127.0.0.1', 7))\""
    linit.define(
        "alone", run=[sys.executable, "-I", "-c", program], private_network=True, output="console",
        ready={"probe": probe, "interval": "20ms"},
    )  # fmt: skip
    linit.boot()
    assert linit.states["alone"] == "up", linit.text("alone")
    (line,) = (line for line in linit.lines if "net:[" in line)
    interfaces, namespace = line.rsplit(" ", 1)
    assert interfaces == "['lo']"
    assert namespace != os.readlink("/proc/self/ns/net")


@with_namespaces
def test_private_devices_are_those_without_hardware(linit: Running) -> None:
    """As systemd's PrivateDevices=; a root service cannot make itself the others."""
    found = seen(linit, "ls /dev | tr '\\n' ' '; echo; echo x > /dev/null && head -c 4 /dev/zero | wc -c; "
        "mknod /dev/mine b 8 0 2> /dev/null || echo refused; stat -c %a /dev/null; stat -c %F /dev/pts",
        private_devices=True,
    ).splitlines()  # fmt: skip
    names = set(found[0].split())
    assert {"null", "zero", "full", "random", "urandom", "tty", "fd", "stdin", "stdout", "stderr"} <= names
    allowed = {"core", "hugepages", "log", "mqueue", "ptmx", "pts", "shm"}
    assert names - {"null", "zero", "full", "random", "urandom", "tty", "fd", "stdin", "stdout", "stderr"} <= allowed
    assert found[1:] == ["4", "refused", "666", "directory"]


@with_namespaces
def test_a_read_only_path_refuses_writes_and_others_do_not(linit: Running, tmp_path: Path) -> None:
    """mount_setattr(2); outside it stays as it was."""
    for name in ("locked", "open"):
        (tmp_path / name).mkdir()
    script = (
        f"touch {tmp_path}/locked/x 2> /dev/null || echo refused; touch {tmp_path}/open/x && echo written; "
        f"mount -o remount,bind,rw {tmp_path}/locked 2> /dev/null || echo stays"
    )
    found = seen(linit, script, read_only_paths=[str(tmp_path / "locked")], capabilities=["dac_override"])
    assert found.split() == ["refused", "written", "stays"]
    (tmp_path / "locked" / "y").touch()


@with_namespaces
def test_with_everything_read_only_a_private_tmp_and_devices_are_not(linit: Running) -> None:
    """read_only_paths: / reaches every mount, but not what the service was given for itself."""
    script = (
        "test -w /etc || echo refused; test -w /run || echo refused; "
        "touch /tmp/x /var/tmp/x /dev/shm/linit-test-x && echo written; rm /dev/shm/linit-test-x"
    )
    found = seen(linit, script, read_only_paths=["/"], private_tmp=True, private_devices=True)
    assert found.split() == ["refused", "refused", "written"]


@with_namespaces
def test_a_hidden_path_is_empty(linit: Running, tmp_path: Path) -> None:
    """A folder has nothing in it and takes nothing; a file is empty."""
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("secret")
    (tmp_path / "file").write_text("secret")
    script = f"ls -A {secret} | wc -l; wc -c < {tmp_path}/file; touch {secret}/x 2> /dev/null || echo refused"
    found = seen(linit, script, hidden_paths=[str(secret), str(tmp_path / "file")])
    assert found.split() == ["0", "0", "refused"]
    assert (secret / "key").read_text() == "secret"


@as_root
def test_a_chroot_is_its_whole_world(linit: Running, tmp_path: Path) -> None:
    """chroot(2): the program, its folder and its files are inside; the user is the machine's, not the jail's."""
    jail = tmp_path / "jail"
    (jail / "bin").mkdir(parents=True)
    (jail / "here").mkdir()
    busybox = next((path for path in ("/usr/bin/busybox", "/bin/busybox") if Path(path).exists()), "")
    if not busybox or b"statically" not in os.popen(f"file {busybox} 2>/dev/null").read().encode():
        pytest.skip("no statically linked busybox to put into a jail")
    (jail / "bin" / "sh").write_bytes(Path(busybox).read_bytes())
    (jail / "bin" / "sh").chmod(0o755)
    for folder in (tmp_path, *tmp_path.parents[:3]):
        if folder != Path("/tmp"):
            folder.chmod(0o755)
    keys: dict[str, Any] = {"chroot": str(jail), "directory": "/here", "user": "daemon"}
    found = seen(linit, "pwd; echo /*; exec /bin/sh -c 'echo inside'", **keys)
    assert found.splitlines() == ["/here", "/bin /here", "inside"]


# -- a step that cannot be done

CANNOT: dict[str, dict[str, Any]] = {
    "env_file {tmp}/missing: ENOENT (no such file or directory)": {"env_file": "{tmp}/missing"},
    "chroot {tmp}/missing: ENOENT (no such file or directory)": {"chroot": "{tmp}/missing"},
    "read_only_paths {tmp}/missing: ENOENT (no such file or directory)": {"read_only_paths": "{tmp}/missing"},
    "hidden_paths {tmp}/missing: ENOENT (no such file or directory)": {"hidden_paths": ["{tmp}/missing"]},
    "cpu_affinity: EINVAL (invalid argument)": {"cpu_affinity": "8191"},
}
CANNOT_AS_USER: dict[str, dict[str, Any]] = {
    "private_tmp {room}: EPERM (operation not permitted)": {"private_tmp": True},
    "private_network {room}: EPERM (operation not permitted)": {"private_network": True},
    "private_devices: EPERM (operation not permitted)": {"private_devices": True},
    "read_only_paths: EPERM (operation not permitted)": {"read_only_paths": ("/usr",)},
    "hidden_paths: EPERM (operation not permitted)": {"hidden_paths": ("/root",)},
    "chroot /usr: EPERM (operation not permitted)": {"chroot": "/usr"},
    "capabilities: EPERM (operation not permitted)": {"capabilities": ()},
    "ambient_capabilities: EPERM (operation not permitted)": {"ambient": ("net_raw",)},
    "scheduler: EPERM (operation not permitted)": {"scheduler": ("fifo", 10)},
    "ionice: EPERM (operation not permitted)": {"ionice": "realtime:0"},
}


@with_namespaces
@pytest.mark.parametrize("text", CANNOT)
def test_a_step_that_cannot_be_done_is_named(linit: Running, tmp_path: Path, text: str) -> None:
    """With its path and errno; the program is not run."""
    keys = json.loads(json.dumps(CANNOT[text]).replace("{tmp}", str(tmp_path)))
    linit.define("broken", run=["/bin/touch", str(tmp_path / "ran")], restart="never", **keys)
    linit.boot()
    assert linit.text("broken") == f"could not be run: {text.format(tmp=tmp_path)}"
    assert not (tmp_path / "ran").exists()


@as_root
@pytest.mark.parametrize("text", CANNOT_AS_USER)
def test_what_takes_root_is_named_where_there_are_no_rights(tmp_path: Path, text: str) -> None:
    """As under a supervisor that a user runs: the start fails, and it is said at which key."""
    room = tmp_path / "rooms" / "a-1"
    room.parent.mkdir()
    for folder in (tmp_path, *tmp_path.parents[:3]):
        if folder != Path("/tmp"):
            folder.chmod(0o755)
    os.chown(room.parent, 1, 1)
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.setuid(1)
            launch = Launch(("/bin/true",), Execution(**CANNOT_AS_USER[text]), room=str(room))
            pid, gate = fork_exec(launch, ())
            os.set_blocking(gate, True)
            os.write(theirs, os.read(gate, 1000))
            os.waitpid(pid, 0)
        finally:
            os._exit(0)
    os.close(theirs)
    os.waitpid(child, 0)
    with open(ours) as said:
        assert said.read() == text.format(room=room)
