"""What a person sees of sockets, timers and watched paths, and of the other keys of supervision; whole texts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from linit.engine.events import Triggered
from linit.model.place import Place
from linit.model.service import (
    Command,
    Condition,
    ConditionKind,
    Health,
    Kind,
    Listen,
    ListenKind,
    Plan,
    Schedule,
    Service,
    WatchedPath,
    WatchKind,
)

from .control_world import Ran, World, runlevel, service, world

HERE = Place("services/web.yaml", 3, 9)
SOCKET = Listen(ListenKind.TCP, "0.0.0.0:80", HERE, on_demand=True)
HOURLY = Schedule(HERE, every_s=3600.0)


def trigger(name: str, **fields: object) -> Service:
    activates, _, suffix = name.rpartition(".")
    kind = Kind(suffix)
    return Service(name, HERE, kind, f"{suffix} of {activates}", activates=activates, digest=name, **fields)  # type: ignore[arg-type]


WEB = [
    service("backup", kind=Kind.ONESHOT, description="saves all", schedule=HOURLY, remains=False,
            runlevels=("default",)),
    trigger("backup.timer", schedule=HOURLY, runlevels=("default",)),
    service("web", ("need", "web.socket"), description="HTTP server", listen=(SOCKET,), runlevels=("default",)),
    service("web-ui", description="for people", runlevels=("default",)),
    trigger("web.socket", listen=(SOCKET,), runlevels=("default",)),
    runlevel("default", "backup.timer", "web.socket", "web-ui"),
]  # fmt: skip


def booted(here: World) -> World:
    """A minute after a boot."""
    here.supervisor.words_of_triggers = {
        "backup.timer": ["next: Sun 2026-11-22 03:00 (in 5 h)", "last: not known"],
        "web.socket": ["listens on tcp 0.0.0.0:80 (fd web)"],
    }
    here.start("default")
    here.loop.now_s += 61
    return here


def test_list_shows_what_starts_a_service_below_it_with_what_that_waits_for() -> None:
    with world(*WEB) as here:
        assert booted(here).ctl("list") == Ran(
            0,
            "NAME            STATE  PID        FOR    TOOK  DESCRIPTION\n"
            "backup          down        1 min 1 s          saves all\n"
            "  backup.timer  up          1 min 1 s  0.00 s  next: Sun 2026-11-22 03:00 (in 5 h), last: not known\n"
            "web             down        1 min 1 s          HTTP server\n"
            "  web.socket    up          1 min 1 s  0.00 s  listens on tcp 0.0.0.0:80 (fd web)\n"
            "web-ui          up     101  1 min 1 s  0.00 s  for people\n",
            "",
        )
        assert here.ctl("list", "socket").out.splitlines()[1].startswith("web.socket  up")


def test_the_status_of_the_system_counts_triggers_apart_from_services() -> None:
    with world(*WEB) as here:
        booted(here).ctl("stop", "web.socket")
        assert here.ctl("status").out.splitlines()[1:3] == ["services  1 up, 2 down", "triggers  1 up, 1 down"]
        told = json.loads(here.ctl("status", "--json").out)
        assert (told["counts"], told["triggers"]) == ({"up": 1, "down": 2}, {"up": 1, "down": 1})


def test_a_reload_says_what_the_restart_of_a_socket_costs() -> None:
    """It is the only trigger that is not changed at once, and that only where it gets another address."""
    with world(*WEB) as here:
        booted(here)
        daily = trigger("backup.timer", schedule=Schedule(HERE, calendar=("0 3 * * *",)))
        moved = trigger("web.socket", listen=(replace(SOCKET, address="0.0.0.0:8080"),))
        changed = {each.name: replace(each, digest="changed") for each in (daily, moved)}
        here.supervisor.next_plan = Plan(tuple(changed.get(each.name, each) for each in WEB))
        assert here.ctl("reload") == Ran(
            0,
            "changed   backup.timer\n"
            "outdated  web.socket\n"
            "to put it to use: linitctl restart web.socket\n"
            "which closes web.socket for a moment: clients are refused meanwhile\n",
            "",
        )


def test_list_says_which_condition_is_not_met() -> None:
    with world(service("web", description="HTTP server", when=(Condition(ConditionKind.PATH, "/x", HERE),))) as here:
        here.supervisor.unmet["web"] = "path /x does not exist (services/web.yaml:3:9)"
        assert here.ctl("start", "web").status == 0
        text = "a condition is not met: path /x does not exist (services/web.yaml:3:9)"
        assert here.ctl("list", "web").out.splitlines()[1] == f"web   down        0 s        {text}"


def test_status_of_a_trigger_says_what_it_starts_and_waits_for() -> None:
    with world(*WEB) as here:
        assert booted(here).ctl("status", "backup.timer") == Ran(
            0,
            "backup.timer: up for 1 min 1 s, took 0.00 s\n"
            "  description  timer of backup\n"
            "  starts       backup\n"
            "  reason       wanted by runlevel default (runlevels/default/backup.timer)\n"
            "  waits for    next: Sun 2026-11-22 03:00 (in 5 h)\n"
            "  waits for    last: not known\n"
            "  runlevels    default\n"
            "  definition   services/web.yaml:3:9\n",
            "",
        )


def test_status_of_a_service_says_what_starts_it_and_how_it_is_looked_after() -> None:
    check = Health(Command(("/bin/check", "a b"), HERE), interval_s=30.0, retries=2)
    conditions = (Condition(ConditionKind.PATH, "/etc/web", HERE), Condition(ConditionKind.FIRST_BOOT, "", HERE, True))
    web = service(
        "web", listen=(SOCKET,), kind=Kind.FORKING, pidfile="/run/web.pid", health=check, watchdog_s=30.0,
        when=conditions,
    )  # fmt: skip
    with world(web, trigger("web.socket", listen=(SOCKET,))) as here:
        here.supervisor.words_of_triggers = {"web.socket": ["listens on tcp 0.0.0.0:80 (fd web)"]}
        here.start("web.socket")
        assert here.ctl("status", "web") == Ran(
            0,
            "web: down for 0 s\n"
            "  reason      nothing has asked for it\n"
            "  triggers    web.socket (up): listens on tcp 0.0.0.0:80 (fd web)\n"
            "  condition   path /etc/web\n"
            "  condition   not first_boot\n"
            "  pidfile     /run/web.pid\n"
            "  health      /bin/check 'a b', every 30 s; 2 failures in a row count\n"
            "  watchdog    at least every 30 s\n"
            "  restarts    never\n"
            "  timeouts    start 60 s, stop 15 s\n"
            "  definition  services/web.yaml\n",
            "",
        )


def test_the_system_counts_services_and_not_what_starts_them() -> None:
    with world(*WEB) as here:
        assert "  1 up, 2 down\n" in booted(here).ctl("status").out
        here.supervisor.exits["web.socket"] = 1
        here.ctl("restart", "web.socket")
        assert "  web.socket: could not be run: its address is taken\n" in here.ctl("status").out


def test_why_leads_from_the_service_over_its_trigger_to_the_runlevel() -> None:
    with world(*WEB) as here:
        booted(here)
        here.supervisor.dispatch(Triggered("web.socket", "a client of tcp 0.0.0.0:80"))
        assert here.ctl("why", "web") == Ran(
            0,
            "web has been up for 0 s (since CLOCK): started by web.socket: a client of tcp 0.0.0.0:80 at CLOCK. "
            "web.socket has been up for 1 min 1 s (since CLOCK): wanted by runlevel default "
            "(runlevels/default/web.socket) since CLOCK. "
            "default has been up for 1 min 1 s (since CLOCK): asked for by the test at CLOCK.\n"
            "\n"
            "web            up  started by web.socket: a client of tcp 0.0.0.0:80\n"
            "└─ web.socket  up  wanted by runlevel default (runlevels/default/web.socket)\n"
            "   └─ default  up  asked for by the test\n",
            "",
        )


def test_why_does_not_say_that_it_is_over_of_what_is_started_again() -> None:
    with world(*WEB) as here:
        booted(here)
        here.supervisor.dispatch(Triggered("backup.timer", "every 1 h"))
        assert here.ctl("why", "backup").out == (
            "backup has been down for 0 s (since CLOCK): exited with status 0. "
            "It ran: started by backup.timer: every 1 h at CLOCK; "
            "backup.timer is wanted by runlevel default (runlevels/default/backup.timer) since CLOCK; "
            "default was asked for by the test at CLOCK. "
            "backup.timer starts it by the clock, and is armed: next: Sun 2026-11-22 03:00 (in 5 h), last: not known.\n"
        )
        assert here.ctl("status", "backup").out.splitlines()[2:5] == [
            "  reason       exited with status 0",
            "  it ran       started by backup.timer: every 1 h",
            "  triggers     backup.timer (up): next: Sun 2026-11-22 03:00 (in 5 h), last: not known",
        ]


def test_why_says_what_would_start_what_was_never_started_and_whether_that_is_armed() -> None:
    spool = service("mail", description="", watch=(WatchedPath("/spool", WatchKind.NOT_EMPTY, HERE),))
    early = trigger("shop.socket", listen=(replace(SOCKET, on_demand=False),))
    with world(*WEB, spool, trigger("mail.watch", watch=spool.watch), service("shop"), early) as here:
        assert here.ctl("why", "web").out == (
            "web is down: nothing has asked for it. "
            "web.socket would start it at the first client, but is down: nothing has asked for it.\n"
        )
        booted(here).supervisor.exits["mail.watch"] = 1
        here.ctl("start", "mail.watch")
        here.start("shop.socket")
        assert here.ctl("why", "web").out == (
            "web is down: nothing has asked for it. "
            "web.socket starts it at the first client, and is armed: listens on tcp 0.0.0.0:80 (fd web).\n"
        )
        assert here.ctl("why", "mail").out == (
            "mail is down: nothing has asked for it. mail.watch would start it when one of its paths says so, "
            "but is failed: could not be run: its address is taken.\n"
        )
        assert here.ctl("why", "shop").out == "shop is down: nothing has asked for it.\n"
        assert json.loads(here.ctl("why", "web", "--json").out)["triggers"] == [
            {
                "name": "web.socket", "kind": "socket", "state": "up", "starts": True,
                "text": "wanted by runlevel default (runlevels/default/web.socket)",
                "waits_for": ["listens on tcp 0.0.0.0:80 (fd web)"],
            }
        ]  # fmt: skip


def test_whoever_stops_a_service_is_told_what_may_start_it_again() -> None:
    with world(*WEB) as here:
        booted(here).start("web")
        assert here.ctl("stop", "web") == Ran(
            0, "web: stopped by WHO\n", "web.socket may start web again: linitctl stop web.socket\n"
        )
        assert here.ctl("stop", "web", "web.socket") == Ran(0, "web: stopped by WHO\nweb.socket: stopped by WHO\n", "")


@pytest.mark.parametrize(
    ("names", "up", "down"),
    [
        (["web"], ["web.socket"], ["web"]),
        (["backup"], ["backup.timer"], ["backup"]),
        (["backup.timer"], ["backup.timer"], []),
    ],
)
def test_enable_now_starts_what_a_runlevel_would_and_disable_now_all_of_it(
    names: list[str], up: list[str], down: list[str]
) -> None:
    with world(*WEB) as here:
        folder = Path(here.folder)
        (folder / "services").mkdir()
        (folder / "runlevels/default").mkdir(parents=True)
        for name in ("web", "backup"):
            (folder / f"services/{name}.yaml").write_text("run: /bin/true\n")
        here.supervisor.next_plan = here.plan
        assert here.ctl("enable", "--now", *names).status == 0
        assert [here.state(name) for name in up] == ["up"] * len(up)
        assert [here.state(name) for name in down] == ["down"] * len(down)
        here.start("web")
        assert here.ctl("disable", "--now", *names).status == 0
        assert [here.state(name) for name in (*up, *down)] == ["down"] * len(up + down)


def test_an_override_of_a_trigger_is_one_of_its_service() -> None:
    with world(*WEB) as here:
        assert here.ctl("override", "web.socket", "--after", "web-ui") == Ran(
            1, "", "linitctl: web.socket is made of the definition of web\nlinitctl override web\n"
        )
