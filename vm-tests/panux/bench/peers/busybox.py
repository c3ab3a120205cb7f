"""busybox's init with a script that starts one thing after another: the floor of effort.

What embedded systems do: /etc/inittab, a sysinit script, daemons that go into the background by themselves. Nothing is
supervised but the login.
"""

from __future__ import annotations

import shlex

from panux.bench.job import Job, JobSet
from panux.bench.peers.peer import Peer, Tree


def configure(tree: Tree, jobs: JobSet) -> None:
    """/etc/inittab, and /etc/init.d/rcS and rcK in the order of the set and its reverse."""
    logins = "".join(
        f"{job.tty.rpartition('/')[2]}::respawn:{shlex.join(job.command)}\n" for job in jobs.jobs if job.tty
    )
    tree.applet("init", "poweroff", "start-stop-daemon")
    tree.write(
        "etc/inittab", f"::sysinit:/etc/init.d/rcS\n{logins}::shutdown:/etc/init.d/rcK\n::ctrlaltdel:/usr/sbin/reboot\n"
    )
    services = [job for job in jobs.jobs if not job.tty]
    tree.program("etc/init.d/rcS", "#!/bin/sh\n" + "".join(map(start_lines, services)))
    tree.program("etc/init.d/rcK", "#!/bin/sh\n" + "".join(map(stop_lines, reversed(services))))


def start_lines(job: Job) -> str:
    """The lines of rcS that start a job; start-stop-daemon backgrounds what does not do so by itself."""
    pre = f"{shlex.join(job.pre)}\n" if job.pre else ""
    command = job.background or job.command
    if not job.daemon or (job.background and not job.user):
        return f"{pre}{shlex.join(command)}\n"
    options = ["-S", "-q"] + ([] if job.background else ["-b"]) + (["-c", job.user] if job.user else [])
    started = shlex.join(["start-stop-daemon", *options, "-x", command[0], "--", *command[1:]])
    return f"{pre}(umask {job.umask or '022'}; cd {job.directory or '/'}; {started})\n"


def stop_lines(job: Job) -> str:
    """The lines of rcK that stop it; what has no pid file, init kills."""
    if job.stop:
        return f"{shlex.join(job.stop)}\n"
    if job.pidfile:
        return f"start-stop-daemon -K -q -s {job.stop_signal} -p {job.pidfile}\n"
    return ""


PEER = Peer("busybox", (), ("/usr/sbin/init",), configure, status="", poweroff="/usr/sbin/poweroff")
