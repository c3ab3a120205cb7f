"""The machine's name and its loopback interface, before the first service. Source: linit/system/identity.py."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from linit.runtime import loopback
from linit.system import identity


@pytest.mark.parametrize(
    ("text", "name"), [("panux\n", "panux"), ("# of this machine\n\n  panux \n", "panux"), ("", ""), ("# none\n", "")]
)
def test_the_name_is_the_first_line_that_is_no_comment(text: str, name: str) -> None:
    """hostname(5)."""
    assert identity.first_word(text) == name


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may ask for it")
def test_a_loopback_interface_that_is_up_stays_up() -> None:
    """netdevice(7). In a machine it is down before: vm-tests/test_vm_boot.py."""
    loopback.raise_loopback()
    assert int(Path("/sys/class/net/lo/flags").read_text(), 16) & loopback.IFF_UP


def test_what_fails_is_told_and_the_boot_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A name that the kernel does not take."""
    (tmp_path / "hostname").write_text("x" * 100)
    monkeypatch.setattr(identity, "HOSTNAME", str(tmp_path / "hostname"))
    before, told = socket.gethostname(), list[str]()
    identity.settle(told.append)
    assert socket.gethostname() == before
    assert told[0].startswith(f"the machine cannot be called {'x' * 100}: E")
