"""Which recording is meant? Those of the last boots, by number: 0 is the boot that runs, -1 the one before."""

from __future__ import annotations

import argparse
import os
import select
import time
from dataclasses import dataclass
from typing import Final

from linit.record import ring
from linit.record.recording import Recording, RecordingError, load

WRITTEN_LIMIT_S: Final = 2.0
CHANGES_BYTES: Final = 1 << 14


@dataclass(frozen=True, slots=True)
class Place:
    """Where recordings are kept. `key` is that of the boot that runs, "" if none does.

    Its recording is whole with `events` rows, and `changes` is a descriptor that tells of changes in the folder
    (inotify(7)); -1: what is there has to do.
    """

    log: str
    key: str = ""
    events: int = 0
    changes: int = -1

    @property
    def folder(self) -> str:
        """Where the files are."""
        return os.path.join(self.log, ring.FOLDER)


def add_place(parser: argparse.ArgumentParser, *, waits: bool = True) -> None:
    """The options that say where recordings are."""
    parser.add_argument("--log", default="", metavar="DIR", help="the folder of the logs")
    parser.add_argument("--key", default="", help=argparse.SUPPRESS)
    if waits:
        parser.add_argument("--events", type=int, default=0, help=argparse.SUPPRESS)
        parser.add_argument("--changes", type=int, default=-1, help=argparse.SUPPRESS)


def place_of(options: argparse.Namespace) -> Place:
    """What those options say."""
    return Place(options.log, options.key, options.events, options.changes)


def boot_number(word: str) -> int:
    """0, -1, -2. Raises ValueError."""
    number = int(word)
    if number > 0:
        raise ValueError(word)
    return number


def boot_option(word: str) -> int:
    """The same for a command line, which says what is wrong."""
    try:
        return boot_number(word)
    except ValueError:
        raise argparse.ArgumentTypeError(f"found {word!r}, expected 0 for this boot, -1 for the one before") from None


def numbered(place: Place) -> dict[int, ring.Kept]:
    """The boots that are kept, by their numbers, the oldest first. Raises OSError."""
    kept = ring.recordings(place.folder)
    is_last_ours = not place.key or (bool(kept) and kept[-1].key == place.key)
    last = 0 if is_last_ours else -1
    return {last - (len(kept) - 1 - index): each for index, each in enumerate(kept)}


def paths_of(place: Place, boot: int) -> tuple[str, ...]:
    """The files of a boot. Raises RecordingError, OSError."""
    found = numbered(place)
    if boot not in found:
        there = ", ".join(map(str, reversed(found))) or "none"
        raise RecordingError(f"{place.folder}: there is no recording of boot {boot}; there are: {there}")
    return found[boot].paths


def recording_of(place: Place, boot: int) -> tuple[Recording, tuple[str, ...]]:
    """The recording of a boot, and its files; of the running one, with all that had happened when we were called:
    when the log process has written what PID 1 had told it, or what there is after a moment.

    Raises RecordingError, OSError.
    """
    until_s = time.monotonic() + WRITTEN_LIMIT_S
    while True:
        paths = paths_of(place, boot)
        recording = load(*paths)
        is_whole = boot != 0 or place.changes < 0 or recording.rows >= place.events
        left_s = until_s - time.monotonic()
        if is_whole or recording.fault or left_s <= 0:
            return recording, paths
        if select.select([place.changes], (), (), left_s)[0]:
            os.read(place.changes, CHANGES_BYTES)
