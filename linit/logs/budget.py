"""Which old files must go? Pure: the files and the limits in, the ones that go out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from linit.logs.files import Old


def surplus(
    old: Iterable[Old], live_bytes: Mapping[str, int], *, total_bytes: int, keep_age_s: int, now_s: float
) -> list[Old]:
    """The old files that are too old, or too much together with the live ones.

    Of what is too much, the oldest file of the service goes that has most: one that floods loses its own history, and
    nobody else's.
    """
    gone = [each for each in old if keep_age_s and now_s - each.ended_s > keep_age_s]
    kept: dict[str, list[Old]] = {}
    for each in old:
        if each not in gone:
            kept.setdefault(each.base, []).append(each)
    sizes = dict(live_bytes)
    for base, files in kept.items():
        sizes[base] = sizes.get(base, 0) + sum(each.size_bytes for each in files)
    while total_bytes and sum(sizes.values()) > total_bytes:
        having = [base for base, files in kept.items() if files]
        if not having:
            break
        most = max(having, key=lambda base: (sizes[base], base))
        oldest = kept[most].pop(0)
        sizes[most] -= oldest.size_bytes
        gone.append(oldest)
    return gone
