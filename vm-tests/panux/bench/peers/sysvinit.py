"""sysvinit as Debian has it: rc with startpar, which starts side by side what insserv's dependencies allow.

Each job is an init script with an LSB header. The first part of the boot is in rcS.d, the rest in rc2.d. insserv would
write the links and .depend files when a package is installed; here they are written in its form.
"""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Iterable
from typing import Final

from panux.bench.job import Job, JobSet
from panux.bench.peers.peer import Peer, Tree

INITTAB: Final = """\
id:2:initdefault:
si::sysinit:/etc/init.d/rcS
l0:0:wait:/etc/init.d/rc 0
l1:1:wait:/etc/init.d/rc 1
l2:2:wait:/etc/init.d/rc 2
l6:6:wait:/etc/init.d/rc 6
ca:12345:ctrlaltdel:/sbin/shutdown -t1 -a -r now
"""
SCRIPT: Final = """\
#!/bin/sh
### BEGIN INIT INFO
# Provides:          {name}
# Required-Start:    {after}
# Required-Stop:     {after}
# Default-Start:     {level}
# Default-Stop:      0 1 6
# Short-Description: {name}
### END INIT INFO
PATH=/usr/sbin:/usr/bin:/sbin:/bin
. /lib/lsb/init-functions
case $1 in
start)
    log_daemon_msg "Starting {name}"
    {start}
    log_end_msg $?
    ;;
stop)
    log_daemon_msg "Stopping {name}"
    {stop}
    log_end_msg $?
    ;;
status)
    {status}
    ;;
esac
"""
LAST_STOPS: Final = ("sendsigs", "halt")
"""The scripts at the end of a shutdown, each after the one before: Debian's and, as Debian's takes busybox's applet for
sysvinit's halt, one of ours."""
HALT: Final = "#!/bin/sh\numount -a -r\nmount -o remount,ro /\nexec /usr/sbin/halt -d -f -i -p -h\n"


def configure(tree: Tree, jobs: JobSet) -> None:
    """inittab, scripts, links, and what startpar reads."""
    logins = "".join(f"T0:23:respawn:{shlex.join(job.command)}\n" for job in jobs.jobs if job.tty)
    tree.applet("start-stop-daemon")
    tree.write("etc/inittab", INITTAB + logins)
    services = [job for job in jobs.jobs if not job.tty]
    first = [job for job in services if job.early]
    rest = [job for job in services if not job.early]
    for level, members in (("S", first), ("2", rest)):
        for job in members:
            tree.program(f"etc/init.d/{job.name}", script(job, level))
            tree.link(f"etc/rc{level}.d/S01{job.name}", f"../init.d/{job.name}")
    stopped = [job.name for job in reversed(services) if job.stop or job.pidfile]
    for number, name in enumerate([*stopped, *LAST_STOPS], start=1):
        tree.link(f"etc/rc0.d/K{number:02}{name}", f"../init.d/{name}")
    tree.program("etc/init.d/halt", HALT)
    write_dependencies(tree, "boot", first)
    write_dependencies(tree, "start", rest)
    write_stops(tree, services, stopped)


def script(job: Job, level: str) -> str:
    """The init script of a job."""
    command = shlex.join(job.background or job.command)
    pidfile = f"-p {job.pidfile} " if job.pidfile else ""
    user = f"-c {job.user} " if job.user else ""
    pre = f"{shlex.join(job.pre)}; " if job.pre else ""
    around = f"umask {job.umask}; cd {job.directory}; " if job.umask else ""
    start, stop, status = command, shlex.join(job.stop) or ":", ":"
    if job.daemon:
        program, *arguments = job.background or job.command
        itself = "" if job.background else "-b "
        start = (
            f"{pre}{around}start-stop-daemon -S -q -o {itself}{pidfile}{user}-x {program} -- {shlex.join(arguments)}"
        )
        stop = f"start-stop-daemon -K -q -o -s {job.stop_signal} {pidfile or f'-x {program}'}"
        status = f"status_of_proc {pidfile}{program} {job.name}"
    return SCRIPT.format(name=job.name, after=" ".join(job.after), level=level, start=start, stop=stop, status=status)


def write_dependencies(tree: Tree, name: str, jobs: Iterable[Job]) -> None:
    """What startpar reads to start: a target a job, with those that it comes after."""
    known = list(jobs)
    names = {job.name for job in known}
    lines = [f"TARGETS = {' '.join(job.name for job in known)}", "INTERACTIVE = "]
    for job in known:
        if after := [other for other in job.after if other in names]:
            lines.append(f"{job.name}: {' '.join(after)}")
    tree.write(f"etc/init.d/.depend.{name}", "".join(f"{line}\n" for line in lines))


def write_stops(tree: Tree, services: list[Job], stopped: list[str]) -> None:
    """What startpar reads to stop: what comes after a job stops before it; then Debian's own scripts."""
    lines = [f"TARGETS = {' '.join([*stopped, *LAST_STOPS])}"]
    for name in stopped:
        if dependents := [job.name for job in services if name in job.after and job.name in stopped]:
            lines.append(f"{name}: {' '.join(dependents)}")
    lines.append(f"{LAST_STOPS[0]}: {' '.join(stopped)}")
    lines += [f"{later}: {earlier}" for earlier, later in itertools.pairwise(LAST_STOPS)]
    tree.write("etc/init.d/.depend.stop", "".join(f"{line}\n" for line in lines))


PEER = Peer(
    "sysvinit", ("sysvinit-core", "sysvinit-utils", "sysv-rc", "startpar", "insserv", "initscripts"),
    ("/usr/sbin/init",), configure, status="/etc/init.d/{job} status", poweroff="/usr/sbin/poweroff",
)  # fmt: skip
