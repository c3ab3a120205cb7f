"""The picture of a boot: everything in its place, and no text across another. Source: issue 5, `plot`."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import pytest

from linit.planning import boot_chart, boot_course, world
from linit.planning.boot_chart_look import SMALL, TEXT, cut, width_of
from linit.record.recorder import Mark
from linit.record.recording import Load, Recording
from tests.unit.test_analyze import SHOP, TIMES, boot, booting, recording

SVG = "{http://www.w3.org/2000/svg}"
TITLE_TEXT = 20.0


@dataclass(frozen=True)
class Box:
    """Where a text stands."""

    words: str
    left: float
    right: float
    baseline: float
    height: float

    def covers(self, other: Box) -> bool:
        """Do the two meet?"""
        beside = self.right <= other.left or other.right <= self.left
        return not beside and abs(self.baseline - other.baseline) < (self.height + other.height) / 2 * 0.8


def drawn(made: Recording) -> ElementTree.Element:
    """The picture, read as a browser would. It is XML, or this raises."""
    return ElementTree.fromstring("\n".join(boot_chart.lines(boot_course.of(made))))


def box(text: ElementTree.Element) -> Box:
    looks = text.attrib["class"].split()
    height = SMALL if "small" in looks else TITLE_TEXT if "title" in looks else TEXT
    words = text.text or ""
    width, x = width_of(words, height), float(text.attrib["x"])
    left = x - width if "right" in looks else x - width / 2 if "middle" in looks else x
    return Box(words, left, left + width, float(text.attrib["y"]), height)


def texts(picture: ElementTree.Element) -> list[Box]:
    return [box(each) for each in picture.iter(f"{SVG}text")]


def titles(picture: ElementTree.Element) -> list[str]:
    return [each.text or "" for each in picture.iter(f"{SVG}title")]


def looks(picture: ElementTree.Element, name: str) -> set[str]:
    """The classes of the bars in the row of a service."""
    (row,) = [each for each in picture.iter(f"{SVG}g") if (each.findtext(f"{SVG}title") or "").startswith(f"{name}")]
    return {each.attrib["class"] for each in row.iter(f"{SVG}rect")} - {"hit"}


def of_a_machine() -> Recording:
    """Everything that there is to draw: a kernel, CPUs, a disk."""
    made = boot(SHOP, **TIMES)
    made.marks = {Mark.KERNEL: -3.0, Mark.EXEC: -2.0, Mark.LINIT: -1.8, Mark.LOOP: 0.3}
    made.began_s = -0.1
    made.loads = [Load(0.0, 2.0, 0.2, 3.8, 2), Load(2.0, 5.0, 0.6, 4.4, 2), Load(4.5, 6.0, 0.6, 8.4, 2)]
    made.cpu_s = {"db": 1.5}
    return made


def many(count: int) -> Recording:
    """So many services with long names, some of which fail or are not over."""
    services: dict[str, Any] = {f"a-service-with-a-rather-long-name-{n:03}": {"ready": True} for n in range(count)}
    services["default"] = {"kind": "runlevel", "want": list(services)}
    machine, entries = booting(services, **{name: 0.01 * number for number, name in enumerate(services)})
    world.begin(machine)
    machine.run(until_s=0.005 * count)
    machine.end(f"a-service-with-a-rather-long-name-{count - 1:03}", 1 << 8)
    machine.run(until_s=0.007 * count)
    return recording(machine, entries)


@pytest.mark.parametrize("made", [boot(SHOP, **TIMES), of_a_machine(), many(3), many(120)])
def test_no_text_covers_another_or_leaves_the_picture(made: Recording) -> None:
    picture = drawn(made)
    width, height = (float(picture.attrib[key]) for key in ("width", "height"))
    boxes = texts(picture)
    assert [each for each in boxes if each.left < 0 or each.right > width or each.baseline > height] == []
    assert [(one.words, other.words) for one, other in itertools.combinations(boxes, 2) if one.covers(other)] == []


def test_names_are_aligned_at_the_left_of_their_bars() -> None:
    picture = drawn(of_a_machine())
    names = {each.words: each.right for each in texts(picture) if each.words in {*SHOP, "kernel", "linit"}}
    names.pop("default")
    assert names.keys() == {"kernel", "linit", "disk", "db", "cache", "shop", "mail"}
    assert len({round(right, 1) for right in names.values()}) == 1


def test_bars_say_waiting_starting_and_up_and_the_critical_path_has_a_colour_of_its_own() -> None:
    picture = drawn(of_a_machine())
    assert looks(picture, "db") == {"wait", "path", "pathcpu", "up"}
    assert looks(picture, "cache") == {"wait", "start", "up"}
    assert looks(picture, "mail") == {"start", "up"}
    links = [each for each in picture.iter(f"{SVG}path") if each.attrib["class"] == "link"]
    assert len(links) == 2, "from disk to db, and from db to shop"


def test_a_title_under_the_pointer_tells_all_of_a_service() -> None:
    made = of_a_machine()
    made.marks = {}
    assert "db\nwanted at 0.100 s (pulled in by shop (test.yaml:1:1))\nwaited 1.00 s: needs disk\n" in "".join(
        f"{title}\n" for title in titles(drawn(made))
    )
    (db,) = [title for title in titles(drawn(made)) if title.startswith("db\n")]
    assert db.splitlines()[-2:] == ["start at 1.100 s, took 3.00 s, CPU time 1.50 s", "up at 4.100 s"]


def test_the_phases_before_the_first_service_have_their_rows() -> None:
    found = [title for title in titles(drawn(of_a_machine())) if ", from " in title]
    assert found == [
        "kernel and initramfs: 1.00 s, from 0.000 s to 1.000 s",
        "interpreter: 0.20 s, from 1.000 s to 1.200 s",
        "modules and plan: 1.70 s, from 1.200 s to 2.900 s",
        "loop and control: 0.40 s, from 2.900 s to 3.300 s",
    ]


def test_the_load_stands_below_in_shares_of_all_cpus() -> None:
    found = [title for title in titles(drawn(of_a_machine())) if "busy" in title]
    assert found == [
        "0.00 s to 3.00 s: 33% busy, 3% idle for a disk",
        "3.00 s to 5.00 s: 75% busy, 10% idle for a disk",
        "5.00 s to 7.50 s: 20% busy",
    ]


def test_a_load_that_was_not_recorded_says_so() -> None:
    assert "not recorded" in [each.words for each in texts(drawn(boot(SHOP, **TIMES)))]


def test_ticks_are_round_and_neither_few_nor_crowded() -> None:
    for seconds in (0.003, 0.08, 0.9, 2.4, 17.0, 250.0):
        step_s = boot_chart.step_s(seconds)
        assert 5 <= seconds / step_s <= 14
        assert f"{step_s:e}"[0] in "125"


def test_what_failed_is_marked_and_named_at_the_top() -> None:
    machine, entries = booting(SHOP, **TIMES)
    world.begin(machine)
    machine.run(until_s=1.5)
    machine.end("mail", 1 << 8)
    world.settle(machine)
    picture = drawn(recording(machine, entries))
    assert looks(picture, "mail") == {"start", "fail"}
    assert [each.words for each in texts(picture) if each.words.endswith("5 services, 1 failed: mail")]


def test_a_boot_that_is_under_way_says_so_at_the_top() -> None:
    machine, entries = booting(SHOP, **TIMES)
    world.begin(machine)
    machine.run(until_s=2.5)
    assert titles(drawn(recording(machine, entries)))[0] == "Boot to default: not there after 2.00 s"


def test_what_stands_in_a_definition_is_no_markup() -> None:
    """A description is free text."""
    made = boot({"a": {"ready": True, "description": "<b>&\"'</b>"}}, a=1.0)
    assert any(title.startswith("a: <b>&\"'</b>\n") for title in titles(drawn(made)))


def test_a_name_that_has_no_room_keeps_its_beginning_and_its_end() -> None:
    """Instances of a template differ at the end."""
    assert cut("getty@ttyS0", width_of("getty@ttyS0", TEXT)) == "getty@ttyS0"
    found = cut("a-service-with-a-rather-long-name-044", 120.0)
    assert found == "a-servic…ame-044"
    assert width_of(found, TEXT) <= 120.0
