"""Keys about how a service is looked after, when it is started, and what clients connect to: services/README.md."""

from __future__ import annotations

import pytest

from linit.definitions import definition
from linit.definitions.document import parse
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
    Readiness,
    ReadinessKind,
    RestartPolicy,
    Schedule,
    Service,
    WatchedPath,
    WatchKind,
)
from linit.plan import codec

PLACE = Place("f", 2, 9)


def read(text: str, name: str = "a") -> definition.Definition:
    (document,) = parse("f", f"run: [/bin/program]\n{text}\n")
    assert document.top is not None
    return definition.read(name, document.top, tuple(document.faults))


def service(text: str, name: str = "a") -> Service:
    found = read(text, name)
    assert found.faults == ()
    return found.service


def test_a_forking_service_has_all_that_a_process_has_and_a_pidfile() -> None:
    made = service(
        "kind: forking\npidfile: /run/x.pid\nready: {tcp: 80}\npre: /bin/a\npost: /bin/b\nstop: /bin/c\n"
        "reload: {signal: HUP}\nwatchdog: 30s\nfd_store: 8\nstop_to: main"
    )
    assert (made.kind, made.pidfile, made.reload_signal) == (Kind.FORKING, "/run/x.pid", 1)
    assert made.readiness == Readiness(ReadinessKind.TCP, "127.0.0.1:80")
    assert made.restart.policy is RestartPolicy.ON_FAILURE
    assert [len(each) for each in (made.pre, made.post, made.stop)] == [1, 1, 1]
    assert (made.watchdog_s, made.fd_store) == (30.0, 8)


def test_a_reload_may_be_told_by_the_service_itself() -> None:
    made = service("reload: {signal: HUP, notify: true}")
    assert (made.reload, made.reload_signal, made.reload_notifies) == (None, 1, True)
    made = service("kind: forking\nreload: {signal: USR1}")
    assert (made.reload, made.reload_signal, made.reload_notifies) == (None, 10, False)


def test_health_is_a_command_and_how_often_it_is_asked() -> None:
    command = Command(("/bin/sh", "-e", "-c", "ping", "a"), PLACE)
    assert service("health: {script: ping}").health == Health(command, 10.0, 5.0, 3, 0.0)
    made = service("health: {script: ping, interval: 1min, timeout: 2s, retries: 1, grace: 0}").health
    assert made == Health(command, 60.0, 2.0, 1, 0.0)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("{unix: /run/x}", Listen(ListenKind.UNIX_STREAM, "/run/x", PLACE)),
        ("{unix: '@${name}'}", Listen(ListenKind.UNIX_STREAM, "@a", PLACE)),
        ("{unix_dgram: /run/x}", Listen(ListenKind.UNIX_DGRAM, "/run/x", PLACE)),
        ("{unix_seqpacket: /run/x}", Listen(ListenKind.UNIX_SEQPACKET, "/run/x", PLACE)),
        ("{fifo: /run/x}", Listen(ListenKind.FIFO, "/run/x", PLACE)),
        ("{tcp: 80}", Listen(ListenKind.TCP, "0.0.0.0:80", PLACE)),
        ("{tcp: '127.0.0.1:080'}", Listen(ListenKind.TCP, "127.0.0.1:80", PLACE)),
        ("{tcp: '[::]:80'}", Listen(ListenKind.TCP, "[::]:80", PLACE)),
        ("{udp: 53}", Listen(ListenKind.UDP, "0.0.0.0:53", PLACE)),
        (
            "{unix: /x, name: http, owner: redis, group: '7', mode: 0660, backlog: 9, on_demand: true}",
            Listen(ListenKind.UNIX_STREAM, "/x", PLACE, "http", "redis", "7", 0o660, 9, on_demand=True),
        ),
        ("{tcp: 80, accept: true, most: 9}", Listen(ListenKind.TCP, "0.0.0.0:80", PLACE, accept=True, most=9)),
    ],
)
def test_a_socket_in_each_of_its_forms(written: str, meant: Listen) -> None:
    """A port alone is on all addresses: a service that nobody reaches is not what one means by it."""
    assert service(f"listen: {written}").listen == (meant,)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("{every: 1h}", Schedule(Place("f", 2, 11), every_s=3600.0)),
        ("{after_boot: 5min}", Schedule(Place("f", 2, 11), after_boot_s=300.0)),
        ("{after_boot: 0}", Schedule(Place("f", 2, 11), after_boot_s=0.0)),
        ("{calendar: '*/5  * * * *'}", Schedule(Place("f", 2, 11), calendar=("*/5 * * * *",))),
        (
            "{calendar: ['@daily', 03:15], persistent: true}",
            Schedule(Place("f", 2, 11), calendar=("@daily", "03:15"), persistent=True),
        ),
    ],
)
def test_a_schedule_in_each_of_its_forms(written: str, meant: Schedule) -> None:
    assert service(f"schedule: {written}").schedule == meant


