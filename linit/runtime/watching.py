"""What about its paths starts a service? The trigger for `watch`.

A path is watched together with the folders that lead to it, each of which may go and come again; where one is missing,
the last that is there is watched for it. Whether a path exists, or a folder holds something, is looked at whenever
anything about it happens, and each time the service rests. A change is an event: what comes within a tenth of a second
is one, and what comes while the service runs is kept until it rests. What inotify does not tell is not seen: what
others do on a network file system, what is mounted over a folder. Source: inotify(7).
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import TYPE_CHECKING, Final

from linit.engine.events import Triggered
from linit.model.service import Service, WatchedPath, WatchKind
from linit.runtime import inotify
from linit.runtime.failure import error_words
from linit.runtime.inotify import (
    ALWAYS,
    ATTRIB,
    CLOSE_WRITE,
    CREATE,
    DELETE,
    DELETE_SELF,
    MOVE_SELF,
    MOVED_FROM,
    MOVED_TO,
    ONLYDIR,
    OVERFLOW,
    Watch,
)
from linit.runtime.loop import Handle

if TYPE_CHECKING:
    from linit.runtime.means import Means

SETTLE_S: Final = 0.1  # a file that is written anew is created, written, closed and renamed: one change
AGAIN_S: Final = 1.0  # after what it saw has not made the service leave its rest
ITSELF: Final = DELETE_SELF | MOVE_SELF
ENTRIES: Final = CREATE | MOVED_TO | DELETE | MOVED_FROM
CHANGES: Final = ENTRIES | ITSELF | CLOSE_WRITE | ATTRIB
TRIES_MAX: Final = 10  # while folders come and go
Identity = tuple[int, int, int, int, int] | None
_Key = tuple[str, WatchKind]

TEXTS: Final = {WatchKind.EXISTS: "exists", WatchKind.CHANGES: "changed", WatchKind.NOT_EMPTY: "is not empty"}
WORDS: Final = {
    WatchKind.EXISTS: "watches for {path} to exist",
    WatchKind.CHANGES: "watches {path} for changes",
    WatchKind.NOT_EMPTY: "watches {path} for entries",
}


class Watching:
    """The paths of one service."""

    def __init__(self, means: Means, service: Service) -> None:
        """Raises OSError."""
        self._means = means
        self._service = service
        self._rests = False
        self._tells = True
        self._soon: Handle | None = None
        self._settling: Handle | None = None
        self._again: Handle | None = None
        self._paths = [_Path(self, means, watched) for watched in service.watch]
        try:
            for path in self._paths:
                path.watch()
        except OSError:
            self.close()
            raise

    def runs(self) -> None:
        """What changes is remembered from now on."""
        self._rests = False
        if self._again is not None:
            self._again.cancel()
            self._again = None

    def rests(self) -> None:
        """Does what has changed meanwhile, or what is there, start it again?"""
        self._rests = True
        self._trigger()

    def change(self, service: Service) -> None:
        """Watch other paths; what has changed about one that stays is still to be told. Raises OSError."""
        before, self._service = self._paths, service
        self._paths = [_Path(self, self._means, watched) for watched in service.watch]
        self._mark([_key(path.watched) for path in before if path.has_changed])
        try:
            for path in self._paths:
                path.watch()
        finally:
            for path in before:
                path.close()

    def _mark(self, changed: list[_Key]) -> None:
        """These have changed, and nobody has started for it."""
        for path in self._paths:
            path.has_changed |= _key(path.watched) in changed

    def close(self) -> None:
        """Watch nothing any more."""
        for handle in (self._soon, self._settling, self._again):
            if handle is not None:
                handle.cancel()
        for path in self._paths:
            path.close()
        inotify.let_go(self._means.loop)

    def words(self) -> list[str]:
        """`watches /etc/x for changes`, a line for each path."""
        return [WORDS[each.watched.on].format(path=each.watched.path) for each in self._paths]

    def happened(self) -> None:
        """Something did, to one of the paths. All that was read together is looked at together."""
        if self._soon is None:
            self._soon = self._means.loop.call_soon(self._look)

    def _look(self) -> None:
        self._soon = None
        for path in self._paths:
            try:
                path.look()
            except OSError as error:
                if self._tells:
                    self._tells = False
                    self._means.tell(f"cannot watch all of its paths: {error_words(error)}", self._service.name)
        if any(path.has_changed for path in self._paths) and self._settling is None:
            self._settling = self._means.loop.call_at(self._means.loop.time() + SETTLE_S, self._settled)
        if any(path.is_so() for path in self._paths):
            self._trigger()

    def _try_again(self, changed: list[_Key]) -> None:
        self._again = None
        self._mark(changed)
        self._trigger()

    def _settled(self) -> None:
        self._settling = None
        self._trigger()

    def _trigger(self) -> None:
        """Start the service, if it rests and there is a reason to."""
        if not self._rests or self._settling is not None:
            return
        reasons = [path for path in self._paths if path.has_changed or path.is_so()]
        changed = [_key(path.watched) for path in reasons if path.has_changed]
        for path in reasons:
            path.has_changed = False
        if reasons:  # reported last, as what follows may be the end of this
            loop = self._means.loop
            if self._again is not None:
                self._again.cancel()
            # A service that waits for another, at rest, is not started by this.
            self._again = loop.call_at(loop.time() + AGAIN_S, self._try_again, changed)
            text = ", ".join(f"{each.watched.path} {TEXTS[each.watched.on]}" for each in reasons)
            self._means.report(Triggered(self._service.name, text))


class _Path:
    """One path, and the watches that it takes now."""

    def __init__(self, watching: Watching, means: Means, watched: WatchedPath) -> None:
        self.watched = watched
        self.has_changed = False  # and nobody was told yet
        self._watching = watching
        self._means = means
        self._path = os.path.normpath(watched.path)
        self._watches: list[Watch] = []
        self._identity: Identity = None
        self._is_stale = False  # a folder on the way, or the path itself, may be another one now

    def watch(self) -> None:
        """Watch it for the first time. Raises OSError."""
        self._renew()
        self._identity = _identity(self._path)

    def look(self) -> None:
        """Something has happened. Raises OSError if not all of it can be watched."""
        if not self._is_stale:
            return
        self._is_stale = False
        try:
            self._renew()
        finally:
            before, self._identity = self._identity, _identity(self._path)
            if self.watched.on is WatchKind.CHANGES and self._identity != before:
                self.has_changed = True

    def is_so(self) -> bool:
        """Is there what is waited for? A change is none of that."""
        match self.watched.on:
            case WatchKind.EXISTS:
                return os.path.exists(self._path)
            case WatchKind.NOT_EMPTY:
                return _has_entries(self._path)
            case _:
                return False

    def close(self) -> None:
        """Watch it no more."""
        self._replace([])

    # -- what is watched

    def _renew(self) -> None:
        """Watch what is there now. The new watches are there before the old ones go, so that nothing is missed."""
        for _ in range(TRIES_MAX):
            new: list[Watch] = []
            try:
                missing = self._chain(new)
            finally:
                self._replace(new)
            # Was it made after it had been looked for, and before its folder was watched?
            if not missing or not os.path.lexists(missing):
                return

    def _replace(self, new: list[Watch]) -> None:
        old, self._watches = self._watches, new
        if old:
            hub = inotify.inotify_of(self._means.loop)
            for watch in old:
                hub.remove(watch)

    def _chain(self, watches: list[Watch]) -> str:
        """Add a watch for each folder that leads to the path, and for the path; the first that is missing, or ""."""
        hub = inotify.inotify_of(self._means.loop)
        parts = self._path.strip("/").split("/")
        folder = "/"
        for index, part in enumerate(parts):
            path = os.path.join(folder, part)
            kind = _kind(path)
            # A folder tells itself that it goes; of what is missing, a link or a file its folder must tell.
            is_on_the_way = kind == stat.S_IFDIR and index < len(parts) - 1
            mask = ITSELF if is_on_the_way else ITSELF | ENTRIES
            try:
                watches.append(hub.add(folder, mask | ONLYDIR, self._on_folder(part)))
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ENOTDIR) and (mask & ENTRIES or error.errno != errno.EACCES):
                    raise
            if not kind:
                return path
            folder = path
        if self.watched.on is not WatchKind.EXISTS:
            with contextlib.suppress(FileNotFoundError):  # gone again, as its folder will tell; or a link to nothing
                watches.append(hub.add(self._path, CHANGES, self._on_path))
        return ""

    def _on_folder(self, entry: str) -> inotify.OnEvent:
        """Of a folder on the way, which must hold `entry`."""

        def on_event(mask: int, name: str) -> None:
            if name and name != entry and not mask & ALWAYS:
                return
            if mask & OVERFLOW:
                self._lost()
            self._is_stale = True
            self._watching.happened()

        return on_event

    def _on_path(self, mask: int, name: str) -> None:
        """Of the path itself, or of an entry of the folder that it is."""
        self._is_stale |= not name
        if self.watched.on is WatchKind.CHANGES and mask & CHANGES:
            self.has_changed = True
        self._watching.happened()

    def _lost(self) -> None:
        """The kernel had no room for all events."""
        if self.watched.on is WatchKind.CHANGES:
            self.has_changed = True


def _key(watched: WatchedPath) -> _Key:
    return watched.path, watched.on


def _kind(path: str) -> int:
    """What is there, as S_IFMT of its mode; 0 if nothing."""
    try:
        return stat.S_IFMT(os.lstat(path).st_mode)
    except OSError:
        return 0


def _identity(path: str) -> Identity:
    """What changes when a file is replaced or written; None if there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _has_entries(path: str) -> bool:
    """Is it a folder that holds something?"""
    try:
        with os.scandir(path) as entries:
            return next(entries, None) is not None
    except OSError:
        return False
