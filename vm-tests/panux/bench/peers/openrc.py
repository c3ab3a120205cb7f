"""OpenRC with its own init, openrc-init, and `rc_parallel="YES"`.

Each job is a script of openrc-run: `need` for its order, start-stop-daemon for daemons, by the form that goes into the
background by itself where that writes a pid file, else with `command_background`. The first part of the boot is in the
runlevel boot, the rest in default. `savecache` is enabled, as on Gentoo: from the second boot on the tree of
dependencies is read instead of made anew.
"""

from __future__ import annotations

import shlex
from typing import Final

from panux.bench.job import Job, JobSet
from panux.bench.peers.peer import Peer, Tree

DAEMONS: Final = "usr/lib/rc/sh/start-stop-daemon.sh"
"""Here OpenRC's own start-stop-daemon is given its path: busybox's shell would take its applet of that name."""
PAM_KINDS: Final = ("auth", "account", "password", "session")
EMPTY: Final = ("etc/insserv.conf.d", "etc/insserv/overrides", "etc/runlevels/sysinit", "etc/runlevels/boot")
"""Folders of the packages with nothing in them."""


def configure(tree: Tree, jobs: JobSet) -> None:
    """rc.conf, scripts, runlevels."""
    settings = (tree.root / "etc/rc.conf").read_text()
    tree.write("etc/rc.conf", f'{settings}\nrc_parallel="YES"\nrc_cgroup_mode="unified"\n')
    shell = (tree.root / DAEMONS).read_text()
    tree.write(DAEMONS, shell.replace("start-stop-daemon --", "/usr/lib/rc/sbin/start-stop-daemon --"))
    tree.write("etc/pam.d/start-stop-daemon", "".join(f"{kind} required pam_permit.so\n" for kind in PAM_KINDS))
    for folder in EMPTY:
        tree.folder(folder)
    for job in jobs.jobs:
        name = script_name(job.name)
        tree.program(f"etc/init.d/{name}", script(job))
        tree.link(f"etc/runlevels/{'boot' if job.early else 'default'}/{name}", f"/etc/init.d/{name}")
    tree.link("etc/runlevels/shutdown/savecache", "/etc/init.d/savecache")


def script_name(name: str) -> str:
    """The name of a job's script."""
    return name.replace("@", ".")


def script(job: Job) -> str:
    """The script of openrc-run."""
    edge = "after" if job.name == "bench-up" else "need"
    lines = ["#!/usr/sbin/openrc-run", f'description="{job.name}"']
    if job.after:
        lines.append(f"depend() {{ {edge} {' '.join(job.after)}; }}")
    if job.daemon:
        lines += daemon_lines(job)
    else:
        lines.append(f'start() {{ ebegin "Starting {job.name}"; {shlex.join(job.command)}; eend $?; }}')
        if job.stop:
            lines.append(f'stop() {{ ebegin "Stopping {job.name}"; {shlex.join(job.stop)}; eend $?; }}')
    if job.pre:
        lines.append(f"start_pre() {{ {shlex.join(job.pre)}; }}")
    return "\n".join(lines) + "\n"


def daemon_lines(job: Job) -> list[str]:
    """How openrc-run starts and stops a daemon."""
    if job.tty:
        program, *arguments = job.command
        return [
            "supervisor=supervise-daemon",
            f"command={program}",
            f'command_args_foreground="{shlex.join(arguments)}"',
        ]
    forks = job.background and job.pidfile
    program, *arguments = job.background if forks else job.command
    lines = [f"command={program}", f'command_args="{shlex.join(arguments)}"']
    lines.append(f"pidfile={job.pidfile}" if forks else f"pidfile=/run/{job.name}.pid\ncommand_background=yes")
    if job.user:
        lines.append(f"command_user={job.user}:{job.user}")
    if job.umask:
        lines.append(f"umask={job.umask}")
    if job.directory:
        lines.append(f"directory={job.directory}")
    if job.open_files:
        lines.append(f'rc_ulimit="-n {job.open_files}"')
    if job.stop_signal != "TERM":
        lines.append(f'retry="{job.stop_signal}/5/TERM/5"')
    return lines


PEER = Peer(
    "openrc", ("openrc", "libeinfo1", "librc1t64", "insserv"), ("/usr/sbin/openrc-init",), configure,
    # Its start-stop-daemon asks PAM before it changes the user.
    beside=("libpam-modules",), files=("usr/lib/x86_64-linux-gnu/security/pam_permit.so",),
    status="rc-service {job} status", poweroff="openrc-shutdown -p now",
)  # fmt: skip
