"""What the commands of vm-tests say on a machine where nothing is prepared."""

from __future__ import annotations

import subprocess
import sys

import pytest

from panux.places import VM_TESTS


@pytest.mark.parametrize(("command", "module"), [("boot", "panux.boot"), ("bench", "panux.bench.command")])
def test_help_needs_no_package_to_be_installed(command: str, module: str) -> None:
    """Without site there is the standard library alone. The scripts of that name do the same."""
    asked = [sys.executable, "-S", "-m", module, "--help"]
    told = subprocess.run(asked, env={"PYTHONPATH": str(VM_TESTS)}, capture_output=True, text=True, check=False)
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.startswith(f"usage: vm-tests/{command} ")
