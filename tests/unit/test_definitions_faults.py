"""What an administrator is told about a definition that is wrong. Whole texts: services/README.md is the reference."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from linit import definitions
from linit.definitions import Definitions
from linit.definitions.folders import FILE_MAX_BYTES
from linit.model.paths import Paths
from linit.model.place import Severity

Read = Callable[..., Definitions]
RUN = "run: [/bin/program]\n"


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Reads a machine of these files (path below /usr/lib/linit/services, or from /) that has one program and user."""

    def read_machine(**files: str | bytes) -> Definitions:
        present: dict[str, str | bytes] = {
            "/etc/passwd": "root:x:0:0::/:\nredis:x:5:5::/:\n", "/etc/group": "root:x:0:\nadm:x:4:\n",
            "/bin/program": "", "/bin/sh": "",
        }  # fmt: skip
        for name, content in (present | files).items():
            path = tmp_path / (name if name.startswith("/") else f"/usr/lib/linit/services/{name}.yaml")[1:]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
            path.chmod(0o755)
        return definitions.read(Paths.system(), str(tmp_path))

    return read_machine


def texts(read: Definitions) -> list[str]:
    return [str(fault).removeprefix("/usr/lib/linit/services/") for fault in read.faults]


A_COMMAND = "run or script: a process runs something"
DURATION = "expected a duration such as 90, 1.5s, 500ms, 2min or 1h"


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("ned: [x]", "2:1: found unknown key 'ned', expected a key of a definition; did you mean 'need'?"),
        ("quux: 1", "2:1: found unknown key 'quux', expected a key of a definition"),
        (
            "run: /bin/program",
            "2:1: run: found the key a second time, expected each key once; "
            "the first is at /usr/lib/linit/services/a.yaml:1:1",
        ),
        ("script: x", "2:1: script: found both run and script, expected one of them"),
        ("stack: boot", "2:1: stack: found the key in kind process, expected it only in kind runlevel"),
        ("instances: x", "2:1: instances: found the key in a service, expected it only in a template; "
                         "the name of a template ends in '@'"),
        ("kind: proces", "2:7: kind: found 'proces', expected one of process, oneshot, forking, target, runlevel; "
                         "did you mean 'process'?"),
        ("kind: virtual", "2:7: kind: found 'virtual', expected one of process, oneshot, forking, target, runlevel"),
        ("kind: socket", "2:7: kind: found 'socket', expected one of process, oneshot, forking, target, runlevel"),
        ("need: {a: b}", "2:7: need: found a mapping, expected a name of letters, digits, '_', '.', '-' and at most "
                         "one '@' that is not the first"),
        ("need: [b, 'c d']", "2:11: need: found 'c d', expected a name of letters, digits, '_', '.', '-' and at most "
                             "one '@' that is not the first"),
        ("need:", "2:6: need: found nothing, expected a name of letters, digits, '_', '.', '-' and at most one '@' "
                  "that is not the first"),
        ("start_timeout: soon", f"2:16: start_timeout: found 'soon', {DURATION}, or never"),
        ("start_timeout: -3", f"2:16: start_timeout: found '-3', {DURATION}, or never"),
        ("start_timeout: 0", f"2:16: start_timeout: found '0', {DURATION}, more than 0, or never"),
        ("restart: {delay: 1 week}", f"2:18: restart.delay: found '1 week', {DURATION}"),
        ("restart: no", "2:10: restart: found 'no', expected one of always, on_failure, on_abnormal, never"),
        ("restart: {limt: 3}", "2:11: restart: found unknown key 'limt', expected one of policy, delay, factor, "
                               "delay_max, limit, window, healthy_after; did you mean 'limit'?"),
        ("restart: {factor: 0.5}", "2:19: restart.factor: found '0.5', expected a number from 1 to 1000"),
        ("stop_signal: TREM", "2:14: stop_signal: found 'TREM', expected a signal such as TERM, HUP or 15; "
                              "did you mean 'TERM'?"),
        ("stop_signal: [{wait: 3}]", "2:15: stop_signal: found a mapping, expected a mapping with signal and wait"),
        ("umask: 0999", "2:8: umask: found '0999', expected an octal number from 0 to 777"),
        ("nice: 30", "2:7: nice: found '30', expected a whole number from -20 to 19"),
        ("early: yes", "2:8: early: found 'yes', expected true or false"),
        ("directory: var", "2:12: directory: found 'var', expected a path that begins with /"),
        ("environment: [A=b]", "2:14: environment: found a list, expected a mapping"),
        ("environment: {A-B: c}", "2:15: environment: found 'A-B', expected a name of letters, digits and '_'"),
        ("rlimits: {nofile: [9, 3]}", "2:19: rlimits.nofile: found [soft, hard], expected a soft limit that is not "
                                      "above the hard one"),
        ("rlimits: {files: 3}", "2:11: rlimits: found 'files', expected one of as, core, cpu, data, fsize, locks, "
                                "memlock, msgqueue, nice, nofile, nproc, rss, rtprio, rttime, sigpending, stack"),
        ("ready: {fd: 2}", "2:13: ready.fd: found '2', expected a descriptor from 3 to 1023"),
        ("ready: {tcp: example.org:80}", "2:14: ready.tcp: found 'example.org:80', expected a port, or a numeric "
                                         'address and a port such as "127.0.0.1:80" or "[::1]:80"'),
        ("ready: {tcp: 80, fd: 3}", "2:8: ready: found a mapping, expected a mapping with one of fd, pidfile, tcp, "
                                    "unix, path, probe"),
        ('environment: {A: "b\\0"}', "2:18: environment.A: found 'b\\x00', expected text without NUL characters"),
        ("pre: bin/x", "2:6: pre: found 'bin/x', expected a path that begins with /, or a bare program name"),
        ("pre: 'a \"b'", "2:6: pre: found 'a \"b', expected words that a shell could split; no closing quotation"),
        ("pre: {script: x, run: y}", "2:6: pre: found a mapping, expected a mapping with either run or script"),
        ("success: {statuses: [300]}", "2:22: success.statuses: found '300', expected an exit status from 0 to 255"),
        ("description: ${vession}\nvars: {version: 3}", "2:14: description: found '${vession}', expected one of "
                                                        "${name}, ${version}; did you mean 'version'?"),
        ("post: {script: 'x ${HOME}'}", "2:16: post.script: found '${HOME}', expected one of ${name}; a shell's own "
                                        "variable is written $name or $${name}"),
        ("description: ${instance}", "2:14: description: found '${instance}', expected one of ${name}; a shell's own "
                                     "variable is written $name or $${name}"),
        ("vars: {name: x}", "2:8: vars: found 'name', expected another name; ${name} has a meaning of its own"),
        ("description: !!int 3", "2:14: found tag 'tag:yaml.org,2002:int', expected no tag; "
                                 "values are read as they are written"),
        ("[a]: b", "2:1: found a list as a key, expected text"),
        ("description: *x", "2:14: found alias '*x', expected an anchor '&x' before it; a text that begins with one of "
                            "* @ & % ! stands in quotes"),
        ("schedule: {calendar: */5 * * * *}", "2:23: found invalid YAML (while scanning an alias did not find expected "
                                              "alphabetic or numeric character), expected valid YAML; a text that "
                                              "begins with one of * @ & % ! stands in quotes"),
        ("schedule: {calendar: @daily}", "2:22: found invalid YAML (while scanning for the next token found character "
                                         "that cannot start any token), expected valid YAML; a text that begins with "
                                         "one of * @ & % ! stands in quotes"),
        ("a: b: c", "2:5: found invalid YAML (mapping values are not allowed in this context), expected valid YAML"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_told_with_place_key_found_expected_and_hint(read: Read, written: str, told: str) -> None:
    found = read(a=RUN + written)
    assert texts(found) == [f"a.yaml:{told}"]
    assert found.faults[0].severity is Severity.ERROR
    assert [(each.name, each.service.broken) for each in found.services] == [("a", "definition")]
    assert found.services[0].service.broken_by[0] == f"/usr/lib/linit/services/a.yaml:{told}"


def test_all_faults_of_all_files_are_told_together(read: Read) -> None:
    """STYLE.md: every file is read and all of them are reported together."""
    found = read(a="ned: b\nnice: x\n", b="run: ''\numask: 8\n", c=RUN)
    assert texts(found) == [
        "a.yaml:1:1: found unknown key 'ned', expected a key of a definition; did you mean 'need'?",
        f"a.yaml:1:1: run: found nothing, expected {A_COMMAND}",
        "a.yaml:2:7: nice: found 'x', expected a whole number from -20 to 19",
        "b.yaml:1:6: run: found nothing, expected text",
        "b.yaml:2:8: umask: found '8', expected an octal number from 0 to 777",
    ]
    assert [(each.name, each.service.broken) for each in found.services] == [
        ("a", "definition"), ("b", "definition"), ("c", ""),
    ]  # fmt: skip


def test_two_definitions_of_one_name_are_both_told_and_neither_is_used(read: Read) -> None:
    found = read(a="name: x\n" + RUN, b="name: x\n" + RUN)
    assert texts(found) == [
        "b.yaml:1:1: name: found 'x', which /usr/lib/linit/services/a.yaml:1:1 defines too, expected each name once; "
        "rename or remove one"
    ]
    assert [(each.name, each.service.broken) for each in found.services] == [("x", "definition")]


def test_accounts_and_programs_that_are_not_there_are_warnings(read: Read) -> None:
    """They may appear later, by a package or a mount."""
    text = "run: [/bin/progam]\nuser: rdis\ngroups: [adm, 7, wheel]\npre: nothing-like-it -x\nstop: /bin/program"
    found = read(a=text)
    assert texts(found) == [
        "a.yaml:1:6: run: found '/bin/progam', which is not an executable file on this machine, expected an installed "
        "program; without it the service cannot start",
        "a.yaml:2:7: user: found 'rdis', expected a user in /etc/passwd; did you mean 'redis'?",
        "a.yaml:3:18: group: found 'wheel', expected a group in /etc/group",
        "a.yaml:4:6: pre: found 'nothing-like-it', which is not an executable file in /usr/sbin:/usr/bin:/sbin:/bin, "
        "expected an installed program; without it the service cannot start",
    ]
    assert {fault.severity for fault in found.faults} == {Severity.WARNING}
    assert not found.services[0].service.broken


def test_a_file_that_is_not_text_or_not_small_takes_out_its_service_only(read: Read) -> None:
    found = read(latin=b"description: caf\xe9\n", big=b"#" * (FILE_MAX_BYTES + 1), control="a: \x07", ok=RUN)
    assert texts(found) == [
        f"big.yaml: found {FILE_MAX_BYTES + 1} bytes, expected at most {FILE_MAX_BYTES}",
        "control.yaml:1:4: found the control character U+0007, expected valid YAML",
        "latin.yaml:1:17: found byte 0xe9, which is not UTF-8, expected UTF-8 text",
    ]
    assert [each.name for each in found.services if each.service.broken] == ["big", "control", "latin"]


@pytest.mark.parametrize("text", ["# nothing\n", "---\n", " \n\n"])
def test_a_file_without_a_definition_is_told(read: Read, text: str) -> None:
    assert texts(read(a=text)) == [
        "a.yaml: found no definition, expected a mapping of keys to values; a file of length 0 masks a service"
    ]


def test_a_document_that_is_no_mapping_is_told(read: Read) -> None:
    assert texts(read(a="- run\n")) == ["a.yaml:1:1: found a list, expected a mapping of keys to values"]


@pytest.mark.parametrize("text", ["[" * 500_000, "{a: " * 100_000, "- " * 200_000 + "x"])
def test_no_nesting_is_too_deep_for_the_compiler(read: Read, text: str) -> None:
    """PyYAML's own composer recurses in C and ends the process here."""
    (told,) = texts(read(a=text, b=RUN))
    assert told.endswith("found more than 32 lists and mappings inside each other, expected fewer")


def test_aliases_cannot_multiply(read: Read) -> None:
    """The "billion laughs": each line repeats the one before it ten times."""
    lines = ["l0: &l0 [x]"] + [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 12)]
    assert texts(read(a="\n".join(lines))) == [
        "a.yaml:6:25: found more than 100000 values (aliases repeat what they stand for), expected fewer"
    ]


