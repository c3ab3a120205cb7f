"""What of a module does nothing at run time, or can be had for less? Source in, syntax tree out.

Left out: annotations, docstrings, what stands under `if TYPE_CHECKING`, `Protocol` as a base, type variables. Written
out: dataclasses and named tuples (`records`). Replaced: modules of the standard library that have a cheaper one
(SAME, LEAN). Then `drop_unused` takes out the imports and type aliases that nothing refers to any more.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Final

from linit.bundling import records

LINIT: Final = "linit"
SAME: Final = {
    "collections": "_collections",
    "collections.abc": "_collections_abc",
    "contextvars": "_contextvars",
    "heapq": "_heapq",
    "stat": "_stat",
    "struct": "_struct",
    "warnings": "_warnings",
}
"""Modules of the interpreter in which the library's names are the same objects."""
LEAN: Final = (
    "contextlib", "ctypes", "dataclasses", "enum", "functools", "os", "selectors", "signal", "socket", "threading",
)  # fmt: skip
"""Modules that have a smaller one in linit.lean; it is taken where it has all that a module asks for."""
BEFORE: Final = {
    records.UNSET: f"{records.UNSET} = object()",
    records.SHARED: f"from linit.lean import dataclasses as {records.SHARED}",
}
"""What written-out classes refer to, put in front of their module."""
TYPE_ONLY: Final = {"Protocol", "Generic"}
TYPE_MAKERS: Final = {"TypeVar", "ParamSpec", "NewType"}


def lean(source: str, path: str) -> ast.Module:
    """The tree of a module without what only readers and type checkers need. Raises CannotBundle, SyntaxError."""
    return made_lean(ast.parse(source, path))


def made_lean(tree: ast.Module) -> ast.Module:
    """The same, in the tree itself."""
    _Leaner().visit(tree)
    replace_modules(tree)
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    for name, before in BEFORE.items():
        if name in names:
            tree.body[:0] = ast.parse(before).body
    return ast.fix_missing_locations(tree)


