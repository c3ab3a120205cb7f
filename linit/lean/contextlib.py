"""`contextlib.suppress`, for which alone the library's module would be loaded, and half a dozen others with it."""

from __future__ import annotations


class suppress:
    """`with suppress(OSError):` goes on behind the block when one of these was raised in it."""

    __slots__ = ("_kinds",)

    def __init__(self, *kinds: type[BaseException]) -> None:
        self._kinds = kinds

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> bool:
        return kind is not None and issubclass(kind, self._kinds)
