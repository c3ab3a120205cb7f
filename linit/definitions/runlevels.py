"""What is enabled where? Folders of entries become the implied edges of runlevels.

The entry's name is the service's name; what a symlink points at is not opened. Source: OpenRC's /etc/runlevels.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from linit.definitions.definition import Definition, is_name
from linit.definitions.folders import Folders
from linit.model.place import Fault, Place, Severity
from linit.model.runlevel import wanted_for
from linit.model.service import Dependency, EdgeKind, Kind, Service

STACKS: Final = {"sysinit": (), "shutdown": (), "boot": ("sysinit",), "single": ("sysinit",)}
STACKS_ELSE: Final = ("boot",)
WELL_KNOWN: Final = frozenset(STACKS) | {"default"}  # a machine boots through these, whatever their definitions say


@dataclass(frozen=True, slots=True)
class Enabled:
    """One runlevel's folder: the names in it, each with the place of its entry."""

    runlevel: str
    place: Place
    members: tuple[tuple[str, Place], ...]


@dataclass(slots=True)
class Runlevels:
    """All of them. `of` gives the runlevels that a service is enabled in."""

    enabled: list[Enabled] = field(default_factory=list)

    def of(self) -> dict[str, tuple[str, ...]]:
        """Service name: the runlevels it is enabled in, sorted."""
        found: dict[str, set[str]] = {}
        for each in self.enabled:
            for member, _ in each.members:
                found.setdefault(member, set()).add(each.runlevel)
        return {member: tuple(sorted(names)) for member, names in found.items()}


def scan(folder: str, folders: Folders) -> Runlevels:
    """The runlevels that `folder` holds. Sources and faults go to `folders`."""
    found = Runlevels()
    for name in folders.names_in(folder):
        path = f"{folder}/{name}"
        if not os.path.isdir(folders.real(path)):
            folders.fault(Severity.WARNING, path, "a file", "a folder that is named like a runlevel")
        elif not is_name(name) or "@" in name:
            folders.fault(Severity.WARNING, path, f"'{name}'", "the name of a runlevel")
        else:
            found.enabled.append(Enabled(name, Place(path), tuple(_members(path, folders))))
    return found


def add_generated(found: Runlevels, files: Mapping[str, bytes]) -> None:
    """The entries that generators wrote, besides those that are there: `FOLDER/runlevels/RUNLEVEL/NAME`. What stands in
    one is the place that people are shown: where they wrote what the generator found."""
    for path in sorted(files):
        folder, _, name = path.rpartition("/")
        above, _, runlevel = folder.rpartition("/")
        if not above.endswith("/runlevels"):
            continue
        there = next((each for each in found.enabled if each.runlevel == runlevel), None)
        said = " ".join(files[path].decode("utf-8", "replace").split())
        entry = (name, Place(said or path))
        if there is None:
            found.enabled.append(Enabled(runlevel, Place(folder), (entry,)))
        elif name not in (member for member, _ in there.members):
            found.enabled[found.enabled.index(there)] = replace(there, members=(*there.members, entry))


def _members(folder: str, folders: Folders) -> Iterator[tuple[str, Place]]:
    for name in folders.names_in(folder):
        path = f"{folder}/{name}"
        mode = os.lstat(f"{folders.real(folder)}/{name}").st_mode
        if not (stat.S_ISLNK(mode) or stat.S_ISREG(mode)):
            folders.fault(Severity.WARNING, path, "neither a symlink nor a file", "an entry named like a service")
        elif not is_name(name) or name.endswith("@"):
            folders.fault(Severity.WARNING, path, f"'{name}'", "an entry named like a service")
        else:
            yield name, Place(path)


def joined(definitions: Mapping[str, Definition], runlevels: Runlevels) -> tuple[dict[str, Definition], list[Fault]]:
    """The definitions with every runlevel among them, its members and what it stacks on as implied edges."""
    made, faults = dict(definitions), list[Fault]()
    enabled = {each.runlevel: each for each in runlevels.enabled}
    known = {name for name, each in made.items() if _is_meant_as_one(each)} | set(enabled)
    for name in sorted(known):
        folder = enabled.get(name)
        present = made.get(name)
        if present is None or present.service.broken:
            made[name] = _without_definition(name, present, folder, known, definitions)
        elif present.service.kind is Kind.RUNLEVEL:
            faults.extend(_wrong_stacks(present, made))
            made[name] = _with_edges(present, folder, definitions)
        elif folder is not None:
            found = f"a {present.service.kind.value} of this name ({present.service.place})"
            hint = "its entries enable nothing"
            faults.append(Fault(Severity.WARNING, folder.place, "", found, "a runlevel", hint))
    return made, faults


def _is_meant_as_one(definition: Definition) -> bool:
    """Is it a runlevel, or broken where only a runlevel makes sense?"""
    service = definition.service
    return service.kind is Kind.RUNLEVEL or (bool(service.broken) and service.name in WELL_KNOWN)


def _without_definition(
    name: str, present: Definition | None, folder: Enabled | None, known: set[str], all_: Mapping[str, Definition]
) -> Definition:
    """A folder without a definition is a runlevel all the same; so is one whose definition is broken, since without it
    everything in it would be lost. The faults of the definition stay."""
    why = Place(f"implied: runlevel {name} has no definition")
    implied = tuple((other, why) for other in STACKS.get(name, STACKS_ELSE) if other in known and other != name)
    written = present.stack if present is not None else None
    place = present.service.place if present is not None else folder.place if folder is not None else why
    service = Service(name, place, Kind.RUNLEVEL, description=f"runlevel {name}")
    faults = present.faults if present is not None else ()
    bare = Definition(service, stack=implied if written is None else written, faults=faults)
    return _with_edges(bare, folder, all_)


def _with_edges(definition: Definition, folder: Enabled | None, all_: Mapping[str, Definition]) -> Definition:
    service = definition.service
    members = folder.members if folder else ()
    wanted = tuple((name, place) for member, place in members for name in _wanted_for(member, all_))
    targets = (*(definition.stack or ()), *wanted)
    edges = tuple(Dependency(EdgeKind.WANT, name, place, implied=True) for name, place in targets)
    return replace(definition, service=replace(service, dependencies=(*service.dependencies, *edges)))


def _wanted_for(member: str, all_: Mapping[str, Definition]) -> tuple[str, ...]:
    return wanted_for(all_[member].service) if member in all_ else (member,)


def with_triggers(enabled: Mapping[str, tuple[str, ...]], all_: Mapping[str, Definition]) -> dict[str, tuple[str, ...]]:
    """Where services are enabled, with the triggers that are wanted there with them or in their place."""
    found: dict[str, set[str]] = {}
    for member, names in enabled.items():
        for each in {member, *_wanted_for(member, all_)}:
            found.setdefault(each, set()).update(names)
    return {name: tuple(sorted(names)) for name, names in found.items()}


def _wrong_stacks(definition: Definition, known: Mapping[str, Definition]) -> Iterator[Fault]:
    for other, place in definition.stack or ():
        there = known.get(other)
        if there is not None and there.service.kind is not Kind.RUNLEVEL:
            found = f"'{other}', a {there.service.kind.value}"
            hint = "it is wanted all the same"
            yield Fault(Severity.WARNING, place, "stack", found, "a runlevel", hint, definition.name)
