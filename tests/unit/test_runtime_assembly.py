"""When does the log process begin? Each boot in an interpreter of its own, with real processes, in a folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import os, sys
from linit.engine.events import Verb
from linit.model.paths import Paths
from linit.model.place import Place
from linit.model.service import Command, Dependency, EdgeKind, Execution, Kind, Plan, Service
from linit.runtime import assembly as module
from linit.runtime.supervisor import Surroundings

folder, limit_s = sys.argv[1], float(sys.argv[2])
os.makedirs(folder + "/run/linit")
module.LOG_BEGINS_S = limit_s
here = Place("test", 1, 1)
work = Service("work", here, Kind.ONESHOT, run=Command(("/bin/sh", "-c", "echo said; read line <" + sys.argv[3]), here))
level = Service("default", here, Kind.RUNLEVEL, dependencies=(Dependency(EdgeKind.NEED, "work", here),))
assembly = module.Assembly(Paths.system(folder), "system", Surroundings(cgroup_root="", console=2))
supervisor = assembly.begin(Plan((work, level)))
loop = assembly.prelude

def state():
    return f"{supervisor.engine.boot_state}, " + ("a log process" if supervisor.logger else "no log process")

def look():
    print(state())
    {then}

def finish():
    if supervisor.logger is None or supervisor.engine.boot_state == "booting":
        loop.call_at(loop.time() + 0.01, finish)
        return
    print(state())
    supervisor.logger.close(loop.stop)

supervisor.request(Verb.START, ("default",), "a test")
assembly.serve()
loop.call_at(loop.time() + 0.05, look)
loop.run_forever()
assembly.close()
lines = map(str.split, open(folder + "/var/log/linit/work.log"))
print([words[-1] for words in lines if words[2] == "out"])
"""


def boot(tmp_path: Path, limit_s: float, then: str) -> list[str]:
    """What is so while the boot waits for a service, what when `then` was done, and what the service had said."""
    pipe = tmp_path / "pipe"
    subprocess.run(["mkfifo", str(pipe)], check=True)
    program = PROGRAM.replace("{then}", then.replace("PIPE", repr(str(pipe))))
    arguments = [sys.executable, "-c", program, str(tmp_path / "root"), str(limit_s), str(pipe)]
    ended = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
    assert not ended.returncode, ended.stderr
    return ended.stdout.splitlines()


GO_ON = "open(PIPE, 'w').write('go on\\n'); finish()"


def test_the_log_process_begins_when_the_boot_is_over(tmp_path: Path) -> None:
    """Its interpreter and modules cost as much as a dozen starts. What is said meanwhile waits in pipes."""
    assert boot(tmp_path, 30.0, GO_ON) == ["booting, no log process", "running, a log process", "['said']"]


def test_a_boot_that_takes_long_has_a_log_process_before_it_is_over(tmp_path: Path) -> None:
    """Whoever fills its pipe waits no longer than that."""
    seen = boot(tmp_path, 0.0, GO_ON)
    assert seen == ["booting, a log process", "running, a log process", "['said']"]


def test_whoever_asks_linit_something_during_a_boot_finds_a_log(tmp_path: Path) -> None:
    """The control server is made for the first client."""
    seen = boot(tmp_path, 30.0, f"assembly.control; print(state()); {GO_ON}")
    assert seen == ["booting, no log process", "booting, a log process", "running, a log process", "['said']"]