def test_an_alias_repeats_what_it_stands_for(read: Read) -> None:
    found = read(a="run: &run [/bin/program, x]\npre: *run\n")
    assert texts(found) == []
    assert found.services[0].service.pre[0].argv == ("/bin/program", "x")


def test_a_broken_document_is_named_as_it_names_itself(read: Read) -> None:
    found = read(file="name: first\n" + RUN + "---\nname: second\nrun: [x\n---\nname: third\n")
    assert [(each.name, each.service.broken) for each in found.services] == [("first", ""), ("second", "definition")]


def test_each_document_of_a_file_with_several_has_a_name(read: Read) -> None:
    found = read(file="name: first\n" + RUN + "---\n" + RUN)
    assert texts(found) == [
        "file.yaml:4:1: name: found nothing, expected a name in each document of a file with several"
    ]
    assert [each.name for each in found.services] == ["file.2", "first"]


def test_a_name_that_cannot_be_one_is_told(read: Read) -> None:
    found = read(**{"a b": RUN})
    assert texts(found) == [
        "a b.yaml:1:1: name: found the file name 'a b.yaml', expected a name of letters, digits, '_', '.', '-' and at "
        "most one '@' that is not the first"
    ]
    assert [each.name for each in found.services] == ["a_b"]


def test_a_file_name_does_nothing_to_the_terminal_that_it_is_told_on(read: Read) -> None:
    found = read(**{"a\x1b[31m\nb": RUN})
    (text,) = texts(found)
    assert text.startswith(r"a\x1b[31m\nb.yaml:1:1: name: found the file name 'a\x1b[31m\nb.yaml', expected a name of")
    assert str(found.services[0].service.place) == r"/usr/lib/linit/services/a\x1b[31m\nb.yaml:1:1"


def test_a_file_that_cannot_be_opened_takes_out_its_service_only(read: Read, tmp_path: Path) -> None:
    read(b=RUN)
    (tmp_path / "usr/lib/linit/services/a.yaml").mkdir()
    (tmp_path / "usr/lib/linit/services/c.yaml").symlink_to("nowhere")
    assert texts(read()) == [
        "a.yaml: found an unreadable file (Is a directory), expected a file that can be read",
        "c.yaml: found an unreadable file (No such file or directory), expected a file that can be read",
    ]


def test_a_file_with_the_other_suffix_is_told(read: Read) -> None:
    assert texts(read(**{"/usr/lib/linit/services/a.yml": RUN})) == [
        "a.yml: found a name ending in .yml, expected one ending in .yaml; the file is not read"
    ]
