"""What `linitctl why` says, whole: every state and the main causes, as the real engine explains them.

Definitions are compiled, and run in virtual time that begins at 12:00:00 UTC; ctl/why.py is given the engine's account
of them, without a supervisor in between.
"""

from __future__ import annotations

import io
import os
import time
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from linitctl import why
from linitctl.failure import DENIED, Failure
from linitctl.session import Session

from linit import compiler
from linit.engine import events, explain
from linit.engine.events import Verb
from linit.engine.simulator import Behaviour, Simulator
from linit.model.paths import Paths
from linit.model.state import Finish

if TYPE_CHECKING:
    from linitctl.logs import Line

NOON_S = 1_795_003_200.0  # 2026-11-18 12:00:00 UTC
BOOT_S = 1.0  # on the engine's clock
RUN = "run: w\n"
NEVER = "restart: never\n"


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@dataclass
class Machine:
    """A machine in virtual time whose boot began at noon. `lines` are what its services wrote."""

    folder: Path
    world: Simulator

    def at(self, seconds: float) -> Machine:
        """Let it run until so long after the boot began."""
        self.world.run(until_s=BOOT_S + seconds)
        return self

    def ask(self, verb: Verb, *names: str, by: str = "root (linitctl, pid 7)", caller: str = "") -> Machine:
        """Somebody asks for something, now."""
        self.world.tell(events.Request(99, verb, names, by, caller=caller))
        return self

    def told(self, name: str, *lines: bytes, read: why.Reader | None = None, **more: float) -> str:
        """The output of `linitctl why NAME`, with the folder's name left out. `more`: what the answer has besides."""
        world = self.world
        answer = {**explain.account(world.engine, name, world.now_s), "wall_s": NOON_S + world.now_s - BOOT_S, **more}
        out = io.StringIO()
        session = Session(Namespace(user="", socket="/nobody", json=False, color="never"), out, out)
        why.show(session, answer, read or (lambda name, since_s, until_s: written(name, *lines)))
        return out.getvalue().replace(f"{self.folder}/", "")


