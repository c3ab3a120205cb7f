"""What can go wrong, as values that a person can act on.

Every error that leaves this package is one of these; a command prints `str(error)` and nothing else.
"""

from __future__ import annotations


class PanuxError(Exception):
    """Something that the person at the keyboard can do something about; the text says what and where."""


class BuildError(PanuxError):
    """The image cannot be built."""


class FetchError(BuildError):
    """Something could not be fetched, or apt found no solution in its indexes."""


class VerificationError(BuildError):
    """A file is not what the signed index says. It was not unpacked; nothing of it is in any image."""


class MachineError(PanuxError):
    """A machine did not do what was asked of it: it did not start, a wait passed its deadline, a command failed."""


class ControlError(PanuxError):
    """linit answered a request with an error: `code`, `message` and, where there is one, `hint`."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(f"{message} ({code})" + (f"\n  {hint}" if hint else ""))
        self.code = code
        self.message = message
        self.hint = hint
