"""Stands in the image for a module that networkx imports and linit never uses: a call of what is in it says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn


def __getattr__(name: str) -> Callable[..., NoReturn]:
    """Any name, as something that can be looked up but not called."""
    if name.startswith("__"):
        raise AttributeError(name)

    def absent(*_: Any, **__: Any) -> NoReturn:
        raise NotImplementedError(f"{__name__}.{name}: this image's Python has only what linit uses")

    return absent
