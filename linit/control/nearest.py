"""Which known name did somebody mean? A bounded edit distance; difflib is too heavy for PID 1 and for linitctl."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

NAME_MAX: Final = 64  # a longer word is not a slip of the finger, and its distance is not worth computing
DISTANCE_MAX: Final = 3
PREFIX_MIN: Final = 3  # characters that make a beginning meaningful


def nearest(word: str, known: Iterable[str]) -> str:
    """The known name that is nearest to `word`, "" if none is near.

    Near is the first name in order that begins with the word ("getty" means "getty@ttyS0"); else, a third of the
    letters wrong, three at most (a swap of neighbours counts one). Among equals the first in order is taken.
    """
    if not word or len(word) > NAME_MAX:
        return ""
    word = word.lower()
    limit = min(DISTANCE_MAX, max(1, len(word) // 3))
    letters = set(word)
    best: tuple[int, str] | None = None
    beginning = ""
    for name in known:
        if len(word) >= PREFIX_MIN and name.startswith(word) and (not beginning or name < beginning):
            beginning = name
        # Two cheap bounds first: 10,000 names must not keep PID 1 busy.
        if abs(len(name) - len(word)) > limit or len(letters.symmetric_difference(name.lower())) > 2 * limit:
            continue
        distance = _distance(word, name.lower(), limit)
        if distance <= limit and (best is None or (distance, name) < best):
            best = (distance, name)
    return beginning or (best[1] if best else "")


def _distance(one: str, other: str, limit: int) -> int:
    """Letters to insert, drop, replace or swap with the neighbour; anything above `limit` once it is exceeded."""
    before_last: list[int] = []
    last = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        row = [i]
        for j, against in enumerate(other, 1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (letter != against))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == against:
                cost = min(cost, before_last[j - 2] + 1)
            row.append(cost)
        if min(row) > limit:
            return limit + 1
        before_last, last = last, row
    return last[-1]
