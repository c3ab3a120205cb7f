"""Write a bundle: `python -m linit.bundling FILE [--of init|logs] [--shown FOLDER]`.

Run by the interpreter that will read it: bytecode belongs to one version. Of each module of linit that PID 1 may ever
import it holds the bytecode of what `leaner` leaves; traces name the sources, in the FOLDER where they will lie. That
of the log process holds what this imports before its first line, and leaves the rest to the folders.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import marshal
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from types import CodeType
from typing import Any, Final

from linit.bundling import halves, reduction
from linit.bundling.leaner import drop_unused, lean, made_lean

TOP: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BESIDE: Final = os.path.dirname(TOP)
PACKAGES: Final = ("model", "plan", "engine", "record", "runtime", "control", "system", "lean")
NEVER: Final = (
    "linit.model.value", "linit.record.reading", "linit.record.restoring", "linit.record.recording",
    "linit.record.ring", "linit.engine.simulated", "linit.engine.simulator", "linit.runtime.user",
    "linit.control.excerpt",
)  # fmt: skip
"""Modules of these packages that PID 1 does not import."""
FIRST: Final = (
    "linit.__main__", "linit.system.boot", "linit.system.machine", "linit.system.kernel", "linit.runtime.posix_spawn",
    "linit.control.listener", "linit.runtime.readiness", "linit.runtime.background", "linit.runtime.notify",
)  # fmt: skip
"""What hardly any boot does without, with all that these import at their heads. One by one they would cost more."""
CHILD: Final = ("linit.runtime.spawn",)
"""What runs in a forked child until that becomes a program, with all that it imports."""
LOGS: Final = ("linit.logs.process",)
IN_TROUBLE: Final = ("ctypes", "hashlib", "re", "traceback")
"""Modules of the library that linit may ask for when there is no disk any more."""
LOADER: Final = "linit.lean.bundle"
AWAKE: Final = f"{TOP}/bundling/awake.txt"
WHOLE: Final = "linit.lean"
"""What the names of modules begin with that are not divided: small ones, looked into at every turn of the loop."""
HEAD_BYTES: Final = 64


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="linit.bundling", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("file")
    parser.add_argument("--of", choices=("init", "logs"), default="init", help="the program that will read it")
    parser.add_argument("--shown", default=BESIDE, help="where traces say that the sources are")
    wishes = parser.parse_args()
    with open(wishes.file, "wb") as file:
        file.write(bundle(wishes.shown) if wishes.of == "init" else bundle_of_logs(wishes.shown))
    return 0


def bundle(shown: str = BESIDE, table: str = AWAKE) -> bytes:
    """The whole file of PID 1; `table`: of the functions that run in a boot."""
    sources = {name: path for name, path in modules(PACKAGES) if name not in NEVER}
    trees = lean_trees(sources)
    trees |= asyncio_trees(sources)
    drop_unused(trees)
    ran = halves.awake_functions(read(table))
    awake = {name: functions for name, functions in ran.items() if not name.startswith(WHOLE)}
    return written(trees, sources, shown, FIRST, beside=tuple(library(IN_TROUBLE)), awake=awake)


def bundle_of_logs(shown: str = BESIDE) -> bytes:
    """The whole file of the log process."""
    sources = dict(modules((*PACKAGES, "logs")))
    trees = lean_trees(sources)
    drop_unused(trees)
    needed = {*in_order(trees, LOGS), LOADER}
    return written({name: trees[name] for name in trees if name in needed}, sources, shown, LOGS, beside=(), awake={})


def lean_trees(sources: Mapping[str, str]) -> dict[str, ast.Module]:
    """The modules as they are bundled, but for what nobody refers to."""
    return {name: lean(read(path), path) for name, path in sources.items()}


def written(
    trees: Mapping[str, ast.Module],
    sources: Mapping[str, str],
    shown: str,
    first: Iterable[str],
    *,
    beside: tuple[str, ...],
    awake: Mapping[str, frozenset[str]],
) -> bytes:
    """A bundle of these modules; those that `first` import run at once, in halves where `awake` has their functions."""
    paths = {name: place(sources[name], shown) for name in trees}
    codes = {name: compiled(tree, paths[name]) for name, tree in trees.items()}
    rests = first_halves(trees, codes, paths, awake)
    entry = {name: (sources[name].endswith("/__init__.py"), place(sources[name], shown)) for name in trees}
    eager = tuple((name, *entry[name], codes[name]) for name in in_order(trees, first) if name != LOADER)
    at_once = {LOADER, *(name for name, *_ in eager)}
    later = {name: (*entry[name], marshal.dumps(code)) for name, code in codes.items() if name not in at_once}
    return framed(codes[LOADER], eager, later, rests, child=reached(trees, CHILD), beside=beside)


def first_halves(
    trees: Mapping[str, ast.Module],
    codes: dict[str, CodeType],
    paths: Mapping[str, str],
    awake: Mapping[str, frozenset[str]],
) -> dict[str, tuple[bool, bytes]]:
    """Puts the first halves of modules into `codes`; gives the others: do they define names, and what is in them."""
    rests = {}
    for name, each in halves.divided(trees, awake).items():
        if each.asleep or each.rest.body:
            known = {code.co_qualname: code for code in codes_in(codes[name])}
            functions = tuple(
                (known[asleep], *(halves.defaults_of(node) or ())) for asleep, node in each.asleep.items()
            )
            codes[name] = compiled(each.first, paths[name])
            rest = compiled(each.rest, paths[name]) if each.rest.body else None
            rests[name] = (rest is not None, marshal.dumps((rest, functions)))
    return rests


def reached(trees: Mapping[str, ast.Module], roots: Iterable[str]) -> frozenset[str]:
    """The modules that these import, anywhere, and those that they import in turn."""
    todo, found = list(roots), set[str]()
    while todo:
        name = todo.pop()
        if name not in found and name in trees:
            found.add(name)
            for node in ast.walk(trees[name]):
                if isinstance(node, ast.Import | ast.ImportFrom):
                    todo += imports_of(ast.Module([node], []))
    return frozenset(found)


def codes_in(code: CodeType) -> Iterator[CodeType]:
    """The functions and classes of a module, and those within."""
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield each
            yield from codes_in(each)


def asyncio_trees(sources: dict[str, str]) -> dict[str, ast.Module]:
    """What PID 1 uses of asyncio, and nothing else; added to `sources`, too."""
    found = reduction.sources()
    sources |= found
    trees = {name: ast.parse(read(path), path) for name, path in found.items()}
    reduction.reduce(trees)
    return {name: made_lean(tree) for name, tree in trees.items()}


def framed(
    loader: CodeType,
    eager: Any,
    later: Mapping[str, tuple[bool, str, bytes]],
    rests: Mapping[str, tuple[bool, bytes]],
    *,
    child: frozenset[str],
    beside: tuple[str, ...],
) -> bytes:
    """What `linit.lean.bundle` describes. Offsets stand in the head, whose length depends on them: so they are
    counted from its end."""
    offset, places, others = 0, {}, {}
    for name, (is_package, path, data) in later.items():
        places[name] = (is_package, path, offset, len(data))
        offset += len(data)
    for name, (has_names, data) in rests.items():
        others[name] = (has_names, offset, len(data))
        offset += len(data)
    head = marshal.dumps((loader, eager, (places, others, child, beside)))
    first = f"linit {sys.hexversion:x} {len(head)}".encode().ljust(HEAD_BYTES - 1) + b"\n"
    bodies = [data for _, _, data in later.values()] + [data for _, data in rests.values()]
    return first + head + b"".join(bodies)


def library(roots: Iterable[str]) -> list[str]:
    """The modules written in Python that importing these may import."""
    todo, found = list(roots), dict[str, None]()
    while todo:
        name = todo.pop()
        try:
            spec = importlib.util.find_spec(name)
        except ModuleNotFoundError:  # an attribute of a module that is no package
            continue
        if name in found or spec is None or not (spec.origin or "").endswith(".py"):
            continue
        found[name] = None
        parent = name.rpartition(".")[0]
        todo += [parent] if parent else []
        todo += imports_of(ast.parse(read(spec.origin or "")), name if spec.submodule_search_locations else parent)
    return sorted(found)


def modules(packages: Iterable[str]) -> Iterable[tuple[str, str]]:
    """Every module of these packages and beside them, with the path of its source."""
    files = [f"{TOP}/{name}.py" for name in ("__init__", "__main__", "messagepack")]
    for package in packages:
        files += sorted(f"{TOP}/{package}/{file}" for file in os.listdir(f"{TOP}/{package}") if file.endswith(".py"))
    for path in files:
        yield path[len(BESIDE) + 1 : -len(".py")].replace("/", ".").removesuffix(".__init__"), path


def read(path: str) -> str:
    """The text of a source."""
    with open(path, encoding="utf-8") as file:
        return file.read()


def place(path: str, shown: str) -> str:
    """Where a source will lie; one of the library is named from its folder on."""
    if path.startswith(TOP):
        return shown + path[len(BESIDE) :]
    return path[path.rindex(f"/{reduction.PACKAGE}/") + 1 :]


def compiled(tree: ast.Module, path: str) -> CodeType:
    """Bytecode. Asserts stay in: linit's own checks are on in production. Traces name lines, not columns, whose tables
    are as long as the code."""
    for node in ast.walk(tree):
        if hasattr(node, "col_offset"):
            node.col_offset = node.end_col_offset = -1  # type: ignore[attr-defined]
    code: CodeType = compile(tree, path, "exec", dont_inherit=True, optimize=0)
    return code


def in_order(trees: Mapping[str, ast.Module], roots: Iterable[str]) -> list[str]:
    """The modules that `roots` import at their heads, each behind what it imports itself and behind its package."""
    done: dict[str, None] = {}

    def take(name: str) -> None:
        if name in done or name not in trees:
            return
        package = name.rpartition(".")[0]
        if package:
            take(package)
        for imported in imports_of(trees[name]):
            if imported != name:
                take(imported)
        done[name] = None

    for root in roots:
        take(root)
    return list(done)


def imports_of(tree: ast.Module, package: str = "") -> Iterable[str]:
    """What runs when a module is imported; a name from a package may be a module of it."""
    for node in executed(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or node.level):
            module = ".".join(filter(None, (package if node.level else "", node.module)))
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def executed(node: ast.AST) -> Iterator[ast.AST]:
    """What below a node runs when its module is imported: no bodies of functions, not what is only for a program."""
    for child in ast.iter_child_nodes(node):
        is_main = isinstance(child, ast.If) and "__name__" in ast.unparse(child.test)
        if not is_main and not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield child
            yield from executed(child)


if __name__ == "__main__":
    sys.exit(main())
