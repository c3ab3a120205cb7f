"""finit: a line for each job in /etc/finit.d, with the conditions that it waits for.

What does something once is a `task`, with the condition `task/NAME/success`; a daemon is a `service`, in the
foreground, up when it runs (`notify:none`) or, the network, when it says so in s6's way: finit's conditions by pid file
and systemd's notification never came true in this machine. Its own hot plug table is set aside: devices are jobs here.
It checks the root and mounts fstab by itself, before anything else; the jobs that would do so find it done. Conditions
have at most 191 characters; where that is too little, tasks that do nothing gather several.
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
FOLDER: Final = "usr/lib/bench/finit"
"""Where scripts lie that a line of finit cannot hold."""


def configure(tree: Tree, jobs: JobSet) -> None:
    """finit.conf, and one file with the set."""
    tree.write("etc/finit.conf", "runlevel 2\n")
    for file in (tree.root / "etc/finit.d").rglob("*.conf"):
        file.unlink()
    tree.write("etc/finit.d/10-hotplug.conf", "")
    tree.program("usr/sbin/fsck", FSCK)
    known = {job.name: job for job in jobs.jobs}
    lines: list[str] = []
    for job in jobs.jobs:
        if job.pre:
            tree.program(f"{FOLDER}/{job.name}-pre", f"#!/bin/sh\nexec {shlex.join(job.pre)}\n")
        if job.ready == "fd":
            script = f'#!/bin/sh\nexec {job.ready_value}>&"$1"\nexec {shlex.join(job.command)}\n'
            tree.program(f"{FOLDER}/{job.name}", script)
        conditions = gathered(job.name, [condition(known[name]) for name in job.after], lines)
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
        return f"task [2] name:{name} {waits}{shlex.join(job.command)} -- {name}"
    words = ["service [2]", f"name:{name}", waits.strip()]
    command = job.command
    if job.ready == "fd":
        words.append("notify:s6")
        command = (f"/{FOLDER}/{job.name}", "%n")
    else:
        words.append("notify:none")
    if job.user:
        words.append(f"@{job.user}:{job.user}")
    if job.pre:
        words.append(f"pre:/{FOLDER}/{job.name}-pre")
    return " ".join(filter(None, [*words, shlex.join(command), "--", name]))


PEER = Peer(
    "finit", ("finit",), ("/usr/sbin/finit",), configure,
    status="initctl status {job}", poweroff="initctl poweroff",
)  # fmt: skip
