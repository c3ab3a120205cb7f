"""A plug-in of pytest: when a test fails that used `linit.testing`, its report shows what happened on each simulated
machine, as the console of a real one would. `pytest -p linit.pytest_plugin`, or by itself where linit is installed.

It imports nothing of pytest, which calls it by the names of its hooks: an image that has linit need not have pytest.
Source: pytest's reference, "Hooks".
"""

from __future__ import annotations

from typing import Any, Protocol

from linit import testing


class Report(Protocol):
    """What is used of `pytest.TestReport`: titles and texts shown below a failure."""

    sections: list[tuple[str, str]]


class Stories:
    """The machines of the test that runs, and their stories."""

    def __init__(self) -> None:
        self.boots: list[testing.Boot] = []
        testing.observe(self.boots.append)

    def pytest_runtest_setup(self) -> None:
        """A test begins: the machines of the one before are gone."""
        self.boots.clear()

    def pytest_exception_interact(self, report: Report) -> None:
        """It failed."""
        report.sections.extend(("simulated machine", boot.story()) for boot in self.boots)


def pytest_configure(config: Any) -> None:
    """Called by pytest when it begins."""
    config.pluginmanager.register(Stories(), "linit-stories")
