"""Where do the lines of a service stay? One file a service, rotated by size and age, below a folder with a budget; a
disk that is full or not there yet is counted or waited for, never an exception. Until the folder can be written, the
same files lie below /run, within narrow limits; what they hold is then brought over."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from linit.logs import boots, bringing, budget, packing
from linit.logs import lines as text
from linit.logs.appended import Appended, Length, Mark
from linit.logs.files import file_name, live_files, next_old_path, old_files
from linit.logs.limits import EARLY, Limits, total_bytes
from linit.runtime.failure import error_words

FILE_MODE: Final = 0o640
FOLDER_MODE: Final = 0o750
SPOOL_MODE: Final = 0o700
NOT_YET: Final = frozenset({errno.EROFS, errno.ENOENT})  # the folder cannot be there before the root is writable
TIDY_S: Final = 86400.0  # old files get too old without anybody writing
_DIGITS: Final = re.compile(rb"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)")
FEW: Final = 16  # files that are synced one by one at the end; each waits for the disk
RETRY_S: Final = 5.0  # the folder is tried again, when there is something to write


@dataclass(slots=True)
class Place:
    """A folder with logs. `rotated`: a file there has become an old one."""

    folder: str
    limits: Limits
    boot: int = text.NO_BOOT
    rotated: Callable[[LogFile], object] = field(default=lambda _file: None)
    losing: set[LogFile] = field(default_factory=set)  # whose losses are not told yet


class LogFile:
    """One service's file: opened at the first line, rotated when full or old, opened anew when somebody removed it."""

    def __init__(self, place: Place, service: str) -> None:
        self.dropped = 0  # lines since the last successful write
        self.dropped_why = ""
        self.dropped_until_s = 0.0  # on time.monotonic(): not told before
        self._place = place
        self._base = file_name(service)
        self._file = Appended(os.path.join(place.folder, self._base), FILE_MODE)
        self.last_ns = 0  # the time of the last line that this process has written to it
        self._begun_ns = 0  # the time of its first line, about; 0: it has none

    @property
    def path(self) -> str:
        return self._file.path

    @property
    def base(self) -> str:
        """Its name in the folder."""
        return self._base

    @property
    def length(self) -> Length:
        return self._file.length

    def append(self, batch: text.Batch, mark: Mark | None = None) -> None:
        """Write lines. What does not fit on the disk is dropped and counted; the count is written when it
        fits. `mark`: see spool.py."""
        if self.dropped and not self.tell_dropped(batch.now_ns, mark):
            self.dropped += batch.lines.count(b"\n")
            return
        data = text.prefixed(batch.lines, text.prefix(batch, self._place.boot))
        written = self._write(data, batch.now_ns, mark)
        if written != len(data):
            self.drop(data.count(b"\n", written), self._file.problem)

    def drop(self, count: int, why: str, until_s: float = 0.0) -> None:
        """So many lines are not kept. Not told before `until_s`: more may follow."""
        self.dropped += count
        self.dropped_why = why
        self.dropped_until_s = until_s
        self._place.losing.add(self)

    def tell_dropped(self, now_ns: int, mark: Mark | None = None) -> bool:
        """Write how many lines were dropped, if any were; is there nothing to be told any more?"""
        if not self.dropped:
            return True
        own = text.own(text.dropped_text(self.dropped, self.dropped_why), now_ns)
        data = text.prefixed(own.lines, text.prefix(own, self._place.boot))
        if not self._write(data, now_ns, mark):
            return False
        self.dropped, self.dropped_why, self.dropped_until_s = 0, "", 0.0
        self._place.losing.discard(self)
        return True

    def resume(self, batch: text.Batch, after: Length, mark: Mark | None) -> None:
        """Write lines of which a killed log process may have written some, after the file was so long."""
        self._file.cut_back(after)
        self.append(batch, mark)

    def cut_back(self, to: Length) -> None:
        """Take back what was written after the file, if it is still that one, was so long."""
        self._file.cut_back(to)

    def sync(self) -> None:
        self._file.sync()

    def close(self) -> None:
        self._file.close()

    def _write(self, data: bytes, now_ns: int, mark: Mark | None) -> int:
        """How many bytes were kept: always whole lines."""
        file, limits = self._file, self._place.limits
        file.problem = ""
        try:
            if file.reopen(now_ns):
                self._begun_ns = _first_stamp_ns(file.path) if file.length.size_bytes else 0
            size_bytes = file.length.size_bytes
            if size_bytes and self._is_full(size_bytes + len(data), now_ns, limits):
                self._rotate(now_ns)
            self._begun_ns = self._begun_ns or now_ns
            self.last_ns = now_ns
            return file.put(data, mark)
        except OSError as failure:
            file.failed(failure)
            return 0

    def _is_full(self, size_bytes: int, now_ns: int, limits: Limits) -> bool:
        if limits.rotate_bytes and size_bytes > limits.rotate_bytes:
            return True
        age_ns = now_ns - self._begun_ns if self._begun_ns else 0
        return bool(limits.rotate_age_s) and age_ns > limits.rotate_age_s * 1_000_000_000

    def _rotate(self, now_ns: int) -> None:
        """SERVICE.log becomes SERVICE.log.N. Raises OSError."""
        self._file.close()
        os.rename(self._file.path, next_old_path(self._place.folder, self._base))
        self._file.reopen(now_ns)
        self._begun_ns = 0
        self._place.rotated(self)


