"""Clients of a web server who ask all the time, while a test restarts, reloads or kills it."""

from __future__ import annotations

import subprocess
import sys
from types import TracebackType
from typing import Final, Self

from tests.integration.running import LIMIT_S

CLIENTS: Final = 2
CLIENT: Final = """
import select, socket, sys
port, pages, done, failed = int(sys.argv[1]), tuple(page.encode() for page in sys.argv[2:]), 0, []
while not select.select([sys.stdin], [], [], 0)[0]:
    try:
        with socket.create_connection(("127.0.0.1", port), 60) as asking:
            asking.sendall(b"GET / HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n")
            answer = b"".join(iter(lambda: asking.recv(65536), b""))
        if not answer.startswith((b"HTTP/1.0 200 ", b"HTTP/1.1 200 ")) or not answer.endswith(pages):
            failed.append(repr(answer))
    except OSError as error:
        failed.append(type(error).__name__)
    done += 1
    if done % 20 == 0:
        print("served", done, flush=True)
print("end")
print(*failed, sep="\\n")
"""


class Load:
    """They take any of these pages for an answer; everything else is a failure."""

    def __init__(self, port: int, *pages: str) -> None:
        self._argv = [sys.executable, "-I", "-c", CLIENT, str(port), *pages]
        self._clients: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Self:
        for _ in range(CLIENTS):
            self._clients.append(subprocess.Popen(self._argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for client in self._clients:
            client.kill()
            client.communicate()

    def wait_served(self) -> None:
        """Until each has been answered some times more."""
        for client in self._clients:
            assert client.stdout is not None
            assert client.stdout.readline().startswith("served ")

    def end(self) -> list[str]:
        """What went wrong: the names of errors, and answers that were none."""
        failures = []
        for client in self._clients:
            said = client.communicate("end\n", LIMIT_S)[0].splitlines()
            failures += [line for line in said[said.index("end") + 1 :] if line]
        return failures
