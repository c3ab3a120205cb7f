"""How many round trips does the control socket do, and how long does an answer take, while nothing happens and while
a thousand services crash and are started again?

Each client asks again as soon as it is answered. All of them are in this process, which takes processor time that
linit does not have then: the figures are a lower bound.
"""

from __future__ import annotations

import functools
import select
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from linit.control import frames, messages
from tests.bench.bosses import LINIT
from tests.bench.crowd import LIMIT_S, Boss, Crowd, TooLate, kill
from tests.bench.figures import Figure

CLIENTS: Final = (1, 10, 100)
ROUND_TRIPS: Final = 20_000  # of each number of clients, together
STORMS: Final = 3
AIM: Final = "under 50 ms"


class Client:
    """A connection that has one request on its way."""

    def __init__(self, path: str, method: str, params: dict[str, Any]) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._decoder = frames.Decoder(messages.ANSWER_MAX_BYTES)
        self._request = frames.request(2, method, params)
        self._socket.sendall(frames.request(1, "hello", {"client": "bench", "protocol": messages.PROTOCOL}))
        while not self.is_answered():
            pass

    def fileno(self) -> int:
        return self._socket.fileno()

    def ask(self) -> None:
        """Send the request."""
        self.asked_s = time.perf_counter()
        self._socket.sendall(self._request)

    def is_answered(self) -> bool:
        """Read what has come. Raises ValueError for an error."""
        data = self._socket.recv(1 << 20)
        if not data:
            raise ValueError("linit closed the connection")
        self._decoder.feed(data)
        answers = list(self._decoder)
        for answer in answers:
            if answer[0] != messages.RESPONSE or answer[2] is not None:
                raise ValueError(f"found {answer}, expected a result")
        return bool(answers)

    def close(self) -> None:
        self._socket.close()


def measure(size: int) -> Iterator[Figure]:
    """With so many services."""
    folder = Path(tempfile.mkdtemp(prefix="linit-bench-"))
    crowd = Crowd(folder / "crowd")
    try:
        argv = LINIT.prepare(folder / "boss", crowd.job, size)
        with Boss(argv, LINIT.environment(folder), folder / "log") as linit:
            linit.wait_said(b" listens on ")
            crowd.wait_begun(size)
            yield from _at_rest(str(folder / "boss/run/control.sock"), size)
            yield from _in_storms(str(folder / "boss/run/control.sock"), size, crowd)
            linit.end()
            crowd.wait_gone()
    finally:
        crowd.close()
        shutil.rmtree(folder, ignore_errors=True)


def _at_rest(path: str, size: int) -> Iterator[Figure]:
    for count in CLIENTS:
        left = min(ROUND_TRIPS, size * 200)

        def is_over() -> bool:
            nonlocal left
            left -= 1
            return left < 0

        taken_s, latencies_s = _round_trips(path, "why", {"name": "s00000"}, count, is_over)
        who = f"{count} client{'s' if count > 1 else ''}"
        more = f"p99 {percentile_ms(latencies_s, 99):.2f} ms"
        yield Figure(f"control: round trips, {who}", size, len(latencies_s) / taken_s, "per s", more=more)


def _in_storms(path: str, size: int, crowd: Crowd) -> Iterator[Figure]:
    """All services are killed at once, some times; asked is from then until all run again."""
    for count in CLIENTS:
        latencies_s: list[float] = []
        taken_s = 0.0
        for _ in range(STORMS):
            victims = crowd.pids[-size:]
            is_over = functools.partial(_have_begun, crowd, len(crowd.pids) + size, time.monotonic() + LIMIT_S)
            crash = functools.partial(kill, victims)
            storm_s, storm_latencies_s = _round_trips(path, "why", {"name": "s00000"}, count, is_over, begin=crash)
            taken_s += storm_s
            latencies_s += storm_latencies_s
        who = f"{count} client{'s' if count > 1 else ''}"
        more = f"median {percentile_ms(latencies_s, 50):.2f} ms, worst {percentile_ms(latencies_s, 100):.1f} ms, "
        more += f"{STORMS * size / taken_s:,.0f} crashes and respawns a second"
        what = f"control: p99 while all crash and respawn, {who}"
        yield Figure(what, size, percentile_ms(latencies_s, 99), "ms", AIM, more)


def _have_begun(crowd: Crowd, count: int, until_s: float) -> bool:
    """So many in all? Raises TooLate."""
    crowd.take()
    if time.monotonic() > until_s:
        raise TooLate(f"only {len(crowd.pids)} of {count} have begun after {LIMIT_S:g} s")
    return len(crowd.pids) >= count


def _round_trips(
    path: str,
    method: str,
    params: dict[str, Any],
    count: int,
    is_over: Callable[[], bool],
    *,
    begin: Callable[[], object] = lambda: None,
) -> tuple[float, list[float]]:
    """From `begin`, when all clients are there, until it is over: how long that was, and how long each answer took. In
    seconds."""
    clients = {client.fileno(): client for client in (Client(path, method, params) for _ in range(count))}
    poll = select.epoll()
    for fd in clients:
        poll.register(fd, select.EPOLLIN)
    latencies_s: list[float] = []
    begin()
    began_s = time.perf_counter()
    for client in clients.values():
        client.ask()
    while not is_over() or not latencies_s:
        for fd, _ in poll.poll():
            client = clients[fd]
            if client.is_answered():
                latencies_s.append(time.perf_counter() - client.asked_s)
                client.ask()
    taken_s = time.perf_counter() - began_s
    poll.close()
    for client in clients.values():
        client.close()
    return taken_s, latencies_s


def percentile_ms(times_s: list[float], percent: int) -> float:
    """So many of these were not longer."""
    ordered = sorted(times_s)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] * 1e3
