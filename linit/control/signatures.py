"""Which methods are there, and what may they be given? The table by which every request is checked."""

from __future__ import annotations

from linit.control.messages import PAGE_MAX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

# Types of parameters.
TEXT: Final = "a text"
TEXTS: Final = "a list of texts"
FLAG: Final = "true or false"
ANY_TEXTS: Final = "a list of texts, which may be empty"
TEXT_MAP: Final = "a map of texts"
WHOLE: Final = "a whole number"
TEXT_OR_WHOLE: Final = "a text or a whole number"


class Parameter:
    """One parameter of a method: its type, and its default (`None`: it may be left out; REQUIRED: it may not)."""

    __slots__ = ("choices", "default", "type")

    def __init__(self, type_: str, default: object = None, choices: tuple[str, ...] = ()) -> None:
        self.type = type_
        self.default = default
        self.choices = choices


REQUIRED: Final = object()


class Method:
    """One row of the table of methods."""

    __slots__ = ("parameters", "writes")

    def __init__(self, writes: bool = False, **parameters: Parameter) -> None:
        self.writes = writes
        self.parameters = parameters


_NAME: Final = Parameter(TEXT, REQUIRED)
_NAMES: Final = Parameter(TEXTS, REQUIRED)
_WAIT: Final = Parameter(FLAG, True)

METHODS: Final[dict[str, Method]] = {
    "hello": Method(client=Parameter(TEXT, ""), protocol=Parameter(WHOLE, REQUIRED)),
    "list": Method(
        after=Parameter(TEXT, ""),
        most=Parameter(WHOLE, PAGE_MAX),
        keys=Parameter(ANY_TEXTS, ()),  # with these, a service is a list of their values, in this order
    ),
    "status": Method(name=_NAME),
    "start": Method(True, names=_NAMES, wait=_WAIT),
    "stop": Method(True, names=_NAMES, cascade=Parameter(FLAG, True), wait=_WAIT),
    "restart": Method(True, names=_NAMES, only=Parameter(FLAG, False), wait=_WAIT),
    "reload": Method(True, names=_NAMES, wait=_WAIT),
    "need": Method(True, names=_NAMES, wait=_WAIT),  # from a process of a service
    "want": Method(True, names=_NAMES, wait=_WAIT),
    "reload_plan": Method(True, start_enabled=Parameter(FLAG, True)),
    "reset": Method(True, names=_NAMES),
    "run": Method(
        True,
        argv=Parameter(TEXTS, REQUIRED),
        name=Parameter(TEXT, ""),  # "": one is chosen
        oneshot=Parameter(FLAG, False),
        need=Parameter(ANY_TEXTS, ()),
        want=Parameter(ANY_TEXTS, ()),
        description=Parameter(TEXT, ""),
        user=Parameter(TEXT, ""),
        directory=Parameter(TEXT, "/"),
        environment=Parameter(TEXT_MAP, {}),
        restart=Parameter(TEXT, "never", choices=("always", "on_failure", "on_abnormal", "never")),
        wait=_WAIT,
    ),
    "lock": Method(True, lock=Parameter(TEXT, REQUIRED), wait=_WAIT),  # held until the connection ends
    "unlock": Method(True, lock=Parameter(TEXT, REQUIRED)),
    "locks": Method(),
    "kill": Method(
        True,
        name=_NAME,
        signal=Parameter(TEXT_OR_WHOLE, "TERM"),
        to=Parameter(TEXT, "main", choices=("main", "all")),
    ),
    "deps": Method(name=_NAME),
    "rdeps": Method(name=_NAME),
    "why": Method(name=_NAME),
    "runlevel": Method(name=Parameter(TEXT), wait=_WAIT),  # asking is free, switching needs rights
    "faults": Method(),
    "shutdown": Method(True, finish=Parameter(TEXT, REQUIRED, choices=("poweroff", "reboot", "halt", "exit"))),
    "subscribe": Method(topics=Parameter(TEXTS, ("transitions", "told"))),
    "modules": Method(),
    "checkpoint": Method(True),  # changes nothing, but tells everything
    "report": Method(),
}
