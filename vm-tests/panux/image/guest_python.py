"""Which Python modules does the image need, and their compiled forms. Run by the image's own interpreter.

The build runs this file with the python3.13 that it has just unpacked: only that one reads its own grammar and writes
its own bytecode. It imports nothing of panux. The wish comes on standard input and the answer goes to standard output,
both JSON:

    {"verb": "closure", "path": [directories], "roots": [names], "cut": [names]}  ->  {"files": [...], "unknown": [...]}
    {"verb": "compile", "prefix": tree, "directories": [...]}                     ->  {"compiled": count}
    {"verb": "imports", "names": [names]}                                         ->  {"failed": {name: why}}
"""

from __future__ import annotations

import ast
import importlib
import io
import json
import py_compile
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

SUFFIXES = (".py", ".cpython-313-x86_64-linux-gnu.so", ".abi3.so", ".so")


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


def imported(file: Path, name: str) -> Iterator[str]:
    """Every module that the source of module `name` could import, also in functions; names that may be no modules."""
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(file.read_bytes(), str(file))):
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
    """All files that the roots may import, directly or not, but through none of the names in `cut`."""
    todo, seen, files, unknown = list(roots), set[str](), set[str](), set[str]()
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
        files.add(str(file))
        if file.suffix == ".py":
            todo.extend(imported(file, name))
    return {"files": sorted(files), "unknown": sorted(unknown)}


def compile_all(prefix: str, directories: list[str]) -> dict[str, Any]:
    """Writes a .pyc for each source, which is trusted without a look at the source: nobody edits it in the image."""
    count = 0
    for source in sorted(file for directory in directories for file in Path(directory).rglob("*.py")):
        shown = "/" + str(source.relative_to(prefix))
        mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
        py_compile.compile(str(source), dfile=shown, doraise=True, invalidation_mode=mode)
        count += 1
    return {"compiled": count}


def import_all(names: list[str]) -> dict[str, Any]:
    """Imports each name, to learn what the trimmed library lacks."""
    failed = {}
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError as error:
            failed[name] = str(error)
    return {"failed": failed}


def main() -> None:
    """Answers the wish on standard input."""
    wish = json.load(sys.stdin)
    with redirect_stdout(io.StringIO()) as said:
        if wish["verb"] == "closure":
            answer = closure([Path(entry) for entry in wish["path"]], wish["roots"], set(wish["cut"]))
        elif wish["verb"] == "compile":
            answer = compile_all(wish["prefix"], wish["directories"])
        else:
            answer = import_all(wish["names"])
    sys.stderr.write(said.getvalue())
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
