"""Who saves the recording of the running boot gets all that had happened by then: it waits for the log process."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from linit.engine.engine import Engine
from linit.record import ring
from linit.record.recorder import Recorder
from linit.record.recording import load
from linit.record.ring import Ring
from tests.unit.recorded import PLAN, READY, deliver

LIMIT_S = 180.0


def descriptors(pid: int) -> Iterator[str]:
    """What the kernel tells of each, but for one that is closed meanwhile."""
    for each in Path(f"/proc/{pid}/fdinfo").glob("*"):
        with contextlib.suppress(FileNotFoundError):
            yield each.read_text()


def wait_until_it_watches(saving: subprocess.Popen[str], folder: Path) -> None:
    """Until its inotify watches that inode. Source: proc_pid_fdinfo(5)."""
    wanted = f"ino:{folder.stat().st_ino:x} "
    until_s = time.monotonic() + LIMIT_S
    while wanted not in "".join(descriptors(saving.pid)):
        assert saving.poll() is None, saving.communicate()
        assert time.monotonic() < until_s, f"{folder} is not watched"
        time.sleep(0.01)


def saving(log: Path, source: Recorder, target: Path, limit_s: float = LIMIT_S) -> subprocess.Popen[str]:
    """The program behind `linitctl record save`, told how much PID 1 has recorded."""
    words = "import sys; from linit.replay import __main__, kept; kept.WRITTEN_LIMIT_S = float(sys.argv.pop(1)); "
    argv = [sys.executable, "-c", f"{words}sys.exit(__main__.main(sys.argv[1:]))", str(limit_s)]
    argv += ["record", "save", str(target), "--log", str(log), "--key", source.key, "--events", str(source.rows)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_it_waits_for_a_log_process_that_has_written_nothing_yet(tmp_path: Path) -> None:
    """Its folder is not there before the root can be written: first it is waited for, then what is written in it."""
    log, target = tmp_path / "log", tmp_path / "saved.rec"
    source, to = Recorder(Engine(PLAN), 0.0), Ring(str(log))
    deliver(source, to)
    source.note(READY, 1.0)
    with saving(log, source, target) as process:
        wait_until_it_watches(process, tmp_path)
        log.mkdir()
        wait_until_it_watches(process, log)
        to.flush()
        wait_until_it_watches(process, log / ring.FOLDER)
        assert not target.exists(), "an event is missing"
        deliver(source, to)
        to.flush()
        out, err = process.communicate(timeout=LIMIT_S)
    assert (process.returncode, err) == (0, ""), out
    assert [entry.event for entry in load(str(target)).entries] == [READY]


def test_it_does_not_wait_for_ever_for_a_log_process_that_writes_nothing(tmp_path: Path) -> None:
    """A full disk, say: then what is there is saved."""
    target = tmp_path / "saved.rec"
    source, to = Recorder(Engine(PLAN), 0.0), Ring(str(tmp_path))
    source.note(READY, 1.0)
    deliver(source, to)
    to.close()
    source.note(READY, 2.0)
    with saving(tmp_path, source, target, limit_s=0.2) as process:
        out, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, (out, err)
    assert len(load(str(target)).entries) == 1


def test_a_folder_that_is_nowhere_is_waited_for_like_any_other(tmp_path: Path) -> None:
    """A relative one is sought from where the program was started."""
    source = Recorder(Engine(PLAN), 0.0)
    argv = ["record", "save", str(tmp_path / "saved.rec"), "--log", "log", "--key", source.key, "--events", "1"]
    words = "import sys; from linit.replay import __main__, kept; kept.WRITTEN_LIMIT_S = 0.2; "
    run = [sys.executable, "-c", f"{words}sys.exit(__main__.main(sys.argv[1:]))", *argv]
    path = os.pathsep.join(each for each in sys.path if each)
    environment = {**os.environ, "PYTHONPATH": path}
    ran = subprocess.run(
        run, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert ran.returncode == 1, ran
    assert ran.stderr == "linitctl: log/record: there is no recording of boot 0; there are: none\n"
