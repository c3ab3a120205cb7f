"""Which part of asyncio does a loop need that calls back for descriptors, timers and `call_soon`, and nothing else?

PID 1 has no coroutine, transport or thread. Of the 30 modules that `import asyncio` loads, and the 40 that these load,
it uses the selector event loop. Which part that is follows from names: a function, method, class or constant is kept
where what is kept refers to something of that name, beginning with what `linit.runtime.loop.RunningLoop` asks for.
What is kept is the library's, line by line, but for the debug mode, which PID 1 cannot be in (`python -I`).
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator, Mapping
from typing import Final

PACKAGE: Final = "asyncio"
MODULES: Final = ("base_events", "constants", "coroutines", "events", "selector_events")
STAND_INS: Final = {"asyncio.log": "linit.lean.asyncio_faults", "asyncio.format_helpers": "linit.lean.asyncio_faults"}
"""Modules whose part for us is linit's own: the library's bring logging and inspect along."""
ROOTS: Final = frozenset({
    "BaseSelectorEventLoop", "time", "call_soon", "call_at", "add_reader", "remove_reader", "add_writer",
    "remove_writer", "run_forever", "stop", "close", "set_exception_handler",
})  # fmt: skip
CUT: Final = frozenset({"create_task"})
"""Kept code refers to it, but never runs that: it ends asynchronous generators, and there are none."""
NEVER: Final = frozenset({
    "self._debug", "self.get_debug()", "self._loop.get_debug()", "_event_loop_policy is not None",
})  # fmt: skip
"""Conditions that do not hold in PID 1."""
ABSENT: Final = frozenset({"ssl", "_asyncio"})
"""Modules that asyncio does without where they are not there; _asyncio brings tasks, futures and traceback along."""
LATE: Final = frozenset({"traceback"})
"""Modules that are imported by what uses them."""

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Assign


def sources() -> dict[str, str]:
    """The modules by name, with the paths of their sources."""
    found = {}
    for name in (PACKAGE, *(f"{PACKAGE}.{each}" for each in MODULES)):
        spec = importlib.util.find_spec(name)
        assert spec is not None and spec.origin is not None, f"the library has no {name}"
        found[name] = spec.origin
    return found


def reduce(trees: Mapping[str, ast.Module]) -> None:
    """Takes out of the modules what the loop does not need."""
    trees[PACKAGE].body.clear()
    for tree in trees.values():
        _Folder().visit(tree)
    wanted, before = ROOTS, frozenset[str]()
    while wanted != before:
        before = wanted
        wanted |= {name for tree in trees.values() for name in referred(tree, before)}
    for tree in trees.values():
        _Dropper(wanted).visit(tree)
        tree.body = [each for each in tree.body if not _is_late(each) and not _is_unused(each, wanted)]


def referred(tree: ast.AST, wanted: frozenset[str]) -> Iterator[str]:
    """The names in what of the tree is kept."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, Definition) and not is_kept(node, tree, wanted):
            continue
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        yield from referred(node, wanted)


def is_kept(node: Definition, parent: ast.AST, wanted: frozenset[str]) -> bool:
    """Is it referred to, or called by the interpreter itself?"""
    if isinstance(node, ast.Assign):
        names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        is_constant = isinstance(parent, ast.Module) and len(names) == len(node.targets)
        return not is_constant or any(name in wanted for name in names)
    is_special = node.name.startswith("__") and node.name.endswith("__")
    return is_special or (node.name in wanted and node.name not in CUT)


def _is_late(node: ast.stmt) -> bool:
    return isinstance(node, ast.Import) and node.names[0].name in LATE


def _is_unused(node: ast.stmt, wanted: frozenset[str]) -> bool:
    """Is it `import a.b`, and nothing refers to a `.b`?"""
    return isinstance(node, ast.Import) and "." in node.names[0].name and node.names[0].name.split(".")[1] not in wanted


class _Folder(ast.NodeTransformer):
    """Imports by whole names, without modules that are not to be there; no debug mode."""

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST:
        if node.level:
            node.module = ".".join(filter(None, (PACKAGE, node.module)))
            node.level = 0
        whole = [f"{node.module}.{alias.name}" for alias in node.names]
        if node.module in STAND_INS:
            node.module = STAND_INS[node.module]
        elif whole[0] in STAND_INS:
            package, _, name = STAND_INS[whole[0]].rpartition(".")
            return ast.ImportFrom(package, [ast.alias(name, node.names[0].name)], 0)
        return node

    def visit_Try(self, node: ast.Try) -> ast.AST | list[ast.stmt]:
        match node.body[0]:
            case ast.Import([ast.alias(name)]) | ast.ImportFrom(str(name)) if name in ABSENT:
                return node.handlers[0].body
        return self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        self.generic_visit(node)
        first = node.test.values[0] if isinstance(node.test, ast.BoolOp) else node.test
        if isinstance(node.test, ast.BoolOp) and not isinstance(node.test.op, ast.And):
            return node
        return node.orelse if ast.unparse(first) in NEVER else node


class _Dropper(ast.NodeTransformer):
    """Takes out definitions that are not kept, and has functions import what is late."""

    def __init__(self, wanted: frozenset[str]) -> None:
        self._wanted = wanted
        self._parents: list[ast.AST] = []

    def visit(self, node: ast.AST) -> ast.AST | None:
        if isinstance(node, Definition) and not is_kept(node, self._parents[-1], self._wanted):
            return None
        self._parents.append(node)
        self.generic_visit(node)
        self._parents.pop()
        if isinstance(node, ast.FunctionDef):
            used = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)} & LATE
            node.body[:0] = [ast.copy_location(ast.Import([ast.alias(name)]), node) for name in sorted(used)]
        if getattr(node, "body", None) == [] and not isinstance(node, ast.Module):
            node.body = [ast.copy_location(ast.Pass(), node)]  # type: ignore[attr-defined]
        return node
