"""Which part of the modules does a boot need, and which only later? Trees in, two halves of each out.

The table `awake.txt` says which functions ran in boots that went well. All that these refer to is needed when a module
is imported, and what that refers to. The rest waits: functions, classes, imports and constants that nothing awake
speaks of are not there at all, and a method that did not run is asleep: in its place stands a stub.
`linit.lean.bundle` brings the rest of a module as soon as something of it is asked for, so a table that is no longer
true costs time and nothing else.
"""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from linit.bundling.leaner import modules_called

STUB: Final = "_asleep"
"""The name, in a module, of what makes the stub of a function that is asleep."""
Function = ast.FunctionDef | ast.AsyncFunctionDef
NOT_APART: Final = frozenset({"super", "__class__"})
"""A function that says one of these has a cell of its class: its code cannot be put into another function."""


@dataclass(slots=True)
class Module:
    """A module while it is divided: its statements, where one import has one name; by their numbers, those that are
    needed at once; its functions that ran, and names of which there are two functions."""

    statements: list[ast.stmt]
    called: Mapping[str, str]
    awake: frozenset[str]
    doubled: frozenset[str]
    needed: set[str] = field(default_factory=set)
    first: set[int] = field(default_factory=set)


@dataclass(slots=True)
class Halves:
    """A module in two: what runs when it is imported, what runs with the rest, and the functions asleep, by their
    qualified names, in the order in which their stubs are made."""

    first: ast.Module
    rest: ast.Module
    asleep: dict[str, Function]


def awake_functions(text: str) -> dict[str, frozenset[str]]:
    """The table: a module at the beginning of a line, its functions behind it and on the lines that are indented."""
    found: dict[str, set[str]] = {}
    names: set[str] = set()
    for line in text.splitlines():
        words = line.split()
        if words and not line[0].isspace():
            names = found.setdefault(words.pop(0), set())
        names.update(words)
    return {name: frozenset(functions) for name, functions in found.items()}


def divided(trees: Mapping[str, ast.Module], awake: Mapping[str, frozenset[str]]) -> dict[str, Halves]:
    """The modules that the table names, in halves. The others do not run during a boot, or are needed whole."""
    modules = {name: prepared(trees[name], ran) for name, ran in awake.items() if name in trees}
    grew = True
    while grew:
        grew = sum(grow(name, modules) for name in modules) > 0  # every one, not up to the first that grew
    return {name: halves_of(module) for name, module in modules.items()}


def prepared(tree: ast.Module, awake: frozenset[str]) -> Module:
    """A module of which nothing is known yet but its functions that ran."""
    statements = [each for statement in tree.body for each in single(statement)]
    names = Counter(name for name, _ in functions(statements, ""))
    doubled = frozenset(name for name, count in names.items() if count > 1)
    return Module(statements, modules_called(tree), awake, doubled, {name.partition(".")[0] for name in awake})


def single(statement: ast.stmt) -> Iterator[ast.stmt]:
    """An import of several names as several."""
    if isinstance(statement, ast.ImportFrom) and len(statement.names) > 1:
        for alias in statement.names:
            yield ast.copy_location(ast.ImportFrom(statement.module, [alias], statement.level), statement)
    else:
        yield statement


def functions(statements: Iterable[ast.stmt], prefix: str) -> Iterator[tuple[str, Function]]:
    """Functions of a module, and methods of its classes, by their qualified names; not those within others."""
    for each in statements:
        if isinstance(each, Function):
            yield prefix + each.name, each
        elif isinstance(each, ast.ClassDef):
            yield from functions(each.body, f"{prefix}{each.name}.")


def bound(statement: ast.stmt) -> list[str] | None:
    """The names that a statement of a module defines; None of one that does more, or that is always wanted."""
    names: list[str] | None = None
    if isinstance(statement, Function | ast.ClassDef):
        names = [statement.name]
    elif isinstance(statement, ast.ImportFrom) and statement.names[0].name != "*":
        names = [alias.asname or alias.name for alias in statement.names]
    elif isinstance(statement, ast.Assign) and all(isinstance(target, ast.Name) for target in statement.targets):
        names = [target.id for target in statement.targets if isinstance(target, ast.Name)]
    return None if names is None or any(name.startswith("__") for name in names) else names


