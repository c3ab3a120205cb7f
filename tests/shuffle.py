"""A plug-in of pytest that runs tests in another order: what one leaves behind must not be what another needs.

    tests/run -p tests.shuffle --shuffle 7 tests/integration

The tests of a module stay together, for they may share a machine; modules, and the tests in each, are shuffled.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """The seed: the same one gives the same order of the same tests."""
    parser.addoption("--shuffle", type=int, default=None, metavar="SEED", help="run the tests in an order of this seed")


def pytest_report_header(config: pytest.Config) -> str:
    """How to run them in this order again."""
    return f"shuffled: --shuffle {config.getoption('--shuffle')}"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Orders modules, and the tests of each, by chance."""
    if (seed := config.getoption("--shuffle")) is not None:
        items[:] = shuffled(items, seed)


def shuffled(items: list[pytest.Item], seed: int) -> list[pytest.Item]:
    """The same tests in the order of a seed, those of a module one after another."""
    chance = random.Random(seed)
    modules: dict[Path, list[pytest.Item]] = {}
    for item in items:
        modules.setdefault(item.path, []).append(item)
    groups = list(modules.values())
    chance.shuffle(groups)
    for group in groups:
        chance.shuffle(group)
    return [item for group in groups for item in group]
