"""What an env_file sets: the rules of systemd.exec(5), EnvironmentFile=, which the files in /etc/default follow."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linit.runtime import environment_files


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("A=b", {"A": "b"}),
        ("A=b\nC=d\n", {"A": "b", "C": "d"}),
        ("A=one\nA=two\n", {"A": "two"}),
        ("A=\n", {"A": ""}),
        ("  A = b  \n", {"A": "b"}),
        ("A=b\r\nC=d\r\n", {"A": "b", "C": "d"}),
        ("# A=b\n;C=d\n\nE=f # no comment\n", {"E": "f # no comment"}),
        ("export A=b\nexport\tC=d\n", {"A": "b", "C": "d"}),
        ("not an assignment\n1A=b\nA-B=c\nC=d", {"C": "d"}),
        ("A='b c'\n", {"A": "b c"}),
        ("A='b\\c $D'\n", {"A": "b\\c $D"}),
        ('A="b c"\n', {"A": "b c"}),
        ('A="b \\"c\\" \\$D \\\\ \\` \\n"\n', {"A": 'b "c" $D \\ ` \\n'}),
        ('A="b\nc"\nD=e\n', {"A": "b\nc", "D": "e"}),
        ("A='b\nc'\n", {"A": "b\nc"}),
        ('A="b \\\nc"\n', {"A": "b c"}),
        ("A=b \\\nc\nD=e\n", {"A": "b c", "D": "e"}),
        ("A=b\\ \\$c\n", {"A": "b $c"}),
        ("A=b\\ \n", {"A": "b "}),
        ("A=\"b\" 'c'\n", {"A": "bc"}),
        ('A=-Dx="y z"\n', {"A": '-Dx="y z"'}),
        ("A=it's\n", {"A": "it's"}),
        ("A=$HOME/`id`\n", {"A": "$HOME/`id`"}),
        ("A=b=c\n", {"A": "b=c"}),
        ('A="b', {"A": "b"}),
        ("A=b\\", {"A": "b"}),
        ("A=", {"A": ""}),
    ],
)
def test_what_a_file_says(text: str, variables: dict[str, str]) -> None:
    assert environment_files.parse(text) == variables


NAMES = st.from_regex(r"[A-Z_][A-Z0-9_]{0,8}", fullmatch=True)


@given(st.dictionaries(NAMES, st.text().filter(lambda value: "'" not in value)))
def test_what_is_in_single_quotes_arrives_as_it_is(variables: dict[str, str]) -> None:
    text = "".join(f"{name}='{value}'\n" for name, value in variables.items())
    assert environment_files.parse(text) == variables


@given(st.text(alphabet="A=b'\"\\ \n#;$"))
def test_any_text_is_read_to_its_end(text: str) -> None:
    """And names nothing that a shell would not take as a name."""
    assert all(name.isidentifier() for name in environment_files.parse(text))


def test_a_file_need_not_be_utf_8(tmp_path: Path) -> None:
    """The bytes reach the program as they were."""
    (tmp_path / "file").write_bytes(b"A=\xff\n")
    assert environment_files.read(str(tmp_path / "file")) == {"A": "\udcff"}