def grow(name: str, modules: Mapping[str, Module]) -> bool:
    """Adds the statements that define what is needed of a module, and what these need; was there any?"""
    module = modules[name]
    grew = False
    for number, statement in enumerate(module.statements):
        names = bound(statement)
        if number in module.first or not (names is None or module.needed.intersection(names)):
            continue
        module.first.add(number)
        grew = True
        for node in running(statement, "", module):
            if isinstance(node, ast.Name):
                module.needed.add(node.id)
            elif isinstance(node, ast.ImportFrom) and node.module and node.module in modules:
                modules[node.module].needed.update(alias.name for alias in node.names)
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                home = modules.get(module.called.get(node.value.id, ""))
                if home is not None:
                    home.needed.add(node.attr)
    return grew


def running(node: ast.stmt, prefix: str, module: Module) -> Iterator[ast.AST]:
    """What of a statement may run during a boot: all but the bodies of functions that are asleep."""
    if isinstance(node, ast.ClassDef):
        for part in (*node.decorator_list, *node.bases, *node.keywords):
            yield from ast.walk(part)
        for each in node.body:
            yield from running(each, f"{prefix}{node.name}.", module)
    elif isinstance(node, Function) and is_asleep(prefix + node.name, node, module):
        for decorator in node.decorator_list:
            yield from ast.walk(decorator)
    else:
        yield from ast.walk(node)


def is_asleep(name: str, node: Function, module: Module) -> bool:
    """Did it not run, and can its code be put into a stub? For that its defaults must be plain, its name its own."""
    if name in module.awake or name in module.doubled or defaults_of(node) is None:
        return False
    return not any(isinstance(each, ast.Name) and each.id in NOT_APART for each in ast.walk(node))


def defaults_of(node: Function) -> tuple[tuple[Any, ...] | None, dict[str, Any] | None] | None:
    """`__defaults__` and `__kwdefaults__`; None where they are more than numbers, texts and the like."""
    given = node.args
    words = {each.arg: value for each, value in zip(given.kwonlyargs, given.kw_defaults, strict=True) if value}
    plain = [*given.defaults, *words.values()]
    if not all(isinstance(each, ast.Constant) or ast.unparse(each) == "()" for each in plain):
        return None
    positional = tuple(map(ast.literal_eval, given.defaults))
    return positional or None, {name: ast.literal_eval(value) for name, value in words.items()} or None


def halves_of(module: Module) -> Halves:
    """The module in two; what it was stays as it is."""
    asleep: dict[str, Function] = {}
    first, rest = ast.Module([], []), ast.Module([], [])
    for number, statement in enumerate(module.statements):
        if number in module.first:
            first.body.append(with_stubs(statement, "", module, asleep))
        else:
            rest.body.append(statement)
    return Halves(joined(first), joined(rest), asleep)


def with_stubs(node: ast.stmt, prefix: str, module: Module, asleep: dict[str, Function]) -> ast.stmt:
    """A statement with stubs in place of the functions that are asleep, which are added to `asleep`."""
    if isinstance(node, Function) and is_asleep(prefix + node.name, node, module):
        asleep[prefix + node.name] = node
        made: ast.expr = ast.Call(ast.Name(STUB, ast.Load()), [], [])
        for decorator in reversed(node.decorator_list):
            made = ast.Call(decorator, [made], [])
        return ast.fix_missing_locations(ast.copy_location(ast.Assign([ast.Name(node.name, ast.Store())], made), node))
    if isinstance(node, ast.ClassDef):
        node = copy.copy(node)
        node.body = [with_stubs(each, f"{prefix}{node.name}.", module, asleep) for each in node.body]
    return node


def joined(tree: ast.Module) -> ast.Module:
    """Imports from one module that stand behind each other as one."""
    body: list[ast.stmt] = []
    for each in tree.body:
        before = body[-1] if body else None
        if (
            isinstance(each, ast.ImportFrom)
            and isinstance(before, ast.ImportFrom)
            and (each.module, each.level) == (before.module, before.level)
        ):
            body[-1] = ast.copy_location(
                ast.ImportFrom(before.module, [*before.names, *each.names], before.level), before
            )
        else:
            body.append(each)
    return ast.Module(body, [])
