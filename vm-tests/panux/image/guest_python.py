"""Which Python modules does the image need, and their compiled forms. Run by the image's own interpreter.

The build runs this file with the python3.13 that it has just unpacked, which then still has its whole library: only
that one reads its own grammar and writes its own bytecode. It imports nothing of panux. The wish comes on standard
input and the answer goes to standard output, both JSON:

    {"verb": "closure", "path": [directories], "roots": [names], "cut": [names]}
        -> {"files": {name: file}, "unknown": [names]}
    {"verb": "compile", "files": [[source, written, shown], ...]}
        -> {"compiled": count}
"""

from __future__ import annotations

import _imp
import ast
import json
import marshal
import os
import sys
from collections.abc import Iterator
from importlib.util import MAGIC_NUMBER, source_hash
from pathlib import Path
from typing import Any

SUFFIXES = (".py", ".cpython-313-x86_64-linux-gnu.so", ".abi3.so", ".so")
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
NEVER = (
    "TYPE_CHECKING", "typing.TYPE_CHECKING", "sys.platform == 'win32'", "os.name == 'nt'", "__name__ == '__main__'",
)  # fmt: skip
"""Conditions that do not hold in the image when a module is imported."""
UNCHECKED = b"\1\0\0\0"
"""The flags of a .pyc that is known by its source's hash, which nobody is to compute (PEP 552)."""


def find(name: str, path: list[Path]) -> Path | None:
    """The file that `import name` would read, without importing it; a package is its __init__.py."""
    relative = name.replace(".", "/")
    for directory in path:
        if (package := directory / relative / "__init__.py").is_file():
            return package
        for suffix in SUFFIXES:
            if (file := directory / f"{relative}{suffix}").is_file():
                return file
    return None


def executed(node: ast.AST) -> Iterator[ast.AST]:
    """What below `node` runs when the module is imported: no function's body, no branch that is never taken."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) in NEVER:
            for other in child.orelse:
                yield other
                yield from executed(other)
        elif not isinstance(child, FUNCTIONS):
            yield child
            yield from executed(child)


def imported(file: Path, name: str) -> Iterator[str]:
    """Every module that importing module `name` imports; names that may be no modules."""
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    for node in executed(ast.parse(file.read_bytes(), str(file))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package
            for _ in range(node.level - 1):
                base = base.rpartition(".")[0]
            module = ".".join(filter(None, (base if node.level else "", node.module)))
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names if alias.name != "*")


def closure(path: list[Path], roots: list[str], cut: set[str]) -> dict[str, Any]:
    """All modules that importing the roots imports, directly or not, but through none of the names in `cut`.

    What a function of theirs imports when it is called is not among them. Modules that lie frozen in the interpreter
    need no file, except the one by which it knows its library.
    """
    todo, seen, files, unknown = list(roots), set[str](), dict[str, str](), set[str]()
    while todo:
        name = todo.pop()
        if name in seen or any(name == stop or name.startswith(f"{stop}.") for stop in cut):
            continue
        seen.add(name)
        if parent := name.rpartition(".")[0]:
            todo.append(parent)
        file = find(name, path)
        if file is None:
            # a dotted name may be an attribute of its parent, such as os.path
            if name in roots and "." not in name and name not in sys.builtin_module_names:
                unknown.add(name)
            continue
        if name == "os" or not _imp.is_frozen(name):
            files[name] = str(file)
        if file.suffix == ".py":
            todo.extend(imported(file, name))
    return {"files": dict(sorted(files.items())), "unknown": sorted(unknown)}


class Lean(ast.NodeTransformer):
    """The same program without what only people and type checkers read. Asserts and line numbers stay."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """See `function`."""
        return self.function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        """See `function`."""
        return self.function(node)

    def function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        """Without docstring and annotations."""
        for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
            argument.annotation = None
        for rest in (node.args.vararg, node.args.kwarg):
            if rest:
                rest.annotation = None
        node.returns = None
        return self.undocumented(node)

    def visit_Module(self, node: ast.Module) -> ast.AST:
        """Without docstring; `X: Final = 1` becomes `X = 1`."""
        node.body = [
            ast.copy_location(ast.Assign([entry.target], entry.value), entry)
            if isinstance(entry, ast.AnnAssign) and entry.value
            else entry
            for entry in node.body
        ]
        return self.undocumented(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        """Without docstring; but a decorator may write documentation where it finds none, which takes long."""
        return self.generic_visit(node) if node.decorator_list else self.undocumented(node)

    def undocumented(self, node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        """`node` and all below it without docstrings."""
        if ast.get_docstring(node, clean=False) is not None:
            first = node.body.pop(0)
            if not node.body:
                node.body.append(ast.copy_location(ast.Pass(), first))
        return self.generic_visit(node)


def compile_file(source: str, written: str, shown: str) -> None:
    """Writes the bytecode of `source`, which is believed without a look at a source; tracebacks name `shown` and lines.
    Tables of columns would take another tenth."""
    content = Path(source).read_bytes()
    tree = Lean().visit(ast.parse(content, source))
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt | ast.expr | ast.excepthandler | ast.arg | ast.keyword | ast.alias | ast.pattern):
            node.col_offset = node.end_col_offset = -1
    code = compile(tree, shown, "exec", dont_inherit=True)
    os.makedirs(os.path.dirname(written), exist_ok=True)
    Path(written).write_bytes(MAGIC_NUMBER + UNCHECKED + source_hash(content) + marshal.dumps(code))


def main() -> None:
    """Answers the wish on standard input."""
    wish = json.load(sys.stdin)
    answer: dict[str, Any]
    if wish["verb"] == "closure":
        answer = closure([Path(entry) for entry in wish["path"]], wish["roots"], set(wish["cut"]))
    else:
        for source, written, shown in wish["files"]:
            compile_file(source, written, shown)
        answer = {"compiled": len(wish["files"])}
    json.dump(answer, sys.stdout)
