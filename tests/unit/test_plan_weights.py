"""Which start weighs how much, and the file that tells. Source: linit/plan/weights.py."""

from __future__ import annotations

import os
import random
from dataclasses import replace
from pathlib import Path

import msgpack
import pytest

from linit.model.place import Place
from linit.model.service import Command, Dependency, EdgeKind, Kind, Service
from linit.plan import weights
from linit.plan.weights import Taken

HERE = Place("x.yaml", 1, 1)
RUN = Command(("/bin/true",), HERE)


def edge(on: str, kind: EdgeKind = EdgeKind.NEED) -> Dependency:
    return Dependency(kind, on, HERE)


def oneshot(name: str, *after: str, kind: EdgeKind = EdgeKind.NEED, idle_s: float = 0.0) -> Service:
    edges = tuple(edge(on, kind) for on in after)
    return Service(name, HERE, Kind.ONESHOT, run=RUN, dependencies=edges, idle_s=idle_s)


def runlevel(*names: str, name: str = "default") -> Service:
    return Service(name, HERE, Kind.RUNLEVEL, dependencies=tuple(edge(on, EdgeKind.WANT) for on in names))


def chain() -> tuple[Service, ...]:
    """a, then b, then c; and alone, which nothing waits for."""
    return oneshot("a"), oneshot("alone"), oneshot("b", "a"), oneshot("c", "b"), runlevel("alone", "c")


def taken(cpu_s: float, wait_s: float = 0.0) -> Taken:
    return int(cpu_s * 1_000_000), int(wait_s * 1_000_000)


# -- paths


def test_the_remaining_path_is_the_longest_chain_of_those_that_still_wait() -> None:
    lengths_s = {"a": 1.0, "b": 2.0, "c": 4.0, "alone": 5.0}
    assert weights.remaining_s(chain(), lengths_s) == {"a": 7.0, "b": 6.0, "c": 4.0, "alone": 5.0}


def test_where_nothing_was_measured_the_deepest_goes_first() -> None:
    """So the first boot has an order, too."""
    paths_s = weights.remaining_s(chain(), {})
    assert paths_s == pytest.approx({"a": 0.3, "b": 0.2, "c": 0.1, "alone": 0.1})


def test_a_start_that_nobody_has_measured_takes_as_long_as_most() -> None:
    """The median of the known ones: a service that is new is neither first nor last for it."""
    assert weights.remaining_s(chain(), {"a": 1.0, "b": 3.0, "alone": 9.0})["c"] == 3.0


@pytest.mark.parametrize("kind", [EdgeKind.NEED, EdgeKind.BIND, EdgeKind.WANT, EdgeKind.USE, EdgeKind.AFTER])
def test_every_edge_that_lets_a_start_wait_counts(kind: EdgeKind) -> None:
    """DESIGN.md section 3; a conflict is the other way round, and no order."""
    services = (oneshot("a"), oneshot("b", "a", kind=kind), runlevel("a", "b"))
    assert weights.remaining_s(services, {"a": 1.0, "b": 2.0})["a"] == 3.0


def test_a_virtual_name_hands_on_what_waits_for_it() -> None:
    virtual = Service("net", HERE, Kind.VIRTUAL, dependencies=(edge("lan", EdgeKind.PROVIDED_BY),))
    services = (oneshot("lan"), virtual, oneshot("web", "net"), runlevel("web"))
    assert weights.remaining_s(services, {"lan": 1.0, "web": 2.0})["lan"] == 3.0


def test_what_no_boot_starts_lends_no_weight() -> None:
    """A service that is not enabled, one of the shutdown, and one that lets all others go first."""
    services = (
        oneshot("a"), oneshot("idler", "a", idle_s=5.0), oneshot("off", "a"), oneshot("last", "a"),
        runlevel("a", "idler"), runlevel("last", name="shutdown"),
    )  # fmt: skip
    assert weights.remaining_s(services, {"a": 1.0, "off": 5.0, "last": 5.0, "idler": 5.0}) == {"a": 1.0}


def test_what_waits_for_itself_has_no_path_and_harms_nobody_elses() -> None:
    """A cycle of hard edges stays in a plan, with its members marked as broken."""
    services = (oneshot("a"), oneshot("x", "y", "a"), oneshot("y", "x"), runlevel("a", "x", "y"))
    assert "x" not in weights.remaining_s(services, {})


def test_ten_thousand_services_in_a_row_are_no_trouble() -> None:
    """Nothing in it is recursive."""
    count = 10_000
    services = [oneshot(f"s{n}", *([f"s{n - 1}"] if n else [])) for n in range(count)]
    paths_s = weights.remaining_s(
        [*services, runlevel(f"s{count - 1}")], dict.fromkeys((f"s{n}" for n in range(count)), 1.0)
    )
    assert (paths_s["s0"], paths_s[f"s{count - 1}"]) == (count, 1.0)


# -- weights


