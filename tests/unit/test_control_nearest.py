"""Which name was meant: linit/control/nearest.py."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linit.control.nearest import DISTANCE_MAX, nearest

KNOWN = ["dropbear", "getty@ttyS0", "getty@ttyS1", "network", "nginx", "ntpd", "redis", "syslog"]


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("ngnx", "nginx"),  # a letter left out
        ("nginxx", "nginx"),  # one too many
        ("ngixn", "nginx"),  # two swapped
        ("NGINX", "nginx"),
        ("netwrok", "network"),
        ("rediz", "redis"),
        ("getty", "getty@ttyS0"),  # the beginning of several: the first in order
        ("drop", "dropbear"),
        ("nt", ""),
        ("postgres", ""),
        ("", ""),
        ("x" * 1000, ""),
    ],
)
def test_a_slip_or_a_beginning_finds_the_name(word: str, meant: str) -> None:
    assert nearest(word, KNOWN) == meant


def test_a_beginning_is_rather_meant_than_a_slip() -> None:
    assert nearest("stat", ["start", "status", "stop"]) == "status"


@given(st.sampled_from(KNOWN).filter(lambda name: len(name) >= 6), st.data())
def test_a_name_with_one_letter_left_out_is_found(name: str, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(name) - 1))
    word = name[:position] + name[position + 1 :]
    found = nearest(word, KNOWN)
    assert found == name or {found, name} == {"getty@ttyS0", "getty@ttyS1"}


@given(st.text(max_size=12), st.lists(st.text(max_size=12), max_size=5))
def test_what_is_found_is_known_and_near_in_length(word: str, known: list[str]) -> None:
    found = nearest(word, known)
    assert not found or found in known
    assert not found or abs(len(found) - len(word)) <= DISTANCE_MAX or found.startswith(word.lower())
