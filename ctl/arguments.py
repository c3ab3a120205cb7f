"""What do the words of a command line mean? The plain ones are read here, all others are left to argparse.

argparse costs as much as two thirds of a bare interpreter's start. So a command's arguments are added to a `Reader`
first, which takes the same calls as a parser and understands what is beyond doubt: whole options, their values, names
in one row. Whatever else there is (help, mistakes, `--`) gives None, and argparse decides. A test compares the two.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace as Options
    from collections.abc import Callable, Sequence
    from typing import Any
else:

    class Options:
        """The options of a command, as attributes."""


class _NotPlain(Exception):
    """argparse has to look at it."""


class _Argument:
    """One argument, as `ArgumentParser.add_argument` is told of it."""

    __slots__ = ("action", "choices", "const", "default", "dest", "group", "nargs", "type")

    def __init__(
        self,
        dest: str,
        group: object,
        *,
        action: str = "store",
        nargs: str | None = None,
        const: object = True,
        default: object = None,
        type: Callable[[str], object] = str,
        choices: Sequence[str] = (),
        **_for_people: object,
    ) -> None:
        self.dest = dest
        self.group = group  # of options that exclude each other
        self.action = action
        self.nargs = nargs
        self.const = const
        self.default = False if action == "store_true" else default
        self.type = type
        self.choices = choices

    def of(self, word: str) -> Any:
        if self.choices and word not in self.choices:
            raise _NotPlain
        try:
            return self.type(word)
        except ValueError:
            raise _NotPlain from None


class Reader:
    """Reads command lines for which no parser is needed. Arguments are added as to an ArgumentParser."""

    def __init__(self) -> None:
        self._options: dict[str, _Argument] = {}
        self._names: list[_Argument] = []
        self._group: object = None

    def add_argument(self, *words: str, dest: str = "", **how: Any) -> None:
        """As ArgumentParser.add_argument."""
        long = next((word for word in words if word.startswith("--")), words[0])
        argument = _Argument(dest or long.lstrip("-").replace("-", "_"), self._group, **how)
        if words[0].startswith("-"):
            self._options.update(dict.fromkeys(words, argument))
        else:
            self._names.append(argument)

    def add_argument_group(self, title: str) -> Reader:
        """As of an ArgumentParser: only its help shows it."""
        return self

    def add_mutually_exclusive_group(self) -> Reader:
        """As of an ArgumentParser."""
        group = Reader()
        group._options, group._names, group._group = self._options, self._names, group
        return group

    def read(self, words: Sequence[str]) -> Options | None:
        """What they mean; None when argparse has to say."""
        values = {each.dest: each.default for each in self._options.values()}
        try:
            self._assign(self._take(words, values), values)
        except _NotPlain:
            return None
        options = Options()
        options.__dict__.update(values)
        return options

    def _take(self, words: Sequence[str], values: dict[str, Any]) -> list[str]:
        """Set what the options say; the words that are none. Those have to stand in one row."""
        names: list[str] = []
        groups = set()
        last = -1  # where the last name stood
        rest = iter(enumerate(words))
        for at, word in rest:
            if not word.startswith("-"):
                if names and at != last + 1:
                    raise _NotPlain
                names.append(word)
                last = at
                continue
            option, has_value, value = word.partition("=") if word.startswith("--") else (word, "", "")
            argument = self._options.get(option)
            if argument is None or argument.group in groups:
                raise _NotPlain
            if argument.group is not None:
                groups.add(argument.group)
            if argument.action.startswith("store_"):
                if has_value:
                    raise _NotPlain
                values[argument.dest] = argument.const
                continue
            if not has_value:
                value = next(rest, (0, "-"))[1]
                if value.startswith("-"):
                    raise _NotPlain
            told = argument.of(value)
            values[argument.dest] = [*values[argument.dest], told] if argument.action == "append" else told
        return names

    def _assign(self, words: list[str], values: dict[str, Any]) -> None:
        for argument in self._names:
            if argument.nargs in ("*", "+"):
                values[argument.dest] = [argument.of(word) for word in words]
                if argument.nargs == "+" and not words:
                    raise _NotPlain
                words = []
            elif words:
                values[argument.dest] = argument.of(words[0])
                words = words[1:]
            elif argument.nargs == "?":
                values[argument.dest] = argument.default
            else:
                raise _NotPlain
        if words:
            raise _NotPlain
