"""What does a command get? The options that all commands share, the connection, and where to write."""

from __future__ import annotations

import posix
import sys

from linitctl.client import Client, NoAnswer

from linit.control import messages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable
    from typing import Any, Final, TextIO

    from linitctl.style import Style

    from linit.control.messages import ServiceRecord

ENVIRONMENT: Final = "LINIT_CONTROL"


class Command:
    """One command: adds its arguments to a parser, and runs. `text` is what --help says, with an example."""

    __slots__ = ("arguments", "examples", "keeps_h", "passes_on", "run", "text")

    def __init__(
        self,
        arguments: Callable[[ArgumentParser], object],
        run: Callable[[Session, Namespace], int],
        text: str,
        *examples: str,
        passes_on: bool = False,
        keeps_h: bool = False,
    ) -> None:
        self.arguments = arguments
        self.run = run
        self.text = text
        self.examples = examples
        self.keeps_h = keeps_h  # -h is an option of its own, not --help
        self.passes_on = passes_on  # arguments that are not known here are in `options.rest`


class Session:
    """One run of linitctl."""

    def __init__(self, options: Namespace, out: TextIO | None = None, err: TextIO | None = None) -> None:
        self.user_folder: str = _absolute(options.user) if options.user else ""
        self.socket_path = _socket_path(options.socket, self.user_folder)
        self.is_system = self.socket_path == messages.DEFAULT_SOCKET
        self.is_json: bool = options.json
        self.out = sys.stdout if out is None else out
        self.err = sys.stderr if err is None else err
        self._colour: str = options.color
        self._styles: dict[TextIO, Style] = {}
        self._client: Client | None = None

    @property
    def style(self) -> Style:
        """How standard output is painted."""
        return self._style_of(self.out)

    @property
    def err_style(self) -> Style:
        """How standard error is painted."""
        return self._style_of(self.err)

    def _style_of(self, stream: TextIO) -> Style:
        if stream not in self._styles:
            from linitctl.style import Style, wants_colour  # only when something is shown

            self._styles[stream] = Style(wants_colour(self._colour, stream, environment))
        return self._styles[stream]

    @property
    def client(self) -> Client:
        """The connection to the supervisor, made when it is first needed. Raises NoAnswer."""
        if self._client is None:
            self._client = Client(self.socket_path)
        return self._client

    def call(self, method: str, **params: Any) -> Any:
        """Ask the supervisor. Raises Failure."""
        return self.client.call(method, params)

    def services(self) -> list[ServiceRecord]:
        """The records of all services, in name order. Raises Failure."""
        return list(self.client.all_services(self.client.call("list")))

    def print(self, *lines: str) -> None:
        """Lines for the reader."""
        self.out.write("".join(f"{line}\n" for line in lines))

    def print_json(self, value: object) -> None:
        """A value for a program."""
        import json  # only here: linitctl starts faster without

        self.out.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")

    def complain(self, *lines: str) -> None:
        """Lines about what went wrong; standard output stays clean for what was asked for."""
        self.out.flush()
        for line in lines:
            self.err.write(f"{line}\n")
        self.err.flush()

    def width(self, stream: TextIO | None = None) -> int:
        """Columns of the terminal that standard output (or `stream`) is; 0 when it is none, or does not know."""
        stream = stream or self.out
        if not stream.isatty():
            return 0
        import os  # only here and below: linitctl starts faster without

        try:
            return os.get_terminal_size(stream.fileno()).columns
        except (OSError, ValueError):
            return 0

    def paths(self) -> dict[str, Any]:
        """Where the supervisor reads and writes; when none answers, where one would.

        Raises NoAnswer when none answers on a socket that says nothing of its folders.
        """
        try:
            return self.client.hello["paths"]
        except NoAnswer:
            if not self.is_system and not self.user_folder:
                raise
            return messages.default_paths(self.user_folder)

    def folder(self) -> str:
        """The folder of a user's linit, "" for the system's. Raises NoAnswer as `paths` does."""
        if self.user_folder or self.is_system:
            return self.user_folder
        import os

        hello = self.client.hello
        return os.path.dirname(hello["paths"]["run"]) if hello["mode"] == "user" else ""


def _socket_path(socket: str, user_folder: str) -> str:
    if socket:
        return socket
    if user_folder:
        return f"{user_folder}/{messages.USER_SOCKET}"
    return environment(ENVIRONMENT) or messages.DEFAULT_SOCKET


def _absolute(path: str) -> str:
    if "." not in path and "//" not in path and not path.endswith("/"):
        return path if path.startswith("/") else f"{posix.getcwd()}/{path}"
    import os

    return os.path.abspath(path)


def environment(name: str) -> str:
    """A variable of the environment; "" if it is not set."""
    # As os.environ was made of it when the program began.
    encoding, errors = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()
    return posix.environ.get(name.encode(encoding, errors), b"").decode(encoding, errors)
