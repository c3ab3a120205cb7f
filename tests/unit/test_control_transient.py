"""Services that somebody makes at run time: the method `run`, and `linitctl run`."""

from __future__ import annotations

from typing import Any

import pytest

from linit.control.messages import NAMED, NOTIFICATION
from linit.control.transient import NAME_MAX, SIZE_MAX_BYTES, free_name, is_name
from linit.definitions import definition
from linit.definitions import values as definition_values
from linit.model.service import RestartPolicy

from .control_world import NOTIFY, WEB, Ran, error_of, result_of, service, world


def test_a_command_runs_as_a_service_and_is_gone_when_it_has_ended() -> None:
    with world(*WEB) as here:
        talker = here.client()
        result = result_of(talker, "run", name="sync", argv=["/bin/rsync", "-a"], need=["net"], want=["cache"])
        assert (result["outcome"], result["name"]) == ("done", "sync")
        assert (here.state("sync"), here.state("net"), here.state("cache")) == ("up", "up", "up")
        record = result_of(talker, "status", name="sync")
        assert (record["transient"], record["description"], record["run"]) == (
            True,
            "/bin/rsync -a",
            ["/bin/rsync", "-a"],
        )
        result_of(talker, "stop", names=["sync"])
        assert "sync" not in here.supervisor.engine.units


def test_a_oneshot_is_answered_when_it_has_ended_and_is_gone_then() -> None:
    with world() as here:
        assert result_of(here.client(), "run", name="job", argv=["true"], oneshot=True)["outcome"] == "done"
        assert "job" not in here.supervisor.engine.units


def test_one_that_failed_stays_until_somebody_resets_it() -> None:
    with world() as here:
        here.supervisor.exits["job"] = 3 << 8
        talker = here.client()
        result = result_of(talker, "run", name="job", argv=["false"], oneshot=True)
        assert (result["outcome"], result["results"][0]["text"]) == ("failed", "failed: exited with status 3")
        assert here.state("job") == "failed"
        result_of(talker, "reset", names=["job"])
        assert "job" not in here.supervisor.engine.units


def test_everything_that_is_asked_for_is_in_the_service() -> None:
    with world(service("net")) as here:
        result_of(
            here.client(), "run", name="job", argv=["/bin/job"], restart="on_failure", user="www", directory="/srv",
            environment={"A": "1", "B": ""}, description="the job", need=["net", "net"],
        )  # fmt: skip
        made = here.supervisor.engine.units["job"].service
        assert (made.restart.policy, made.description) == (RestartPolicy.ON_FAILURE, "the job")
        execution = made.execution
        assert (execution.user, execution.directory, execution.environment) == ("www", "/srv", (("A", "1"), ("B", "")))
        assert [(edge.kind.value, edge.on) for edge in made.dependencies] == [("need", "net")]


def test_without_a_name_the_first_free_one_is_chosen_and_told_before_the_answer() -> None:
    with world(service("slow", readiness=NOTIFY), service("run-sleep-1")) as here:
        here.supervisor.held.add("slow")
        talker = here.client()
        talker.ask("run", argv=["/bin/sleep", "5"], need=["slow"])
        assert talker.frame() == [NOTIFICATION, NAMED, [{"name": "run-sleep-2"}]]
        assert here.state("run-sleep-2") == "waiting"
        other = here.client()
        result = result_of(other, "run", argv=["/bin/sleep", "5"], need=["slow"], wait=False)
        assert (result["outcome"], result["name"]) == ("accepted", "run-sleep-3")


def test_an_unknown_need_is_told_with_the_nearest_name_and_nothing_is_made() -> None:
    with world(service("net")) as here:
        error = error_of(here.client(), "run", name="job", argv=["job"], need=["nte"])
        assert (error["code"], error["near"]) == ("unknown_service", "net")
        assert "job" not in here.supervisor.engine.units


