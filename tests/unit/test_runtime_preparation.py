"""What a main process is given besides its definition. Source: linit/runtime/preparation.py, sd_listen_fds(3)."""

from __future__ import annotations

import os
import socket

from linit.runtime.preparation import NOTHING, Preparation, handed
from linit.runtime.spawn import Launch, fork_exec

SAY = 'echo "$LISTEN_FDS $LISTEN_FDNAMES"; test "$LISTEN_PID" = $$ && echo mine; ls /proc/self/fd'


def output_of(script: str, prepared: Preparation) -> list[str]:
    """What a shell that is given `prepared` has written when it has ended."""
    end, far_end = os.pipe2(os.O_CLOEXEC)
    pid, gate = fork_exec(prepared.given_to(Launch(("/bin/sh", "-c", script), output=far_end)), ())
    os.close(far_end)
    os.close(gate)
    with open(end, encoding="utf-8") as file:
        lines = file.read().splitlines()
    os.waitpid(pid, 0)
    return lines


def test_descriptors_are_numbered_from_3_in_their_order_and_named() -> None:
    """SD_LISTEN_FDS_START."""
    prepared = handed([(17, "http"), (9, "web")])
    assert prepared.keep == ((17, 3), (9, 4))
    assert prepared.environment == {"LISTEN_FDS": "2", "LISTEN_FDNAMES": "http:web"}
    assert prepared.with_pid == ("LISTEN_PID",)
    assert handed([]) == NOTHING


def test_a_process_finds_its_own_number_in_LISTEN_PID() -> None:
    """Only the parent's child knows it: sd_listen_fds(3) ignores the descriptors without it."""
    end, far_end = os.pipe2(os.O_CLOEXEC)
    prepared = handed([(end, "one"), (far_end, "two")])
    first, second, *fds = output_of(SAY, prepared)
    os.close(end)
    os.close(far_end)
    assert (first, second) == ("2 one:two", "mine")
    assert fds[:5] == ["0", "1", "2", "3", "4"]


def test_two_descriptors_with_one_number_are_found() -> None:
    """A readiness descriptor is numbered by the definition."""
    ready = Preparation(keep=((20, 4),))
    assert (handed([(9, "a")]) | ready).number_taken_twice() is None
    assert (handed([(9, "a"), (10, "b")]) | ready).number_taken_twice() == 4


def test_a_connection_is_standard_input_and_output_but_not_error() -> None:
    """inetd(8); an error message is no part of the protocol."""
    ours, childs = socket.socketpair()
    end, far_end = os.pipe2(os.O_CLOEXEC)
    argv = ("/bin/sh", "-c", "read line; echo got $line; echo oh >&2")
    fd = childs.detach()
    prepared = Preparation(connection=fd, own=(fd, far_end))
    pid, gate = fork_exec(prepared.given_to(Launch(argv, output=far_end)), ())
    prepared.close()
    os.close(gate)
    ours.sendall(b"this\n")
    with ours, open(end, encoding="utf-8") as errors:
        assert errors.read() == "oh\n"
        assert ours.recv(100) == b"got this\n"
        assert ours.recv(100) == b"", "linit, or the child, still has the connection"
    os.waitpid(pid, 0)


def test_both_of_two_preparations_are_made() -> None:
    both = Preparation({"A": "1"}, ((5, 3),), (5,), ("P",)) | Preparation({"B": "2"}, ((6, 4),), (6,), ("Q",), 7)
    assert both == Preparation({"A": "1", "B": "2"}, ((5, 3), (6, 4)), (5, 6), ("P", "Q"), 7)
    assert both | NOTHING == both
