"""The benchmarks (tests/bench) run and print every figure: no figure is compared with anything."""

from __future__ import annotations

import json
from pathlib import Path

import pytest  # noqa: TC002

from linit import compiler
from linit.model.paths import Paths
from linit.model.service import EdgeKind, Kind
from tests.bench import asking, commands, growth, scale, tree
from tests.bench.__main__ import SUBJECTS, main

# Those of the log process have sizes of their own: test_logs_bench.py. These fetch programs to compare with, too.
WITH_PEERS = {"logs", "ctl", "control", "scale"}
TINY = ["--sizes", "30", "60", "--only", *(subject for subject in SUBJECTS if subject not in WITH_PEERS)]


def test_every_figure_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*TINY, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    figures = told["figures"]
    assert {each["what"].partition(":")[0] for each in figures} == {*SUBJECTS} - WITH_PEERS
    assert all(each["value"] > 0 and each["size"] > 0 and each["unit"] for each in figures)
    lines = {each["what"] for each in figures if each["what"].startswith("edges: ")}
    assert lines == {f"edges: {shape}, {work}" for shape in growth.SHAPES for work in growth.WORKS}


def test_real_processes_are_started_asked_about_and_stopped() -> None:
    figures = [*commands.measure(5, runs=1, with_peers=False), *asking.measure(5)]
    figures += scale.measure([20], with_peers=False)
    assert all(each.value > 0 for each in figures if "memory" not in each.what), figures
    assert [each.what for each in figures] == [
        f"ctl: {commands.BARE}",
        *(f"ctl: linitctl {' '.join(asked)}" for asked in commands.ASKED),
        *(f"control: round trips, {who}" for who in ("1 client", "10 clients", "100 clients")),
        *(f"control: p99 while all crash and respawn, {who}" for who in ("1 client", "10 clients", "100 clients")),
        "scale: begun by linit, compiling",
        "scale: begun by linit",
        "scale: memory per service, linit",
        "scale: stopped by linit",
    ]


def test_people_get_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*TINY, "--only", "boot", "memory"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["what", "size", "figure", "aim", "remarks"]
    assert [line.partition("  ")[0] for line in lines[2:] if line] == [
        "boot: simulated as a whole",
        "memory: the plan",
        "memory: the engine beside it",
        "memory: both, after a boot",
    ]


def test_the_tree_is_the_same_for_a_seed_and_has_everything_that_a_machine_has(tmp_path: Path) -> None:
    for name in ("one", "two"):
        tree.write(tmp_path / name, 150)
    files = [
        {str(path.relative_to(tmp_path / name)): path.read_bytes() for path in (tmp_path / name).rglob("*.yaml")}
        for name in ("one", "two")
    ]
    assert files[0] == files[1]
    plan = compiler.build(compiler.Place(Paths.user(str(tmp_path / "one"))))
    assert (plan.faults, plan.cuts) == ((), ())
    assert {each.kind for each in plan.services} == set(Kind)
    assert {edge.kind for each in plan.services for edge in each.dependencies} == set(EdgeKind)
    assert any(each.name == "worker@3" for each in plan.services)
    assert any(each.execution.nice for each in plan.services), "no drop-in was read"
    assert any("umask" in " ".join(each.run.argv) for each in plan.services if each.run), "there is no script"
