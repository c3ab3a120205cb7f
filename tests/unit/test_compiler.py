"""`python -m linit.compiler`: what it writes, prints and exits with. Its docstring is the specification."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from linit import compiler
from linit.model.paths import Paths
from linit.model.service import Plan
from linit.plan import codec, freshness
from linit.runtime import plans

Compile = Callable[..., int]
GOOD = "run: [/bin/sh, -c, x]\n"
BAD = "run: [/bin/sh]\nned: a\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The root of a machine with one good service enabled, written long ago."""
    folder = tmp_path / "root"
    put(folder, "/etc/passwd", "root:x:0:0::/:\n")
    put(folder, "/bin/sh", "")
    put(folder, "/usr/lib/linit/services/a.yaml", GOOD)
    put(folder, "/etc/linit/runlevels/default/a", "")
    settle(folder)
    return folder


def put(root: Path, name: str, text: str) -> None:
    path = root / name[1:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def settle(folder: Path) -> None:
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (1.6e9, 1.6e9))


def plan_of(root: Path, name: str = "/var/lib/linit/plan.msgpack") -> Plan:
    return codec.load(f"{root}{name}")


def run(*arguments: object) -> int:
    return compiler.main([str(each) for each in arguments])


def test_definitions_become_a_plan_with_places_as_the_machine_sees_them(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("compile", "--root", root) == compiler.DONE
    plan = plan_of(root)
    assert [(each.name, str(each.place), each.runlevels) for each in plan.services] == [
        ("a", "/usr/lib/linit/services/a.yaml:1:1", ("default",)), ("default", "/etc/linit/runlevels/default", ()),
    ]  # fmt: skip
    assert "/usr/lib/linit/services/a.yaml" in [source.path for source in plan.sources]
    assert not any(str(root) in source.path for source in plan.sources)
    assert capsys.readouterr().out == (
        f"{root}/var/lib/linit/plan.msgpack: compiled (2 services, 0 errors, 0 warnings, 0 notes)\n"
    )


def test_an_unchanged_tree_is_not_compiled_again(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("compile", "--root", root)
    before = (root / "var/lib/linit/plan.msgpack").stat()
    capsys.readouterr()
    assert run("compile", "--root", root) == compiler.DONE
    assert capsys.readouterr().out == (
        f"{root}/var/lib/linit/plan.msgpack: up to date (2 services, 0 errors, 0 warnings, 0 notes)\n"
    )
    after = (root / "var/lib/linit/plan.msgpack").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert run("compile", "--root", root, "--force") == compiler.DONE
    assert (root / "var/lib/linit/plan.msgpack").stat().st_ino != before.st_ino


def test_a_touched_tree_keeps_its_plan_with_the_new_times(root: Path) -> None:
    run("compile", "--root", root)
    made_at = plan_of(root).compiled_at
    path = root / "usr/lib/linit/services/a.yaml"
    os.utime(path, (1.5e9, 1.5e9))
    assert run("compile", "--root", root) == compiler.DONE
    plan = plan_of(root)
    assert plan.compiled_at == made_at
    assert [each.mtime_ns for each in plan.sources if each.path.endswith("a.yaml")] == [path.stat().st_mtime_ns]


def test_an_image_whose_files_all_have_one_time_has_a_plan_that_is_true_and_fresh(root: Path) -> None:
    """SOURCE_DATE_EPOCH: it is built again over an old plan, with a file of the old size and another one besides."""
    services = root / "usr/lib/linit/services"
    run("compile", "--root", root)
    settle(root)
    put(root, "/usr/lib/linit/services/a.yaml", GOOD.replace("x", "y"))
    put(root, "/usr/lib/linit/services/n.yaml", GOOD)
    settle(root)
    size = services.stat().st_size
    assert run("compile", "--root", root) == compiler.DONE
    plan = plan_of(root)
    assert "n" in [service.name for service in plan.services]
    settle(root)
    assert services.stat().st_size == size
    assert freshness.examine(plan.sources, str(root)) == freshness.Freshness()


def test_on_this_machine_a_time_that_was_set_hides_no_change(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "user"
    put(folder, "/services/a.yaml", "run: [/bin/sh]\n")
    settle(folder)
    run("compile", "--user", folder)
    put(folder, "/services/a.yaml", "run: [/bin/ls]\n")
    settle(folder)
    capsys.readouterr()
    assert run("compile", "--user", folder) == compiler.DONE
    assert ": compiled (" in capsys.readouterr().out
    assert run("compile", "--user", folder) == compiler.DONE
    assert ": up to date (" in capsys.readouterr().out


def test_at_boot_an_image_put_below_an_old_plan_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An update replaces the files of /usr, all of one time, and leaves /var: an hour and more after the plan was made
    they are compared by their hashes. Nobody can make a test wait for that, or set st_ctime."""
    folder = tmp_path / "user"
    put(folder, "/services/a.yaml", "run: [/bin/sh]\n")
    settle(folder)
    run("compile", "--user", folder)
    paths = Paths.user(str(folder))
    assert plans.find(paths).problem == ""
    put(folder, "/services/a.yaml", "run: [/bin/ls]\n")
    settle(folder)
    monkeypatch.setattr(freshness, "COPIED_NS", -freshness.RACY_NS)
    assert plans.find(paths).problem == f"{paths.plan} is out of date: {folder}/services/a.yaml changed"


@pytest.mark.parametrize("damage", [b"", b"linit-plan", None])
def test_a_missing_or_damaged_plan_is_made_anew(root: Path, damage: bytes | None) -> None:
    run("compile", "--root", root)
    path = root / "var/lib/linit/plan.msgpack"
    path.unlink() if damage is None else path.write_bytes(damage)
    assert run("compile", "--root", root) == compiler.DONE
    assert len(plan_of(root).services) == 2


def test_errors_are_told_and_the_plan_is_written_all_the_same(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(root, "/etc/linit/services/b.yaml", BAD)
    assert run("compile", "--root", root) == compiler.ERRORS
    fault = "/etc/linit/services/b.yaml:2:1: found unknown key 'ned', expected a key of a definition; "
    fault += "did you mean 'need'?"
    where = f"{root}/var/lib/linit/plan.msgpack"
    assert capsys.readouterr().out == f"error: {fault}\n{where}: compiled (3 services, 1 error, 0 warnings, 0 notes)\n"
    (service,) = [each for each in plan_of(root).services if each.name == "b"]
    assert (service.broken, service.broken_by) == ("definition", (fault,))
    assert run("compile", "--root", root) == compiler.ERRORS
    assert capsys.readouterr().out == f"{where}: up to date (3 services, 1 error, 0 warnings, 0 notes)\n"


def test_a_plan_goes_elsewhere_when_its_folder_cannot_be_written(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file in the place of the folder: root may write even where modes forbid it."""
    put(root, "/var/lib", "in the way")
    assert run("compile", "--root", root) == compiler.DONE
    assert len(plan_of(root, "/run/linit/plan.msgpack").services) == 2
    told = capsys.readouterr()
    assert told.err == f"{root}/var/lib/linit/plan.msgpack: the plan cannot be written (Not a directory)\n"
    assert told.out.startswith(f"{root}/run/linit/plan.msgpack: compiled (")
    assert run("compile", "--root", root) == compiler.DONE
    assert capsys.readouterr().out.startswith(f"{root}/run/linit/plan.msgpack: up to date (")


def test_a_plan_that_can_be_written_nowhere_is_told(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("compile", "--root", root, "--output", root / "etc/passwd/plan") == compiler.NOT_WRITTEN
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", f"{root}/etc/passwd/plan: the plan cannot be written (Not a directory)\n")


def test_a_failed_write_leaves_the_old_plan_and_no_litter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "plan"
    path.write_bytes(b"old")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        compiler.write(str(path), b"new")
    assert ([each.name for each in tmp_path.iterdir()], path.read_bytes()) == (["plan"], b"old")


def test_verify_prints_every_fault_in_the_order_of_files_and_writes_nothing(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(root, "/etc/linit/services/b.yaml", BAD + "run: x\n")
    put(root, "/etc/linit/services/c.yaml", "run: [/bin/none]\nuse: nobody\n")
    assert run("verify", "--root", root) == compiler.ERRORS
    assert capsys.readouterr().out.splitlines() == [
        "error: /etc/linit/services/b.yaml:2:1: found unknown key 'ned', expected a key of a definition; "
        "did you mean 'need'?",
        "error: /etc/linit/services/b.yaml:3:1: run: found the key a second time, expected each key once; "
        "the first is at /etc/linit/services/b.yaml:1:1",
        "warning: /etc/linit/services/c.yaml:1:6: run: found '/bin/none', which is not an executable file on this "
        "machine, expected an installed program; without it the service cannot start",
        "note: /etc/linit/services/c.yaml:2:6: use: found 'nobody', expected a defined service; it is left out",
        "4 services checked: 2 errors, 1 warning, 1 note",
    ]
    assert not (root / "var").exists()


def test_of_what_is_wrong_in_the_same_way_very_often_the_first_ones_are_shown_and_the_rest_is_counted(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A name that was taken away may be needed by thousands. --all and --json have them all; the status is the same."""
    needs = ", ".join(f"gone{number:05}" for number in range(2020))
    put(root, "/etc/linit/services/c.yaml", f"run: [/bin/sh]\nneed: [{needs}]\nwant: nobody\n")
    assert run("verify", "--root", root) == compiler.ERRORS
    told = capsys.readouterr().out.splitlines()
    place, words = "/etc/linit/services/c.yaml:2", "expected a defined service"
    assert told[:20] == [f"error: {place}:{8 + 11 * n}: need: found 'gone{n:05}', {words}" for n in range(20)]
    assert told[20:] == [
        "note: /etc/linit/services/c.yaml:3:7: want: found 'nobody', expected a defined service; it is left out",
        "error: need: 2,000 more of these, expected a defined service; all of them: linitctl verify --all",
        "3 services checked: 2020 errors, 0 warnings, 1 note",
    ]
    assert run("compile", "--root", root) == compiler.ERRORS
    assert len(capsys.readouterr().out.splitlines()) == 22
    assert run("verify", "--root", root, "--all") == compiler.ERRORS
    assert len(capsys.readouterr().out.splitlines()) == 2022
    assert run("verify", "--root", root, "--json") == compiler.ERRORS
    assert len(json.loads(capsys.readouterr().out)["faults"]) == 2021


def test_strict_makes_warnings_errors(root: Path) -> None:
    put(root, "/etc/linit/services/c.yaml", "run: [/bin/none]\n")
    assert run("verify", "--root", root) == compiler.DONE
    assert run("verify", "--root", root, "--strict") == compiler.ERRORS


def test_files_are_verified_by_themselves(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(root, "/b.yaml", "run: [/bin/sh]\nneed: a\n")
    assert run("verify", root / "b.yaml") == compiler.ERRORS
    assert run("verify", root / "b.yaml", root / "usr/lib/linit/services") == compiler.DONE
    assert capsys.readouterr().out == (
        f"error: {root}/b.yaml:2:7: need: found 'a', expected a defined service\n"
        "1 service checked: 1 error, 0 warnings, 0 notes\n2 services checked: 0 errors, 0 warnings, 0 notes\n"
    )


def test_a_file_to_verify_that_is_not_there_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("verify", tmp_path / "b.yaml") == compiler.ERRORS
    assert capsys.readouterr().out.startswith(
        f"error: {tmp_path}/b.yaml: found an unreadable file (No such file or directory), expected a file"
    )


def test_json_tells_programs_the_same(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(root, "/etc/linit/services/b.yaml", BAD)
    assert run("verify", "--root", root, "--json") == compiler.ERRORS
    told = json.loads(capsys.readouterr().out)
    assert told == {
        "faults": [{
            "severity": "error", "file": "/etc/linit/services/b.yaml", "line": 2, "column": 1, "key": "",
            "found": "unknown key 'ned'", "expected": "a key of a definition", "hint": "did you mean 'need'?",
            "service": "b", "text": "/etc/linit/services/b.yaml:2:1: found unknown key 'ned', expected a key of a "
            "definition; did you mean 'need'?",
        }],
        "errors": 1, "warnings": 0, "notes": 0, "services": 3,
    }  # fmt: skip
    assert run("compile", "--root", root, "--json") == compiler.ERRORS
    told = json.loads(capsys.readouterr().out)
    assert (told["output"], told["up_to_date"]) == (f"{root}/var/lib/linit/plan.msgpack", False)


@pytest.mark.parametrize("arguments", [[], ["compile", "--nothing"], ["verfy"]])
def test_wrong_usage_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        run(*arguments)
    assert (stopped.value.code, capsys.readouterr().err[:7]) == (compiler.USAGE, "usage: ")


def test_a_user_s_folder_holds_its_own_plan(tmp_path: Path) -> None:
    put(tmp_path, "/services/a.yaml", GOOD)
    assert run("compile", "--user", tmp_path) == compiler.DONE
    (service,) = plan_of(tmp_path, "/run/plan.msgpack").services
    assert str(service.place) == f"{tmp_path}/services/a.yaml:1:1"


def test_the_same_definitions_give_the_same_services_in_every_process(root: Path) -> None:
    """Sets have another order in each process (PYTHONHASHSEED); what is cut must not."""
    for number in range(9):
        after = [f"s{(number + step) % 9}" for step in (1, 2, 5)]
        put(root, f"/etc/linit/services/s{number}.yaml", f"{GOOD}after: [{', '.join(after)}]\n")
    made = []
    for seed in ("1", "2", "3"):
        output = root / f"plan{seed}"
        subprocess.run(
            [sys.executable, "-m", "linit.compiler", "compile", "--root", str(root), "--output", str(output)],
            check=True, stdout=subprocess.DEVNULL, env=os.environ | {"PYTHONHASHSEED": seed},
            cwd=Path(__file__).parents[2],
        )  # fmt: skip
        plan = codec.load(str(output))
        made.append((plan.services, plan.cuts, plan.faults))
    assert made[0] == made[1] == made[2]
    assert made[0][1]


def test_an_up_to_date_plan_is_seen_without_the_parser(root: Path) -> None:
    run("compile", "--root", root)
    code = (
        "import sys; from linit import compiler; compiler.main(['compile', '--root', sys.argv[1]]); "
        "print(*sorted({'yaml', 'networkx'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(root)], capture_output=True, text=True, check=True,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.stdout.splitlines()[1:] == [""]


def test_what_a_person_wrote_is_counted_and_not_what_follows_from_it(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Sockets, timers and provided names are services for PID 1, but nobody wrote them as such."""
    put(root, "/usr/lib/linit/services/b.yaml", f"{GOOD}listen: {{tcp: 80}}\nschedule: {{every: 1h}}\nprovide: web\n")
    assert run("compile", "--root", root) == compiler.DONE
    assert run("verify", "--root", root) == compiler.DONE
    assert capsys.readouterr().out == (
        f"{root}/var/lib/linit/plan.msgpack: compiled (3 services, 0 errors, 0 warnings, 0 notes)\n"
        "3 services checked: 0 errors, 0 warnings, 0 notes\n"
    )
    assert len(plan_of(root).services) == 6