class _Leaner(ast.NodeTransformer):
    """Takes out and writes out, in one walk."""

    def visit_Module(self, node: ast.Module) -> ast.AST:
        node.body = [each for each in node.body if not _is_for_the_source(each)]
        return self._body(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._function(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        if any(_name(base) == "NamedTuple" for base in node.bases):
            records.expand_named_tuple(node)
        for decorator in list(node.decorator_list):
            options = records.options_of(decorator)
            if options is not None:
                node.decorator_list.remove(decorator)
                records.expand(node, options)
        node.bases = [base for base in node.bases if _name(base) not in TYPE_ONLY]
        return self._body(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        self.generic_visit(node)
        if node.value is None:
            return None
        return ast.copy_location(ast.Assign([node.target], node.value), node)

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt] | None:
        if _name(node.test) == "TYPE_CHECKING":
            kept = [self.visit(each) for each in node.orelse]
            return [each for each in kept if each is not None]
        self.generic_visit(node)
        node.body = node.body or [ast.copy_location(ast.Pass(), node)]
        return node

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        given = node.args
        for each in (*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg):
            if each is not None:
                each.annotation = None
        node.returns = None
        return self._body(node)

    def _body(self, node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        if ast.get_docstring(node, clean=False) is not None:
            del node.body[0]
        self.generic_visit(node)
        node.body = [each for each in node.body if not _is_text(each)]
        if not node.body and not isinstance(node, ast.Module):
            node.body = [ast.copy_location(ast.Pass(), node)]
        return node


def _is_for_the_source(node: ast.stmt) -> bool:
    """An import for the source alone: the decorator `value` is written out, though a field may be called so."""
    return isinstance(node, ast.ImportFrom) and node.module in ("__future__", "linit.model.value")


def _is_text(node: ast.stmt) -> bool:
    """A docstring of a constant, or the dots of a body that is none."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Subscript):
        return _name(node.value)
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def replace_modules(tree: ast.Module) -> None:
    """Imports of modules that have a cheaper one become imports of that."""
    asked: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            name, _, rest = _dotted(node).partition(".")
            asked.setdefault(name, set()).add(rest)
    for parent in ast.walk(tree):
        for statements in (getattr(parent, name, None) for name in ("body", "orelse", "finalbody")):
            if isinstance(statements, list):
                statements[:] = [_replaced(node, asked) for node in statements]


def _dotted(node: ast.expr) -> str:
    """`os.path.exists`, as it is written; of what is no name, what follows it."""
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def _replaced(node: ast.stmt, asked: Mapping[str, set[str]]) -> ast.stmt:
    if isinstance(node, ast.ImportFrom) and not node.level and node.module:
        cheaper = cheaper_module(node.module, {alias.name for alias in node.names})
        if cheaper:
            node.module = cheaper
    elif isinstance(node, ast.Import) and len(node.names) == 1 and "." not in node.names[0].name:
        alias = node.names[0]
        bound = alias.asname or alias.name
        cheaper = cheaper_module(alias.name, asked.get(bound, set()))
        if cheaper:
            package, _, name = cheaper.rpartition(".")
            new = ast.alias(name, bound)
            made = ast.ImportFrom(package, [new], 0) if package else ast.Import([new])
            return ast.copy_location(made, node)
    return node


def cheaper_module(name: str, asked: Iterable[str]) -> str:
    """What to import in place of a module of which these names are wanted; "" where there is nothing better."""
    cheaper = SAME.get(name) or (f"{LINIT}.lean.{name}" if name in LEAN else "")
    if not cheaper:
        return ""
    found = importlib.import_module(cheaper)
    # What is written out needs no name: `dataclass`, `field` are dropped as unused.
    return cheaper if all(_has(found, each) for each in asked if each not in ("dataclass", "field")) else ""


def _has(module: ModuleType, name: str) -> bool:
    """Has a module a name, and if that is a module, too, the name in that?"""
    first, _, rest = name.partition(".")
    found = getattr(module, first, None)
    return hasattr(module, first) and (not rest or not isinstance(found, ModuleType) or _has(found, rest))


def drop_unused(trees: Mapping[str, ast.Module]) -> None:
    """Takes imports and type aliases out of modules, by name, as long as there are some that nothing refers to.

    A name is referred to where it stands in its module, and where another module imports it from there or has it as
    an attribute of that module.
    """
    while _drop_once(trees):
        pass


def _drop_once(trees: Mapping[str, ast.Module]) -> bool:
    wanted: dict[str, set[str]] = {name: set() for name in trees}
    for name, tree in trees.items():
        called = modules_called(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                wanted.setdefault(node.module or "", set()).update(alias.name for alias in node.names)
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                wanted.setdefault(called.get(node.value.id, ""), set()).add(node.attr)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                wanted[name].add(node.id)
    dropped = 0
    for name, tree in trees.items():
        dropper = _Dropper(wanted[name])
        dropper.visit(tree)
        dropped += dropper.dropped
    return dropped > 0


def modules_called(tree: ast.Module) -> dict[str, str]:
    """What a module calls other modules: theirs by its names. Some are no modules, which does no harm."""
    called: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            called |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            called |= {alias.asname or alias.name: alias.name for alias in node.names}
    return called


class _Dropper(ast.NodeTransformer):
    """Takes out what is called otherwise than one of these names."""

    def __init__(self, wanted: set[str]) -> None:
        self._wanted = wanted
        self.dropped = 0

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        return self._kept(node, [alias for alias in node.names if (alias.asname or alias.name) in {*self._wanted, "*"}])

    def visit_Import(self, node: ast.Import) -> ast.AST | None:
        first = [alias.asname or alias.name.partition(".")[0] for alias in node.names]
        return self._kept(node, [alias for alias, name in zip(node.names, first, strict=True) if name in self._wanted])

    def _kept(self, node: ast.Import | ast.ImportFrom, names: list[ast.alias]) -> ast.AST | None:
        self.dropped += len(node.names) - len(names)
        node.names = names
        return node if names else None

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        target = node.targets[0]
        if isinstance(target, ast.Name) and target.id not in self._wanted and _is_type(node.value):
            self.dropped += 1
            return None
        return node


def _is_type(value: ast.expr) -> bool:
    """Does it only make a type? `A | B`, `tuple[int, str]`, `TypeVar("T")`."""
    if isinstance(value, ast.Call):
        return _name(value.func) in TYPE_MAKERS
    return isinstance(value, ast.Subscript) or (isinstance(value, ast.BinOp) and isinstance(value.op, ast.BitOr))