def written(name: str, *lines: bytes) -> list[Line]:
    return [(f"2026-11-18T12:00:0{number}.000000Z", name, line) for number, line in enumerate(lines)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def booted(folder: Path, services: dict[str, str], *enabled: str, **behaviours: Behaviour) -> Machine:
    """Services by name, as YAML; those that are enabled are started at noon."""
    for below in ("services", "runlevels/default"):
        (folder / below).mkdir(parents=True)
    for name, text in services.items():
        (folder / "services" / f"{name}.yaml").write_text(text)
    for name in enabled:
        (folder / "runlevels/default" / name).touch()
    plan = compiler.build(compiler.Place(Paths.user(os.fspath(folder))))
    machine = Machine(folder, Simulator(plan, behaviours))
    machine.world.run(until_s=BOOT_S)
    return machine.ask(Verb.START, "default", by="the kernel command line")


# -- up


def test_up_by_a_runlevel(folder: Path) -> None:
    assert booted(folder, {"web": RUN}, "web").at(30).told("web") == (
        "web has been up for 29 s (since 12:00:00): wanted by runlevel default (runlevels/default/web) since "
        "12:00:00. default has been up for 29 s (since 12:00:00): asked for by the kernel command line at "
        "12:00:00.\n"
        "\n"
        "web         up  wanted by runlevel default (runlevels/default/web)\n"
        "└─ default  up  asked for by the kernel command line\n"
    )


def test_what_is_up_is_not_explained_by_what_the_runlevel_still_waits_for(folder: Path) -> None:
    """Nor are the last lines of a stranger shown."""
    here = booted(folder, {"web": RUN, "db": RUN + "ready: notify\n"}, "web", "db", db=Behaviour(takes_s=60.0)).at(2)
    assert here.told("web", b"of a stranger") == (
        "web has been up for 1 s (since 12:00:00): wanted by runlevel default (runlevels/default/web) since "
        "12:00:00. default has been waiting for 2 s (since 12:00:00): asked for by the kernel command line at "
        "12:00:00.\n"
        "\n"
        "web         up       wanted by runlevel default (runlevels/default/web)\n"
        "└─ default  waiting  asked for by the kernel command line\n"
    )


@pytest.mark.parametrize(("at_s", "words"), [(0.234, "0.23 s"), (59.0, "59.00 s"), (75.0, "1 min 15 s")])
def test_another_time_is_told_as_exactly_as_a_boot_needs_it(folder: Path, at_s: float, words: str) -> None:
    first = booted(folder, {"web": RUN}, "web").at(30).told("web", at_s=at_s).splitlines()[0]
    assert first.endswith(f":30, {words} after the beginning:")


def test_up_because_a_person_asked(folder: Path) -> None:
    here = booted(folder, {"web": RUN}).at(10).ask(Verb.START, "web", by="root (linitctl start web, pid 312)").at(75)
    assert here.told("web") == (
        "web has been up for 1 min 4 s (since 12:00:10): asked for by root (linitctl start web, pid 312) at 12:00:10.\n"
    )


def test_up_because_another_pulled_it_in(folder: Path) -> None:
    here = booted(folder, {"db": RUN, "web": RUN + "need: db\n"}, "web").at(30)
    assert here.told("db") == (
        "db has been up for 29 s (since 12:00:00): pulled in by web (services/web.yaml:2:7) since 12:00:00. "
        "web has been up for 29 s (since 12:00:00): wanted by runlevel default (runlevels/default/web) since "
        "12:00:00. default has been up for 29 s (since 12:00:00): asked for by the kernel command line at "
        "12:00:00.\n"
        "\n"
        "db             up  pulled in by web (services/web.yaml:2:7)\n"
        "└─ web         up  wanted by runlevel default (runlevels/default/web)\n"
        "   └─ default  up  asked for by the kernel command line\n"
    )


def test_up_as_the_provider_of_a_name_that_another_needs(folder: Path) -> None:
    here = booted(folder, {"postfix": RUN + "provide: mta\n", "shop": RUN + "need: mta\n"}, "shop").at(30)
    assert here.told("postfix") == (
        "postfix has been up for 29 s (since 12:00:00): pulled in by mta (services/postfix.yaml:2:10) since "
        "12:00:00. mta has been up for 29 s (since 12:00:00): pulled in by shop (services/shop.yaml:2:7) "
        "since 12:00:00. shop has been up for 29 s (since 12:00:00): wanted by runlevel default "
        "(runlevels/default/shop) since 12:00:00. default has been up for 29 s (since 12:00:00): asked for "
        "by the kernel command line at 12:00:00.\n"
        "\n"
        "postfix           up  pulled in by mta (services/postfix.yaml:2:10)\n"
        "└─ mta            up  pulled in by shop (services/shop.yaml:2:7)\n"
        "   └─ shop        up  wanted by runlevel default (runlevels/default/shop)\n"
        "      └─ default  up  asked for by the kernel command line\n"
    )
    assert here.told("mta") == (
        "mta has been up for 29 s (since 12:00:00): provided by postfix. It should be up: pulled in by shop "
        "(services/shop.yaml:2:7) since 12:00:00; shop is wanted by runlevel default "
        "(runlevels/default/shop) since 12:00:00; default was asked for by the kernel command line at "
        "12:00:00. postfix has been up for 29 s (since 12:00:00): pulled in by mta "
        "(services/postfix.yaml:2:10) since 12:00:00.\n"
        "\n"
        "mta         up  provided by postfix\n"
        "└─ postfix  up  pulled in by mta (services/postfix.yaml:2:10)\n"
    )


def test_up_after_respawns_tells_how_many_are_left(folder: Path) -> None:
    here = booted(folder, {"web": RUN}, "web", web=Behaviour(dies_after_s=5.0, death=11)).at(5.5)
    assert here.told("web") == (
        "web has been up for 0 s (since 12:00:05): wanted by runlevel default (runlevels/default/web) since "
        "12:00:00. It has used 1 of 5 respawns within 1 min, 4 are left. default has been up for 5 s (since "
        "12:00:00): asked for by the kernel command line at 12:00:00.\n"
        "\n"
        "web         up  wanted by runlevel default (runlevels/default/web)\n"
        "└─ default  up  asked for by the kernel command line\n"
    )


def test_up_since_another_day_is_told_with_the_date(folder: Path) -> None:
    assert booted(folder, {"web": RUN}, "web").at(90_000).told("web") == (
        "web has been up for 1 d (since 2026-11-18 12:00:00): wanted by runlevel default "
        "(runlevels/default/web) since 2026-11-18 12:00:00. default has been up for 1 d (since 2026-11-18 "
        "12:00:00): asked for by the kernel command line at 2026-11-18 12:00:00.\n"
        "\n"
        "web         up  wanted by runlevel default (runlevels/default/web)\n"
        "└─ default  up  asked for by the kernel command line\n"
    )


# -- waiting


def test_waiting_for_a_start(folder: Path) -> None:
    services = {"db": RUN + "ready: notify\n", "web": RUN + "need: db\n"}
    here = booted(folder, services, "web", db=Behaviour(never_ready=True)).at(12)
    assert here.told("web") == (
        "web has been waiting for 12 s (since 12:00:00): waits for db. It should be up: wanted by runlevel "
        "default (runlevels/default/web) since 12:00:00; default was asked for by the kernel command line at "
        "12:00:00. db has been starting for 12 s (since 12:00:00), 48 s left (until 12:01:00): runs, not "
        "ready yet (notify).\n"
        "\n"
        "web    waiting   waits for db\n"
        "└─ db  starting  runs, not ready yet (notify)\n"
    )


def test_waiting_for_a_conflict_to_stop(folder: Path) -> None:
    services = {"apache": RUN + "conflicts: nginx\n", "nginx": RUN}
    here = booted(folder, services, "apache", apache=Behaviour(ignores_term=True)).at(5).ask(Verb.START, "nginx").at(8)
    assert here.told("nginx") == (
        "nginx has been waiting for 3 s (since 12:00:05): waits for apache. It should be up: asked for by "
        "root (linitctl, pid 7) at 12:00:05. apache has been stopping for 3 s (since 12:00:05), 12 s left "
        "(until 12:00:20): conflicts with nginx (services/apache.yaml:2:12), which root (linitctl, pid 7) "
        "asked for at 12:00:05. It has been sent its stop signal.\n"
        "\n"
        "nginx      waiting   waits for apache\n"
        "└─ apache  stopping  conflicts with nginx (services/apache.yaml:2:12)\n"
    )
    assert here.at(60).told("apache") == (
        "apache has been down for 39 s (since 12:00:20): not down within 15 s, killed. It should be down: "
        "conflicts with nginx (services/apache.yaml:2:12), which root (linitctl, pid 7) asked for at "
        "12:00:05.\n"
    )


def test_waiting_for_a_terminal_that_another_has_while_it_starts(folder: Path) -> None:
    asks = "kind: oneshot\nrun: w\ntty: /dev/tty1\n"
    here = booted(folder, {"luks": asks, "setup": asks}, "luks", "setup", luks=Behaviour(takes_s=40)).at(5)
    assert here.told("setup") == (
        "setup has been waiting for 5 s (since 12:00:00): waits for the terminal /dev/tty1, which luks has. "
        "It should be up: wanted by runlevel default (runlevels/default/setup) since 12:00:00; default was "
        "asked for by the kernel command line at 12:00:00. luks has been starting for 5 s (since 12:00:00), "
        "55 s left (until 12:01:00): runs its command.\n"
        "\n"
        "setup    waiting   waits for the terminal /dev/tty1, which luks has\n"
        "└─ luks  starting  runs its command\n"
    )


def test_waiting_until_the_rest_of_the_boot_is_over(folder: Path) -> None:
    services = {"web": RUN + "ready: notify\n", "getty": RUN + "idle: 5\n"}
    assert booted(folder, services, "web", "getty", web=Behaviour(takes_s=9)).at(3).told("getty") == (
        "getty has been waiting for 3 s (since 12:00:00), 2 s left (until 12:00:05): waits for the boot and "
        "all else that starts. It should be up: wanted by runlevel default (runlevels/default/getty) since "
        "12:00:00; default was asked for by the kernel command line at 12:00:00.\n"
    )


# -- starting


def test_starting_tells_the_step_and_until_when(folder: Path) -> None:
    services = {"web": RUN + "pre: [[check], [prepare]]\n", "fsck": "kind: oneshot\nrun: fsck\n"}
    here = booted(folder, services, "web", "fsck", web=Behaviour(takes_s=4), fsck=Behaviour(takes_s=40)).at(5)
    assert here.told("web") == (
        "web has been starting for 5 s (since 12:00:00), 55 s left (until 12:01:00): runs its pre command 2 "
        "of 2. It should be up: wanted by runlevel default (runlevels/default/web) since 12:00:00; default "
        "was asked for by the kernel command line at 12:00:00.\n"
    )
    assert here.told("fsck") == (
        "fsck has been starting for 5 s (since 12:00:00), 55 s left (until 12:01:00): runs its command. It "
        "should be up: wanted by runlevel default (runlevels/default/fsck) since 12:00:00; default was asked "
        "for by the kernel command line at 12:00:00.\n"
    )


def test_starting_while_its_script_waits_for_a_need(folder: Path) -> None:
    services = {"db": RUN + "ready: notify\n", "web": "kind: oneshot\nrun: w\n"}
    here = booted(folder, services, "web", db=Behaviour(takes_s=20), web=Behaviour(takes_s=40)).at(2)
    here.ask(Verb.NEED, "db", by="root (linitctl need db, pid 8)", caller="web").at(5)
    assert here.told("web") == (
        "web has been starting for 5 s (since 12:00:00), 55 s left (until 12:01:00): waits for db, which its "
        "script asked for (linitctl need). It should be up: wanted by runlevel default "
        "(runlevels/default/web) since 12:00:00; default was asked for by the kernel command line at "
        "12:00:00. db has been starting for 3 s (since 12:00:02), 57 s left (until 12:01:02): runs, not "
        "ready yet (notify).\n"
        "\n"
        "web    starting  waits for db, which its script asked for (linitctl need)\n"
        "└─ db  starting  runs, not ready yet (notify)\n"
    )
    assert here.at(30).told("web") == (
        "web has been starting for 30 s (since 12:00:00), 30 s left (until 12:01:00): runs its command. It "
        "should be up: wanted by runlevel default (runlevels/default/web) since 12:00:00; default was asked "
        "for by the kernel command line at 12:00:00.\n"
    )


def test_starting_while_its_script_waits_for_a_lock(folder: Path) -> None:
    services = {"apt": "kind: oneshot\nrun: w\n", "dpkg": "kind: oneshot\nrun: w\n"}
    behaviour = Behaviour(takes_s=40)
    here = booted(folder, services, "apt", "dpkg", apt=behaviour, dpkg=behaviour).at(2)
    here.world.tell(events.LockAsked(1, "packages", "root (linitctl lock packages, pid 8)", "apt"))
    here.world.tell(events.LockAsked(2, "packages", "root (linitctl lock packages, pid 9)", "dpkg"))
    assert here.at(5).told("dpkg") == (
        "dpkg has been starting for 5 s (since 12:00:00), 55 s left (until 12:01:00): its script waits for "
        "the lock packages, which apt holds. It should be up: wanted by runlevel default "
        "(runlevels/default/dpkg) since 12:00:00; default was asked for by the kernel command line at "
        "12:00:00. apt has been starting for 5 s (since 12:00:00), 55 s left (until 12:01:00): runs its "
        "command.\n"
        "\n"
        "dpkg    starting  its script waits for the lock packages, which apt holds\n"
        "└─ apt  starting  runs its command\n"
    )


def test_starting_while_its_script_waits_for_a_lock_of_a_person(folder: Path) -> None:
    here = booted(folder, {"dpkg": "kind: oneshot\nrun: w\n"}, "dpkg", dpkg=Behaviour(takes_s=40)).at(2)
    here.world.tell(events.LockAsked(1, "packages", "root (linitctl lock packages, pid 8)"))
    here.world.tell(events.LockAsked(2, "packages", "root (linitctl lock packages, pid 9)", "dpkg"))
    assert here.at(5).told("dpkg") == (
        "dpkg has been starting for 5 s (since 12:00:00), 55 s left (until 12:01:00): its script waits for "
        "the lock packages, which root (linitctl lock packages, pid 8) holds. It should be up: wanted by "
        "runlevel default (runlevels/default/dpkg) since 12:00:00; default was asked for by the kernel "
        "command line at 12:00:00.\n"
    )


# -- failed


def test_failed_with_an_exit_status_and_the_last_lines(folder: Path) -> None:
    here = booted(folder, {"db": RUN + NEVER}, "db", db=Behaviour(dies_after_s=1.0, death=3 << 8)).at(10)
    assert here.told("db", b"opening /srv/db", b"no such file: /srv/db") == (
        "db failed 8 s ago (12:00:01): exited with status 3. With restart: never it is not started again. It "
        "should be up: wanted by runlevel default (runlevels/default/db) since 12:00:00; default was asked "
        "for by the kernel command line at 12:00:00.\n"
        "\n"
        "last lines of db:\n"
        "2026-11-18T12:00:00.000000Z opening /srv/db\n"
        "2026-11-18T12:00:01.000000Z no such file: /srv/db\n"
    )


def test_failed_by_a_signal_that_has_a_name(folder: Path) -> None:
    here = booted(folder, {"db": RUN + NEVER}, "db", db=Behaviour(dies_after_s=1.0, death=11 | 0x80)).at(10)
    assert here.told("db") == (
        "db failed 8 s ago (12:00:01): killed by SIGSEGV (core dumped). With restart: never it is not "
        "started again. It should be up: wanted by runlevel default (runlevels/default/db) since 12:00:00; "
        "default was asked for by the kernel command line at 12:00:00.\n"
        "\n"
        "db wrote nothing in that run\n"
    )


def test_failed_because_it_could_not_be_run(folder: Path) -> None:
    behaviour = Behaviour(spawn_error="execve /usr/sbin/db: ENOENT")
    assert booted(folder, {"db": RUN + NEVER}, "db", db=behaviour).at(10).told("db") == (
        "db failed 9 s ago (12:00:00): could not be run: execve /usr/sbin/db: ENOENT. With restart: never it "
        "is not started again. It should be up: wanted by runlevel default (runlevels/default/db) since "
        "12:00:00; default was asked for by the kernel command line at 12:00:00.\n"
    )


def test_failed_because_the_start_took_too_long(folder: Path) -> None:
    services = {"db": RUN + NEVER + "ready: notify\nstart_timeout: 20\n"}
    here = booted(folder, services, "db", db=Behaviour(never_ready=True)).at(60)
    assert here.told("db", b"recovering") == (
        "db failed 39 s ago (12:00:20): not up within 20 s (runs, not ready yet (notify)). With restart: "
        "never it is not started again. It should be up: wanted by runlevel default (runlevels/default/db) "
        "since 12:00:00; default was asked for by the kernel command line at 12:00:00.\n"
        "\n"
        "last lines of db:\n"
        "2026-11-18T12:00:00.000000Z recovering\n"
    )


def test_failed_because_it_will_never_be_ready(folder: Path) -> None:
    services = {"db": RUN + NEVER + "ready: {fd: 3}\n"}
    here = booted(folder, services, "db", db=Behaviour(never_ready=True)).at(2)
    here.world.tell(events.ReadinessFailed("db", "descriptor 3 was closed without a line"))
    assert here.at(5).told("db") == (
        "db failed 2 s ago (12:00:02): never became ready: descriptor 3 was closed without a line. With "
        "restart: never it is not started again. It should be up: wanted by runlevel default "
        "(runlevels/default/db) since 12:00:00; default was asked for by the kernel command line at "
        "12:00:00.\n"
        "\n"
        "db wrote nothing in that run\n"
    )


def test_failed_at_the_respawn_limit(folder: Path) -> None:
    here = booted(folder, {"db": RUN}, "db", db=Behaviour(dies_after_s=1.0, death=1 << 8)).at(100)
    assert here.told("db", b"disk full") == (
        "db failed 1 min 27 s ago (12:00:12): exited with status 1; gave up after 5 respawns within 60 s. It "
        "should be up: wanted by runlevel default (runlevels/default/db) since 12:00:00; default was asked "
        "for by the kernel command line at 12:00:00.\n"
        "\n"
        "last lines of db:\n"
        "2026-11-18T12:00:00.000000Z disk full\n"
    )


def test_failed_at_the_end_of_a_chain_of_needs_shows_the_lines_of_the_root(folder: Path) -> None:
    services = {"db": RUN + NEVER, "api": RUN + "need: db\n", "web": RUN + "need: api\n"}
    here = booted(folder, services, "web", db=Behaviour(dies_after_s=1.0, death=3 << 8)).at(10)
    assert here.told("web", b"no such disk") == (
        "web failed 8 s ago (12:00:01): needs api, which failed (services/web.yaml:2:7). It should be up: "
        "wanted by runlevel default (runlevels/default/web) since 12:00:00; default was asked for by the "
        "kernel command line at 12:00:00. api failed 8 s ago (12:00:01): needs db, which failed "
        "(services/api.yaml:2:7). db failed 8 s ago (12:00:01): exited with status 3. With restart: never it "
        "is not started again.\n"
        "\n"
        "web       failed  needs api, which failed (services/web.yaml:2:7)\n"
        "└─ api    failed  needs db, which failed (services/api.yaml:2:7)\n"
        "   └─ db  failed  exited with status 3\n"
        "\n"
        "last lines of db:\n"
        "2026-11-18T12:00:00.000000Z no such disk\n"
    )


def test_what_could_not_be_run_again_and_again_is_not_said_to_have_written_nothing(folder: Path) -> None:
    services = {"db": RUN + "restart: {policy: on_failure, delay: 1s, limit: 1}\n"}
    here = booted(folder, services, "db", db=Behaviour(spawn_error="execve /usr/sbin/db: ENOENT")).at(10)
    assert here.told("db") == (
        "db failed 8 s ago (12:00:01): could not be run: execve /usr/sbin/db: ENOENT; gave up after 1 respawn within "
        "60 s. It should be up: wanted by runlevel default (runlevels/default/db) since 12:00:00; default was asked "
        "for by the kernel command line at 12:00:00.\n"
    )


def test_what_is_needed_is_said_to_be_down_only_while_it_is(folder: Path) -> None:
    """A stop takes what needs it down first; and it may be back before that is down."""
    services = {"db": RUN, "web": RUN + "need: db\n"}
    here = booted(folder, services, "web", web=Behaviour(ignores_term=True)).at(10).ask(Verb.STOP, "db").at(12)
    line = "└─ {}  stopping  needs db, which {} (services/web.yaml:2:7)\n"
    assert here.told("db").endswith(line.format("web", "is stopping"))
    here.ask(Verb.START, "db").at(13)
    assert here.world.states()["db"] == "up"
    assert ": needs db, which was down (services/web.yaml:2:7). It has been sent its stop signal." in here.told("web")


def test_failed_because_of_a_need_that_nobody_defined(folder: Path) -> None:
    services = {"network": RUN, "web": RUN + "need: ntework\n", "shop": RUN + "need: web\n"}
    here = booted(folder, services, "shop").at(10)
    assert here.told("web") == (
        "web has failed: its definition is broken: services/web.yaml:2:7: need: found 'ntework', expected a "
        "defined service; did you mean 'network'? It should be up: pulled in by shop "
        "(services/shop.yaml:2:7) since 12:00:00; shop is wanted by runlevel default "
        "(runlevels/default/shop) since 12:00:00; default was asked for by the kernel command line at "
        "12:00:00.\n"
    )
    assert here.told("shop") == (
        "shop failed 10 s ago (12:00:00): needs web, which failed (services/shop.yaml:2:7). It should be up: "
        "wanted by runlevel default (runlevels/default/shop) since 12:00:00; default was asked for by the "
        "kernel command line at 12:00:00. web has failed: its definition is broken: services/web.yaml:2:7: "
        "need: found 'ntework', expected a defined service; did you mean 'network'?\n"
        "\n"
        "shop    failed  needs web, which failed (services/shop.yaml:2:7)\n"
        "└─ web  failed  its definition is broken: services/web.yaml:2:7: need: found 'ntework', expected a "
        "defined service; did you mean 'network'?\n"
    )


def test_failed_in_a_cycle_shows_the_whole_loop_with_its_places(folder: Path) -> None:
    services = {"a": RUN + "need: b\n", "b": RUN + "need: c\n", "c": RUN + "need: a\n", "x": RUN + "need: a\n"}
    here = booted(folder, services, "x").at(10)
    assert here.told("b") == (
        "b has failed: in a dependency cycle: b needs c (services/b.yaml:2:7), c needs a "
        "(services/c.yaml:2:7), a needs b (services/a.yaml:2:7).\n"
    )
    assert here.told("x") == (
        "x failed 10 s ago (12:00:00): needs a, which failed (services/x.yaml:2:7). It should be up: wanted "
        "by runlevel default (runlevels/default/x) since 12:00:00; default was asked for by the kernel "
        "command line at 12:00:00. a has failed: in a dependency cycle: a needs b (services/a.yaml:2:7), b "
        "needs c (services/b.yaml:2:7), c needs a (services/c.yaml:2:7).\n"
        "\n"
        "x     failed  needs a, which failed (services/x.yaml:2:7)\n"
        "└─ a  failed  in a dependency cycle: a needs b (services/a.yaml:2:7), b needs c "
        "(services/b.yaml:2:7), c needs a (services/c.yaml:2:7)\n"
    )


def test_failed_because_its_definition_is_broken_tells_every_fault(folder: Path) -> None:
    assert booted(folder, {"web": "rum: w\n"}, "web").at(10).told("web") == (
        "web has failed: its definition is broken: services/web.yaml:1:1: found unknown key 'rum', expected "
        "a key of a definition. It should be up: wanted by runlevel default (runlevels/default/web) since "
        "12:00:00; default was asked for by the kernel command line at 12:00:00. services/web.yaml:1:1: run: "
        "found nothing, expected run or script: a process runs something.\n"
    )


# -- the last lines


def test_a_service_that_wrote_nothing_and_one_whose_lines_may_not_be_read(folder: Path) -> None:
    here = booted(folder, {"db": RUN + NEVER}, "db", db=Behaviour(dies_after_s=1.0, death=3 << 8)).at(10)

    def denied(name: str, since_s: float, until_s: float | None) -> list[Line]:
        raise Failure(DENIED, f"/var/log/linit/{name}.log: Permission denied", "as root")

    assert here.told("db").endswith("\n\ndb wrote nothing in that run\n")
    assert here.told("db", read=denied).endswith(
        "\n\nwhat db wrote cannot be read: /var/log/linit/db.log: Permission denied; as root: linitctl logs db\n"
    )


def test_a_service_whose_output_is_not_in_the_log_says_where_it_went(folder: Path) -> None:
    services = {"db": RUN + NEVER + "output: console\n"}
    here = booted(folder, services, "db", db=Behaviour(dies_after_s=1.0, death=3 << 8)).at(10)
    assert here.told("db").endswith("\n\nwhat db wrote is not in the log: its output goes to console\n")


def test_the_lines_are_those_of_the_last_run_only(tmp_path: Path) -> None:
    """And the last few of these; what linit says itself is not among them. Old files count, too."""
    stamps = [f"2026-11-18T12:00:{second:02}.000000Z" for second in range(60)]
    first = [f"{stamps[0]} linit: starting", f"{stamps[1]} of the first run", f"{stamps[2]} linit: failed: killed"]
    second = [f"{stamps[10]} linit: starting", *(f"{stamps[11 + n]} line {n}" for n in range(8))]
    third = [f"{stamps[30]} linit: starting", f"{stamps[31]} of the third run"]
    path = tmp_path / "db.log"
    (tmp_path / "db.log.000001").write_text("".join(f"{line}\n" for line in [*first, *second[:5]]))
    path.write_text("".join(f"{line}\n" for line in [*second[5:], f"{stamps[20]} linit: failed: killed", *third]))

    def texts(began: int, until: int | None) -> list[str]:
        until_s = None if until is None else NOON_S + until
        return [line[2].decode() for line in why.lines_of_run("db", str(path), NOON_S + began, until_s)]

    assert texts(30, None) == ["of the third run"]
    assert texts(10, 20) == ["line 3", "line 4", "line 5", "line 6", "line 7"]
    assert texts(10, 13) == ["line 0", "line 1", "line 2"]
    assert texts(10, 59) == texts(10, 20), "the next run is not told, however late the question"
    assert texts(0, 1) == ["of the first run"]


def test_the_lines_of_a_run_that_began_right_after_another(tmp_path: Path) -> None:
    """The log process may read what a service wrote before it hears that the service was started."""
    path = tmp_path / "job.log"
    at = [f"2026-11-18T12:00:00.{each:06}Z" for each in (991000, 992000, 997000, 998000, 999000)]
    words = ["linit: starting", "of the first run", "no disk", "linit: starting", "linit: failed: exited with status 3"]
    path.write_text("".join(f"{time} {text}\n" for time, text in zip(at, words, strict=True)))
    found = why.lines_of_run("job", str(path), NOON_S + 0.996, None)
    assert [line[2] for line in found] == [b"no disk"]


def test_a_long_run_is_read_back_to_its_beginning(tmp_path: Path) -> None:
    """Its last lines by that moment may stand far before the end of the file."""
    path = tmp_path / "db.log"
    lines = [f"2026-11-18T12:{n // 60 % 60:02}:{n % 60:02}.000000Z line {n}\n" for n in range(3000)]
    path.write_text("".join(lines))
    found = why.lines_of_run("db", str(path), NOON_S + 5, NOON_S + 7)
    assert [line[2] for line in found] == [b"line 5", b"line 6", b"line 7"]


# -- down


def test_down_because_nobody_ever_wanted_it(folder: Path) -> None:
    assert booted(folder, {"web": RUN}).at(10).told("web") == ("web is down: nothing has asked for it.\n")


def test_down_because_somebody_stopped_it(folder: Path) -> None:
    here = booted(folder, {"web": RUN}, "web").at(10)
    assert here.ask(Verb.STOP, "web", by="root (linitctl stop web, pid 312)").at(75).told("web") == (
        "web has been down for 1 min 4 s (since 12:00:10): stopped by root (linitctl stop web, pid 312) at 12:00:10.\n"
    )


def test_down_because_what_it_needs_was_stopped(folder: Path) -> None:
    here = booted(folder, {"db": RUN, "web": RUN + "need: db\n"}, "web").at(10).ask(Verb.STOP, "db").at(75)
    assert here.told("web") == (
        "web has been down for 1 min 4 s (since 12:00:10): needs db, which is down (services/web.yaml:2:7). "
        "It should be up: wanted by runlevel default (runlevels/default/web) since 12:00:00; default was "
        "asked for by the kernel command line at 12:00:00. db has been down for 1 min 4 s (since 12:00:10): "
        "stopped by root (linitctl, pid 7) at 12:00:10.\n"
        "\n"
        "web    down  needs db, which is down (services/web.yaml:2:7)\n"
        "└─ db  down  stopped by root (linitctl, pid 7)\n"
    )


def test_down_because_the_runlevel_was_left(folder: Path) -> None:
    here = booted(folder, {"web": RUN, "rescue": "kind: runlevel\n"}, "web").at(10)
    assert here.ask(Verb.RUNLEVEL, "rescue").at(75).told("web") == (
        "web has been down for 1 min 4 s (since 12:00:10): not in runlevel rescue, which root (linitctl, pid "
        "7) entered at 12:00:10. rescue has been up for 1 min 5 s (since 12:00:10): asked for by root "
        "(linitctl, pid 7) at 12:00:10.\n"
        "\n"
        "web        down  not in runlevel rescue\n"
        "└─ rescue  up    asked for by root (linitctl, pid 7)\n"
    )


def test_down_because_of_a_shutdown(folder: Path) -> None:
    here = booted(folder, {"web": RUN}, "web").at(10)
    here.world.tell(events.Shutdown(Finish.HALT, "root (linitctl halt, pid 4)"))
    assert here.at(12).told("web") == (
        "web has been down for 1 s (since 12:00:10): shutdown asked for by root (linitctl halt, pid 4) at 12:00:10.\n"
    )


def test_down_because_its_last_dependent_stopped(folder: Path) -> None:
    services = {"db": RUN + "stop_when_unneeded: true\n", "web": RUN + "need: db\n"}
    here = booted(folder, services, "web").at(10).ask(Verb.STOP, "web").at(75)
    assert here.told("db") == (
        "db has been down for 1 min 4 s (since 12:00:10): not needed since web stopped. web has been down "
        "for 1 min 4 s (since 12:00:10): stopped by root (linitctl, pid 7) at 12:00:10.\n"
        "\n"
        "db      down  not needed since web stopped\n"
        "└─ web  down  stopped by root (linitctl, pid 7)\n"
    )


def test_down_because_it_ended_as_it_should(folder: Path) -> None:
    here = booted(folder, {"job": RUN}, "job", job=Behaviour(dies_after_s=3.0, death=0)).at(10)
    assert here.told("job") == (
        "job has been down for 6 s (since 12:00:03): exited with status 0. With restart: on_failure it is "
        "not started again. It ran: wanted by runlevel default (runlevels/default/job) since "
        "12:00:00; default was asked for by the kernel command line at 12:00:00.\n"
    )


# -- stopping, backoff


def test_stopping_waits_for_who_needs_it_and_tells_how_far_that_is(folder: Path) -> None:
    services = {"db": RUN, "web": RUN + "need: db\n"}
    here = booted(folder, services, "web", web=Behaviour(ignores_term=True)).at(10).ask(Verb.STOP, "db").at(13)
    assert here.told("db") == (
        "db has been stopping for 3 s (since 12:00:10): waits for web to stop. It should be down: stopped by "
        "root (linitctl, pid 7) at 12:00:10. web has been stopping for 3 s (since 12:00:10), 12 s left "
        "(until 12:00:25): needs db, which is stopping (services/web.yaml:2:7). It has been sent its "
        "stop signal.\n"
        "\n"
        "db      stopping  waits for web to stop\n"
        "└─ web  stopping  needs db, which is stopping (services/web.yaml:2:7)\n"
    )


def test_backoff_tells_when_it_starts_again_and_how_often_it_may(folder: Path) -> None:
    services = {"db": RUN + "restart: {delay: 4, limit: 3}\n"}
    here = booted(folder, services, "db", db=Behaviour(dies_after_s=1.0, death=1 << 8)).at(3)
    assert here.told("db", b"disk full") == (
        "db is to be started again in 2 s (12:00:05): exited with status 1; starts again after 4 s. It has "
        "used 1 of 3 respawns within 1 min, 2 are left. It should be up: wanted by runlevel default "
        "(runlevels/default/db) since 12:00:00; default was asked for by the kernel command line at "
        "12:00:00.\n"
        "\n"
        "last lines of db:\n"
        "2026-11-18T12:00:00.000000Z disk full\n"
    )
    assert here.at(20).told("db", b"disk full").splitlines()[0] == (
        "db is to be started again in 11 s (12:00:31): exited with status 1; starts again after 16 s. It has "
        "used 3 of 3 respawns within 1 min, none are left. It should be up: wanted by runlevel default "
        "(runlevels/default/db) since 12:00:00; default was asked for by the kernel command line at 12:00:00."
    )


def test_json_has_the_same_as_data(folder: Path) -> None:
    services = {"db": RUN + NEVER, "web": RUN + "need: db\n"}
    here = booted(folder, services, "web", db=Behaviour(dies_after_s=1.0, death=3 << 8)).at(10)
    answer = {**explain.account(here.world.engine, "web", here.world.now_s), "wall_s": NOON_S + 10}
    assert [link["name"] for link in answer["chain"]] == ["web", "db"]
    assert [(each["name"], each["reason"]["cause"]) for each in answer["wishes"]] == [
        ("web", "runlevel"),
        ("default", "requested"),
    ]
    output = why.output_of(answer, lambda name, since_s, until_s: written(name, b"no disk"))
    assert why.as_json(output) == {
        "name": "db",
        "lines": [{"time": "2026-11-18T12:00:00.000000Z", "text": "no disk"}],
        "problem": "",
    }
