"""Enumerations at the price of a class. In the bundle `enum.Enum` is this one; from source it is the library's.

What linit does with members holds for both: identity, `name`, `value`, order, look-up by value and by name, methods
and properties. The library's is made of descriptors and checks that cost PID 1 half a millisecond a class.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


class EnumType(type):
    """Makes a member of each plain value in the body of a class."""

    _by_value: dict[Any, Any]
    _by_name: dict[str, Any]

    def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> EnumType:
        """The class. Of two names with one value the second means the first's member."""
        given = {key: each for key, each in body.items() if key[0] != "_" and not hasattr(each, "__get__")}
        kept = {key: each for key, each in body.items() if key not in given}
        has_init = "__init__" in body
        if bases and not has_init:
            kept["__slots__"] = ()
        made = super().__new__(cls, name, bases, kept)
        made._by_value, made._by_name = {}, {}
        for key, each in given.items():
            member: Any = made._by_value.get(each)
            if member is None:
                member = made._by_value[each] = object.__new__(made)  # type: ignore[arg-type]
                member.name, member.value = key, each
                if has_init:
                    member.__init__(*each if isinstance(each, tuple) else (each,))
            made._by_name[key] = member
            setattr(made, key, member)
        return made

    def __call__(cls, value: Any) -> Any:
        """The member with that value; a member is itself. Raises ValueError."""
        try:
            return cls._by_value[value]
        except (KeyError, TypeError):
            if type(value) is cls:
                return value
            raise ValueError(f"{value!r} is not a valid {cls.__qualname__}") from None

    def __iter__(cls) -> Iterator[Any]:
        return iter(cls._by_value.values())

    def __len__(cls) -> int:
        return len(cls._by_value)

    def __getitem__(cls, name: str) -> Any:
        return cls._by_name[name]

    def __contains__(cls, value: object) -> bool:
        return type(value) is cls or value in cls._by_value

    @property
    def __members__(cls) -> dict[str, Any]:
        return dict(cls._by_name)


class Enum(metaclass=EnumType):
    """A named value, one of a few."""

    __slots__ = ("name", "value")

    name: str
    value: Any

    def __repr__(self) -> str:
        return f"<{type(self).__name__}.{self.name}: {self.value!r}>"

    def __str__(self) -> str:
        return f"{type(self).__name__}.{self.name}"

    def __copy__(self) -> Enum:
        return self

    def __deepcopy__(self, _seen: object) -> Enum:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.value,)
