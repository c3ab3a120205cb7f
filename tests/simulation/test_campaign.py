"""Random graphs, faults and requests from seeds; the invariants hold after every event. tests/campaign.py goes on."""

from __future__ import annotations

import os
from typing import Final

import pytest

from linit.engine.simulator import Simulator
from tests.campaign import Campaign
from tests.simulation import coverage
from tests.simulation.drawing import draw
from tests.simulation.playing import play

EVENTS: Final = 200_000
THOROUGH: Final = 60  # runs in which everything is checked after every event


def campaign(seed: int) -> Simulator:
    """The world of one seed, after its run, with all that it did."""
    return play(draw(seed), world_type=Simulator, trace=True).world


@pytest.fixture(scope="module")
def long_campaign() -> Campaign:
    found = Campaign()
    found.run(EVENTS, jobs=min(os.cpu_count() or 1, 4))
    return found


def test_the_invariants_hold_whatever_happens(long_campaign: Campaign) -> None:
    """DESIGN.md sections 3 and 4."""
    assert not long_campaign.failures, "\n\n".join(long_campaign.reports)


def test_that_was_tried_with_200_000_events(long_campaign: Campaign, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\nsimulation: {long_campaign.line}")
    assert long_campaign.handled >= EVENTS


def test_everything_that_can_happen_happened(long_campaign: Campaign) -> None:
    """Each transition, cause, outcome, kind of event, verb and timer; what cannot is listed with the reason."""
    assert coverage.missed(long_campaign.met) == []


def test_the_invariants_hold_for_everything_after_every_event() -> None:
    for seed in range(THOROUGH):
        play(draw(seed), thorough=True)


def test_a_seed_is_always_the_same_run() -> None:
    assert draw(7) == draw(7)
    assert campaign(7).trace == campaign(7).trace
