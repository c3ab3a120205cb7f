"""Imports run one way: DESIGN.md section 1. And PID 1 carries nothing heavy: DESIGN.md section 2."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
COMPILER_ONLY = {
    "linit.definitions", "linit.graph", "linit.importers", "linit.compiler", "linit.generators", "linit.planning",
    "linit.testing", "linit.replay", "linit.bundling",
}  # fmt: skip
EVERYBODYS = ("linit.VERSION", "linit.messagepack")
OF_CLIENT = ("linit.control.messages", "linit.control.frames", "linit.control.nearest", "linit.control.excerpt")
RUNTIME_SIDE = ("runtime", "logs", "record", "control", "system")
NOT_IN_PID_1 = {"yaml", "networkx", "psutil", "subprocess", "threading", "logging", "multiprocessing", "concurrent"}


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Every module that a file imports, with its line; `from x import y` as x and x.y."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, node.lineno
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def files(*parts: str) -> list[Path]:
    found = sorted(path for part in parts for path in (TOP / part).rglob("*.py"))
    assert found, f"nothing below {parts}"
    return found


def offenders(paths: list[Path], allowed: tuple[str, ...], of: str = "linit") -> list[str]:
    return [
        f"{path.relative_to(TOP)}:{line} imports {module}"
        for path in paths
        for module, line in imports(path)
        if module.split(".")[0] == of and module != of and not module.startswith((*allowed, *EVERYBODYS))
    ]


@pytest.mark.parametrize(
    ("package", "allowed"),
    [
        ("model", ("linit.model",)),
        ("engine", ("linit.model", "linit.engine")),
        ("plan", ("linit.model", "linit.plan")),
        ("record", ("linit.model", "linit.plan", "linit.engine", "linit.record", "linit.VERSION")),
        ("graph", ("linit.model", "linit.graph", "linit.definitions")),
        ("definitions", ("linit.model", "linit.definitions", "linit.plan")),
    ],
)
def test_a_package_imports_only_what_lies_below_it(package: str, allowed: tuple[str, ...]) -> None:
    assert offenders(files(f"linit/{package}"), allowed) == []


def test_pid_1_never_loads_the_compiler() -> None:
    for package in RUNTIME_SIDE:
        for path in [*files(f"linit/{package}"), TOP / "linit/__main__.py"]:
            for module, line in imports(path):
                assert not any(
                    module == bad or module.startswith(f"{bad}.") for bad in COMPILER_ONLY
                ), f"{path.relative_to(TOP)}:{line} imports {module}"


def test_pid_1s_modules_import_nothing_heavy() -> None:
    paths = files(*(f"linit/{package}" for package in ("model", "engine", "plan", *RUNTIME_SIDE)))
    for path in [*paths, TOP / "linit/__main__.py"]:
        for module, line in imports(path):
            assert module.split(".")[0] not in NOT_IN_PID_1, f"{path.relative_to(TOP)}:{line} imports {module}"


def test_the_client_knows_of_linit_only_the_messages() -> None:
    assert offenders(files("ctl"), ("linit.control.messages", "linit.control")) == []
    for path in files("ctl"):
        for module, line in imports(path):
            if module.startswith("linit.control."):
                assert module.startswith(OF_CLIENT), f"{path}:{line} imports {module}"


def test_the_engine_has_no_clock_and_no_input() -> None:
    for path in files("linit/model", "linit/engine"):
        for module, line in imports(path):
            assert module.split(".")[0] not in {"os", "time", "asyncio", "socket", "random", "select"}, f"{path}:{line}"
