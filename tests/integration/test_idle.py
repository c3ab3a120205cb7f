"""An idle linit wakes up zero times: DESIGN.md section 5. The kernel counts. Source: proc_pid_status(5)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from tests.integration.running import Running

SERVICES: Final = 100
IDLE_S: Final = 30.0
WINDOWS: Final = 3  # what belongs to the boot (a service is healthy after 10 s) may still happen in the first


def switches(pid: int) -> int:
    """How often a process was given a processor anew: each wake-up is one, at least."""
    return sum(map(int, re.findall(r"ctxt_switches:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())))


def test_with_a_hundred_services_up_neither_linit_nor_its_log_process_wakes_up_in_30_seconds(linit: Running) -> None:
    for number in range(SERVICES):
        linit.define(f"s{number}", run=["/bin/sleep", "100000"], restart="always")
        linit.enable(f"s{number}")
    linit.boot()
    assert linit.process is not None
    pids = linit.process.pid, linit.report()["logger_pid"]
    assert all(pids)
    woken = []
    for _ in range(WINDOWS):
        before = [switches(pid) for pid in pids]
        assert linit.listen(IDLE_S) == 0
        woken.append([switches(pid) - count for pid, count in zip(pids, before, strict=True)])
        if woken[-1] == [0, 0]:
            break
    assert woken[-1] == [0, 0], woken
