"""What starts a service besides people: NAME.socket, NAME.timer, NAME.watch, made of its keys. services/README.md."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from linit import definitions, graph
from linit.definitions import Definitions
from linit.model.paths import Paths
from linit.model.place import Fault
from linit.model.runlevel import with_a_runlevel
from linit.model.service import Kind, Plan

RUN = "run: [/bin/program]\n"
FOLDER = "/usr/lib/linit/services"
Compile = Callable[..., "Machine"]


class Machine:
    """What became of some files."""

    def __init__(self, read: Definitions) -> None:
        self.read = read
        self.resolved = graph.resolve(read)
        self.services = {each.name: each for each in self.resolved.services}

    @property
    def faults(self) -> list[str]:
        found: tuple[Fault, ...] = (*self.read.faults, *self.resolved.faults)
        return [f"{fault.severity.value}: {str(fault).replace(f'{FOLDER}/', '')}" for fault in found]

    def edges(self, name: str) -> list[tuple[str, str]]:
        return [(edge.kind.value, edge.on) for edge in self.services[name].dependencies]

    def wants(self, runlevel: str) -> list[str]:
        return [edge.on for edge in self.services[runlevel].dependencies]

    def broken(self) -> set[str]:
        return {name for name, each in self.services.items() if each.broken}


@pytest.fixture
def made(tmp_path: Path) -> Compile:
    """Compiles a machine of these definitions (without .yaml), or files (from /), and entries of runlevel default."""

    def compile_machine(files: dict[str, str], *enabled: str) -> Machine:
        entries = {f"/etc/linit/runlevels/default/{name}": "" for name in enabled}
        for name, text in (
            {"/bin/program": "", "/bin/sh": "", "/etc/passwd": "root:x:0:0::/:\n"} | files | entries
        ).items():
            path = tmp_path / (name if name.startswith("/") else f"{FOLDER}/{name}.yaml")[1:]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(0o755)
        return Machine(definitions.read(Paths.system(), str(tmp_path)))

    return compile_machine


def test_a_trigger_has_the_key_of_its_service_and_the_place_of_that(made: Compile) -> None:
    found = made({"web": f"{RUN}listen: {{tcp: 80}}\nschedule: {{every: 1h}}\nwatch: /x\n"})
    web = found.services["web"]
    triggers = [found.services[f"web.{each}"] for each in ("socket", "timer", "watch")]
    assert [(each.kind, each.activates, str(each.place), each.description) for each in triggers] == [
        (Kind.SOCKET, "web", f"{FOLDER}/web.yaml:2:1", "sockets of web"),
        (Kind.TIMER, "web", f"{FOLDER}/web.yaml:3:1", "schedule of web"),
        (Kind.WATCH, "web", f"{FOLDER}/web.yaml:4:1", "paths watched for web"),
    ]
    assert [(each.listen, each.schedule, each.watch) for each in triggers] == [
        (web.listen, None, ()), ((), web.schedule, ()), ((), None, web.watch),
    ]  # fmt: skip
    assert len({each.digest for each in (web, *triggers)}) == 4
    assert found.faults == []


def test_a_service_needs_its_sockets_and_no_other_trigger(made: Compile) -> None:
    found = made({"web": f"{RUN}listen: {{tcp: 80}}\nschedule: {{every: 1h}}\nwatch: /x\nneed: db\n", "db": RUN})
    assert found.edges("web") == [("need", "db"), ("need", "web.socket")]
    assert found.services["web"].dependencies[1].implied
    assert [found.edges(f"web.{each}") for each in ("socket", "timer", "watch")] == [[], [], []]


@pytest.mark.parametrize(
    ("keys", "wanted"),
    [
        ("", ["web"]),
        ("listen: {tcp: 80}", ["web", "web.socket"]),
        ("listen: {tcp: 80, on_demand: true}", ["web.socket"]),
        ("listen: [{tcp: 80, on_demand: true}, {tcp: 81}]", ["web", "web.socket"]),
        ("schedule: {every: 1h}", ["web.timer"]),
        ("watch: /x", ["web.watch"]),
        ("schedule: {every: 1h}\nwatch: /x\nlisten: {tcp: 80}", ["web.socket", "web.timer", "web.watch"]),
        ("listen: {tcp: 80, accept: true}", ["web"]),
        ("schedule: {every: soon}", ["web"]),  # broken: the runlevel says so
    ],
)
def test_a_runlevel_wants_what_starts_a_service_or_the_service(made: Compile, keys: str, wanted: list[str]) -> None:
    found = made({"web": f"{RUN}{keys}\n"}, "web")
    assert found.wants("default") == wanted
    assert {name for name, each in found.services.items() if each.runlevels} == {"web", *wanted}
    (first,) = {str(edge.place) for edge in found.services["default"].dependencies}
    assert first == "/etc/linit/runlevels/default/web"


def test_a_trigger_alone_may_be_enabled_and_needed(made: Compile) -> None:
    found = made({"web": f"{RUN}listen: {{tcp: 80}}\n", "user": f"{RUN}need: web.socket\n"}, "web.socket")
    assert found.wants("default") == ["web.socket"]
    assert (found.services["web"].runlevels, found.services["web.socket"].runlevels) == ((), ("default",))
    assert (found.edges("user"), found.faults) == ([("need", "web.socket")], [])


def test_where_nobody_wrote_a_runlevel_one_wants_the_triggers_too(made: Compile) -> None:
    """`linit --user` with a folder of definitions alone: a backup must not run because linit starts."""
    found = made({"web": f"{RUN}listen: {{tcp: 80}}\n", "backup": f"{RUN}schedule: {{every: 1h}}\n", "b": RUN})
    plan = with_a_runlevel(Plan(found.resolved.services))
    (level,) = [each for each in plan.services if each.kind is Kind.RUNLEVEL]
    assert [edge.on for edge in level.dependencies] == ["b", "backup.timer", "web.socket", "web"]


@pytest.mark.parametrize(
    ("keys", "remains"),
    [
        ("", True),
        ("schedule: {every: 1h}", False),
        ("watch: /x", False),
        ("listen: {tcp: 80}", True),
        ("listen: {tcp: 80, on_demand: true}", False),
    ],
)
def test_a_oneshot_that_is_started_again_and_again_does_not_stay_up(made: Compile, keys: str, remains: bool) -> None:
    assert made({"a": f"kind: oneshot\n{RUN}{keys}\n"}).services["a"].remains is remains
    assert made({"a": f"{RUN}{keys}\n"}).services["a"].remains


def test_with_accept_the_service_is_the_socket(made: Compile) -> None:
    found = made({"ssh": f"{RUN}user: root\nneed: keys\nlisten: {{tcp: 22, accept: true}}\n", "keys": RUN})
    ssh = found.services["ssh"]
    assert (ssh.kind, ssh.activates, ssh.run and ssh.run.argv) == (Kind.SOCKET, "", ("/bin/program",))
    assert (ssh.execution.user, found.edges("ssh")) == ("root", [("need", "keys")])
    assert set(found.services) == {"ssh", "keys"}


def test_triggers_start_after_sysinit_as_their_service_does_and_after_the_disk_that_they_need(made: Compile) -> None:
    """What is below /run is there early; a trigger does not wait for what its service waits for."""
    found = made({
        "sysinit": "kind: runlevel\n", "localmount": f"kind: oneshot\nearly: true\n{RUN}",
        "a": f"{RUN}listen: {{unix: /run/a}}\nwatch: /var/a\nschedule: {{every: 1h, persistent: true}}\nafter: b\n",
        "b": f"{RUN}listen: {{unix: /srv/b}}\nwatch: /run/b\nschedule: {{every: 1h}}\nearly: true\n",
    })  # fmt: skip
    sysinit, localmount = ("after", "sysinit"), ("after", "localmount")
    assert {name: found.edges(name) for name in found.services if "." in name} == {
        "a.socket": [sysinit], "a.watch": [localmount, sysinit], "a.timer": [localmount, sysinit],
        "b.socket": [localmount], "b.watch": [], "b.timer": [],
    }  # fmt: skip


def test_an_instance_has_triggers_and_is_there_when_these_are_named(made: Compile) -> None:
    found = made({
        "web@": f"{RUN}listen: {{unix: '/run/web-${{instance}}'}}\n", "user": f"{RUN}need: web@a.socket\n",
    }, "web@b.socket", "web@c", "web@d.timer")  # fmt: skip
    there = {name: each.kind.value for name, each in found.services.items() if name.startswith("web")}
    assert there == {
        "web@a": "process", "web@a.socket": "socket", "web@b": "process", "web@b.socket": "socket",
        "web@c": "process", "web@c.socket": "socket", "web@d.timer": "process", "web@d.timer.socket": "socket",
    }  # fmt: skip
    assert found.services["web@a.socket"].listen[0].address == "/run/web-a"
    assert found.wants("default") == ["web@b.socket", "web@c", "web@c.socket", "web@d.timer", "web@d.timer.socket"]


def test_a_drop_in_may_bring_a_trigger_and_adds_to_its_lists(made: Compile) -> None:
    found = made({
        "a": f"{RUN}listen: {{tcp: 80}}\nwatch: /x\nwhen: {{path: /x}}\nhealth: {{script: x, interval: 3s}}\n",
        "/etc/linit/services/a.d/1.yaml": "listen: {tcp: 81}\nwatch: {exists: /y}\nwhen: [{path: /y}]\n"
                                          "health: {run: [/bin/program], retries: 9}\nschedule: {every: 1h}\n",
        "/etc/linit/services/a.d/2.yaml": "schedule: {calendar: '@daily'}\n",
    })  # fmt: skip
    a, timer = found.services["a"], found.services["a.timer"]
    assert [each.address for each in found.services["a.socket"].listen] == ["0.0.0.0:80", "0.0.0.0:81"]
    assert ([each.path for each in a.watch], [each.value for each in a.when]) == (["/x", "/y"], ["/x", "/y"])
    assert a.health is not None
    assert (a.health.probe.argv, a.health.interval_s, a.health.retries) == (("/bin/program",), 3.0, 9)
    assert timer.schedule is not None
    assert (timer.schedule.every_s, timer.schedule.calendar) == (None, ("@daily",))
    assert found.faults == []


def test_a_drop_in_of_a_trigger_is_told_where_it_belongs(made: Compile) -> None:
    files = {"a": f"{RUN}listen: {{tcp: 80}}\n", "b@": f"{RUN}watch: '/${{instance}}'\ninstances: x\n"}
    drop_ins = {f"/etc/linit/services/{name}.d/1.yaml": "nice: 3\n" for name in ("a.socket", "b@x.watch")}
    assert made(files | drop_ins).faults == [
        "warning: /etc/linit/services/a.socket.d/1.yaml: found a drop-in of 'a.socket', expected one of 'a', which has "
        "that in its definition",
        "warning: /etc/linit/services/b@x.watch.d/1.yaml: found a drop-in of 'b@x.watch', expected one of 'b@x', which "
        "has that in its definition",
    ]


# what cannot be beside each other


def test_a_service_with_the_name_of_anothers_trigger_takes_the_other_out(made: Compile) -> None:
    found = made({"web": f"{RUN}listen: {{tcp: 80}}\n", "web.socket": RUN, "user": f"{RUN}need: web.socket\n"})
    assert found.faults == [
        f"error: web.yaml:2:1: listen: found 'web.socket', which {FOLDER}/web.socket.yaml:1:1 defines, expected a name "
        "of its own; rename that service".replace(f"{FOLDER}/", "")
    ]
    assert found.broken() == {"web"}
    assert found.services["web.socket"].kind is Kind.PROCESS


def test_two_services_with_one_address_are_both_taken_out_and_told_of_each_other(made: Compile) -> None:
    """Neither has more right to it. Their sockets are not opened either."""
    found = made({
        "a": f"{RUN}listen: {{tcp: 80}}\n", "b": f"{RUN}listen: [{{tcp: 81}}, {{tcp: '0.0.0.0:80'}}]\n",
        "c": f"{RUN}listen: {{udp: 80}}\n", "d": f"{RUN}listen: {{tcp: '127.0.0.1:80'}}\n",
    })  # fmt: skip
    assert found.faults == [
        "error: a.yaml:2:9: listen: found '0.0.0.0:80', on which b listens, too (b.yaml:2:21), expected each address "
        "once; services that conflict may have the same",
        "error: b.yaml:2:21: listen: found '0.0.0.0:80', on which a listens, too (a.yaml:2:9), expected each address "
        "once; services that conflict may have the same",
    ]
    assert found.broken() == {"a", "a.socket", "b", "b.socket"}
    assert found.services["a.socket"].broken_by == found.services["a"].broken_by


def test_services_that_conflict_may_have_one_address_and_their_sockets_conflict_too(made: Compile) -> None:
    """Two web servers of which one is enabled; whichever way they say it."""
    found = made({
        "a": f"{RUN}listen: {{tcp: 80}}\nconflicts: b\n", "b": f"{RUN}listen: {{tcp: 80}}\nprovide: httpd\n",
        "c": f"{RUN}listen: {{tcp: 80, accept: true}}\nconflicts: [httpd, a]\n",
    }, "a")  # fmt: skip
    assert (found.faults, found.broken()) == ([], set())
    assert {name: found.edges(name) for name in found.services if name.endswith(".socket")} == {
        "a.socket": [("conflicts", "b.socket"), ("conflicts", "c")], "b.socket": [("conflicts", "c")],
    }  # fmt: skip
    assert found.edges("c") == [("conflicts", "a"), ("conflicts", "b")]


def test_instances_must_not_share_an_address(made: Compile) -> None:
    found = made({"a@": f"{RUN}listen: {{tcp: 80}}\ninstances: [x, y]\n"})
    assert found.faults == [
        "error: a@.yaml:2:9: listen: found '0.0.0.0:80', on which a@x listens, too (a@.yaml:2:9), expected each "
        "address once; services that conflict may have the same",
        "error: a@.yaml:2:9: listen: found '0.0.0.0:80', on which a@y listens, too (a@.yaml:2:9), expected each "
        "address once; services that conflict may have the same",
    ]


def test_the_processes_of_connections_must_not_be_called_as_instances_are(made: Compile) -> None:
    found = made({"ssh": f"{RUN}listen: {{tcp: 22, accept: true}}\n", "ssh@": RUN})
    assert found.faults == [
        "error: ssh.yaml:2:9: listen.accept: found a service beside the template 'ssh@', expected one of them; "
        "the processes of connections are named ssh@1 and so on"
    ]


def test_a_name_with_its_trigger_is_not_longer_than_a_name_may_be(made: Compile) -> None:
    name = "x" * 195
    (told,) = made({name: f"{RUN}watch: /x\n", "y" * 193: f"{RUN}watch: /y\nlisten: {{tcp: 80}}\n"}).faults
    assert told.endswith(
        f"watch: found '{'x' * 60}…', a name of 201 characters, expected at most 200; rename the service"
    )


def test_the_triggers_of_a_broken_service_are_broken(made: Compile) -> None:
    """Opening sockets that nobody will serve would keep clients waiting."""
    found = made({"a": f"{RUN}listen: {{tcp: 80}}\nnice: x\n", "b": f"{RUN}listen: {{tcp: 81}}\nneed: nobody\n"})
    assert found.broken() == {"a", "a.socket", "b", "b.socket"}
    assert found.services["b.socket"].broken_by == found.services["b"].broken_by
    assert len(found.faults) == 2


def test_a_mask_takes_a_trigger_away(made: Compile) -> None:
    """As of any service: nothing is started by it, and what needs it says so."""
    masks = {"/etc/linit/services/a.timer.yaml": "", "/etc/linit/services/b.socket.yaml": ""}
    found = made({"a": f"{RUN}schedule: {{every: 1h}}\n", "b": f"{RUN}listen: {{tcp: 80}}\n"} | masks, "a")
    assert (found.wants("default"), found.broken()) == ([], {"b"})
    assert found.faults == [
        "error: b.yaml:2:1: need: found 'b.socket', expected a defined service; it is masked by "
        "/etc/linit/services/b.socket.yaml",
        "note: /etc/linit/runlevels/default/a: found 'a.timer', expected a defined service; it is left out; it is "
        "masked by /etc/linit/services/a.timer.yaml",
    ]


# conditions on other services


def test_a_condition_on_a_service_waits_for_it(made: Compile) -> None:
    """Both may be started at once: what is looked at must have been decided."""
    found = made({"a": f"{RUN}when: [{{service: b}}, {{not: {{service: v}}}}]\n", "b": RUN, "c": f"{RUN}provide: v\n"})
    assert (found.edges("a"), found.faults) == ([("after", "b"), ("after", "v")], [])


def test_a_condition_on_nobody_is_noted(made: Compile) -> None:
    found = made({"a": f"{RUN}when: [{{service: netwrok}}, {{not: {{service: b}}}}, {{service: a}}]\n", "network": RUN})
    assert found.faults == [
        "note: a.yaml:2:8: when: found 'netwrok', expected a defined service; the condition is never met; "
        "did you mean 'network'?",
        "note: a.yaml:2:34: when: found 'b', expected a defined service; the condition is always met",
        "note: a.yaml:2:49: when: found 'a', the service itself, expected another service; the condition is never met",
    ]
    assert found.edges("a") == []


def test_generated_definitions_may_have_triggers() -> None:
    files = {"/g/a.yaml": b"run: [/bin/a]\nlisten: {tcp: 80}\n", "/g/b.yaml": b"run: [/bin/b]\nlisten: {tcp: 80}\n"}
    assert [str(fault) for fault in definitions.errors_in(files)] == [
        "/g/a.yaml:2:9: listen: found '0.0.0.0:80', on which b listens, too (/g/b.yaml:2:9), expected each address "
        "once; services that conflict may have the same",
        "/g/b.yaml:2:9: listen: found '0.0.0.0:80', on which a listens, too (/g/a.yaml:2:9), expected each address "
        "once; services that conflict may have the same",
    ]
