"""The kernel command line: contract in linit/system/cmdline.py; quoting as in the kernel's kernel-parameters.rst."""

from __future__ import annotations

import pytest

from linit.system.cmdline import CommandLine, parse, words


def test_nothing_asked_for_boots_the_default_runlevel() -> None:
    assert parse("BOOT_IMAGE=/vmlinuz root=/dev/vda ro quiet console=ttyS0\n") == CommandLine(runlevel="default")


@pytest.mark.parametrize("word", ["single", "s", "S", "1"])
def test_the_words_of_other_inits_for_single_user(word: str) -> None:
    assert parse(f"root=/dev/vda {word} ro").runlevel == "single"


def test_every_key_has_its_field() -> None:
    switches = "linit.emergency linit.debug linit.quiet linit.nocolor"
    assert parse(f"linit.runlevel=boot linit.control_port=org.panux.control {switches}") == CommandLine(
        runlevel="boot",
        control_port="org.panux.control",
        emergency=True,
        debug=True,
        quiet=True,
        nocolor=True,
    )


def test_wanted_services_add_up() -> None:
    """Lists and repetitions: services/generators/wanted."""
    assert parse("linit.want=redis,nginx linit.want=crond linit.want=,redis").want == ("redis", "nginx", "crond")
    assert parse("linit.want= linit.want linit.want=,").unknown == ("linit.want=", "linit.want", "linit.want=,")


def test_of_two_equal_keys_the_last_wins() -> None:
    assert parse("linit.runlevel=boot linit.runlevel=single").runlevel == "single"
    assert parse("linit.quiet linit.quiet=0").quiet is False


def test_a_word_with_linits_name_and_no_meaning_is_kept_to_be_told() -> None:
    assert parse("linit.runlevl=boot linit.quiet=yes linit.runlevel= linit.runlevel quiet").unknown == (
        "linit.runlevl=boot",
        "linit.quiet=yes",
        "linit.runlevel=",
        "linit.runlevel",
    )


def test_quotes_protect_white_space_and_are_dropped() -> None:
    assert words('a "b c" d="e f" ""  g') == ["a", "b c", "d=e f", "", "g"]


def test_an_unclosed_quote_reaches_to_the_end() -> None:
    assert words('a "b c') == ["a", "b c"]
