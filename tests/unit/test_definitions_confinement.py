"""Keys that say how much a service may use, with what priority, and what it can see and do: services/README.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from linit import definitions
from linit.definitions import definition
from linit.definitions.document import parse
from linit.model.paths import Paths
from linit.model.place import Place
from linit.model.service import Execution, Limits, Plan, Service
from linit.plan import codec


def read(text: str) -> definition.Definition:
    (document,) = parse("f", f"run: [/bin/program]\n{text}\n")
    assert document.top is not None
    return definition.read("a", document.top, tuple(document.faults))


def execution(text: str) -> Execution:
    found = read(text)
    assert found.faults == ()
    return found.service.execution


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("memory_max: 4096", Limits(memory_max_bytes=4096)),
        ("memory_max: 512M", Limits(memory_max_bytes=512 << 20)),
        ("memory_max: 1.5G", Limits(memory_max_bytes=3 << 29)),
        ("memory_max: 64k, memory_high: 1TiB", Limits(memory_max_bytes=65536, memory_high_bytes=1 << 40)),
        ("memory_max: max", Limits()),
        ("memory_high: unlimited", Limits()),
        ("cpu_max: 50%", Limits(cpu_max_us=(50_000, 100_000))),
        ("cpu_max: 250%", Limits(cpu_max_us=(250_000, 100_000))),
        ("cpu_max: 20ms/50ms", Limits(cpu_max_us=(20_000, 50_000))),
        ("cpu_max: 5ms", Limits(cpu_max_us=(5_000, 100_000))),
        ("cpu_max: max", Limits()),
        ("cpu_weight: 20, io_weight: 10000", Limits(cpu_weight=20, io_weight=10_000)),
        ("pids_max: 100", Limits(pids_max=100)),
        ("pids_max: max", Limits()),
    ],
)
def test_limits_are_written_as_people_write_them(written: str, meant: Limits) -> None:
    """Sizes are binary; a share is of one CPU. Source: systemd.resource-control(5), cgroup-v2."""
    assert execution(f"limits: {{{written}}}").limits == meant


def test_priorities() -> None:
    """ionice(1), sched(7), taskset(1)."""
    assert execution("ionice: idle").ionice == "idle"
    assert execution("ionice: best-effort").ionice == "best-effort:4"
    assert execution("ionice: realtime:0").ionice == "realtime:0"
    assert execution("scheduler: batch").scheduler == ("batch", 0)
    assert execution("scheduler: rr:10").scheduler == ("rr", 10)
    assert execution("cpu_affinity: 0-3,5").cpu_affinity == (0, 1, 2, 3, 5)
    assert execution("cpu_affinity: [4, 1-2, 1]").cpu_affinity == (1, 2, 4)


def test_surroundings() -> None:
    """Each key sets its field; capabilities are sorted and have no CAP_."""
    found = execution(
        "env_file: [/etc/default/a, -/etc/a.env]\nchroot: /srv/jail\nno_new_privs: true\n"
        "capabilities: [net_raw, CAP_CHOWN]\nambient_capabilities: chown\nprivate_tmp: true\nprivate_network: true\n"
        "private_devices: true\nread_only_paths: [/usr, /etc]\nhidden_paths: /root"
    )
    assert found == Execution(
        environment_files=(("/etc/default/a", False), ("/etc/a.env", True)), chroot="/srv/jail", no_new_privs=True,
        capabilities=("chown", "net_raw"), ambient=("chown",), private_tmp=True, private_network=True,
        private_devices=True, read_only_paths=("/usr", "/etc"), hidden_paths=("/root",),
    )  # fmt: skip


def test_no_capabilities_are_not_all_of_them() -> None:
    assert execution("capabilities: []").capabilities == ()
    assert execution("nice: 1").capabilities is None


SIZE = "expected a size such as 1048576, 512K, 64M, 1.5G or 1T, or max"
CPU = "expected a share of one CPU such as 50% or 150%, a time in a period such as 20ms/100ms, or max"
WEIGHT = "expected a weight (100 is everybody's) from 1 to 10000"
IO = "expected idle, or best-effort or realtime with a level from 0 to 7 such as best-effort:4"
POLICY = "expected one of other, batch, idle, or fifo or rr with a priority from 1 to 99 such as rr:10"
KNOWN_LIMITS = "memory_max, memory_high, cpu_weight, cpu_max, pids_max, io_weight"
CAPABILITY = "expected a capability such as net_bind_service (see capabilities(7))"


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("limits: 512M", f"f:2:9: limits: found '512M', expected a mapping with {KNOWN_LIMITS}"),
        ("limits: {memory: 1M}", f"f:2:10: limits: found unknown key 'memory', expected one of {KNOWN_LIMITS}; "
                                 "did you mean 'memory_max'?"),
        ("limits: {memory_max: lots}", f"f:2:22: limits.memory_max: found 'lots', {SIZE}"),
        ("limits: {memory_max: 0}", f"f:2:22: limits.memory_max: found '0', {SIZE}"),
        ("limits: {memory_max: 50%}", f"f:2:22: limits.memory_max: found '50%', {SIZE}"),
        ("limits: {memory_high: 9999999T}", f"f:2:23: limits.memory_high: found '9999999T', {SIZE}"),
        ("limits: {cpu_max: half}", f"f:2:19: limits.cpu_max: found 'half', {CPU}"),
        ("limits: {cpu_max: 50}", f"f:2:19: limits.cpu_max: found '50', {CPU}"),
        ("limits: {cpu_max: 20ms/2s}", "f:2:19: limits.cpu_max: found '20ms/2s', expected at least 1ms (or 1%), in a "
                                       "period from 1ms to 1s"),
        ("limits: {cpu_weight: 0}", f"f:2:22: limits.cpu_weight: found '0', {WEIGHT}"),
        ("limits: {io_weight: high}", f"f:2:21: limits.io_weight: found 'high', {WEIGHT}"),
        ("limits: {pids_max: 0}", "f:2:20: limits.pids_max: found '0', expected a whole number from 1 to 4194304, "
                                  "or max"),
        ("ionice: idl", f"f:2:9: ionice: found 'idl', {IO}; did you mean 'idle'?"),
        ("ionice: best-effort:8", f"f:2:9: ionice: found 'best-effort:8', {IO}"),
        ("ionice: idle:3", f"f:2:9: ionice: found 'idle:3', {IO}"),
        ("scheduler: bach", f"f:2:12: scheduler: found 'bach', {POLICY}; did you mean 'batch'?"),
        ("scheduler: rr", f"f:2:12: scheduler: found 'rr', {POLICY}"),
        ("scheduler: fifo:100", f"f:2:12: scheduler: found 'fifo:100', {POLICY}"),
        ("cpu_affinity: 3-1", "f:2:15: cpu_affinity: found '3-1', expected numbers of CPUs such as 0-3,5"),
        ("cpu_affinity: [0, all]", "f:2:19: cpu_affinity: found 'all', expected numbers of CPUs such as 0-3,5"),
        ("cpu_affinity: []", "f:2:15: cpu_affinity: found none, expected numbers of CPUs such as 0-3,5"),
        ("env_file: default/a", "f:2:11: env_file: found 'default/a', expected a path that begins with /, or with -/ "
                                "where the file may be missing"),
        ("chroot: srv", "f:2:9: chroot: found 'srv', expected a path that begins with /"),
        ("no_new_privs: 1", "f:2:15: no_new_privs: found '1', expected true or false"),
        ("capabilities: [sudo]", f"f:2:16: capabilities: found 'sudo', {CAPABILITY}"),
        ("capabilities: CAP_NET_RAV", f"f:2:15: capabilities: found 'CAP_NET_RAV', {CAPABILITY}; "
                                      "did you mean 'net_raw'?"),
        ("read_only_paths: [usr]", "f:2:19: read_only_paths: found 'usr', expected a path that begins with /"),
        ("capabilities: [chown]\nambient_capabilities: [chown, kill]",
         "f:3:31: ambient_capabilities: found 'kill', expected one that is in capabilities, too"),
        ("private_devices: true\nambient_capabilities: mknod",
         "f:3:23: ambient_capabilities: found 'mknod', expected another capability; private_devices takes this one "
         "away"),
        ("private_network: true\nready: {tcp: 80}",
         "f:3:8: ready: found tcp, expected another readiness; with private_network nobody but the service itself "
         "reaches its ports"),
        ("private_network: true\nchroot: /srv\nready: notify",
         "f:4:8: ready: found notify, expected another readiness; with private_network and chroot it does not reach "
         "the socket for that"),
        ("private_tmpp: true", "f:2:1: found unknown key 'private_tmpp', expected a key of a definition; "
                               "did you mean 'private_tmp'?"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_place_and_what_would_be_right(written: str, told: str) -> None:
    assert [str(fault) for fault in read(written).faults] == [told]


def test_a_program_below_a_chroot_is_looked_for_there(tmp_path: Path) -> None:
    """And is missed there."""
    for path in ("srv/jail/bin/inside", "bin/outside"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch(0o755)
    folder = tmp_path / "usr/lib/linit/services"
    folder.mkdir(parents=True)
    (folder / "a.yaml").write_text("chroot: /srv/jail\nrun: [inside]\npre: [/bin/outside]\n")
    (fault,) = definitions.read(Paths.system(), str(tmp_path)).faults
    assert str(fault) == (
        "/usr/lib/linit/services/a.yaml:3:6: pre: found '/bin/outside', which is not an executable file on this "
        "machine (below /srv/jail), expected an installed program; without it the service cannot start"
    )


def test_all_of_it_travels_in_the_plan() -> None:
    """Also what is none: `capabilities: []` is not the same as none given."""
    for number, text in enumerate(
        (
            "limits: {memory_max: 64M, memory_high: 32M, cpu_weight: 2, cpu_max: 50%, pids_max: 9, io_weight: 3}",
            "capabilities: []\nscheduler: rr:10\nionice: idle\ncpu_affinity: 0-1\nenv_file: [-/a, /b]\nchroot: /c",
            "no_new_privs: true\nambient_capabilities: kill\nprivate_tmp: true\nprivate_network: true\n"
            "private_devices: true\nread_only_paths: /\nhidden_paths: [/root, /home]",
        )
    ):
        service = Service(str(number), Place("f"), execution=execution(text))
        assert codec.decode(codec.encode(Plan((service,)))).services == (service,)


def test_each_of_them_is_part_of_what_a_reload_compares() -> None:
    """A changed limit makes the running service out of date."""
    plain = read("nice: 0").service.digest
    for text in ("limits: {pids_max: 3}", "private_tmp: true", "capabilities: []", "env_file: /a", "chroot: /a"):
        assert read(text).service.digest != plain
