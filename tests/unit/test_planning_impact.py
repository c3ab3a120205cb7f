"""`linitctl impact`: what it says would stop is what stops. Source: issue 3, "It remembers, and can be replayed"."""

from __future__ import annotations

import random

import pytest

from linit.engine.events import Verb
from linit.model.service import Plan
from linit.model.state import UnitState
from linit.planning import text, world
from linit.planning.durations import Durations
from linit.planning.impact import Booted, Degraded
from linit.planning.world import UnknownName
from tests.simulation.graphs import plan, random_plan
from tests.unit.shipped_services import plan as shipped

SHIPPED = Booted(shipped(), Durations())


def really_stops(of: Plan, name: str) -> set[str]:
    """What is up no more after `linitctl stop NAME`."""
    machine = world.of(of, Durations())
    world.begin(machine)
    world.settle(machine)
    before = {each for each, unit in machine.engine.units.items() if unit.state is UnitState.UP}
    machine.request(Verb.STOP, name)
    world.settle(machine)
    return {each for each in before if machine.state(each) is not UnitState.UP}


@pytest.mark.parametrize("name", sorted(SHIPPED.alive))
def test_what_stops_is_what_really_stops(name: str) -> None:
    """For every service of the Panux VM, runlevels and virtual names among them."""
    impact = SHIPPED.impact(name)
    assert {name, *impact.stops, *impact.let_go} == really_stops(shipped(), name)


@pytest.mark.parametrize("seed", range(30))
def test_so_it_is_in_random_graphs(seed: int) -> None:
    graph = random_plan(random.Random(seed), 14)
    booted = Booted(graph, Durations())
    for name in sorted(booted.alive):
        impact = booted.impact(name)
        assert {name, *impact.stops, *impact.let_go} == really_stops(graph, name), f"{name}, seed {seed}"


@pytest.mark.parametrize("seed", range(30))
def test_dominators_say_the_same_from_the_other_end(seed: int) -> None:
    """A service is lost with exactly those whose stop takes it down. A virtual name stopped stops its providers."""
    booted = Booted(random_plan(random.Random(seed), 14), Durations())
    for name in booted.alive - {"virtual"}:
        dominated = {each for each, dominators in booted.dominators.items() if name in dominators}
        assert dominated == set(booted.stops(name)), f"{name}, seed {seed}"


SHOP = {
    "net": {},
    "cache": {"need": ["net"]},
    "a": {}, "b": {},
    "mta": {"kind": "virtual", "provided_by": ["a", "b"]},
    "mail": {"need": ["mta"]},
    "helper": {"stop_when_unneeded": True},
    "shop": {"need": ["net"], "want": ["helper"], "use": ["cache", "mta"]},
    "news": {"use": ["cache"]},
    "default": {"kind": "runlevel", "want": ["shop", "cache", "mail", "a", "news"]},
}  # fmt: skip


def test_it_tells_what_stops_what_is_let_go_and_what_is_worse_off() -> None:
    booted = Booted(plan(SHOP), Durations())
    cache = booted.impact("cache")
    assert (cache.stops, cache.needs) == ((), ("net",))
    assert cache.degrades == (Degraded("news", "use", "cache"), Degraded("shop", "use", "cache"))
    assert booted.impact("shop").let_go == ("helper",)
    net = booted.impact("net")
    assert (net.stops, net.degrades) == (("cache", "shop"), (Degraded("news", "use", "cache"),))


def test_a_virtual_name_is_lost_with_its_last_provider_only() -> None:
    one = Booted(plan(SHOP), Durations())
    assert one.impact("a").stops == ("mta", "mail")
    both = Booted(plan(SHOP | {"default": {"kind": "runlevel", "want": ["mail", "a", "b"]}}), Durations())
    assert (both.impact("a").stops, both.impact("mail").needs) == ((), ("mta",))


def test_what_is_not_up_carries_nothing() -> None:
    booted = Booted(plan(SHOP), Durations())
    assert (booted.impact("b").is_up, booted.impact("b").stops) == (False, ())


def test_an_unknown_name_is_told() -> None:
    with pytest.raises(UnknownName, match="no service is called 'x'"):
        SHIPPED.impact("x")


def test_a_panux_machine_can_be_entered_without_its_network() -> None:
    impact = SHIPPED.impact("network")
    lost = {login.name: login.is_lost for login in impact.logins}
    assert lost == {"dropbear": True, "getty@ttyS0": False}
    assert [login.name for login in impact.logins if login.after_failure_s is None] == ["dropbear"]


def test_no_service_of_a_panux_machine_takes_every_login() -> None:
    assert SHIPPED.logins == ("dropbear", "getty@ttyS0")
    assert [each.name for each in SHIPPED.points() if each.logins_lost == SHIPPED.logins] == []


def test_impact_reads_as_a_few_lines() -> None:
    booted = Booted(plan(SHOP), Durations())
    assert list(text.impact(booted.impact("net"))) == [
        "net: 2 services stop with it",
        "  stops                  cache, shop",
        "  degrades               news (use cache)",
        "  logins                 nothing",
        "  if it fails in a boot  nothing",
        "  is lost with           nothing",
    ]
    assert list(text.points(booted, booted.points())) == [
        "ways to log in: nothing",
        "lost with all of them: nothing",
        "",
        "SERVICE  TAKES DOWN  LOGINS LOST",
        "net      2",
        "a        1",
    ]
