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
from linit.runtime import inotify

WRITTEN_LIMIT_S: Final = 15.0  # during a boot the log process has no share of the processors, for 10 s at most
WRITTEN: Final = inotify.CREATE | inotify.MODIFY | inotify.MOVED_TO


@dataclass(frozen=True, slots=True)
class Place:
    """Where recordings are kept. `key` is that of the boot that runs, "" if none does. Its recording is whole with
    `events` rows; 0: what is there has to do."""

    log: str
    key: str = ""
    events: int = 0

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


def place_of(options: argparse.Namespace) -> Place:
    """What those options say."""
    return Place(options.log, options.key, options.events)


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
    if boot != 0 or not place.events:
        paths = paths_of(place, boot)
        return load(*paths), paths
    until_s = time.monotonic() + WRITTEN_LIMIT_S
    while (left_s := until_s - time.monotonic()) > 0:
        try:
            changes = _watch(place.folder)
        except OSError:
            break  # that cannot be watched: what is there has to do
        try:
            if (found := _whole(place)) is not None:
                return found
            select.select([changes], (), (), left_s)
        finally:
            os.close(changes)
    paths = paths_of(place, boot)
    return load(*paths), paths


def _whole(place: Place) -> tuple[Recording, tuple[str, ...]] | None:
    """The recording of the running boot, if everything is in it. Raises OSError."""
    kept = numbered(place).get(0)
    try:
        recording = load(*kept.paths) if kept else None
    except RecordingError:
        return None  # its first rows are being written
    return (recording, kept.paths) if kept and recording and recording.rows >= place.events else None


def _watch(folder: str) -> int:
    """A descriptor that can be read when something was written in `folder`, or when it is made. Raises OSError."""
    fd = inotify.open_descriptor()
    while True:
        try:
            inotify.add_watch(fd, folder, WRITTEN)
            return fd
        except FileNotFoundError:
            folder = os.path.dirname(folder) or "."  # that of all folders is always there
        except OSError:
            os.close(fd)
            raise
