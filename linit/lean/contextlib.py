"""`contextlib.suppress` and `contextmanager`, without the library's module, which loads half a dozen others."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any


class suppress:
    """`with suppress(OSError):` goes on behind the block when one of these was raised in it."""

    __slots__ = ("_kinds",)

    def __init__(self, *kinds: type[BaseException]) -> None:
        self._kinds = kinds

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> bool:
        return kind is not None and issubclass(kind, self._kinds)


def contextmanager(function: Callable[..., Generator[Any, None, None]]) -> Callable[..., _Manager]:
    """What `function` does before and behind its `yield` is done before and behind the block."""
    return lambda *arguments, **words: _Manager(function(*arguments, **words))


class _Manager:
    __slots__ = ("_steps",)

    def __init__(self, steps: Generator[Any, None, None]) -> None:
        self._steps = steps

    def __enter__(self) -> Any:
        return next(self._steps)

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        """Raises RuntimeError where there is a second `yield`."""
        try:
            if error is None:
                next(self._steps)
            else:
                self._steps.throw(error)
        except StopIteration:
            return error is not None  # the function has dealt with it
        except BaseException as raised:
            if raised is error or (isinstance(error, StopIteration) and raised.__cause__ is error):  # PEP 479
                return False
            raise
        raise RuntimeError("a context manager has yielded twice")
