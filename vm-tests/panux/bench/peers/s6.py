"""s6: s6-svscan as PID 1, an s6-supervise for each service; Debian packages neither s6-rc nor s6-linux-init.

So it is run as its documentation says ("How to run s6-svscan as process 1") and as users without s6-rc do: a script is
stage 1, which does the first part of the boot and becomes s6-svscan; a run script waits for those that it comes after
with s6-svwait, which is told by the supervisors (and fails while one of them is not there yet: then again). A service
that does something once does it, says that it is ready, and sleeps. Readiness is a line on a descriptor: only those
daemons say it that know how, the rest is up when it runs.
"""

from __future__ import annotations

import shlex
from typing import Final

from panux.bench.job import Job, JobSet
from panux.bench.peers.peer import Peer, Tree, run_as

SERVICES: Final = "/run/service"
HEAD: Final = "#!/bin/sh\nPATH=/usr/sbin:/usr/bin:/sbin:/bin\nexport PATH\n"
STAGE_1_END: Final = f"cp -a /etc/s6/service {SERVICES}\nexec s6-svscan {SERVICES}\n"
FINISH: Final = """\
{stops}kill -15 -1
kill -9 -1
umount -a -r
mount -o remount,ro /
exec busybox poweroff -f
"""
READY_FD: Final = 9


def configure(tree: Tree, jobs: JobSet) -> None:
    """Stage 1 (/etc/s6/init), what s6-svscan becomes at the end, and a service folder for each other job."""
    first = [job for job in jobs.jobs if job.early and not job.daemon]
    rest = [job for job in jobs.jobs if job not in first]
    known = {job.name: job for job in rest}
    for job in rest:
        add_service(tree, job, [known[name] for name in job.after if name in known])
    starts = "".join(f"{shlex.join(job.command)}\n" for job in first)
    stops = "".join(f"{shlex.join(job.stop)}\n" for job in reversed(first) if job.stop)
    tree.program("etc/s6/init", HEAD + starts + STAGE_1_END)
    tree.program("etc/s6/service/.s6-svscan/finish", HEAD + FINISH.format(stops=stops))
    for signal in ("SIGTERM", "SIGUSR2"):
        tree.program(f"etc/s6/service/.s6-svscan/{signal}", f"#!/bin/sh\nexec s6-svscanctl -t {SERVICES}\n")


def says_ready(job: Job) -> bool:
    """Does it write a line when it is ready?"""
    return not job.daemon or job.ready == "fd"


def add_service(tree: Tree, job: Job, after: list[Job]) -> None:
    """Writes `run`, with `notification-fd` where the service says that it is ready."""
    folder = f"etc/s6/service/{job.name}"
    asks = ""
    for flag, says in (("-U", True), ("-u", False)):
        if waited := [f"{SERVICES}/{each.name}" for each in after if says_ready(each) == says]:
            asks += f"until s6-svwait {flag} {' '.join(waited)} 2>/dev/null; do usleep 100000; done\n"
    if job.daemon:
        body = run_as(job, job.command, become=("s6-setuidgid",))
    else:
        body = f"{shlex.join(job.command)} || exit 1\necho >&{READY_FD}\nexec sleep 2147483647\n"
    if says_ready(job):
        tree.write(f"{folder}/notification-fd", f"{READY_FD}\n")
    tree.program(f"{folder}/run", f"#!/bin/sh\n{asks}{body}")
    if job.stop:
        tree.program(f"{folder}/finish", f"#!/bin/sh\nexec {shlex.join(job.stop)}\n")
    if job.stop_signal != "TERM":
        tree.write(f"{folder}/down-signal", f"SIG{job.stop_signal}\n")


PEER = Peer(
    "s6", ("s6",), ("/etc/s6/init",), configure,
    status=f"s6-svstat {SERVICES}/{{job}}", poweroff=f"s6-svscanctl -t {SERVICES}",
)  # fmt: skip
