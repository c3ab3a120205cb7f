"""Definitions as a large machine has them, drawn from a seed: what the benchmarks compile.

Applications of a dozen services each, on top of a base of loggers, networks and mounts: templates with instances,
virtual names with two providers, drop-ins, scripts, every kind of edge, four runlevels. No loop and no fault, since a
machine that is measured should be one that boots. The programs are those that every Unix has.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from linit.model.paths import Paths

SETTLED_NS: Final = 1_600_000_000_000_000_000  # when all of it was written: long before any plan was made of it
PER_APPLICATION: Final = 12
DROP_IN_EVERY: Final = 40  # services
INSTANCE_EVERY: Final = 10
LINKS_MAX: Final = 3  # to earlier applications
NOT_NEEDED: Final = ("-search", "-spare")  # these two conflict: one of them is enabled, and nobody needs either

BASE: Final = {
    "sysinit": "kind: runlevel\ndescription: the machine itself\n",
    "boot": "kind: runlevel\ndescription: what every boot needs\nstack: sysinit\n",
    "default": "kind: runlevel\ndescription: all that this machine is for\nstack: boot\n",
    "devices": "kind: oneshot\nearly: true\nrun: [/bin/true, --scan]\n",
    "mounts": "kind: oneshot\nearly: true\nneed: devices\nrun: /bin/true -a\nstop: /bin/true -u\n",
    "syslog": "provide: logger\nneed: mounts\nrun: [/bin/sleep, infinity]\nready: notify\nrestart: always\n",
    "syslog-small": "provide: logger\nneed: mounts\nrun: [/bin/sleep, infinity]\nstop_when_unneeded: true\n",
    "link": "kind: oneshot\nwant: logger\nscript: |\n  for each in lo eth0; do\n    : $each\n  done\n",
    "network": "kind: target\nneed: link\n",
    "worker@": "description: worker ${instance}\nvars: {depth: 4}\nwant: logger\nafter: network\nuser: root\n"
    'run: [/bin/sleep, infinity, "${instance}", "${depth}"]\nrestart: {policy: always, delay: 100ms}\n',
}
IN_RUNLEVEL: Final = {
    "sysinit": ("devices", "mounts"),
    "boot": ("syslog", "link", "network"),
}

RARER: Final = {  # in one application of eight each: (which of them, role) -> keys
    (1, "queue"): "kind: forking\n",
    (2, "mail"): "schedule: {every: 1h}\n",
    (3, "search"): 'listen: {unix: "/tmp/${name}.sock", on_demand: true}\n',
    (4, "agent"): "watch: /tmp/${name}.wanted\n",
}


def write(folder: Path, count: int, seed: int = 1) -> Paths:
    """Write `count` definitions (files), the base among them, and the folders of runlevels below `folder`."""
    paths = Paths.user(str(folder))
    services, runlevels = Path(paths.services[0]), Path(paths.runlevels)
    services.mkdir(parents=True)
    rng = random.Random(seed)
    names = _names(count - len(BASE))
    for name, text in BASE.items():
        _put(services / f"{name}.yaml", text)
    for number, name in enumerate(names):
        _put(services / f"{name}.yaml", _definition(rng, names, number))
        if number % DROP_IN_EVERY == DROP_IN_EVERY // 2 and not name.endswith(("-setup", "-all")):
            drop_ins = services / f"{name}.d"
            drop_ins.mkdir()
            _put(drop_ins / "10-local.yaml", "environment: {SITE: here}\nafter: network\nnice: 5\n")
            _settle(drop_ins)
    members = IN_RUNLEVEL | {"default": tuple(_enabled(names))}
    for runlevel, enabled in members.items():
        _enable(runlevels / runlevel, enabled)
    for each in (runlevels, services):
        _settle(each)
    return paths


def _names(count: int) -> list[str]:
    roles = ("setup", "db", "cache", "queue", "api", "web", "mail", "search", "agent", "cron", "spare", "all")
    return [f"app{number // PER_APPLICATION:04}-{roles[number % PER_APPLICATION]}" for number in range(max(count, 0))]


def _enabled(names: list[str]) -> Iterator[str]:
    """All but what conflicts with another one, and instances of the template."""
    for number, name in enumerate(names):
        if not name.endswith("-spare"):
            yield name
        if number % INSTANCE_EVERY == 0 and number // INSTANCE_EVERY < 1000:
            yield f"worker@{number // INSTANCE_EVERY}"


def _definition(rng: random.Random, names: list[str], number: int) -> str:
    """One service of an application. Edges go to what has a smaller number, so that there is no loop."""
    application, _, role = names[number].partition("-")
    first = number - number % PER_APPLICATION
    own = names[first:number]
    earlier = [names[other] for other in range(1, first, PER_APPLICATION)]  # their databases
    edges: dict[str, list[str]] = {"want": ["logger"]}
    if own:
        others = [name for name in own[1:] if not name.endswith(NOT_NEEDED)]
        edges["need"] = [own[0], *rng.sample(others, min(len(others), rng.randint(0, 2)))]
    if earlier and role in ("api", "agent", "cron"):
        others = rng.sample(earlier, min(len(earlier), rng.randint(1, LINKS_MAX)))
        edges.setdefault(rng.choice(("use", "after", "want")), []).extend(others)
    if role in ("web", "api", "mail"):
        edges.setdefault("after", []).append("network")
    text = f"# {names[number]}, of {application}\ndescription: the {role} of {application}\n"
    text += "".join(f"{kind}: [{', '.join(others)}]\n" for kind, others in edges.items())
    return text + _body(rng, application, role) + RARER.get((number // PER_APPLICATION % 8, role), "")


def _body(rng: random.Random, application: str, role: str) -> str:
    if role == "all":
        return "kind: target\n"
    if role == "setup":
        return (
            "kind: oneshot\nscript: |\n  umask 077\n  mkdir -p /tmp/${name}\n"
            f"  : prepared {application}\nstop: [/bin/true, --clean]\n"
        )
    text = f"run: [/bin/sleep, infinity, --name, {application}, --role={role}, --shards={rng.randint(1, 64)}]\n"
    if role in ("db", "cache"):
        text += f"ready: notify\nstop_signal: [{{signal: INT, wait: 5s}}, TERM]\nprovide: {application}-store\n"
    elif role == "web":
        text += f"ready: {{tcp: {rng.randint(1024, 65000)}}}\nreload: {{signal: HUP}}\npre: [/bin/true, --check]\n"
    elif role == "cron":
        text += f"bind: {application}-db\nstart_timeout: 2min\n"
    elif role == "spare":
        text += f"conflicts: {application}-search\n"
    if rng.random() < 0.5:
        text += "restart: {policy: on_failure, delay: 200ms, limit: 5, window: 1min}\n"
    if rng.random() < 0.3:
        text += "environment:\n  LANG: C.UTF-8\n  MODE: production\nrlimits: {nofile: [1024, 4096]}\n"
    return text


def _put(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    os.utime(path, ns=(SETTLED_NS, SETTLED_NS))


def _enable(folder: Path, names: tuple[str, ...]) -> None:
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).symlink_to(f"../../services/{name}.yaml")
    _settle(folder)


def _settle(folder: Path) -> None:
    os.utime(folder, ns=(SETTLED_NS, SETTLED_NS))
