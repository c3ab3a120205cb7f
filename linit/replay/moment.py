"""Which moment of a recording does a word mean?"""

from __future__ import annotations

import datetime
from typing import Final

from linit.record.recording import Recording

FORMS: Final = "seconds since the boot ('12.5'), 'HH:MM[:SS]', or 'YYYY-MM-DD HH:MM[:SS]'"


class MomentError(Exception):
    """A word that is no moment of the recording; the text says why."""


def at(word: str, recording: Recording) -> float:
    """The moment on the engine's clock. A time of day is the last one before the recording's end; times without a
    zone are local ones. Raises MomentError, also for a moment before the recording."""
    found_s = _read(word, recording)
    if found_s < recording.kept_from_s:
        later = f"{word}: the recording begins {recording.kept_from_s - found_s:.0f} s later"
        dropped = f"; {recording.dropped} earlier events are no longer kept" if recording.dropped else ""
        raise MomentError(f"{later}{dropped}")
    return found_s


def _read(word: str, recording: Recording) -> float:
    try:
        seconds = float(word.removesuffix("s"))
    except ValueError:
        return recording.at_s(_wall_s(word, recording))
    if not abs(seconds) < float("inf"):
        raise MomentError(f"found {word!r}, expected {FORMS}")
    return recording.began_s + seconds


def _wall_s(word: str, recording: Recording) -> float:
    end_s = recording.wall_s(recording.ended_s)
    try:
        day = datetime.time.fromisoformat(word)
    except ValueError:
        try:
            return datetime.datetime.fromisoformat(word).timestamp()
        except ValueError:
            raise MomentError(f"found {word!r}, expected {FORMS}") from None
    date = datetime.datetime.fromtimestamp(end_s).date()
    moment = datetime.datetime.combine(date, day)
    before = moment - datetime.timedelta(days=1)
    is_in_it = before.timestamp() >= recording.wall_s(recording.began_s)
    return (before if moment.timestamp() > end_s and is_in_it else moment).timestamp()
