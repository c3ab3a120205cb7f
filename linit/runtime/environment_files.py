"""What variables does an `env_file` set? The format is that of systemd.exec(5), EnvironmentFile=, which daemons'
packages write; a leading `export`, as shell scripts have it, is passed over.

Nothing is replaced and no command is run: a value is what stands there, without its quotes.
"""

from __future__ import annotations

import re
from typing import Final

ASSIGNMENT: Final = re.compile(r"[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=")
ESCAPED: Final = '"\\`$'  # what a backslash takes the meaning of, in double quotes
BLANKS: Final = " \t\r"


def read(path: str) -> dict[str, str]:
    """The variables of a file, later ones over earlier ones. Raises OSError."""
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
        return parse(file.read())


def parse(text: str) -> dict[str, str]:
    """The variables in a text. A line that assigns nothing, a comment for example, is passed over."""
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        match = ASSIGNMENT.match(text, at)
        if match is None:
            at = (text.find("\n", at) + 1) or len(text)
        else:
            found[match[1]], at = _value(text, match.end())
    return found


def _value(text: str, at: int) -> tuple[str, int]:
    """A value that begins at `at`, and where the next line begins.

    Quotes are quotes until the first letter outside of them: `-Dx="y"` is as it stands.
    """
    parts: list[str] = []
    length = 0  # of the parts, but for blanks at the end
    is_plain = False
    while at < len(text) and text[at] != "\n":
        letter = text[at]
        if letter in "'\"" and not is_plain:
            quoted, at = _quoted(text, at + 1, letter)
            parts += quoted
            length = len(parts)
            continue
        if letter == "\\":
            at += 1
            letter = text[at : at + 1].strip("\n")  # the end of a line is taken away, a blank stays
            parts += letter
            length = len(parts)
        elif is_plain or letter not in BLANKS:
            parts.append(letter)
            length = length if letter in BLANKS else len(parts)
        is_plain = is_plain or letter not in ("", *BLANKS)
        at += 1
    return "".join(parts[:length]), at + 1


def _quoted(text: str, at: int, quote: str) -> tuple[list[str], int]:
    """What is in quotes, the first of which is before `at`, and what follows the last; it may be over several lines."""
    parts: list[str] = []
    while at < len(text) and text[at] != quote:
        if quote == '"' and text[at] == "\\" and at + 1 < len(text):
            at += 1
            if text[at] != "\n":
                parts += text[at] if text[at] in ESCAPED else ("\\", text[at])
        else:
            parts.append(text[at])
        at += 1
    return parts, at + 1