def test_the_weight_is_the_third_power_of_the_paths_share() -> None:
    """cpu.weight goes from 1 to 10000; tests/bench/README.md says how the power was found."""
    assert weights.weights_of({"a": 8.0, "b": 4.0, "c": 0.1, "d": 0.0}) == {"a": 10_000, "b": 1250, "c": 1, "d": 1}
    assert weights.weights_of({}) == weights.weights_of({"a": 0.0}) == {}


def test_what_a_person_waits_for_and_what_that_waits_for_gets_ten_times_as_much() -> None:
    """`urgent`: services/README.md. Also by way of a virtual name, and of an order that pulls nothing in."""
    virtual = Service("net", HERE, Kind.VIRTUAL, dependencies=(edge("lan", EdgeKind.PROVIDED_BY),))
    ssh = replace(oneshot("ssh", "net"), urgent=True)
    services = (oneshot("a"), oneshot("b", "a"), oneshot("lan", "a", kind=EdgeKind.AFTER), virtual, ssh)
    favoured = weights.urgent(services)
    assert favoured == {"ssh", "net", "lan", "a"}
    paths_s = {"a": 4.0, "lan": 2.0, "ssh": 1.0, "b": 2.0}
    assert weights.weights_of(paths_s, favoured) == {"a": 10_000, "lan": 1250, "ssh": 156, "b": 125}


def test_of_several_boots_the_usual_work_and_the_shortest_wait_count() -> None:
    """Work is measured exactly; a wait grows with whatever else a machine does."""
    rows = [taken(1.0, 3.0), taken(9.0, 0.5), taken(1.1, 2.0)]
    assert weights.length_s(rows) == pytest.approx(1.6)


# -- the file


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / weights.FILE)


def test_what_a_boot_took_changes_the_weights_of_the_next(path: str) -> None:
    weights.keep(path, chain())
    assert weights.load(path) == {"a": 10_000, "b": 2963, "c": 370, "alone": 370}
    weights.keep(path, chain(), {"alone": taken(2.0), "a": taken(0.1), "b": taken(0.5, 0.2), "c": taken(0.2)})
    assert weights.load(path) == {"alone": 10_000, "a": 1250, "b": 911, "c": 10}


def test_the_last_boots_are_kept_and_what_is_no_longer_defined_is_not(path: str) -> None:
    for cpu_s in range(weights.KEPT + 3):
        weights.keep(path, (oneshot("a"), oneshot("gone"), runlevel("a")), {"a": taken(cpu_s), "gone": taken(1)})
    weights.keep(path, chain(), {"never": taken(1.0)})
    assert weights.history(path) == {"a": tuple(taken(cpu_s) for cpu_s in range(3, weights.KEPT + 3))}


def test_the_same_boots_give_the_same_file(path: str, tmp_path: Path) -> None:
    other = str(tmp_path / "other")
    for each in (path, other):
        weights.keep(each, chain())
        weights.keep(each, chain(), {"b": taken(1.0), "a": taken(0.5)})
    assert Path(path).read_bytes() == Path(other).read_bytes()


def test_a_file_that_is_not_there_or_makes_no_sense_gives_no_weights(path: str) -> None:
    """PID 1 boots all the same, and the next boot's end writes it anew."""
    assert weights.load(path) == {}
    weights.keep(path, chain(), {"a": taken(1.0)})
    whole = Path(path).read_bytes()
    random_ = random.Random(7)
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(random_.randint(1, 4)):
            data[random_.randrange(len(data))] = random_.randrange(256)
        Path(path).write_bytes(bytes(data)[: random_.randint(0, len(data))])
        assert weights.load(path) == {}
        assert weights.history(path) == {}


def test_weights_and_times_out_of_bounds_are_left_out(path: str) -> None:
    """Whoever could write the file could write anything into it."""
    found = msgpack.packb({"a": 0, "b": 10_001, "c": True, "d": "7", "e": 7})
    rows = msgpack.packb({"a": [[1, -1], [True, 1], [1], 7, [2, 3]], "b": []})
    checksum = weights._checksum(found, rows)
    Path(path).write_bytes(msgpack.packb([weights.MAGIC, weights.FORMAT_VERSION, checksum, found, rows]))
    assert weights.load(path) == {"e": 7}
    assert weights.history(path) == {"a": ((2, 3),)}


def test_only_a_file_of_some_size_is_read(path: str, tmp_path: Path) -> None:
    """A pipe would hold PID 1 for ever, a link could lead anywhere."""
    os.mkfifo(path)
    assert weights.load(path) == {}
    os.unlink(path)
    weights.keep(str(tmp_path / "elsewhere"), chain())
    os.symlink(str(tmp_path / "elsewhere"), path)
    assert weights.load(path) == {}
    os.unlink(path)
    with open(path, "wb") as file:
        file.truncate(weights.FILE_MAX_BYTES + 1)
    assert weights.load(path) == {}


def test_a_file_that_cannot_be_written_stays_as_it_was(path: str, tmp_path: Path) -> None:
    weights.keep(path, chain())
    before = Path(path).read_bytes()
    (tmp_path / f"{weights.FILE}.{os.getpid()}").mkdir()
    with pytest.raises(OSError):
        weights.keep(path, chain(), {"a": taken(1.0)})
    assert Path(path).read_bytes() == before
