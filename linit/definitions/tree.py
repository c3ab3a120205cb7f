"""What did a person write, and where is it wrong? All files of a machine, read together.

Every file is read and every fault kept. A definition with an error stays in the result, marked as broken, so that
`list` and `why` can name it. What only the whole graph can tell (undefined names, cycles) is left to `linit.graph`.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from linit.definitions import clashes, runlevels, triggers
from linit.definitions import definition as reading
from linit.definitions.definition import Definition, instance_of, is_name
from linit.definitions.document import Document, Map, Text, parse, quoted, shown
from linit.definitions.folders import SUFFIX, File, Folders, scan
from linit.definitions.generated import NOTHING, Generated
from linit.definitions.machine import Machine
from linit.definitions.merging import merged
from linit.definitions.nearest import suggestion
from linit.definitions.values import NAME_FORMS, NAME_MAX
from linit.model.paths import Paths
from linit.model.place import Fault, Place, Severity
from linit.model.service import Source

INSTANCES_MAX: Final = 1000  # of one template: a template that needs another instance of itself has no end
SAMPLE_INSTANCE: Final = "INSTANCE"  # a template without instances is checked with this one


@dataclass(frozen=True, slots=True)
class Definitions:
    """Everything that was read. `services` is sorted by name and holds broken ones; templates only as instances.

    `enabled`: the runlevels in which each name is enabled; `masks`: masked name to the file that masks it.
    """

    services: tuple[Definition, ...]
    faults: tuple[Fault, ...] = ()
    sources: tuple[Source, ...] = ()
    enabled: dict[str, tuple[str, ...]] = field(default_factory=dict)
    masks: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Written:
    """A definition before its values are read: the merged mapping, and what is wrong already."""

    name: str
    place: Place
    top: Map | None
    faults: list[Fault]

    def read(self, name: str) -> Definition:
        """As the service `name`: its own, or that of an instance."""
        if self.top is None:
            return reading.broken(name, self.place, tuple(self.faults))
        return reading.read(name, self.top, tuple(self.faults))


def read(paths: Paths, root: str = "", generated: Generated = NOTHING) -> Definitions:
    """The definitions and runlevels of the machine whose root is the folder `root` ("": this machine); weaker than
    they, what generators wrote. `paths` and all places are as that machine sees them.
    """
    folders = scan(paths.services, root)
    enabled = runlevels.scan(paths.runlevels, folders)
    folders.add_generated(generated.files)
    runlevels.add_generated(enabled, generated.files)
    folders.sources.extend(generated.sources)
    folders.faults.extend(generated.faults)
    return _read(folders, enabled, root)


def errors_in(files: Mapping[str, bytes]) -> list[Fault]:
    """What is wrong with generated definitions by themselves."""
    folders = Folders()
    folders.add_generated(files)
    read = _read(folders, runlevels.Runlevels(), "")
    return [fault for fault in read.faults if fault.severity is Severity.ERROR]


def read_paths(paths: Iterable[str], root: str = "") -> Definitions:
    """The definitions in some files and folders of this machine, by themselves: no runlevels, no other folders. Users
    and programs are looked for below `root`."""
    folders = Folders()
    for path in paths:
        if os.path.isdir(path):
            folders.add_services(path.rstrip("/") or "/")
        else:
            folders.files.setdefault(os.path.basename(path), path)
            if folders.files[os.path.basename(path)] != path:
                folders.files[path] = path  # two files of one name: both are read, and their services compared
    return _read(folders, runlevels.Runlevels(), root)


def _read(folders: Folders, enabled: runlevels.Runlevels, root: str) -> Definitions:
    tree = _Tree(folders)
    tree.read_files()
    tree.merge_drop_ins()
    tree.define()
    tree.instantiate(name for each in enabled.enabled for name, _ in each.members)
    templates = {name for name in tree.written if name.endswith("@")}
    whole = clashes.with_triggers(tree.defined, templates, folders.masks)
    defined, faults = runlevels.joined(whole, enabled)
    machine = Machine(root)
    services = tuple(defined[name] for name in sorted(defined))
    faults += [*folders.faults, *tree.faults]
    for each in services:
        faults.extend(each.faults)
        if not each.service.broken:
            faults.extend(machine.faults(each))
    where = runlevels.with_triggers(enabled.of(), defined)
    return Definitions(services, _once(faults), tuple(folders.sources), where, folders.masks)


def _once(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    """Each fault once, in the order of places: instances of a template repeat its faults."""
    kept: dict[tuple[str, ...], Fault] = {}
    for fault in faults:
        kept.setdefault((str(fault), fault.severity.value), fault)
    return tuple(sorted(kept.values(), key=lambda fault: (fault.place, fault.key, fault.found)))


class _Tree:
    """The steps from files to definitions, in the order in which `_read` takes them."""

    def __init__(self, folders: Folders) -> None:
        self.folders = folders
        self.written: dict[str, _Written] = {}
        self.defined: dict[str, Definition] = {}
        self.faults: list[Fault] = []
        self.instances: dict[str, int] = {}  # of each template

    def read_files(self) -> None:
        """Every file of definitions, weaker folders' too where no stronger one has the name."""
        for file_name in sorted(self.folders.files):
            path = self.folders.files[file_name]
            stem = os.path.basename(path).removesuffix(SUFFIX)
            file = self.folders.read(path)
            if file is None:
                self.folders.masks[stem] = path
                continue
            for each in _documents(file, stem):
                self.add(each)

    def add(self, written: _Written) -> None:
        """Two definitions of one name: neither is better, so the service is broken and both places are told."""
        first = self.written.setdefault(written.name, written)
        if first is not written:
            found = f"'{written.name}', which {first.place} defines too"
            fault = Fault(Severity.ERROR, written.place, "name", found, "each name once", "rename or remove one")
            first.faults.extend([*written.faults, fault])

    def merge_drop_ins(self) -> None:
        """Drop-ins are merged in the order of their file names."""
        for service in sorted(self.folders.drop_ins):
            files = self.folders.drop_ins[service]
            if self.started_by(service) != service:
                self.no_service(
                    service, files, f"one of '{self.started_by(service)}', which has that in its definition"
                )
                continue
            written = self.written.get(service) or self.from_template(service)
            if written is None:
                self.no_service(service, files)
                continue
            self.written[service] = written
            for file_name in sorted(files):
                file = self.folders.read(files[file_name])
                if file is not None:
                    _merge(written, file)

    def from_template(self, service: str) -> _Written | None:
        """For drop-ins of one instance: its own copy of the template, without the instances that this lists."""
        template = self.written.get(_template_of(service))
        if template is None:
            return None
        top = template.top
        if top is not None:
            top = Map(top.place, {key: pair for key, pair in top.items.items() if key not in ("instances", "name")})
        return _Written(service, template.place, top, list(template.faults))

    def no_service(self, service: str, files: dict[str, str], expected: str = "a defined service") -> None:
        if service in self.folders.masks:
            return
        for file_name in sorted(files):
            self.folders.fault(
                Severity.WARNING, files[file_name], f"a drop-in of '{service}'", expected,
                suggestion(service, self.written),
            )  # fmt: skip

    def define(self) -> None:
        """Every definition that is not a template."""
        for name, written in self.written.items():
            if not name.endswith("@"):
                self.defined[name] = written.read(name)

    def instantiate(self, enabled: Iterable[str]) -> None:
        """The instances that are listed, enabled, or named by an edge; theirs may name more."""
        queue = deque(enabled)
        for definition in self.defined.values():
            queue.extend(_named_by(definition))
        for name, written in self.written.items():
            if name.endswith("@"):
                queue.extend(self.listed(name, written))
        while queue:
            name = self.started_by(queue.popleft())
            template = _template_of(name)
            if name in self.defined or template not in self.written or not self.has_room(template):
                continue
            self.defined[name] = self.written[template].read(name)
            queue.extend(_named_by(self.defined[name]))
        self.check_unused()

    def started_by(self, name: str) -> str:
        """The service `web@a` of its trigger `web@a.socket`; anything else is itself."""
        for service, key in triggers.named(name):
            written = self.written.get(service) or self.written.get(_template_of(service))
            if (
                name not in self.written
                and written is not None
                and written.top is not None
                and key in written.top.items
            ):
                return service
        return name

    def listed(self, name: str, written: _Written) -> Iterator[str]:
        """The instances in `instances:`. A wrong one is a fault of the template."""
        sample = written.read(name + SAMPLE_INSTANCE)
        for instance, place in sample.instances:
            whole = name + instance
            if "@" in instance or len(whole) > NAME_MAX or not is_name(whole):
                fault = Fault(Severity.ERROR, place, "instances", quoted(instance), NAME_FORMS, service=name)
                self.faults.append(fault)
            else:
                yield whole

    def has_room(self, template: str) -> bool:
        count = self.instances[template] = self.instances.get(template, 0) + 1
        if count == INSTANCES_MAX + 1:
            found = f"more than {INSTANCES_MAX} instances"
            hint = "does the template name another instance of itself?"
            self.faults.append(
                Fault(Severity.ERROR, self.written[template].place, "instances", found, "fewer", hint, template)
            )
        return count <= INSTANCES_MAX

    def check_unused(self) -> None:
        """A template without instances has no service to carry its faults, and is checked all the same."""
        for name, written in self.written.items():
            if name.endswith("@") and name not in self.instances:
                sample = written.read(name + SAMPLE_INSTANCE)
                self.faults.extend(replace(fault, service=name) for fault in sample.faults)