def test_a_name_in_use_is_refused() -> None:
    with world(service("web")) as here:
        here.start("web")
        talker = here.client()
        error = error_of(talker, "run", name="web", argv=["w"])
        assert (error["code"], error["message"]) == ("not_possible", "the name is taken: web is up")
        assert error_of(talker, "run", name="x" * (NAME_MAX + 1), argv=["w"])["code"] == "bad_params"


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, "run: argv: missing, expected a list of texts"),
        ({"argv": [""]}, "run: argv: found no program"),
        ({"argv": ["a\0b"]}, "run: found a NUL character, which execve(2) cannot pass on"),
        ({"argv": ["x"] * 1025}, "run: argv: found 1025 words, at most 1024"),
        (
            {"argv": ["x" * SIZE_MAX_BYTES]},
            f"run: argv and environment have {SIZE_MAX_BYTES + 1} bytes, at most {SIZE_MAX_BYTES}",
        ),
        ({"argv": ["x"], "need": "net"}, "run: need: found 'net', expected a list of texts, which may be empty"),
        ({"argv": ["x"], "environment": {"A": 1}}, "run: environment: found {'A': 1}, expected a map of texts"),
        (
            {"argv": ["x"], "environment": {"A-B": "1"}},
            "run: environment: found 'A-B', expected a name of letters, digits and '_'",
        ),
        (
            {"argv": ["x"], "restart": "often"},
            "run: restart: found 'often', expected one of always, on_failure, on_abnormal, never",
        ),
        ({"argv": ["x"], "directory": "tmp"}, "run: directory: found 'tmp', expected an absolute path"),
        (
            {"argv": ["x"], "name": "a/b"},
            "run: name: found 'a/b', expected letters, digits, '_', '.', '-' and at most one '@' that is not the first",
        ),
    ],
)
def test_parameters_are_checked_before_anything_is_made(params: dict[str, Any], message: str) -> None:
    with world(service("net")) as here:
        error = error_of(here.client(), "run", **params)
        assert (error["code"], error["message"]) == ("bad_params", message)
        assert set(here.supervisor.engine.units) == {"net"}


def test_a_run_that_its_own_service_would_wait_for_for_ever_is_refused_and_makes_nothing() -> None:
    with world(service("web", readiness=NOTIFY)) as here:
        here.supervisor.held.add("web")
        here.start("web")
        here.supervisor.caller = "web"
        result = result_of(here.client(), "run", name="job", argv=["job"], need=["web"])
        assert (result["outcome"], result["name"]) == ("refused", "")
        assert "job" not in here.supervisor.engine.units


@pytest.mark.parametrize(
    "text", ["a", "a.b-c_d", "a@b", "a@", "@a", "", "a b", "a@b@c", "é", "a\n", "x" * 200, "x" * 201]
)
def test_a_name_is_one_if_a_definition_could_have_it(text: str) -> None:
    """The rule is written twice, since PID 1 knows nothing of definitions."""
    assert is_name(text) is (definition.is_name(text) and len(text) <= definition_values.NAME_MAX)


def test_a_chosen_name_is_one_whatever_the_program_is_called() -> None:
    for program in ("/bin/sleep", "a b", "/", "x" * 300, "naïve@home"):
        assert is_name(free_name(program, ())), program
    assert free_name("/bin/sleep", {"run-sleep-1"}) == "run-sleep-2"


# -- linitctl run


def test_linitctl_run_prints_the_name_and_nothing_else() -> None:
    with world(service("net")) as here:
        command = ("run", "--need", "net", "--env", "A=b", "--", "/bin/sleep", "--json", "5")
        assert here.ctl(*command) == Ran(0, "run-sleep-1\n", "")
        made = here.supervisor.engine.units["run-sleep-1"].service
        assert made.run is not None and made.run.argv == ("/bin/sleep", "--json", "5")
        here.supervisor.exits["job"] = 1 << 8
        assert here.ctl("run", "--name", "job", "--oneshot", "--", "false") == Ran(
            1, "job\n", "job: failed: exited with status 1\nsee: linitctl why job; linitctl logs job\n"
        )
        assert here.ctl("run", "--name", "net", "--", "x") == Ran(
            1, "", "linitctl: the name is taken: net is up\nwithout --name a free one is chosen\n"
        )
        assert here.ctl("run", "--env", "A", "--", "x") == Ran(
            2, "", "linitctl: --env: found 'A', expected NAME=VALUE\n"
        )


def test_a_transient_service_is_marked_where_services_are_shown() -> None:
    with world() as here:
        here.ctl("run", "--name", "job", "--", "/bin/job")
        assert "  definition   linitctl run, by WHO (transient)\n" in here.ctl("status", "job").out
        assert here.ctl("list").out.splitlines()[1].endswith("  /bin/job (transient)")
