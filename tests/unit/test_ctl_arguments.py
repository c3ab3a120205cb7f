"""linitctl reads plain command lines without argparse (ctl/arguments.py), and to the same result."""

from __future__ import annotations

import contextlib
import io
import shlex
from argparse import ArgumentParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from linitctl import main
from linitctl.arguments import Reader
from linitctl.status import command_text

COMMON = ["--json", "--socket", "/s", "--socket=/s", "--user", "d", "--color", "never", "--color=always", "--color=x"]
WORDS = ["a", "b", "", "-", "--", "-1", "now", "3", "2.5", "-h", "--help", "--none", "--al", "x=y", "a b", "-fn"]


def words_of(name: str) -> list[str]:
    """Every option that a command has, with and without a value, and words that mean nothing to it."""
    parser = ArgumentParser(add_help=False)
    main.load(name).arguments(parser)
    options = [option for action in parser._actions for option in action.option_strings]
    choices = [choice for action in parser._actions for choice in action.choices or ()]
    return [*options, *(f"{option}=3" for option in options), *choices, *WORDS, *COMMON]


def parsed(name: str, line: list[str]) -> dict[str, Any] | None:
    """As argparse understands it; None when that ends the program."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            return vars(main.parsed(name, main.load(name), line))
        except SystemExit:
            return None


@pytest.mark.parametrize("name", main.COMMANDS)
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_what_is_read_without_argparse_is_what_argparse_reads(name: str, data: st.DataObject) -> None:
    line = data.draw(st.lists(st.sampled_from(words_of(name)), max_size=5))
    options = main.read(main.load(name), line)
    assert options is None or vars(options) == parsed(name, line)


@pytest.mark.parametrize(
    "line",
    [
        "list", "list 'getty*' --json", "list --all --runlevel default", "status", "status nginx", "why nginx",
        "start nginx redis", "start --no-wait nginx", "stop redis --no-cascade", "restart --only net", "runlevel",
        "logs -f -n 0 nginx redis", "kill -s HUP syslog", "kill -s KILL --all nginx", "deps --flat nginx",
        "enable --now sshd --runlevel boot", "shutdown -r now", "poweroff", "report --by-time", "run --env A=b true",
        "record save x --boot 1", "lock backup true", "watch", "version --color=never", "start x --user /srv/shop",
    ],
)  # fmt: skip
def test_the_common_commands_need_no_argparse(line: str) -> None:
    name, *words = shlex.split(line)
    options = main.read(main.load(name), words)
    assert options is not None
    assert vars(options) == parsed(name, words)


@pytest.mark.parametrize("line", ["list -h", "list --help", "start", "why a b", "kill", "status --none", "list --al"])
def test_help_and_mistakes_are_left_to_argparse(line: str) -> None:
    name, *words = shlex.split(line)
    assert main.read(main.load(name), words) is None


def test_of_options_that_exclude_each_other_one_is_read() -> None:
    reader = Reader()
    group = reader.add_mutually_exclusive_group()
    group.add_argument("--main", dest="to", action="store_const", const="main")
    group.add_argument("--all", dest="to", action="store_const", const="all")
    options = reader.read(["--all"])
    assert options is not None and vars(options) == {"to": "all"}
    assert reader.read(["--all", "--main"]) is None


@given(st.lists(st.text(st.characters(blacklist_characters="\n")), min_size=1))
def test_a_command_is_shown_as_a_shell_would_read_it(argv: list[str]) -> None:
    assert command_text(argv) == shlex.join(argv)
