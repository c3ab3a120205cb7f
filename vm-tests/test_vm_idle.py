"""An idle machine has an idle PID 1: DESIGN.md section 5. The kernel counts. Source: proc_pid_status(5)."""

from __future__ import annotations

import re
from typing import Final

import pytest

from panux.machine.machine import Machine

pytestmark = pytest.mark.vm

SERVICES: Final = 100
WINDOWS: Final = 4  # what belongs to the boot (weights end, a service is healthy) may still happen in the first
SLEEPERS: Final = f"""\
cd /etc/linit/services
for i in $(seq {SERVICES}); do
    echo '{{run: [sleep, "100000"], restart: always}}' > idle$i.yaml
    ln -s /etc/linit/services/idle$i.yaml /etc/linit/runlevels/default/idle$i
done
linitctl reload >&2
"""
COUNTS: Final = "grep ctxt /proc/1/status; echo; grep ctxt /proc/{logger}/status; echo; cat /var/log/linit/*.log|wc -c"
# A message of ours over one virtio-serial port wakes who waits at another, some time after the command has begun.
IDLE: Final = "sleep 3; {counts}; echo; sleep 30; {counts}"


def test_neither_pid_1_nor_its_log_process_wakes_up_in_30_seconds_with_a_hundred_services_up(machine: Machine) -> None:
    """The log process may for a line that somebody wrote: the size of the logs tells."""
    machine.succeed(SLEEPERS, timeout_s=300)
    for number in range(1, SERVICES + 1):
        machine.wait_for_service(f"idle{number}", timeout_s=300)
    logger = machine.call("report")["logger_pid"]
    assert logger
    seen = []
    for _ in range(WINDOWS):
        counts = COUNTS.format(logger=logger)
        said = machine.succeed(IDLE.format(counts=counts), timeout_s=300)
        *woken, written = (after - before for before, after in zip(*_halves(said), strict=True))
        seen.append((*woken, written))
        if woken[0] == 0 and (woken[1] == 0 or written):
            break
    assert seen[-1][0] == 0, f"(PID 1, log process, bytes logged): {seen}"
    assert seen[-1][1] == 0 or seen[-1][2], f"(PID 1, log process, bytes logged): {seen}"


def _halves(said: str) -> tuple[list[int], list[int]]:
    """Before and after: switches of PID 1, of the log process, bytes of the logs."""
    blocks = [sum(map(int, re.findall(r"\d+$", block, re.MULTILINE))) for block in said.strip().split("\n\n")]
    assert len(blocks) == 6, said
    return blocks[:3], blocks[3:]
