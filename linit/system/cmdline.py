"""What did the kernel command line ask for? A pure parser; sources: bootparam(7), the kernel's
Documentation/admin-guide/kernel-parameters.rst for the quoting, OpenRC and sysvinit for the bare words."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

DEFAULT_RUNLEVEL: Final = "default"
SINGLE_WORDS: Final = frozenset({"single", "s", "S", "1"})


@dataclass(frozen=True, slots=True)
class CommandLine:
    """What linit reads of it. `unknown` holds `linit.` words without a meaning: most likely typing errors."""

    runlevel: str = DEFAULT_RUNLEVEL
    control_port: str = ""
    emergency: bool = False
    debug: bool = False
    quiet: bool = False
    nocolor: bool = False
    want: tuple[str, ...] = ()  # services besides the runlevel: services/generators/wanted has put them into the plan
    unknown: tuple[str, ...] = ()


def parse(line: str) -> CommandLine:
    """The wishes in the text of /proc/cmdline. Of two equal keys the last wins, as in the kernel."""
    wishes = CommandLine()
    for word in words(line):
        wishes = _with_word(wishes, word)
    return wishes


def words(line: str) -> list[str]:
    """Words between white space; double quotes, which are dropped, protect it: `linit.x="a b"` is one word."""
    found: list[str] = []
    word = ""
    is_quoted = is_word = False
    for letter in line:
        if letter == '"':
            is_quoted, is_word = not is_quoted, True
        elif letter.isspace() and not is_quoted:
            if is_word:
                found.append(word)
            word, is_word = "", False
        else:
            word, is_word = word + letter, True
    return [*found, word] if is_word else found


def _with_word(wishes: CommandLine, word: str) -> CommandLine:
    if word in SINGLE_WORDS:
        return replace(wishes, runlevel="single")
    if not word.startswith("linit."):
        return wishes
    key, has_value, value = word.removeprefix("linit.").partition("=")
    if key in ("emergency", "debug", "quiet", "nocolor") and value in ("", "1", "0"):
        wished: dict[str, bool] = {key: value != "0"}
        return replace(wishes, **wished)  # type: ignore[arg-type]  # the four keys are the four bool fields
    if key == "want" and (names := tuple(filter(None, value.split(",")))):
        return replace(wishes, want=tuple(dict.fromkeys((*wishes.want, *names))))
    if key in ("runlevel", "control_port") and has_value and value:
        text: dict[str, str] = {key: value}
        return replace(wishes, **text)  # type: ignore[arg-type]  # the two keys are the two text fields
    return replace(wishes, unknown=(*wishes.unknown, word))
