"""systemd as Debian has it, without udev: devices are mdev's here, as for every peer.

A unit for each job: Type=oneshot with RemainAfterExit, notify where the program speaks it, forking where it goes into
the background when it is ready, else simple. Masked are systemd's own units for what a job of the set `real` does
(check and remount of the root, sysctl, random seed, modules, /dev/log), those that wait for udev's devices or for
D-Bus, which are not installed, and one that calls a program that the image has not, ldconfig.
"""

from __future__ import annotations

import shlex
from typing import Final

from panux.bench.job import Job, JobSet
from panux.bench.peers.peer import Peer, Tree

UNITS: Final = "etc/systemd/system"
JOBS_TOO: Final = (
    "systemd-fsck-root.service", "systemd-remount-fs.service", "systemd-sysctl.service",
    "systemd-random-seed.service", "systemd-modules-load.service", "systemd-journald-dev-log.socket", "tmp.mount",
)  # fmt: skip
"""Jobs of the set `real` do the same; the set `graph` has no such work for any init."""
NOT_HERE: Final = (
    "systemd-logind.service", "serial-getty@ttyS0.service", "getty.target", "systemd-firstboot.service",
    "ldconfig.service",
)  # fmt: skip
MOUNTS: Final = ("root", "localmount")
FORKS: Final = ("mdev", "network", "nginx")
"""Their way into the background says that they are ready: Type=forking, as Debian's nginx.service has it."""


def configure(tree: Tree, jobs: JobSet) -> None:
    """Units, enabled in multi-user.target, or in sysinit.target for the first part of the boot."""
    tree.write("etc/machine-id", "0123456789abcdef0123456789abcdef\n")
    for place in ("etc/.updated", "var/.updated"):
        tree.write(place, "")
    group = (tree.root / "etc/group").read_text()
    tree.write("etc/group", f"{group}systemd-journal:x:990:\n")
    tree.link(f"{UNITS}/default.target", "/usr/lib/systemd/system/multi-user.target")
    for name in (*NOT_HERE, *JOBS_TOO):
        tree.link(f"{UNITS}/{name}", "/dev/null")
    for job in jobs.jobs:
        tree.write(f"{UNITS}/{unit(job.name)}", definition(job))
        target = "sysinit.target" if job.early else "multi-user.target"
        tree.link(f"{UNITS}/{target}.wants/{unit(job.name)}", f"../{unit(job.name)}")


def unit(name: str) -> str:
    """The name of the unit of a job."""
    return f"{name.replace('@', '-')}.service"


def definition(job: Job) -> str:
    """The text of the unit."""
    after = " ".join(unit(name) for name in job.after)
    lines = ["[Unit]"]
    if after:
        lines += [f"After={after}", f"Wants={after}" if job.name == "bench-up" else f"Requires={after}"]
    if job.early:
        before = "local-fs.target " if job.name in MOUNTS else ""
        lines += ["DefaultDependencies=no", f"Before={before}sysinit.target shutdown.target"]
        lines += ["Conflicts=shutdown.target"]
    lines += ["[Service]"]
    command = job.command
    if not job.daemon:
        lines += ["Type=oneshot", "RemainAfterExit=yes"]
    elif job.ready == "notify":
        lines += ["Type=notify"]
    elif job.name in FORKS:
        command = job.background
        lines += ["Type=forking", *([f"PIDFile={job.pidfile}"] if job.pidfile else [])]
    if job.pre:
        lines.append(f"ExecStartPre={written(job.pre)}")
    lines.append(f"ExecStart={written(command)}")
    if job.stop:
        lines.append(f"ExecStop={written(job.stop)}")
    if job.stop_signal != "TERM":
        lines.append(f"KillSignal=SIG{job.stop_signal}")
    settings = {
        "User": job.user, "UMask": job.umask, "WorkingDirectory": job.directory,
        "LimitNOFILE": str(job.open_files or ""), "Restart": "always" if job.daemon else "",
    }  # fmt: skip
    lines += [f"{key}={value}" for key, value in settings.items() if value]
    if job.tty:
        lines += [f"TTYPath={job.tty}", "StandardInput=tty", "StandardOutput=tty", "Type=idle"]
    return "\n".join(lines) + "\n"


def written(command: tuple[str, ...]) -> str:
    """A command as ExecStart= has it: systemd.service(5), quoted like a shell's, with $ and % doubled."""
    return shlex.join(command).replace("%", "%%").replace("$", "$$")


PEER = Peer(
    "systemd", ("systemd", "libsystemd-shared"), ("/usr/lib/systemd/systemd",), configure,
    status="systemctl status {job}", poweroff="systemctl poweroff",
)  # fmt: skip