def test_watched_paths_in_each_of_their_forms() -> None:
    """A path alone is one that changes."""
    made = service("watch: [/a, {exists: /b}, {changes: /c}, {not_empty: /d}]").watch
    assert [(each.path, each.on, each.place.column) for each in made] == [
        ("/a", WatchKind.CHANGES, 9), ("/b", WatchKind.EXISTS, 13), ("/c", WatchKind.CHANGES, 27),
        ("/d", WatchKind.NOT_EMPTY, 42),
    ]  # fmt: skip
    assert service("watch: /a").watch == (WatchedPath("/a", WatchKind.CHANGES, Place("f", 2, 8)),)


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("{path: /etc/x}", "path /etc/x"),
        ("{cmdline: root=/dev/vda}", "cmdline root=/dev/vda"),
        ("{first_boot: true}", "first_boot"),
        ("{first_boot: false}", "not first_boot"),
        ("{virtualisation: any}", "virtualisation any"),
        ("{virtualisation: none}", "not virtualisation any"),
        ("{virtualisation: kvm}", "virtualisation kvm"),
        ("{service: b}", "service b"),
        ("{run: [/bin/test, 'a b']}", "command /bin/test 'a b'"),
        ('{script: "test -e /x\\n  test -e /y\\n"}', "command test -e /x test -e /y"),
        ("{script: exit 1, interpreter: [/bin/bash, -u]}", "command exit 1"),
        ("{not: {path: /etc/x}}", "not path /etc/x"),
        ("{not: {first_boot: false}}", "first_boot"),
        ("{not: {virtualisation: none}}", "virtualisation any"),
        ("{not: {run: [/bin/false]}}", "not command /bin/false"),
    ],
)
def test_a_condition_in_each_of_its_forms_and_as_why_tells_it(written: str, words: str) -> None:
    (made,) = service(f"when: {written}").when
    assert str(made) == words


def test_conditions_are_a_list_and_a_command_has_its_timeout() -> None:
    made = service("when: [{path: /x}, {run: [/bin/a], timeout: 3s}]").when
    assert made[0] == Condition(ConditionKind.PATH, "/x", Place("f", 2, 8))
    assert made[1].command == Command(("/bin/a",), Place("f", 2, 20), 3.0)


