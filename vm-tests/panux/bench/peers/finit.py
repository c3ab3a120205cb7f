"""finit: a line for each job in /etc/finit.d, with the conditions that it waits for.

What does something once is a `task`, with the condition `task/NAME/success`; a daemon is a `service`, in the
foreground, with the condition `service/NAME/ready`: when it has written its pid file, which is finit's own way
(`notify:pid`), says so in s6's way, or, where it has no other way to say it, runs (`notify:none`; redis too: finit
4.12 does not hear sd_notify(3), its issue 440). Tasks of the first part of the boot are in runlevel S: runlevel 2
begins when they are over. Its hot plug table and those of its plugins that do what a job of the set `real` does are set
aside. It checks the root and mounts fstab by itself, before anything else; the jobs that would do so find it done.
Conditions have at most 191 characters; where that is too little, tasks that do nothing gather several.
"""

from __future__ import annotations

import shlex
from typing import Final

from panux.bench.job import Job, JobSet
from panux.bench.peers.peer import Peer, Tree

CONDITION_LIMIT: Final = 180
FSCK: Final = """\
#!/bin/sh
# fsck of util-linux, which the image has not, as finit runs it: for the root, whatever device that is on here.
while read -r from point rest; do
    [ "$point" != / ] || device=$from
done </proc/mounts
exec fsck.ext4 -p "$device"
"""
PLUGINS: Final = "usr/lib/finit/plugins"
JOBS_TOO: Final = ("hotplug", "modprobe", "modules-load", "procps", "rtc", "urandom")
"""Plugins that do what jobs of the set `real` do: devices, modules, sysctl, the clock, the random seed."""
NOTIFY: Final = {"fd": "s6", "pidfile": "pid", "tcp": "pid"}
"""How finit hears that a daemon is ready; who listens on a port here writes its pid file when it does."""
FOLDER: Final = "usr/lib/bench/finit"
"""Where scripts lie that a line of finit cannot hold."""


def configure(tree: Tree, jobs: JobSet) -> None:
    """finit.conf, and one file with the set."""
    tree.write("etc/finit.conf", "runlevel 2\n")
    for file in (tree.root / "etc/finit.d").rglob("*.conf"):
        file.unlink()
    tree.write("etc/finit.d/10-hotplug.conf", "")
    for name in JOBS_TOO:
        (tree.root / PLUGINS / f"{name}.so").unlink(missing_ok=True)
    tree.program("usr/sbin/fsck", FSCK)
    known = {job.name: job for job in jobs.jobs}
    lines: list[str] = []
    for job in jobs.jobs:
        if job.pre:
            tree.program(f"{FOLDER}/{job.name}-pre", f"#!/bin/sh\nexec {shlex.join(job.pre)}\n")
        if job.ready == "fd":
            script = f'#!/bin/sh\nexec {job.ready_value}>&"$1"\nexec {shlex.join(job.command)}\n'
            tree.program(f"{FOLDER}/{job.name}", script)
        waited = [known[name] for name in job.after]
        if not job.early:
            waited = [other for other in waited if other.daemon or not other.early]
        conditions = gathered(job.name, list(map(condition, waited)), lines)
        lines.append(line(job, conditions))
    tree.write("etc/finit.d/bench.conf", "".join(f"{text}\n" for text in lines))


def finit_name(job: Job) -> str:
    """A name that finit takes."""
    return job.name.replace("@", "-")


def condition(job: Job) -> str:
    """What holds when the job is up."""
    if not job.daemon:
        return f"task/{finit_name(job)}/success"
    return f"service/{finit_name(job)}/ready"


def gathered(name: str, conditions: list[str], lines: list[str]) -> list[str]:
    """The conditions, or fewer that say the same: tasks that gather them are added to `lines`."""
    while len(",".join(conditions)) > CONDITION_LIMIT:
        taken: list[str] = []
        while conditions and len(",".join([*taken, conditions[0]])) <= CONDITION_LIMIT:
            taken.append(conditions.pop(0))
        gate = f"{name}-gate{len(lines)}"
        lines.append(f"task [2] name:{gate} <{','.join(taken)}> /usr/bin/true --")
        conditions.append(f"task/{gate}/success")
    return conditions


def line(job: Job, conditions: list[str]) -> str:
    """The line of a job."""
    waits = f"<{','.join(conditions)}> " if conditions else ""
    name = finit_name(job)
    if job.tty:
        return f"tty [2] {waits}{shlex.join(job.command)} nowait"
    if not job.daemon:
        return f"task [{'S' if job.early else '2'}] name:{name} {waits}{shlex.join(job.command)} -- {name}"
    words = [f"service [{'S2' if job.early else '2'}]", f"name:{name}", waits.strip()]
    command = job.command
    words.append(f"notify:{NOTIFY.get(job.ready, 'none')}")
    if job.ready == "fd":
        command = (f"/{FOLDER}/{job.name}", "%n")
    if job.user:
        words.append(f"@{job.user}:{job.user}")
    if job.pre:
        words.append(f"pre:/{FOLDER}/{job.name}-pre")
    return " ".join(filter(None, [*words, shlex.join(command), "--", name]))


PEER = Peer(
    "finit", ("finit", "finit-plugins"), ("/usr/sbin/finit",), configure,
    status="initctl status {job}", poweroff="initctl poweroff",
)  # fmt: skip
