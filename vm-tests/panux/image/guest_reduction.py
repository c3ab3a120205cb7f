"""Which modules of a large package does a program need that uses a few of its names? Run as guest_python.py is.

networkx imports all of its 300 modules when it is imported at all; linit uses a graph and four algorithms. What these
can reach is followed from definition to definition: of a module only what runs at its import and what is asked for is
looked at. A package's own __init__, which imports everything, is then replaced by one that looks names up in their
modules when they are asked for (python_library writes it). Wish and answer, on standard input and output, in JSON:

    {"package": name, "names": [names]}
        -> {"files": {name: file}, "imports": [names], "homes": {package: {name: "module:attribute" or "module:"}}}
"""

from __future__ import annotations

import ast
import importlib
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
DEFINITIONS = (*FUNCTIONS, ast.ClassDef)


class Module:
    """One module of the package, taken apart: its definitions, and what its names are bound to."""

    def __init__(self, package: str, name: str) -> None:
        self.name = name
        self.value = importlib.import_module(name)
        self.file = Path(str(self.value.__file__))
        self.is_package = self.file.name == "__init__.py"
        self.tree = ast.parse(self.file.read_bytes())
        self.definitions: dict[str, ast.AST] = {}
        self.bound: dict[str, tuple[str, str]] = {}
        """A name here: the module, and the name there, or "" for the module itself."""
        for node in self.tree.body:
            if isinstance(node, DEFINITIONS):
                self.definitions[node.name] = node
            for target in targets(node):
                self.definitions[target] = node
        for inner in ast.walk(self.tree):
            for alias, module, attribute in bindings(inner, self.scope):
                if module.split(".")[0] == package:
                    self.bound[alias] = (module, attribute)

    @property
    def scope(self) -> str:
        """The package that relative imports are relative to."""
        return self.name if self.is_package else self.name.rpartition(".")[0]


def targets(node: ast.stmt) -> Iterator[str]:
    """The names that a statement assigns to."""
    if isinstance(node, ast.Assign):
        for target in node.targets:
            yield from (each.id for each in ast.walk(target) if isinstance(each, ast.Name))
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        yield node.target.id