def _template_of(name: str) -> str:
    """`getty@` of `getty@ttyS0`; "" for what is no instance."""
    return name[: name.index("@") + 1] if instance_of(name) else ""


def _named_by(definition: Definition) -> Iterator[str]:
    edges = (*definition.service.dependencies, *definition.before)
    yield from (edge.on for edge in edges if instance_of(edge.on))


def _documents(file: File, stem: str) -> Iterator[_Written]:
    """The definitions of one file, each with its name or the best guess at it."""
    if file.faults:
        yield _Written(_usable(stem), Place(file.path), None, list(file.faults))
        return
    documents = parse(file.path, file.text)
    if not documents:
        hint = "a file of length 0 masks a service"
        expected = "a mapping of keys to values"
        fault = Fault(Severity.ERROR, Place(file.path), "", "no definition", expected, hint)
        yield _Written(_usable(stem), Place(file.path), None, [fault])
    for index, document in enumerate(documents):
        name = _name(document, stem, is_only=len(documents) == 1, index=index)
        yield _Written(name, document.top.place if document.top else document.place, document.top, document.faults)


def _name(document: Document, stem: str, is_only: bool, index: int) -> str:
    """The name of a document's service. What is wrong with it becomes a fault of the document."""
    guess = _usable(stem if is_only or not index else f"{stem}.{index + 1}")
    if document.top is None:
        return document.name_hint or guess
    if "name" not in document.top.items:
        if not is_only:
            _wrong_name(document, document.top.place, "nothing", "a name in each document of a file with several")
        elif guess != stem:
            _wrong_name(document, document.top.place, f"the file name {quoted(stem + SUFFIX)}", NAME_FORMS)
        return guess
    node = document.top.items["name"][1]
    if isinstance(node, Text) and is_name(node.value) and len(node.value) <= NAME_MAX:
        return node.value
    _wrong_name(document, node.place, shown(node), NAME_FORMS)
    return guess


def _wrong_name(document: Document, place: Place, found: str, expected: str) -> None:
    document.faults.append(Fault(Severity.ERROR, place, "name", found, expected))


def _usable(name: str) -> str:
    """`name` with what a name cannot hold replaced."""
    if is_name(name) and len(name) <= NAME_MAX:
        return name
    return "".join(each if each.isascii() and (each.isalnum() or each in "_.-") else "_" for each in name)[:NAME_MAX]


def _merge(written: _Written, file: File) -> None:
    """One drop-in over a definition. Its faults take the service out: half of a change is not what was meant."""
    written.faults.extend(file.faults)
    documents = parse(file.path, file.text) if not file.faults else []
    for index, document in enumerate(documents):
        written.faults.extend(document.faults)
        if index:
            fault = Fault(Severity.ERROR, document.place, "", "a second document", "one in a drop-in")
            written.faults.append(fault)
        elif document.top is not None and written.top is not None:
            if "name" in document.top.items:
                place, found = document.top.items["name"][0].place, "the key in a drop-in"
                written.faults.append(Fault(Severity.ERROR, place, "name", found, "it only in a definition"))
            written.top = merged(written.top, document.top)
