"""Finding the virtio port on which the host speaks: linit/system/control_port.py. A pipe stands for the device."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from linit.system.control_port import LOOK_AGAIN_S, ControlPort, find


class Loop:
    """A clock that is advanced by hand."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.calls: list[tuple[float, Callable[..., object]]] = []

    def time(self) -> float:
        return self.now_s

    def call_at(self, when: float, callback: Callable[..., object], *_args: Any) -> None:
        self.calls.append((when, callback))

    def advance(self) -> None:
        (self.now_s, callback) = self.calls.pop(0)
        callback()


class Bench:
    """A /sys/class/virtio-ports and a /dev of our own."""

    def __init__(self, folder: Path) -> None:
        self.ports = folder / "ports"
        self.devices = folder / "dev"
        self.devices.mkdir()
        self.loop = Loop()
        self.attached: list[int] = []
        self.told: list[str] = []
        self.port = ControlPort(
            "org.panux.control",
            self.loop,  # type: ignore[arg-type]
            self.attached.append,
            self.told.append,
            ports=str(self.ports),
            devices=str(self.devices),
        )

    def plug(self, device: str, name: str) -> None:
        (self.ports / device).mkdir(parents=True)
        (self.ports / device / "name").write_text(f"{name}\n")
        os.mkfifo(self.devices / device)


def test_the_port_is_found_by_its_name(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.plug("vport0p1", "org.panux.agent")
    bench.plug("vport0p2", "org.panux.control")
    assert find("org.panux.control", str(bench.ports)) == "vport0p2"
    assert find("org.panux", str(bench.ports)) == ""


def test_a_port_that_is_there_is_attached_without_blocking_and_not_inherited(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.plug("vport0p2", "org.panux.control")
    bench.port.look()
    (fd,) = bench.attached
    assert not os.get_blocking(fd)
    assert not os.get_inheritable(fd)
    assert bench.loop.calls == []
    os.close(fd)


def test_a_port_that_the_host_names_later_is_looked_for_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.port.look()
    bench.loop.advance()
    assert bench.attached == []
    bench.plug("vport0p2", "org.panux.control")
    bench.loop.advance()
    (fd,) = bench.attached
    assert (bench.told, bench.loop.calls) == ([], [])
    os.close(fd)


def test_a_port_that_never_comes_is_given_up_and_told(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.port.look()
    while bench.loop.calls:
        bench.loop.advance()
    assert bench.told == [f"linit.control_port=org.panux.control: there is no port of that name in {bench.ports}"]
    assert bench.loop.now_s == sum(LOOK_AGAIN_S)


def test_a_port_that_cannot_be_opened_is_tried_again_and_told_why(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.plug("vport0p2", "org.panux.control")
    (bench.devices / "vport0p2").unlink()
    bench.port.look()
    while bench.loop.calls:
        bench.loop.advance()
    assert bench.told == [
        f"linit.control_port=org.panux.control: {bench.devices}/vport0p2: ENOENT (no such file or directory)"
    ]
