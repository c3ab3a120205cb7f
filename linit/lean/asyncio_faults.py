"""What asyncio's loop says of faults, in place of asyncio.log and asyncio.format_helpers: which load logging, inspect.

linit sets the loop's exception handler, so that only what fails in that one comes here.
"""

from __future__ import annotations

import sys
from typing import Any


class logger:
    """As far as the loop asks: what is an error goes to standard error, which in PID 1 is the console."""

    @staticmethod
    def error(text: str, *arguments: object, exc_info: Any = None) -> None:
        """`exc_info` is that of an exception, or true for the one that is being handled."""
        fault = exc_info[1] if isinstance(exc_info, tuple) else sys.exc_info()[1] if exc_info else None
        said = text % arguments if arguments else text
        print(f"asyncio: {said}", repr(fault) if fault else "", file=sys.stderr)

    @staticmethod
    def debug(_text: str, *_arguments: object, exc_info: Any = None) -> None:
        """Said to nobody."""


def _format_callback_source(callback: Any, _arguments: object, *, debug: bool = False) -> str:
    """`Timers._due() at linit/runtime/timers.py:40`."""
    function = getattr(callback, "func", callback)
    code = getattr(function, "__code__", None)
    name = getattr(function, "__qualname__", None) or repr(function)
    return f"{name}() at {code.co_filename}:{code.co_firstlineno}" if code else f"{name}()"
