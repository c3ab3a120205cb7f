"""What is asked of values besides their methods, and those of their methods that need not be written out for each."""

from __future__ import annotations

from typing import Any


def replace(value: Any, /, **changes: Any) -> Any:
    """The same value with other fields."""
    for name in value.__match_args__:
        if name not in changes:
            changes[name] = getattr(value, name)
    return type(value)(**changes)


def asdict(value: Any) -> dict[str, Any]:
    """Fields by name, those of values in it likewise."""
    return {name: _plain(getattr(value, name)) for name in value.__slots__}


def shown(value: Any) -> str:
    """As the library's `__repr__`."""
    fields = ", ".join(f"{name}={getattr(value, name)!r}" for name in value.__slots__)
    return f"{type(value).__qualname__}({fields})"


def is_equal(value: Any, other: Any) -> Any:
    """As the library's `__eq__`."""
    if type(value) is not type(other):
        return NotImplemented
    return all(getattr(value, name) == getattr(other, name) for name in value.__slots__)


def hashed(value: Any) -> int:
    """As the library's `__hash__`."""
    return hash(tuple([getattr(value, name) for name in value.__slots__]))


def _plain(value: Any) -> Any:
    if hasattr(type(value), "__match_args__"):
        return asdict(value)
    if isinstance(value, list | tuple):
        return type(value)(map(_plain, value))
    if isinstance(value, dict):
        return {_plain(key): _plain(each) for key, each in value.items()}
    return value
