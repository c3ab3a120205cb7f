"""A listing of 10,000 services: no answer of PID 1 is large, and nobody waits for another's listing."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from linitctl.client import Client
from linitctl.progress import Movers

from linit.control import frames, messages
from linit.control.connection import QUEUE_MAX_BYTES
from linit.control.messages import NOTIFICATION, PAGE_MAX

from .control_world import World, error_of, result_of, service, world

COUNT = 10_000
NAMES = [f"s{number:05}" for number in range(COUNT)]


@pytest.fixture(scope="module")
def large() -> Iterator[World]:
    with world(*(service(name) for name in NAMES)) as here:
        yield here


def test_the_pages_of_a_listing_are_all_services_in_their_order(large: World) -> None:
    talker = large.client()
    found: list[str] = []
    page = result_of(talker, "list")
    while True:
        assert len(page["services"]) <= PAGE_MAX
        assert len(frames.response(1, None, page)) < QUEUE_MAX_BYTES
        found += [record["name"] for record in page["services"]]
        if not page["more"]:
            break
        page = result_of(talker, "list", after=found[-1])
    assert found == NAMES


def test_a_page_has_as_many_as_were_asked_for_after_a_name_that_need_not_exist(large: World) -> None:
    talker = large.client()
    page = result_of(talker, "list", after="s00041x", most=3)
    assert ([record["name"] for record in page["services"]], page["more"]) == (["s00042", "s00043", "s00044"], True)
    page = result_of(talker, "list", after=NAMES[-2], most=1)
    assert ([record["name"] for record in page["services"]], page["more"]) == ([NAMES[-1]], False)
    assert result_of(talker, "list", after=NAMES[-1]) == {"services": [], "more": False}
    for most in (0, PAGE_MAX + 1):
        message = error_of(talker, "list", most=most)["message"]
        assert message == f"list: most: found {most}, expected 1 to {PAGE_MAX}"


def test_of_a_listing_with_keys_a_service_is_the_list_of_their_values(large: World) -> None:
    talker = large.client()
    page = result_of(talker, "list", after=NAMES[-2], keys=["name", "state", "cause", "waits_for", "name"])
    assert page == {"services": [[NAMES[-1], "down", "never_wanted", [], NAMES[-1]]], "more": False}
    assert result_of(talker, "list", after=NAMES[-1], keys=["name"]) == {"services": [], "more": False}
    whole = result_of(talker, "list", after=NAMES[-2])["services"][0]
    assert result_of(talker, "list", after=NAMES[-2], keys=list(whole))["services"] == [list(whole.values())]
    assert error_of(talker, "list", keys=["name", "colour"])["message"] == (
        "list: keys: found 'colour', expected some of name, kind, state, desired, description, text, reason, pid, "
        "pids, since_s, duration_s, restarts, runlevels, outdated, broken, transient, activates, waits_for, cause"
    )


def test_who_subscribes_gets_the_first_page(large: World) -> None:
    talker = large.client()
    page = result_of(talker, "subscribe")
    assert (len(page["services"]), page["more"]) == (PAGE_MAX, True)
    large.start(NAMES[-1])
    frame = talker.frame()
    assert frame is not None and frame[:2] == [NOTIFICATION, messages.TRANSITION]


def test_another_client_is_answered_between_two_pages(large: World) -> None:
    lister, other = large.client(), large.client()
    lister.ask("list")
    other.ask("runlevel")
    assert other.frame() is not None
    page = lister.frame()
    assert page is not None and page[3]["more"]


def test_linitctl_lists_and_counts_all_of_them(large: World) -> None:
    listed = json.loads(large.ctl("list", "--all", "--json").out)
    assert [record["name"] for record in listed] == NAMES
    assert sum(json.loads(large.ctl("status", "--json").out)["counts"].values()) == COUNT


def test_a_change_between_two_pages_is_newer_than_the_page_before_it() -> None:
    """Each page is taken before the next is asked for, so what is told meanwhile is not overwritten."""
    movers = Movers(0.0)
    pages = {"": ("a", True), "a": ("b", False)}

    class Paged(Client):
        def __init__(self) -> None:
            """Connects to nobody."""

        def call(self, method: str, params: object = None, timeout_s: float | None = None) -> dict[str, object]:
            movers.note("transition", {"name": "a", "after": "up", "text": ""})
            return page("a")

    def page(after: str) -> dict[str, object]:
        name, more = pages[after]
        return {"services": [{"name": name, "state": "starting", "text": "", "since_s": 0.0}], "more": more}

    for record in Paged().all_services(page("")):
        movers.begin(record)
    assert movers.line(5.0, 5.0) == "[5 s] b: starting for 5 s"
