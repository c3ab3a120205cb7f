"""runit: three stages, and a runsv for each service.

As its author's page on dependencies and Void Linux have it: a run script first asks for those that it comes after
(`sv -w 60 start`, which also asks their check scripts), then becomes its program. A service that only does something
once does it, leaves a mark for its check script, and sleeps. The first part of a boot is stage 1, one thing after
another; the daemons among it are supervised like any other.
"""

from __future__ import annotations

import shlex
from typing import Final

from panux.bench.job import Job, JobSet
from panux.bench.peers.peer import Peer, Tree, run_as

SERVICES: Final = "/run/runit/service"
HEAD: Final = "#!/bin/sh\nPATH=/usr/sbin:/usr/bin:/sbin:/bin\nexport PATH\n"
STAGE_1_END: Final = f"""\
: >/run/runit.stopit
: >/run/runit.reboot
chmod 000 /run/runit.stopit /run/runit.reboot
mkdir -p /run/runit
cp -a /etc/sv {SERVICES}
"""
STAGE_2: Final = f"exec env SVDIR={SERVICES} runsvdir -P {SERVICES}\n"
STAGE_3: Final = f"""\
sv -w 20 force-stop {SERVICES}/* >/dev/null
sv exit {SERVICES}/* >/dev/null
{{stops}}killall5 -15
killall5 -9
umount -a -r
mount -o remount,ro /
"""
ONCE: Final = ": >/run/once-{name}\nexec sleep 2147483647\n"
CHECKS: Final = {
    "pidfile": "test -s {value}",
    "unix": "test -S {value}",
    "tcp": "nc {host} {port} -e /bin/true",
    "fd": "test -e /run/resolv.conf",
    "notify": "redis-cli ping",
}
"""What asks whether a daemon can serve. (network: descriptor 9 is nothing that runit knows; its script writes the file.
redis alone is ready by notification.)"""


def configure(tree: Tree, jobs: JobSet) -> None:
    """The stages, and a service folder for each job that is not part of stage 1."""
    first = [job for job in jobs.jobs if job.early and not job.daemon]
    rest = [job for job in jobs.jobs if job not in first]
    known = {job.name for job in rest}
    for job in rest:
        add_service(tree, job, [name for name in job.after if name in known])
    starts = "".join(f"{shlex.join(job.command)}\n" for job in first)
    stops = "".join(f"{shlex.join(job.stop)}\n" for job in reversed(first) if job.stop)
    tree.program("etc/runit/1", HEAD + starts + STAGE_1_END)
    tree.program("etc/runit/2", HEAD + STAGE_2)
    tree.program("etc/runit/3", HEAD + STAGE_3.format(stops=stops))
    tree.applet("killall5")
    tree.link("usr/sbin/poweroff", "../lib/runit/shutdown")


def add_service(tree: Tree, job: Job, after: list[str]) -> None:
    """Writes `run`, `check` where there is something to ask, `finish` where stopping takes a command."""
    folder = f"etc/sv/{job.name}"
    asks = f"sv -w 60 start {' '.join(after)} >/dev/null || exit 1\n" if after else ""
    if not job.daemon:
        body = f"{shlex.join(job.command)} || exit 1\n{ONCE.format(name=job.name)}"
        tree.program(f"{folder}/check", f"#!/bin/sh\ntest -e /run/once-{job.name}\n")
    else:
        body = run_as(job, job.command, become=("chpst", "-u"))
        host, _, port = job.ready_value.rpartition(":")
        if job.ready:
            check = CHECKS[job.ready].format(value=job.ready_value, host=host, port=port)
            tree.program(f"{folder}/check", f"#!/bin/sh\nexec {check} >/dev/null 2>&1\n")
    tree.program(f"{folder}/run", f"#!/bin/sh\n{asks}{body}")
    if job.stop:
        tree.program(f"{folder}/finish", f"#!/bin/sh\nexec {shlex.join(job.stop)}\n")


PEER = Peer(
    "runit", ("runit",), ("/usr/sbin/runit-init",), configure,
    status=f"SVDIR={SERVICES} sv status {{job}}", poweroff="/usr/sbin/runit-init 0",
)  # fmt: skip
