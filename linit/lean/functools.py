"""The two of `functools` that PID 1 uses, from where the library has them."""

from __future__ import annotations

from _functools import _lru_cache_wrapper, partial  # type: ignore[import-not-found]  # noqa: F401 for importers
from collections.abc import Callable
from typing import Any


def cache(function: Callable[..., Any]) -> Any:
    """Remembers each answer, as the library's."""
    return _lru_cache_wrapper(function, None, False, tuple)
