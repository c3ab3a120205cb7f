"""Who may do what: linit/control/authorisation.py. The credentials are the kernel's: SO_PEERCRED, unix(7)."""

from __future__ import annotations

import os
import socket
from typing import Any

import pytest

from linit.control.authorisation import Peer, asker, may_write, peer_of, printable
from linit.control.messages import PROTOCOL
from linit.control.signatures import METHODS

from .control_world import Talker, service, world

ROOT = Peer(pid=312, uid=0, gid=0)
ALICE = Peer(pid=400, uid=1000, gid=1000)
HOST = Peer.host("linit.0")


def test_the_kernel_says_who_connected() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert peer_of(ours) == Peer(os.getpid(), os.geteuid(), os.getegid())


def test_root_writes_and_in_user_mode_the_user_whose_supervisor_it_is() -> None:
    assert may_write(ROOT, "system")
    assert not may_write(ALICE, "system", own_uid=1000)
    assert may_write(ALICE, "user", own_uid=1000)
    assert may_write(ROOT, "user", own_uid=1000)
    assert not may_write(ALICE, "user", own_uid=1001)
    assert may_write(HOST, "system")


@pytest.mark.parametrize(
    ("peer", "client", "text"),
    [
        (ROOT, "linitctl stop nginx", "root (linitctl stop nginx, pid 312)"),
        (ROOT, "", "root (pid 312)"),
        (ALICE, "linitctl list", "uid 1000 (linitctl list, pid 400)"),
        (HOST, "vm-tests", "the host (linit.0) (vm-tests)"),
        (HOST, "", "the host (linit.0)"),
    ],
)
def test_who_asks_is_said_in_words(peer: Peer, client: str, text: str) -> None:
    assert asker(peer, client) == text


def test_what_a_client_calls_itself_cannot_act_on_a_terminal_and_is_bounded() -> None:
    assert printable("linitctl \x1b[31mstop\n") == "linitctl ?[31mstop?"
    assert printable("x" * 300, limit=10) == "xxxxxxxxx…"


def greet(talker: Talker, client: str = "a test") -> dict[str, Any]:
    error, result = talker.call("hello", client=client, protocol=PROTOCOL)
    assert error is None
    return dict(result)


def test_hello_tells_what_one_may_do() -> None:
    with world(service("net"), mode="system") as here:
        assert greet(here.talker_of(ROOT))["may_write"] is True
        answer = greet(here.talker_of(ALICE))
        assert (answer["uid"], answer["may_write"]) == (1000, False)


def test_anybody_reads_and_only_root_writes() -> None:
    with world(service("net"), mode="system") as here:
        alice = here.talker_of(ALICE).hello()
        for name, method in METHODS.items():
            if name == "hello":
                continue
            sample = {"name": "net", "names": ["net"], "finish": "halt", "topics": ["told"]}
            params = {key: value for key, value in sample.items() if key in method.parameters and name != "runlevel"}
            error, _ = alice.call(name, **params)
            assert (error["code"] if error else "") == ("denied" if method.writes else ""), name
        assert here.state("net") == "down"
        error, _ = alice.call("start", names=["net"])
        assert error == {"code": "denied", "message": "uid 1000 may not call start", "hint": "only root may"}


def test_asking_for_the_runlevel_is_free_and_switching_it_is_not() -> None:
    with world(service("net"), mode="system") as here:
        alice = here.talker_of(ALICE).hello()
        assert alice.call("runlevel")[0] is None
        error, _ = alice.call("runlevel", name="default")
        assert error["message"] == "uid 1000 may not switch the runlevel"


def test_who_asked_is_known_to_the_engine_by_the_kernels_word_and_the_clients_own() -> None:
    with world(service("net"), mode="system") as here:
        talker = here.talker_of(ROOT)
        greet(talker, "linitctl start net\x07")
        talker.call("start", names=["net"])
        assert here.supervisor.asked_by == ["root (linitctl start net?, pid 312)"]