DURATION = "expected a duration such as 90, 1.5s, 500ms, 2min or 1h"
SOCKETS = "expected a mapping with one of unix, unix_dgram, unix_seqpacket, tcp, udp, fifo"
ADDRESS = 'expected a port, or a numeric address and a port such as "127.0.0.1:80" or "[::1]:80"'
OF_A_PATH = "expected it only with a path (unix, unix_dgram, unix_seqpacket, fifo)"
WATCHED = "expected a path, or a mapping with one of exists, changes, not_empty"
CONDITION = "expected a mapping with one of path, cmdline, first_boot, virtualisation, service, run, script, not"
ONE_EACH = "expected one of them; each connection has a process of its own"
UNHEARD = "expected another way; with private_network and chroot it does not reach the socket for that"


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("pidfile: /run/x", "2:1: pidfile: found the key in kind process, expected it only in kind forking"),
        ("kind: forking\npidfile: x", "3:10: pidfile: found 'x', expected a path that begins with /"),
        ("kind: oneshot\nwatchdog: 3", "3:1: watchdog: found the key in kind oneshot, expected it only in kind "
                                       "forking, process"),
        ("watchdog: 0", f"2:11: watchdog: found '0', {DURATION}, more than 0"),
        ("fd_store: 999", "2:11: fd_store: found '999', expected a number of descriptors from 0 to 512"),
        ("reload: {notify: true}", "2:9: reload: found a mapping, expected a mapping with signal and notify; "
                                   "a signal tells it to reload"),
        ("reload: {signal: HUP, notify: yes}", "2:31: reload.notify: found 'yes', expected true or false"),
        ("health: /bin/check", "2:9: health: found '/bin/check', expected a mapping with run, script, interpreter, "
                               "interval, timeout, retries, grace"),
        ("health: {interval: 5s}", "2:9: health: found a mapping, expected a mapping with either run or script"),
        ("health: {run: [a], retries: 0}", "2:29: health.retries: found '0', expected a whole number from 1 to 1000"),
        ("health: {run: [a], timeout: 0}", f"2:29: health.timeout: found '0', {DURATION}, more than 0"),
        ("health: {run: [a], intervall: 3}", "2:20: health: found unknown key 'intervall', expected one of run, "
                                             "script, interpreter, interval, timeout, retries, grace; "
                                             "did you mean 'interval'?"),
        ("kind: oneshot\nschedule: {every: 1h}\nhealth: {run: [a]}",
         "4:1: health: found the key together with schedule, expected one of them; "
         "with schedule a oneshot does not stay up"),
        ("private_network: true\nchroot: /x\nwatchdog: 3", f"4:11: watchdog: found sd_notify, {UNHEARD}"),
        ("private_network: true\nchroot: /x\nfd_store: 3", f"4:11: fd_store: found sd_notify, {UNHEARD}"),
        ("private_network: true\nchroot: /x\nreload: {signal: 1, notify: true}",
         f"4:9: reload: found sd_notify, {UNHEARD}"),
        ("listen: 80", f"2:9: listen: found '80', {SOCKETS}"),
        ("listen: []", f"2:9: listen: found an empty list, {SOCKETS}"),
        ("listen: {name: x}", f"2:9: listen: found a mapping, {SOCKETS}"),
        ("listen: {tcp: 80, udp: 80}", f"2:9: listen: found both tcp and udp, {SOCKETS}"),
        ("listen: {tpc: 80}", "2:10: listen: found unknown key 'tpc', expected one of unix, unix_dgram, "
                              "unix_seqpacket, tcp, udp, fifo, name, owner, group, mode, backlog, on_demand, accept, "
                              "most"),
        ("listen: {tcp: 65536}", f"2:15: listen.tcp: found '65536', {ADDRESS}"),
        ("listen: {tcp: 0}", f"2:15: listen.tcp: found '0', {ADDRESS}"),
        ("listen: {udp: 'example.org:80'}", f"2:15: listen.udp: found 'example.org:80', {ADDRESS}"),
        ("listen: {unix: run/x}", "2:16: listen.unix: found 'run/x', expected a path that begins with /, or @ and a "
                                  "name"),
        ("listen: {unix: '@'}", "2:16: listen.unix: found '@', expected a path that begins with /, or @ and a name"),
        (f"listen: {{unix: /{'x' * 107}}}", "2:16: listen.unix: found 108 bytes, expected at most 107 bytes"),
        ("listen: {fifo: '@x'}", "2:16: listen.fifo: found '@x', expected a path that begins with /"),
        ("listen: {unix: /x, mode: 0888}", "2:26: listen.mode: found '0888', expected an octal number from 0 to 777"),
        ("listen: {unix: /x, mode: rw}", "2:26: listen.mode: found 'rw', expected an octal number from 0 to 777"),
        ("listen: {tcp: 80, owner: root}", f"2:19: listen.owner: found the key for tcp, {OF_A_PATH}"),
        ("listen: {unix: '@x', mode: 600}", f"2:22: listen.mode: found the key for unix, {OF_A_PATH}"),
        ("listen: {udp: 53, backlog: 5}", "2:19: listen.backlog: found the key for udp, expected it only with unix, "
                                          "unix_seqpacket or tcp"),
        ("listen: {udp: 53, accept: true}", "2:19: listen.accept: found the key for udp, expected it only with unix "
                                            "or tcp"),
        ("listen: {tcp: 80, most: 5}", "2:19: listen.most: found the key for tcp, expected it only with accept: true"),
        ("listen: {tcp: 80, accept: true, most: 0}", "2:39: listen.most: found '0', expected a number of connections "
                                                     "from 1 to 10000"),
        ("listen: {tcp: 80, name: 'a:b'}", "2:25: listen.name: found 'a:b', expected at most 255 ASCII characters, "
                                           "none of them ':'"),
        ("listen: [{tcp: 80}, {tcp: '0.0.0.0:80'}]", "2:21: listen: found '0.0.0.0:80', which f:2:10 has, expected "
                                                     "each address once"),
        ("listen: [{unix: /x}, {fifo: /x}]", "2:22: listen: found '/x', which f:2:10 has, expected each address once"),
        ("listen: [{tcp: 80, accept: true}, {tcp: 81}]", "2:10: listen: found accept beside others, expected it "
                                                         "alone; a service each for the others"),
        ("kind: oneshot\nlisten: {tcp: 80, accept: true}", "3:1: listen.accept: found it in kind oneshot, expected "
                                                           "kind process; each connection has a process of its own"),
        ("restart: always\nlisten: {tcp: 80, accept: true}",
         f"2:1: restart: found the key together with 'accept: true', {ONE_EACH}"),
        ("schedule: {every: 1h}\nlisten: {tcp: 80, accept: true}",
         f"2:1: schedule: found the key together with 'accept: true', {ONE_EACH}"),
        ("listen: [{tcp: 80}, {tcp: 81}]\nready: {fd: 4}",
         "3:8: ready.fd: found '4', expected 5 or more; descriptors 3 to 4 are handed over for listen"),
        ("listen: {tcp: 80}\nready: {fd: 3}",
         "3:8: ready.fd: found '3', expected 4 or more; descriptor 3 is handed over for listen"),
        ("fd_store: 2\nlisten: {tcp: 80}\nready: {fd: 5}",
         "4:8: ready.fd: found '5', expected 6 or more; descriptors 3 to 5 are handed over for listen and fd_store"),
        ("schedule: {}", "2:11: schedule: found an empty mapping, expected a mapping with every, after_boot or "
                         "calendar"),
        ("schedule: 1h", "2:11: schedule: found '1h', expected a mapping with every, after_boot, calendar, persistent"),
        ("schedule: {calendar: []}", "2:11: schedule: found a mapping, expected a mapping with every, after_boot or "
                                     "calendar"),
        ("schedule: {after_boot: 3, persistent: true}", "2:11: schedule: found 'persistent', expected persistent only "
                                                        "together with every or calendar"),
        ("schedule: {every: 0}", f"2:19: schedule.every: found '0', {DURATION}, more than 0"),
        ("schedule: {calendar: ['@daily', '61 * * * *']}", "2:33: schedule.calendar: found '61' for the minute, "
                                                           "expected a number from 0 to 59"),
        ("watch: x", "2:8: watch: found 'x', expected a path that begins with /"),
        ("watch: []", f"2:8: watch: found an empty list, {WATCHED}"),
        ("watch: {exists: /x, changes: /x}", f"2:8: watch: found a mapping, {WATCHED}"),
        ("watch: [/x, {exist: /y}]", "2:14: watch: found unknown key 'exist', expected one of exists, changes, "
                                     "not_empty; did you mean 'exists'?"),
        ("watch: {changes: y}", "2:18: watch.changes: found 'y', expected a path that begins with /"),
        ("when: /x", f"2:7: when: found '/x', {CONDITION}"),
        ("when: {path: /x, cmdline: y}", f"2:7: when: found a mapping, {CONDITION}"),
        ("when: {pth: /x}", "2:8: when: found unknown key 'pth', expected one of path, cmdline, first_boot, "
                            "virtualisation, service, run, script, not; did you mean 'path'?"),
        ("when: {cmdline: a b}", "2:17: when.cmdline: found 'a b', expected a word of the kernel command line, such "
                                 "as single or root=/dev/vda1"),
        ("when: {virtualisation: KVM}", "2:24: when.virtualisation: found 'KVM', expected any, none, or a name such "
                                        "as kvm, qemu, container or docker"),
        ("when: {not: {not: {path: /x}}}", "2:13: when: found 'not' in a not, expected a condition"),
        ("when: [{path: /x}, {not: {path: x}}]", "2:33: when.not.path: found 'x', expected a path that begins with /"),
        ("when: {run: [x], script: y}", "2:7: when: found a mapping, expected a mapping with either run or script"),
        ("when: {script: x, path: /y}", "2:19: when: found unknown key 'path', expected one of run, script, "
                                        "interpreter, timeout"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_place_and_what_would_be_right(written: str, told: str) -> None:
    assert [str(fault) for fault in read(written).faults] == [f"f:{told}"]


def test_all_of_it_travels_in_the_plan() -> None:
    for number, text in enumerate(
        (
            "kind: forking\npidfile: /run/x.pid\nwatchdog: 30s\nfd_store: 8\nreload: {signal: HUP, notify: true}",
            "health: {run: [/bin/check], interval: 1s, timeout: 2s, retries: 4, grace: 3s}",
            "listen: [{unix: /x, name: n, owner: o, group: g, mode: 0600, backlog: 3, on_demand: true}, {tcp: 80}]",
            "listen: {tcp: 80, accept: true, most: 3}",
            "kind: oneshot\nschedule: {every: 1h, after_boot: 3s, calendar: '@daily', persistent: true}\nwatch: /x",
            "when: [{path: /x}, {not: {run: [/bin/a], timeout: 2s}}, {first_boot: true}]",
        )
    ):
        found = read(text, f"s{number}")
        services = tuple(sorted((found.service, *found.triggers), key=lambda each: each.name))
        assert codec.decode(codec.encode(Plan(services))).services == services


def test_a_reload_sees_a_change_where_it_matters() -> None:
    """When the clock starts a service concerns its timer, and not the service that may be running."""
    plain = read("kind: oneshot\nschedule: {every: 1h}\nwatch: /x")
    timer, watch = plain.triggers
    other = read("kind: oneshot\nschedule: {every: 2h}\nwatch: /x")
    assert other.service.digest == plain.service.digest
    assert [each.digest == old.digest for each, old in zip(other.triggers, (timer, watch), strict=True)] == [
        False,
        True,
    ]
    sockets = [read(f"listen: {{tcp: {port}}}") for port in (80, 81)]
    assert len({each.service.digest for each in sockets} | {each.triggers[0].digest for each in sockets}) == 4


@pytest.mark.parametrize(
    "text", ["pidfile: /run/y", "watchdog: 3", "fd_store: 3", "health: {run: [a]}", "when: {path: /x}",
             "reload: {signal: HUP, notify: true}", "listen: {unix: '@x'}"],
)  # fmt: skip
def test_each_key_is_part_of_what_a_reload_compares(text: str) -> None:
    assert service(f"kind: forking\n{text}").digest != service("kind: forking").digest
