"""The set `real`: what a Panux machine runs, as its definitions in services/ have it.

Of the definitions this reads what the other inits can say too: commands, order, readiness, user. Variables are replaced
and virtual names become those who provide them, as services/README.md says. Everything else (limits of time, restart
policies) is each init's own affair.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from panux.bench.job import LAST, SCRIPTS, Job, JobSet, ends, in_order, reduced

RUNLEVELS: Final = ("sysinit", "boot", "default")
ORDERING: Final = ("need", "bind", "want", "use", "after")
VARIABLE: Final = re.compile(r"\$\$|\$\{(\w+)\}")
TERMINAL: Final = "ttyS0"
LOGIN: Final = f"getty@{TERMINAL}"
"""It comes when all else is up, by its definition; so LAST does not wait for it."""

FOREGROUND: Final[Mapping[str, tuple[str, ...]]] = {"mdev": ("mdev", "-df")}
"""Daemons whose definition puts them into the background, as they stay in the foreground: for inits that need it so."""
BACKGROUND: Final[Mapping[str, tuple[str, ...]]] = {
    "acpid": ("acpid",),
    "crond": ("crond",),
    "dropbear": (
        "dropbear", "-E", "-s", "-p", "22", "-P", "/run/dropbear.pid", "-r", "/etc/dropbear/dropbear_ed25519_host_key",
    ),
    "klogd": ("klogd",),
    "mdev": ("mdev", "-d"),
    "network": (f"/{SCRIPTS}/network", "-n"),
    "nginx": ("nginx", "-e", "stderr", "-c", "/etc/nginx/nginx.conf"),
    "redis": (
        "redis-server", "/etc/redis/redis.conf", "--daemonize", "yes", "--pidfile", "/var/lib/redis/redis.pid",
    ),
    "syslogd": ("syslogd", "-s", "1024", "-b", "3"),
}  # fmt: skip
"""The same daemons as they go into the background by themselves: for inits whose users write it so. (ntpd would do so
only after an answer, or 15 s.)"""
PIDFILES: Final[Mapping[str, str]] = {
    "acpid": "/run/acpid.pid", "crond": "/run/crond.pid", "dropbear": "/run/dropbear.pid", "klogd": "/run/klogd.pid",
    "network": "/run/udhcpc.pid", "nginx": "/run/nginx.pid", "redis": "/var/lib/redis/redis.pid",
    "syslogd": "/run/syslogd.pid",
}  # fmt: skip
BY_PID_1: Final[Mapping[str, Mapping[str, Any]]] = {
    "hostname": {"kind": "oneshot", "early": "true", "run": ["hostname", "-F", "/etc/hostname"]},
    "loopback": {
        "kind": "oneshot", "early": "true", "run": ["ip", "link", "set", "lo", "up"],
        "stop": ["ip", "link", "set", "lo", "down"],
    },
    "api-filesystems": {
        "kind": "oneshot",
        "early": "true",
        "script": """\
mkdir -p /dev/pts /dev/shm
mount -a -T /usr/lib/bench/api-filesystems.fstab
ln -sfn /proc/self/fd /dev/fd
ln -sfn fd/0 /dev/stdin
ln -sfn fd/1 /dev/stdout
ln -sfn fd/2 /dev/stderr""",
    },
}  # fmt: skip
"""What linit does itself as PID 1, as a service: for inits that leave it to one."""
FOREGROUND_OPTION: Final = ("udhcpc -f ", 'udhcpc "${1:--f}" -p /run/udhcpc.pid ')
"""What the network's script says, and what the benchmark makes of it so that one script serves both forms."""


