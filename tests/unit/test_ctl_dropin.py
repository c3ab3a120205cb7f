"""Drop-ins that linitctl changes: what a person wrote in them stays."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some
from linitctl import dropin

COMMENTED = """\
# mine
environment: {TZ: UTC}   # as the office
need: [db,   cache]  # both
after:
  - one  # the first
  - two
use: other
"""


@pytest.mark.parametrize(
    ("text", "key", "names", "result"),
    [
        ("", "need", ["a", "b", "a"], "need: [a, b]\n"),
        ("need: a", "after", ["b"], "need: a\nafter: [b]\n"),
        ("need: a\n", "need", ["b"], "need: [a, b]\n"),
        ("need: [a]  # why\n", "need", ["b", "a"], "need: [a, b]  # why\n"),
        ("need: []\n", "need", ["a", "b"], "need: [a, b]\n"),
        ("need:\n- a\nuse: x\n", "need", ["b"], "need:\n- a\n- b\nuse: x\n"),
        ("need:\n  - a  # why", "need", ["b"], "need:\n  - a  # why\n  - b\n"),
        ("need: [a, b]\n", "need", ["b"], "need: [a, b]\n"),
    ],
)
def test_names_are_added_to_a_list_however_it_is_written(text: str, key: str, names: list[str], result: str) -> None:
    assert dropin.with_names(text, key, names) == result


@pytest.mark.parametrize(
    ("text", "key", "names", "result"),
    [
        ("need: [a, b]\n", "need", ["a"], "need: [b]\n"),
        ("need: [a, b]\nuse: c\n", "need", ["a", "b"], "use: c\n"),
        ("need: a\n", "need", ["a"], ""),
        ("need: a\n", "need", ["b"], "need: a\n"),
        ("need: a\n", "use", ["a"], "need: a\n"),
        ("need:\n  - a\n  - b  # why\n  - c\nuse: x\n", "need", ["a", "c"], "need:\n  - b  # why\nuse: x\n"),
        ("need:\n  - a\n  - b\nuse: x\n", "need", ["a", "b"], "use: x\n"),
    ],
)
def test_names_are_taken_from_a_list_and_the_last_takes_the_key_along(
    text: str, key: str, names: list[str], result: str
) -> None:
    assert dropin.without_names(text, key, names) == result


def test_comments_and_other_keys_stay_where_they_are() -> None:
    text = COMMENTED
    for key in ("need", "after", "use", "before"):
        text = dropin.with_names(text, key, ["new"])
    assert text == (
        "# mine\n"
        "environment: {TZ: UTC}   # as the office\n"
        "need: [db,   cache, new]  # both\n"
        "after:\n"
        "  - one  # the first\n"
        "  - two\n"
        "  - new\n"
        "use: [other, new]\n"
        "before: [new]\n"
    )
    for key in ("need", "after", "before"):
        text = dropin.without_names(text, key, ["new"])
    assert dropin.without_names(text, "use", ["new"]) == COMMENTED.replace("db,   cache", "db, cache").replace(
        "use: other", "use: [other]"
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("need: [a\nuse: b\n", ":2:4: not YAML: expected ',' or ']', but got ':'"),
        ("- a\n", ":1: found no lines of KEY: VALUE"),
        ("{need: a}\n", ":1: found no lines of KEY: VALUE"),
    ],
)
def test_what_cannot_be_changed_in_place_is_left_as_it_is(text: str, problem: str) -> None:
    with pytest.raises(dropin.Unreadable, match=r".") as caught:
        dropin.with_names(text, "need", ["x"])
    assert str(caught.value) == problem


NAMES = some.sampled_from(["a", "b.c", "d-e", "f@1"])
KEYS = some.sampled_from(["need", "want", "after"])


@given(some.lists(some.tuples(some.booleans(), KEYS, some.lists(NAMES, min_size=1, max_size=3)), max_size=12))
def test_adding_and_taking_is_as_with_lists(steps: list[tuple[bool, str, list[str]]]) -> None:
    """From a text with each form of list; what is read back is what plain lists would be."""
    text = "# a comment\nneed: a\nwant:\n  - b.c\nafter: [d-e]  # why\n"
    expected = {"need": ["a"], "want": ["b.c"], "after": ["d-e"]}
    for adds, key, names in steps:
        there = expected.get(key, [])
        if adds:
            text = dropin.with_names(text, key, names)
            expected[key] = list(dict.fromkeys([*there, *names]))
        else:
            text = dropin.without_names(text, key, names)
            expected[key] = [name for name in there if name not in names]
            if not expected[key]:
                del expected[key]
        assert {key: names for key, names in dropin.names_in(text).items() if names} == expected
        assert text.startswith("# a comment\n")


def test_a_candidate_is_read_by_nobody_until_it_is_put_there(tmp_path: Path) -> None:
    path = tmp_path / "web.d/override.yaml"
    first = dropin.Candidate(str(path), "need: a\n")
    assert [each.name[0] for each in path.parent.iterdir()] == ["."]
    first.drop()
    assert not path.parent.exists()
    dropin.Candidate(str(path), "need: b\n").put()
    assert dropin.read(str(path)) == "need: b\n"
    assert [each.name for each in path.parent.iterdir()] == ["override.yaml"]
    dropin.remove(str(path))
    assert not path.parent.exists()
