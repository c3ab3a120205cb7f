"""Who holds which lock, and who waits for it? Named locks that linit keeps, so that it knows who waits for whom.

First come, first served. A lock that nobody holds or wants does not exist.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Claim:
    """One who holds or wants a lock. `id` is that of `LockAsked`; the other fields are as there."""

    id: int
    lock: str
    by: str
    caller: str = ""
    held: tuple[int, ...] = ()

    @property
    def who(self) -> str:
        """For people: the service, or whoever asked."""
        return self.caller or self.by or "nobody known"


class Locks:
    """All claims. The first of a queue is the holder."""

    def __init__(self) -> None:
        self._queues: dict[str, list[Claim]] = {}
        self._claims: dict[int, Claim] = {}

    def add(self, claim: Claim) -> bool:
        """Stand in the queue; is the lock held at once?"""
        queue = self._queues.setdefault(claim.lock, [])
        queue.append(claim)
        self._claims[claim.id] = claim
        return queue[0] is claim

    def remove(self, number: int) -> tuple[Claim | None, Claim | None]:
        """Leave the queue: who left without having held the lock, and who holds it newly because of that."""
        claim = self._claims.pop(number, None)
        if claim is None:
            return None, None
        queue = self._queues[claim.lock]
        was_holder = queue[0] is claim
        queue.remove(claim)
        if not queue:
            del self._queues[claim.lock]
        if not was_holder:
            return claim, None
        return None, queue[0] if queue else None

    def holder(self, lock: str) -> Claim | None:
        """Who holds a lock."""
        queue = self._queues.get(lock)
        return queue[0] if queue else None

    def queue(self, lock: str) -> tuple[Claim, ...]:
        """The holder and then those who wait, in their order."""
        return tuple(self._queues.get(lock, ()))

    def claim(self, number: int) -> Claim | None:
        """The claim of a `LockAsked`, while it lasts."""
        return self._claims.get(number)

    def waiting(self) -> Iterator[tuple[Claim, Claim]]:
        """Everybody who waits, with the holder."""
        for queue in self._queues.values():
            for claim in queue[1:]:
                yield claim, queue[0]

    def __iter__(self) -> Iterator[Claim]:
        """All claims, lock by lock, holders first."""
        for queue in self._queues.values():
            yield from queue