def real_set(services: Path, find: Callable[[str], str]) -> JobSet:
    """The set of the definitions in the folder `services`; `find` gives the path of a program's bare name.

    Raises ValueError where the definitions wait for each other, KeyError where one names what is not there.
    """
    members = {level: sorted(link.name for link in (services / "runlevels" / level).iterdir()) for level in RUNLEVELS}
    wanted = [name for level in RUNLEVELS for name in members[level] if name != LOGIN]
    texts = {name: definition(services, name) for name in wanted}
    for name in [needed for text in texts.values() for needed in names(text.get("need"))]:
        if name not in texts and (services / f"{name}.yaml").is_file():
            texts[name] = definition(services, name)
    virtual: dict[str, list[str]] = {level: [n for n in entries if n != LOGIN] for level, entries in members.items()}
    for name, text in texts.items():
        for provided in names(text.get("provide")):
            virtual.setdefault(provided, []).append(name)
    scripts: dict[str, str] = {}
    jobs = []
    for name, text in texts.items():
        after = [target for key in ORDERING for target in names(text.get(key))]
        if text.get("early") != "true":
            after += members["sysinit"]
        order = {one for target in after for one in virtual.get(target, [target]) if one in texts and one != name}
        job = job_of(name, text, scripts, find)
        jobs.append(replace(job, after=tuple(sorted(order)), early=name in members["sysinit"] + members["boot"]))
    ordered = reduced(in_order(jobs))
    login = job_of(LOGIN, definition(services, "getty@"), scripts, find)
    last = Job(LAST, ("/usr/lib/bench/up",), after=ends(ordered))
    return JobSet("real", (*ordered, login, last), tuple(scripts.items()), writable_root=False)


def definition(services: Path, name: str) -> dict[str, Any]:
    """A definition as its file has it: every scalar is a text."""
    import yaml  # here, so that `vm-tests/bench --help` needs nothing installed

    loaded: dict[str, Any] = yaml.load((services / f"{name}.yaml").read_text(), yaml.BaseLoader)
    return {**loaded, **BY_PID_1.get(name, {})}


def names(value: Any) -> list[str]:
    """A name or a list of names, as a list."""
    return [] if value is None else [value] if isinstance(value, str) else list(value)


def expanded(text: str, variables: Mapping[str, str]) -> str:
    """`${name}` replaced; `$$` is a plain `$`."""
    return VARIABLE.sub(lambda match: "$" if match[0] == "$$" else variables[match[1]], text)


def job_of(name: str, text: Mapping[str, Any], scripts: dict[str, str], find: Callable[[str], str]) -> Job:
    """The job of a definition, without its order; its scripts are added to `scripts`."""
    variables = {"name": name, "instance": name.partition("@")[2]}
    for key, value in text.get("vars", {}).items():
        variables[key] = expanded(value, variables)

    def command(of: Any, script_name: str) -> tuple[str, ...]:
        if isinstance(of, Mapping):
            body = expanded(of["script"], variables).replace(*FOREGROUND_OPTION)
            scripts[script_name] = f"#!/bin/sh -e\n{body}\n"
            return (f"/{SCRIPTS}/{script_name}",)
        program, *arguments = (expanded(word, variables) for word in names(of))
        return (find(program), *arguments)

    daemon = text.get("kind", "process") in ("process", "forking")
    ready = text.get("ready", "")
    background = BACKGROUND.get(name, ())
    return Job(
        name,
        command(FOREGROUND.get(name) or text.get("run") or {"script": text["script"]}, name),
        daemon=daemon,
        background=(find(background[0]), *background[1:]) if background else (),
        pidfile=PIDFILES.get(name, ""),
        ready=ready if isinstance(ready, str) else next(iter(ready)),
        ready_value="" if isinstance(ready, str) else expanded(next(iter(ready.values())), variables),
        pre=command(text["pre"], f"{name}-pre") if "pre" in text else (),
        stop=command(text["stop"], f"{name}-stop") if "stop" in text else (),
        stop_signal=stop_signal(text),
        user=expanded(text.get("user", ""), variables),
        umask=text.get("umask", ""),
        directory=expanded(text.get("directory", ""), variables),
        open_files=int(text.get("rlimits", {}).get("nofile", 0)),
        tty=expanded(text.get("tty", ""), variables),
    )


def stop_signal(text: Mapping[str, Any]) -> str:
    """The first signal that ends the service."""
    steps = text.get("stop_signal", "TERM")
    return str(steps if isinstance(steps, str) else steps[0]["signal"])