def bindings(node: ast.AST, scope: str) -> Iterator[tuple[str, str, str]]:
    """What an import binds: the name, its module, and the attribute of that, "" for the module itself."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield alias.asname or alias.name.split(".")[0], alias.name if alias.asname else alias.name.split(".")[0], ""
    elif isinstance(node, ast.ImportFrom):
        base = scope
        for _ in range(node.level - 1):
            base = base.rpartition(".")[0]
        module = ".".join(filter(None, (base if node.level else "", node.module)))
        for alias in node.names:
            yield alias.asname or alias.name, module, alias.name


class Reduction:
    """What is reached so far."""

    def __init__(self, package: str) -> None:
        self.package = package
        self.modules: dict[str, Module] = {}
        self.reached: set[tuple[str, str]] = set()
        self.todo: list[tuple[str, str]] = []
        self.imports: set[str] = set()

    def module(self, name: str) -> Module:
        """The module of this name, taken apart once."""
        if name not in self.modules:
            self.modules[name] = Module(self.package, name)
        return self.modules[name]

    def follow(self, module: str, name: str) -> None:
        """Goes on from here: a definition of a module, or for "" what runs when it is imported."""
        if (module, name) not in self.reached:
            self.reached.add((module, name))
            self.todo.append((module, name))

    def reach(self, module: str, attribute: str) -> str:
        """Follows an attribute of a module to where it is defined; the name of the module that it is, else ""."""
        value = getattr(importlib.import_module(module), attribute, None)
        if isinstance(value, ModuleType):
            if not value.__name__.startswith(self.package):
                return ""
            self.follow(value.__name__, "")
            return value.__name__
        home = self.home(module, attribute)
        self.follow(home, "")
        if attribute in self.module(home).definitions:
            self.follow(home, attribute)
        return ""

    def home(self, module: str, attribute: str) -> str:
        """The module that defines an attribute of a module."""
        known = self.module(module)
        if attribute in known.definitions:
            return module
        if attribute in known.bound and known.bound[attribute][1]:
            return self.home(*known.bound[attribute])
        home = getattr(getattr(known.value, attribute, None), "__module__", None)
        return home if isinstance(home, str) and home.startswith(self.package) else module

    def run(self, names: Iterable[str]) -> None:
        """Everything that these names of the package reach."""
        for name in names:
            self.reach(self.package, name)
        while self.todo:
            name, definition = self.todo.pop()
            module = self.module(name)
            if module.is_package and not definition:
                continue  # what its __init__ does is replaced
            nodes = [module.definitions[definition]] if definition else list(at_import(module.tree))
            for node in nodes:
                self.follow_names(module, node)

    def follow_names(self, module: Module, top: ast.AST) -> None:
        """Follows every name below `top`, and notes what is imported from outside."""
        for node in ast.walk(top):
            for _, origin, attribute in bindings(node, module.scope):
                if origin.split(".")[0] != self.package:
                    self.imports.add(origin)
                elif attribute and attribute != "*":
                    self.reach(origin, attribute)
                else:
                    self.follow(origin, "")
            if isinstance(node, ast.Name):
                self.step(module, node.id)
            elif isinstance(node, ast.Attribute):
                self.chain(module, node)

    def step(self, module: Module, name: str) -> str:
        """Follows a bare name; the module of the package that it is, else ""."""
        if name in module.definitions:
            self.follow(module.name, name)
        elif name in module.bound:
            origin, attribute = module.bound[name]
            if not attribute:
                return origin
            return self.reach(origin, attribute)
        return ""

    def chain(self, module: Module, node: ast.Attribute) -> str:
        """Follows `nx.utils.pairwise`; the module of the package that it ends in, else ""."""
        if isinstance(node.value, ast.Name):
            found = self.step(module, node.value.id)
        elif isinstance(node.value, ast.Attribute):
            found = self.chain(module, node.value)
        else:
            return ""
        return self.reach(found, node.attr) if found else ""


def at_import(tree: ast.AST) -> Iterator[ast.AST]:
    """The parts of a program that run at its import: of functions the decorators and defaults only."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, FUNCTIONS):
            yield from node.decorator_list
            yield from (default for default in (*node.args.defaults, *node.args.kw_defaults) if default)
        elif isinstance(node, ast.ClassDef):
            yield from (*node.bases, *node.decorator_list)
            yield from at_import(ast.Module(node.body, []))
        else:
            yield node


def reduced(package: str, names: list[str]) -> dict[str, Any]:
    """The modules that these names of a package need, what they import from outside, and where public names are."""
    reduction = Reduction(package)
    reduction.run(names)
    kept = {module for module, _ in reduction.reached}
    kept |= {".".join(name.split(".")[:end]) for name in kept for end in range(1, name.count(".") + 2)}
    files = {name: str(reduction.module(name).file) for name in kept if not reduction.module(name).is_package}
    packages = [name for name in kept if reduction.module(name).is_package]
    homes = {name: public_homes(reduction, name, kept) for name in packages}
    return {"files": dict(sorted(files.items())), "imports": sorted(reduction.imports), "homes": homes}


def public_homes(reduction: Reduction, package: str, kept: Iterable[str]) -> dict[str, str]:
    """For each name of a package that is a kept module, by whatever name, or that one defines: where that is."""
    found = {}
    for name, value in sorted(vars(sys.modules[package]).items()):
        if name.startswith("__"):
            continue
        if isinstance(value, ModuleType):
            if value.__name__ in kept:
                found[name] = f"{value.__name__}:"
            continue
        home = reduction.home(package, name)
        if home in kept and name in reduction.module(home).definitions:
            found[name] = f"{home}:{name}"
    return found


def main() -> None:
    """Answers the wish on standard input."""
    wish = json.load(sys.stdin)
    json.dump(reduced(wish["package"], wish["names"]), sys.stdout)
