"""Where did a person write this? Positions and diagnostics that point at them."""

from __future__ import annotations

import enum
from dataclasses import dataclass


@dataclass(slots=True, unsafe_hash=True, order=True)  # as linit.model.value: there is one for each word in a file
class Place:
    """A position in a file that a person wrote. Line and column count from 1; 0 means "the file as a whole".

    Its text does nothing to a terminal, whatever the file is called.
    """

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        file = self.file
        if not file.isprintable():
            file = "".join(each if each.isprintable() else repr(each)[1:-1] for each in file)
        if not self.line:
            return file
        return f"{file}:{self.line}:{self.column}" if self.column else f"{file}:{self.line}"


class Severity(enum.Enum):
    """How bad a fault is: an error takes its service out, a warning or a note does not."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong in what a person wrote: place, key, found, expected, what to do.

    `service` names the service that the fault takes out (an error) or concerns; "" when it concerns none.
    """

    severity: Severity
    place: Place
    key: str
    found: str
    expected: str = ""
    hint: str = ""
    service: str = ""

    def __str__(self) -> str:
        """`services/sshd.yaml:4:10: need: found 'netwrok', expected a defined service; did you mean 'network'?`"""
        text = f"{self.place}: "
        if self.key:
            text += f"{self.key}: "
        text += f"found {self.found}"
        if self.expected:
            text += f", expected {self.expected}"
        return f"{text}; {self.hint}" if self.hint else text
