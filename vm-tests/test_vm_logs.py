"""The log store on a machine whose PID 1 is linit: the kernel's messages, the early boot, a log process that is killed.
linit/logs/README.md."""

from __future__ import annotations

import json
from typing import Final

import pytest

from panux.machine.machine import Machine

pytestmark = pytest.mark.vm

COUNTS: Final = "n=0; while [ $$n -lt 3000 ]; do n=$$((n + 1)); echo line $$n; done"


def test_the_messages_of_the_kernel_are_in_the_store_from_the_first_on(booted: Machine) -> None:
    """dmesg(1) shows what the kernel still has of them; the store begins no later."""
    first = booted.succeed("dmesg | head -n 1").split("] ", 1)[1].strip()
    booted.succeed("until linitctl logs kernel | grep -q .; do sleep 0.1; done")
    assert first in booted.succeed("linitctl logs kernel -n 2000 | head -n 5")


def test_lines_from_before_the_root_was_writable_are_kept(booted: Machine) -> None:
    """root-check is one of the first services of all: no log process runs yet when it starts."""
    told = booted.succeed("linitctl logs root-check")
    assert [word for word in ("starting", "up (done after") if word not in told] == []
    assert booted.succeed("ls /var/log/linit").split().count("root-check.log") == 1


def test_linit_says_in_the_same_store_what_is_about_nobody(booted: Machine) -> None:
    """The end of the boot."""
    booted.succeed("until linitctl logs linit | grep -q 'runlevel default reached'; do sleep 0.1; done")


def test_a_log_process_that_is_killed_in_full_flow_loses_and_doubles_no_line(booted: Machine) -> None:
    """PID 1 keeps the pipes: kill -9 while a service writes three thousand lines."""
    definition = json.dumps({"kind": "oneshot", "script": COUNTS})
    booted.succeed(f"cat > /etc/linit/services/counts.yaml <<'END'\n{definition}\nEND\nlinitctl reload")
    pid = int(booted.call("report")["logger_pid"])
    booted.succeed(f"linitctl start --no-wait counts; kill -KILL {pid}")
    booted.succeed("until linitctl logs counts | grep -q 'line 3000$'; do sleep 0.2; done")
    lines = booted.succeed("linitctl logs counts -n 9000 | sed -n 's/.* line //p'").split()
    assert lines == [str(number) for number in range(1, 3001)]
    assert int(booted.call("report")["logger_pid"]) != pid
