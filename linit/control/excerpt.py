"""Of very many things that are wrong in the same way, which does a person get to read?"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Final

SHOWN_MAX: Final = 20  # of a kind
WHOLE: Final = "linitctl verify --all"


def excerpt(faults: Iterable[tuple[str, str, str, str]]) -> Iterator[str]:
    """Lines for faults given as (severity, key, what was expected, text): of each kind, which is the first three, the
    first ones; at the end how many more of it there are."""
    left: dict[tuple[str, str, str], int] = {}
    for severity, key, expected, text in faults:
        kind = (severity, key, expected)
        left[kind] = left.get(kind, SHOWN_MAX) - 1
        if left[kind] >= 0:
            yield f"{severity}: {text}"
    for (severity, key, expected), more in left.items():
        if more < 0:
            words = ", ".join(filter(None, (f"{-more:,} more of these", expected and f"expected {expected}")))
            yield f"{severity}: {f'{key}: ' if key else ''}{words}; all of them: {WHOLE}"
