"""A failing run shrinks to a case that a person can read, and that still fails."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from linit.engine import stopping
from linit.engine.board import Board
from linit.engine.edges import Difference
from linit.engine.events import Verb
from linit.engine.unit import Unit
from linit.model.service import EdgeKind
from tests.simulation import invariants
from tests.simulation.drawing import draw
from tests.simulation.moment import Moment
from tests.simulation.playing import Violation
from tests.simulation.scenario import Ask, Scenario, as_test
from tests.simulation.shrinking import report, shrunken, violation_of


def first_violation(invariant: str) -> tuple[int, Violation, Scenario]:
    """The first seed that breaks an invariant, or any."""
    for seed in range(200):
        scenario = draw(seed)
        violation = violation_of(scenario)
        if violation is not None and violation.invariant == invariant:
            return seed, violation, scenario
    raise AssertionError(f"200 runs did not break {invariant}")


@pytest.fixture
def without_kill(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that forgets the limit of a stop."""

    def forget(_self: stopping.Stopping, _unit: Unit, _limit_s: float | None) -> None:
        pass

    monkeypatch.setattr(stopping.Stopping, "_limit", forget)


@pytest.mark.usefixtures("without_kill")
def test_a_fault_in_the_engine_shrinks_to_a_few_lines() -> None:
    _, violation, scenario = first_violation("nothing_wedges")
    small = shrunken(scenario, violation.invariant)
    again = violation_of(small, thorough=True)
    assert again is not None
    assert again.invariant == violation.invariant
    assert len(small.services) <= 2
    assert len(small.actions) <= 1


@pytest.mark.usefixtures("without_kill")
def test_the_report_names_the_seed_and_the_invariant_and_is_a_test_to_paste() -> None:
    seed, violation, scenario = first_violation("nothing_wedges")
    text = report(seed, violation, scenario)
    assert text.splitlines()[0] == (
        f"seed {seed} breaks nothing_wedges; repeat with: python -m tests.campaign --only {seed}"
    )
    pasted: dict[str, Any] = {}
    exec(text[text.index("from linit") :], pasted)
    with pytest.raises(Violation, match="nothing_wedges"):
        pasted[f"test_nothing_wedges_seed_{seed}"]()


def test_a_lost_count_shrinks_to_two_services_and_their_edge(monkeypatch: pytest.MonkeyPatch) -> None:
    tell_owners = Board._tell_owners

    def forgetful(self: Board, unit: Unit, owed: Mapping[EdgeKind, Difference]) -> None:
        unmet = {each: each.unmet for each in self.units.values()}
        tell_owners(self, unit, owed)
        for each, before in unmet.items():
            each.unmet = max(before, each.unmet)

    monkeypatch.setattr(Board, "_tell_owners", forgetful)
    for seed in range(50):
        scenario = draw(seed)
        violation = violation_of(scenario)
        if violation is not None:
            small = shrunken(scenario, violation.invariant)
            assert violation_of(small, thorough=True) is not None
            assert small.size < scenario.size / 5
            assert len(small.services) <= 4
            return
    raise AssertionError("50 runs did not notice that waits are never over")


def test_an_invariant_that_never_holds_shrinks_to_one_service_and_nothing_that_happens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def nothing_is_ever_handled(_moment: Moment) -> None:
        raise AssertionError("something was")

    monkeypatch.setattr(invariants, "OF_AN_EVENT", (nothing_is_ever_handled,))
    small = shrunken(draw(1), "nothing_is_ever_handled")
    assert (len(small.services), small.actions, small.behaviours) == (1, (), {})


def test_the_text_of_a_scenario_is_the_scenario() -> None:
    for seed in range(30):
        scenario = draw(seed)
        read: dict[str, Any] = {}
        text = as_test(scenario, "it").replace("play(scenario, thorough=True)", "return scenario")
        exec(text, read)
        assert read["test_it"]() == scenario


def test_a_scenario_is_read_in_one_glance() -> None:
    scenario = Scenario({"db": {}, "web": {"need": ["db"]}}, actions=(Ask(1.0, Verb.STOP, ("db",)),), target="web")
    body = as_test(scenario, "stop").split("\n\n\n")[1]
    assert body == (
        "def test_stop() -> None:\n"
        "    scenario = Scenario(\n"
        "        services={\n"
        "            'db': {},\n"
        "            'web': {'need': ['db']},\n"
        "        },\n"
        "        behaviours={\n"
        "        },\n"
        "        actions=(\n"
        "            Ask(1.0, Verb.STOP, ('db',)),\n"
        "        ),\n"
        "        end_s=60.0,\n"
        "        target='web',\n"
        "    )\n"
        "    play(scenario, thorough=True)\n"
    )