def _first_stamp_ns(path: str) -> int:
    """The time of a file's first line, to the second; 0 when it has none."""
    try:
        with open(path, "rb") as file:
            words = _DIGITS.match(file.read(text.STAMP_BYTES))
        # The summer time of a zone does not matter for an age in days.
        found = time.mktime((*map(int, words.groups()), 0, 0, 0)) - time.timezone if words else 0.0  # type: ignore[arg-type]
    except (OSError, ValueError, OverflowError):
        return 0
    return int(found) * 1_000_000_000


class Store:
    """All log files. While `is_open` is False nothing may be read: there is no place for it.

    `folder`: /var/log/linit. `run`: a folder that is there early and gone with the boot; "": there is none. `key`: of
    this boot.
    """

    def __init__(self, folder: str, run: str = "", limits: Limits | None = None, key: str = "") -> None:
        self.folder = folder
        self.run = run
        self.spools = os.path.join(run or folder, "spool" if run else ".spool")
        self.limits = limits or Limits()
        self.packer = packing.Packer(self.limits.pack_level)
        self.problem = ""  # why the folder is not in use
        self._key = key or boots_key()
        self._kept = Place(folder, self.limits, rotated=lambda _file: self.tidy())
        self._early = Place(os.path.join(run, "log"), EARLY, rotated=self._lose_early)
        self._place: Place | None = None
        self._files: dict[str, LogFile] = {}
        self._tidied_s = self._tried_s = float("-inf")

    @property
    def is_open(self) -> bool:
        return self._place is not None

    @property
    def is_kept(self) -> bool:
        """Do the lines outlive this boot?"""
        return self._place is self._kept

    @property
    def boot(self) -> int:
        """The number of this boot; NO_BOOT while the folder cannot be used."""
        return self._kept.boot

    def open(self) -> bool:
        """Try to use the folder, else the one below /run. Without either: a read-only root is the early boot, and
        nothing is read yet; a folder that fails for any other reason counts as open: services must not block on full
        pipes for ever, so their lines are dropped and counted until it works."""
        if self.is_kept:
            return True
        self._tried_s = time.monotonic()
        try:
            _make(self.folder, FOLDER_MODE)
            self._kept.boot = boots.number_of(self.folder, self._key)
            if self.run:
                self._close_files()
                bringing.bring(self._early.folder, self.run, self.folder, self._kept.boot, FILE_MODE)
        except OSError as failure:
            self.problem = error_words(failure)
            return self._open_early(failure)
        self.problem = ""
        self._use(self._kept)
        with contextlib.suppress(OSError):  # then it is told of each pipe that its lines are not safe
            os.makedirs(self.spools, SPOOL_MODE, exist_ok=True)
        packing.remove_halves(self.folder)
        self.tidy()
        return True

    def is_worth_a_try(self, now_s: float) -> bool:
        """Could the folder have come to work since it was tried?"""
        return not self.is_kept and now_s - self._tried_s >= RETRY_S

    def file(self, service: str) -> LogFile:
        """The file of a service, which need not exist yet."""
        file = self._files.get(service)
        if file is None:
            file = self._files[service] = LogFile(self._place or self._kept, service)
        return file

    def early_file(self, service: str) -> LogFile:
        """The file of a service below /run."""
        return LogFile(self._early, service)

    def say(self, service: str, words: str, said_ns: int = 0) -> None:
        """What linit says about a service; 0: now. A line that was said before what the file has already, but came
        later, bears the time of that: a file is in the order of time, unless somebody sets the clock back."""
        now_ns = time.time_ns()
        file = self.file(service)
        is_overtaken = said_ns < file.last_ns <= now_ns
        file.append(text.own(words, file.last_ns if said_ns and is_overtaken else said_ns or now_ns))

    @property
    def losing(self) -> set[LogFile]:
        """The files whose losses are not told yet."""
        return self._place.losing if self._place else set()

    def tidy(self) -> None:
        """Keep to the limits, and have old files packed."""
        self._tidied_s = time.monotonic()
        with contextlib.suppress(OSError):  # the next rotation tries again
            gone = set()
            old = old_files(self.folder)
            live = {os.path.basename(path): os.stat(path).st_size for path in live_files(self.folder)}
            budget_bytes = total_bytes(self.limits, self.folder)
            for each in budget.surplus(
                old, live, total_bytes=budget_bytes, keep_age_s=self.limits.keep_age_s, now_s=time.time()
            ):
                gone.add(each)
                os.unlink(each.path)
            if self.limits.pack_level:
                self.packer.add(each.path for each in old if each not in gone and not each.is_packed)

    def is_untidy(self, now_s: float) -> bool:
        """Has nobody looked for files that are too old for a day?"""
        return self.is_kept and now_s - self._tidied_s >= TIDY_S

    def close(self) -> None:
        self.packer.stop()
        if self.is_kept and not (len(self._files) > FEW and sync_file_system(self.folder)):
            for file in self._files.values():
                file.sync()
        self._close_files()

    def _use(self, place: Place) -> None:
        """From now on the files are there; what is not told yet is told there."""
        before = {service: file for service, file in self._files.items() if file.dropped}
        self._close_files()
        self._files.clear()
        self._place = place
        for service, file in before.items():
            self.file(service).drop(file.dropped, file.dropped_why)

    def _close_files(self) -> None:
        for file in self._files.values():
            file.close()

    def _open_early(self, failure: OSError) -> bool:
        if self._place is None and self.run:
            with contextlib.suppress(OSError):
                os.makedirs(self.spools, SPOOL_MODE, exist_ok=True)
                _make(self._early.folder, FOLDER_MODE)
                self._use(self._early)
        if self._place is None and failure.errno not in NOT_YET:
            self._use(self._kept)
        return self.is_open

    def _lose_early(self, file: LogFile) -> None:
        """Below /run there is room for one old file of a service, and for so much of all: the oldest goes."""
        with contextlib.suppress(OSError):
            old = old_files(self._early.folder)
            own = [each for each in old if each.base == file.base]
            gone = own[:-1]
            if sum(each.size_bytes for each in old) > EARLY.total_bytes:
                gone = own
            for each in gone:
                with open(each.path, "rb") as lost:
                    count = lost.read().count(b"\n")
                os.unlink(each.path)
                file.drop(count, f"{self.folder} cannot be written ({self.problem}), and /run is small")


def boots_key() -> str:
    """What names this boot of the machine."""
    from linit.logs.spool import boot_id

    return boot_id().decode("ascii", "replace")


def sync_file_system(folder: str) -> bool:
    """Is everything on the disk now that was written to the file system of a folder? Source: syncfs(2)."""
    with contextlib.suppress(ImportError, OSError, AttributeError):  # no such call here: then it is done file by file
        import ctypes  # for a machine with many services, at its end

        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return bool(ctypes.CDLL(None).syncfs(fd) == 0)
        finally:
            os.close(fd)
    return False


def _make(folder: str, mode: int) -> None:
    """A folder that can be written. access(2) would say yes to root on some network file systems. Raises OSError."""
    os.makedirs(folder, mode, exist_ok=True)
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), folder)
