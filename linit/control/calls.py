"""What is a call, and may it be made? Method, parameters and rights are checked here, before a method sees them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from linit.control import frames, messages, signatures
from linit.control.authorisation import may_write, printable
from linit.control.nearest import nearest
from linit.control.signatures import METHODS, REQUIRED, Parameter

if TYPE_CHECKING:
    from linit.control.connection import Connection
    from linit.control.messages import ErrorRecord
    from linit.control.server import ControlServer
    from linit.engine.engine import Engine
    from linit.engine.unit import Unit


class Refusal(Exception):
    """A call cannot be served: raised by a method, sent as the error of its response."""

    def __init__(self, code: str, message: str, hint: str = "", **more: Any) -> None:
        super().__init__(message)
        self.error: ErrorRecord = messages.error(code, message, hint, **more)


class Call:
    """One request on its way: who asked, and how to answer. A method answers it once, now or later.

    When the client is gone by then, the answer is dropped: what was asked for goes on.
    """

    def __init__(self, server: ControlServer, connection: Connection, id_: int) -> None:
        self.server = server
        self.connection = connection
        self._id = id_
        self._session = connection.session
        self._is_answered = False
        self._has_failed = False

    @property
    def engine(self) -> Engine:
        return self.server.supervisor.engine

    @property
    def now_s(self) -> float:
        """The engine's clock."""
        return self.server.loop.time()

    @property
    def by(self) -> str:
        """Who asks, for people."""
        return self.connection.by

    @property
    def caller(self) -> str:
        """The service that the caller is a process of, as the kernel tells, not as the caller says; "" if of none."""
        pid = self.connection.peer.pid
        return self.server.supervisor.unit_of(pid) if pid else ""

    @property
    def held(self) -> tuple[int, ...]:
        """The claims to locks of the caller and its ancestors."""
        pid = self.connection.peer.pid
        return self.server.supervisor.locks_of(pid) if pid else ()

    @property
    def may_write(self) -> bool:
        return may_write(self.connection.peer, self.server.mode)

    @property
    def is_awaited(self) -> bool:
        """Is the caller still there?"""
        return self.connection.session == self._session and not self.connection.is_ended

    def answer(self, result: object) -> None:
        """Send the result."""
        if self._may_respond():
            self.connection.answer(self._id, result)

    def notify(self, method: str, params: dict[str, Any]) -> None:
        """Tell the caller something before the answer."""
        if self.is_awaited:
            self.connection.notify(frames.notification(method, params))

    def refuse(self, error: ErrorRecord) -> None:
        """Send an error."""
        if self._may_respond():
            self.connection.refuse(self._id, error)

    def fail(self, bug: Exception, method: str) -> None:
        """A bug in a method ends that call; should an answer come all the same, it is dropped."""
        text = f"a bug in linit: {method}: {type(bug).__name__}: {bug}"
        if not self._is_answered:
            self.refuse(messages.error(messages.INTERNAL, text, "please report it"))
        self._has_failed = True

    def _may_respond(self) -> bool:
        if self._has_failed:
            return False
        assert not self._is_answered, f"request {self._id} of {self.by} is answered twice"
        self._is_answered = True
        return self.is_awaited

    def require_rights(self, what: str) -> None:
        """Raises Refusal unless the peer may write."""
        if not self.may_write:
            raise Refusal(
                messages.DENIED,
                f"uid {self.connection.peer.uid} may not {what}",
                "only root may" if self.server.mode == "system" else "only root and the user who runs it may",
            )

    def unit(self, name: str) -> Unit:
        """The unit of that name. Raises Refusal, naming the nearest known one."""
        unit = self.engine.units.get(name)
        if unit is None:
            raise _unknown_service(name, self.engine.units)
        return unit


Handler = Callable[[Call, dict[str, Any]], None]


def serve(call: Call, handlers: dict[str, Handler], method: str, params: dict[str, Any]) -> None:
    """Check a call and hand it to its method.

    A bug in a method ends that call only: its traceback goes to standard error, which in PID 1 is the console.
    """
    try:
        row = METHODS.get(method)
        if row is None:
            raise _unknown_method(method)
        if row.writes:
            call.require_rights(f"call {method}")
        handlers[method](call, checked(method, row.parameters, params))
    except Refusal as refusal:
        call.refuse(refusal.error)
    except Exception as bug:
        import traceback  # which loads a dozen others

        traceback.print_exc(file=sys.stderr)
        call.fail(bug, method)


def _unknown_service(name: str, known: Iterable[str]) -> Refusal:
    shown = printable(name, 80)
    near = nearest(name, known)
    hint = f"did you mean {near}?" if near else "see: linitctl list --all"
    template, at, instance = name.partition("@")
    if at and instance and any(one.startswith(f"{template}@") for one in known):
        hint = f"an instance exists once a runlevel or a service names it: linitctl enable --now {shown}"
    return Refusal(messages.UNKNOWN_SERVICE, f"no service is called {shown!r}", hint, name=shown, near=near)


def _unknown_method(method: str) -> Refusal:
    near = nearest(method, METHODS)
    shown = printable(method, 40)
    hint = f"did you mean {near}?" if near else f"the methods are {', '.join(METHODS)}"
    return Refusal(messages.UNKNOWN_METHOD, f"no method is called {shown!r}", hint, near=near)


def checked(method: str, parameters: dict[str, Parameter], params: dict[str, Any]) -> dict[str, Any]:
    """The parameters with defaults filled in. Raises Refusal for unknown, missing and wrong ones."""
    for name in params:
        if name not in parameters:
            shown = printable(str(name), 40)
            known = f"it takes {', '.join(parameters)}" if parameters else "it takes none"
            raise Refusal(messages.BAD_PARAMS, f"{method}: {shown}: no such parameter, {known}")
    values = {}
    for name, parameter in parameters.items():
        value = params.get(name, parameter.default)
        if value is REQUIRED:
            raise Refusal(messages.BAD_PARAMS, f"{method}: {name}: missing, expected {parameter.type}")
        if name in params and not _fits(value, parameter.type):
            found = printable(repr(value), 60)
            raise Refusal(messages.BAD_PARAMS, f"{method}: {name}: found {found}, expected {parameter.type}")
        if parameter.choices and value not in parameter.choices:
            expected = ", ".join(parameter.choices)
            found = printable(repr(value), 60)
            raise Refusal(messages.BAD_PARAMS, f"{method}: {name}: found {found}, expected one of {expected}")
        values[name] = value
    return values


def _fits(value: object, expected: str) -> bool:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    match expected:
        case signatures.TEXT:
            return isinstance(value, str)
        case signatures.TEXTS:
            return isinstance(value, list) and bool(value) and all(isinstance(one, str) for one in value)
        case signatures.ANY_TEXTS:
            return isinstance(value, list) and all(isinstance(one, str) for one in value)
        case signatures.TEXT_MAP:
            return isinstance(value, dict) and all(isinstance(one, str) for pair in value.items() for one in pair)
        case signatures.FLAG:
            return isinstance(value, bool)
        case signatures.WHOLE:
            return is_whole
        case _:
            return is_whole or isinstance(value, str)
