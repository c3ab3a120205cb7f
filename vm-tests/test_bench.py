"""The parts of the boot benchmark that need neither packages nor a machine."""

from __future__ import annotations

import json
import xml.etree.ElementTree
from dataclasses import replace
from pathlib import Path

import pytest

from panux.bench import peers
from panux.bench.command import chosen_peers
from panux.bench.graph import SERVICES, critical_path_s, graph_set, lower_bound_s, waits_s, work_s
from panux.bench.guest import used_ranges
from panux.bench.job import LAST, Job, JobSet, ends, in_order, reduced
from panux.bench.measure import Process, Run, kept_running, parsed
from panux.bench.peers import busybox, finit, linit, openrc, runit, s6, shepherd, systemd, sysvinit
from panux.bench.peers.peer import Tree
from panux.bench.picture import picture
from panux.bench.profile import Profile, Wave, parsed_notes, profile_text, waves_of
from panux.bench.real import real_set
from panux.bench.results import Comparison, Series, as_json, from_json, ranked
from panux.bench.table import later_boots, table
from panux.faults import PanuxError
from panux.places import REPOSITORY

CLOCK = Job("clock", ("/usr/bin/hwclock", "-s"))
WEB = Job(
    "web", ("/usr/sbin/web", "-f"), after=("clock",), daemon=True, background=("/usr/sbin/web",),
    pidfile="/run/web.pid", ready="tcp", ready_value="127.0.0.1:80", stop_signal="QUIT",
)  # fmt: skip
STORE = Job(
    "store", ("/usr/bin/store", "a b"), after=("clock",), daemon=True, ready="notify", user="redis", umask="007",
    directory="/var/lib/store", open_files=100,
)  # fmt: skip
UP = Job(LAST, ("/usr/lib/bench/up",), after=("web", "store"))
SMALL = JobSet("small", (CLOCK, WEB, STORE, UP))


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """A root with the programs that a configuration looks for."""
    made = Tree(tmp_path)
    made.write("etc/rc.conf", "")
    made.write("usr/lib/rc/sh/start-stop-daemon.sh", "eval start-stop-daemon --start\n")
    made.write("etc/group", "")
    made.folder("etc/finit.d")
    return made


def text(tree: Tree, path: str) -> str:
    """A file of the tree."""
    return (tree.root / path).read_text()


# --- the sets


def test_the_same_seed_gives_the_same_graph_and_another_seed_another() -> None:
    """A figure of today is to be compared with one of next year."""
    assert graph_set(7) == graph_set(7)
    assert graph_set(7) != graph_set(8)
    assert len(graph_set(7).jobs) == SERVICES + 1


def test_the_last_service_comes_after_all_others() -> None:
    """Each is waited for, directly or through another."""
    jobs = graph_set()
    before = {job.name: set(job.after) for job in jobs.jobs}
    reached, todo = set[str](), [LAST]
    while todo:
        todo += before[todo.pop()] - reached
        reached |= set(todo)
    assert reached == set(before) - {LAST}


def test_the_bound_is_the_longest_chain_or_the_work_divided_by_the_cores() -> None:
    """No schedule is shorter than either; what sleeps is no work."""
    sleeper = Job("z", ("/usr/bin/sleep", "2.000"))
    jobs = JobSet("graph", (Job("a", ("x",)), Job("b", ("x",), after=("a",)), Job("c", ("x",)), sleeper))
    alone_s = {"a": 1.0, "b": 2.0, "c": 4.0, "z": 2.01}
    assert critical_path_s(jobs, alone_s) == (4.0, ("c",))
    assert critical_path_s(jobs, {**alone_s, "b": 3.5}) == (4.5, ("a", "b"))
    assert waits_s(sleeper) == 2.0
    assert work_s(jobs, alone_s) == pytest.approx(7.01)
    assert lower_bound_s(jobs, alone_s, cores=1) == pytest.approx(7.01)
    assert lower_bound_s(jobs, alone_s, cores=2) == 4.0


def test_jobs_are_put_in_order_and_a_loop_is_named() -> None:
    """A loop cannot be started by anybody."""
    late, soon = Job("late", ("x",), after=("soon",)), Job("soon", ("x",))
    assert in_order([late, soon]) == (soon, late)
    with pytest.raises(ValueError, match=r"these wait for each other, or for what is not there: \['late'\]"):
        in_order([late])


def test_an_order_is_written_with_the_fewest_words() -> None:
    """What follows from another edge is left out; who waits for the ends waits for all."""
    jobs = [Job("a", ("x",)), Job("b", ("x",), after=("a",)), Job("c", ("x",), after=("a", "b"))]
    shorter = reduced(jobs)
    assert [job.after for job in shorter] == [(), ("a",), ("b",)]
    assert ends(shorter) == ("c",)


def test_definitions_become_jobs(tmp_path: Path) -> None:
    """Variables are replaced, a virtual name is who provides it, what is not early comes after sysinit."""
    files = {
        "mounts": "kind: oneshot\nearly: true\nprovide: fs\nrun: [mount, -a]\n",
        "clock": "kind: oneshot\nearly: true\nneed: fs\nvars: {zone: UTC}\nscript: |\n  echo ${zone} $$PATH $HOME\n",
        "web": (
            "need: clock\nvars: {port: 80}\nrun: [web, -p, '${port}']\nready: {tcp: '127.0.0.1:${port}'}\n"
            "stop_signal: [{signal: QUIT, wait: 5s}]\nrlimits: {nofile: 99}\n"
        ),
        "getty@": "run: [getty, '${instance}']\ntty: /dev/${instance}\n",
    }
    for name, definition in files.items():
        (tmp_path / f"{name}.yaml").write_text(definition)
    for link in ("sysinit/mounts", "boot/clock", "default/web", "default/getty@ttyS0"):
        (tmp_path / "runlevels" / link).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "runlevels" / link).touch()
    found = real_set(tmp_path, lambda name: f"/bin/{name}")
    assert found.jobs == (
        Job("mounts", ("/bin/mount", "-a"), early=True),
        Job("clock", ("/usr/lib/bench/services/clock",), after=("mounts",), early=True),
        Job(
            "web", ("/bin/web", "-p", "80"), after=("clock",), daemon=True, ready="tcp", ready_value="127.0.0.1:80",
            stop_signal="QUIT", open_files=99,
        ),
        Job("getty@ttyS0", ("/bin/getty", "ttyS0"), daemon=True, tty="/dev/ttyS0"),
        Job(LAST, ("/usr/lib/bench/up",), after=("web",)),
    )  # fmt: skip
    assert found.scripts == (("clock", "#!/bin/sh -e\necho UTC $PATH $HOME\n\n"),)


def test_every_service_of_the_machine_is_in_the_real_set() -> None:
    """What is enabled in services/runlevels, and what that needs."""
    found = real_set(REPOSITORY / "services", lambda name: f"/usr/bin/{name}")
    enabled = {link.name for link in (REPOSITORY / "services/runlevels").glob("*/*")} - {"single-shell"}
    assert {job.name for job in found.jobs} == enabled | {"dropbear-keys", LAST}
    in_foreground = [job.name for job in found.jobs if job.daemon and not job.background]
    assert in_foreground == ["ntpd", "getty@ttyS0"]


# --- the peers' own terms


def test_busybox_starts_one_thing_after_another_and_stops_in_reverse(tree: Tree) -> None:
    """/etc/init.d/rcS and rcK."""
    busybox.configure(tree, SMALL)
    assert text(tree, "etc/init.d/rcS") == (
        "#!/bin/sh\n/usr/bin/hwclock -s\n/usr/sbin/web\n"
        "(umask 007; cd /var/lib/store; start-stop-daemon -S -q -b -c redis -x /usr/bin/store -- 'a b')\n"
        "/usr/lib/bench/up\n"
    )
    assert text(tree, "etc/init.d/rcK") == "#!/bin/sh\nstart-stop-daemon -K -q -s QUIT -p /run/web.pid\n"


def test_runit_asks_for_what_a_service_comes_after(tree: Tree) -> None:
    """sv(8): start waits for the check scripts."""
    runit.configure(tree, SMALL)
    assert text(tree, "etc/sv/clock/run") == (
        "#!/bin/sh\n/usr/bin/hwclock -s || exit 1\n: >/run/once-clock\nexec sleep 2147483647\n"
    )
    assert text(tree, "etc/sv/store/run") == (
        "#!/bin/sh\nsv -w 60 start clock >/dev/null || exit 1\numask 007\nulimit -n 100\ncd /var/lib/store\n"
        "exec chpst -u redis /usr/bin/store 'a b'\n"
    )
    assert text(tree, "etc/sv/web/check") == "#!/bin/sh\nexec nc 127.0.0.1 80 -e /bin/true >/dev/null 2>&1\n"


def test_s6_waits_for_readiness_only_where_a_service_tells_it(tree: Tree) -> None:
    """s6-svwait(1): -U is up and ready, -u only up."""
    s6.configure(tree, SMALL)
    assert text(tree, f"etc/s6/service/{LAST}/run").splitlines()[1] == (
        "until s6-svwait -u /run/service/web /run/service/store 2>/dev/null; do usleep 100000; done"
    )
    assert text(tree, "etc/s6/service/web/run") == (
        "#!/bin/sh\nuntil s6-svwait -U /run/service/clock 2>/dev/null; do usleep 100000; done\nexec /usr/sbin/web -f\n"
    )
    assert text(tree, "etc/s6/service/clock/notification-fd") == "9\n"
    assert not (tree.root / "etc/s6/service/web/notification-fd").exists()


def test_sysvinit_has_lsb_headers_and_the_files_of_insserv(tree: Tree) -> None:
    """insserv(8): .depend.start has a target a script; startpar(8) reads it."""
    sysvinit.configure(tree, SMALL)
    assert text(tree, "etc/init.d/.depend.start") == (
        f"TARGETS = clock web store {LAST}\nINTERACTIVE = \nweb: clock\nstore: clock\n{LAST}: web store\n"
    )
    assert text(tree, "etc/init.d/.depend.stop") == "TARGETS = web sendsigs halt\nsendsigs: web\nhalt: sendsigs\n"
    assert "# Required-Start:    clock\n" in text(tree, "etc/init.d/web")
    assert "start-stop-daemon -S -q -o -p /run/web.pid -x /usr/sbin/web -- \n" in text(tree, "etc/init.d/web")


def test_systemd_has_a_unit_of_the_right_type_for_each_job(tree: Tree) -> None:
    """systemd.service(5)."""
    systemd.configure(tree, SMALL)
    assert text(tree, "etc/systemd/system/store.service") == (
        "[Unit]\nAfter=clock.service\nRequires=clock.service\n[Service]\nType=notify\nExecStart=/usr/bin/store 'a b'\n"
        "User=redis\nUMask=007\nWorkingDirectory=/var/lib/store\nLimitNOFILE=100\nRestart=always\n"
    )
    assert text(tree, "etc/systemd/system/clock.service") == (
        "[Unit]\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/usr/bin/hwclock -s\n"
    )
    assert (tree.root / "etc/systemd/system/multi-user.target.wants/web.service").is_symlink()


def test_openrc_runs_in_parallel_and_goes_into_the_background_by_pid_file(tree: Tree) -> None:
    """openrc-run(8)."""
    openrc.configure(tree, SMALL)
    assert 'rc_parallel="YES"\n' in text(tree, "etc/rc.conf")
    assert text(tree, "etc/init.d/web") == (
        '#!/usr/sbin/openrc-run\ndescription="web"\ndepend() { need clock; }\ncommand=/usr/sbin/web\ncommand_args=""\n'
        'pidfile=/run/web.pid\nretry="QUIT/5/TERM/5"\n'
    )
    assert text(tree, openrc.DAEMONS) == "eval /usr/lib/rc/sbin/start-stop-daemon --start\n"
    assert "command_background=yes\ncommand_user=redis:redis\n" in text(tree, "etc/init.d/store")


def test_finit_gathers_conditions_that_are_too_long_for_it() -> None:
    """Nothing is lost: what the gates wait for is what was to be waited for."""
    wanted = [f"task/s{number:02}/success" for number in range(30)]
    lines: list[str] = []
    left = finit.gathered("all", list(wanted), lines)
    assert all(len(line.partition("<")[2].partition(">")[0]) <= finit.CONDITION_LIMIT for line in lines)
    assert len(",".join(left)) <= finit.CONDITION_LIMIT
    gathered = [word for line in lines for word in line.partition("<")[2].partition(">")[0].split(",")]
    assert set(wanted) <= {*gathered, *left}


def test_finit_waits_for_pid_files_and_has_what_is_early_in_its_runlevel_s(tree: Tree) -> None:
    """finit.conf(5). Runlevel 2 comes when the tasks of S are over: nothing in it waits for them once more."""
    first = replace(CLOCK, early=True)
    log = replace(WEB, name="log", early=True)
    web = replace(WEB, after=("clock", "log"))
    finit.configure(tree, JobSet("small", (first, log, web, replace(STORE, after=("web",)))))
    assert text(tree, "etc/finit.d/bench.conf") == (
        "task [S] name:clock /usr/bin/hwclock -s -- clock\n"
        "service [S2] name:log <task/clock/success> notify:pid /usr/sbin/web -f -- log\n"
        "service [2] name:web <service/log/ready> notify:pid /usr/sbin/web -f -- web\n"
        "service [2] name:store <service/web/ready> notify:none @redis:redis /usr/bin/store 'a b' -- store\n"
    )


def test_shepherd_has_a_service_for_each_job(tree: Tree) -> None:
    """Its manual, "Defining Services"."""
    shepherd.configure(tree, SMALL)
    written = text(tree, "etc/shepherd.scm")
    assert written.count("(") == written.count(")")
    assert "(start-in-the-background '(clock web store bench-up))" in written
    assert '#:start (once "/usr/bin/hwclock" "-s")' in written


def test_shepherd_waits_for_a_pid_file_only_where_a_service_waits_for_the_daemon(tree: Tree) -> None:
    """It looks for the file once a second."""
    shepherd.configure(tree, SMALL)
    assert "#:pid-file" not in text(tree, "etc/shepherd.scm")
    shepherd.configure(tree, JobSet("small", (CLOCK, WEB, replace(STORE, after=("web",)), UP)))
    assert '(make-forkexec-constructor \'("/usr/sbin/web") #:pid-file "/run/web.pid")' in text(tree, "etc/shepherd.scm")


def test_linit_has_definitions_of_the_graph_in_the_place_of_those_of_the_machine(tree: Tree) -> None:
    """In its own terms: need for order, after for the last one, whatever becomes of the others."""
    tree.write("usr/sbin/linit", "#!/usr/bin/python3.13 -IS\nstart()\n")
    tree.write("usr/lib/linit/services/nginx.yaml", "run: [nginx]\n")
    tree.write("usr/lib/linit/services/default.yaml", "kind: runlevel\n")
    tree.write("usr/lib/linit/generators/fstab", "")
    tree.link("etc/linit/runlevels/default/nginx", "/usr/lib/linit/services/nginx.yaml")
    linit.configure(tree, JobSet("graph", (CLOCK, UP)))
    assert sorted(file.name for file in (tree.root / "usr/lib/linit/services").iterdir()) == [
        f"{LAST}.yaml", "clock.yaml", "default.yaml",
    ]  # fmt: skip
    assert text(tree, f"usr/lib/linit/services/{LAST}.yaml") == (
        'kind: oneshot\nrun: ["/usr/lib/bench/up"]\nafter: ["web", "store"]\n'
    )
    assert sorted(link.name for link in (tree.root / "etc/linit/runlevels/default").iterdir()) == [LAST, "clock"]


def test_peers_are_chosen_by_name() -> None:
    """An unknown one is named, with those that are known."""
    assert [peer.name for peer in chosen_peers("s6,linit")] == ["linit", "s6"]
    assert chosen_peers("") == list(peers.ALL)
    with pytest.raises(PanuxError, match=r"--only: found 'upstart', expected one of busybox, finit, linit, "):
        chosen_peers("upstart")


# --- the machine and what it tells


def test_only_what_a_disk_holds_is_copied_into_memory(tmp_path: Path) -> None:
    """In MiB; a gap of a few is cheaper to copy than to leave out."""
    disk = tmp_path / "disk"
    with disk.open("wb") as opened:
        opened.truncate(20 << 20)
        for place in (0, 2, 10):
            opened.seek((place << 20) + 5)
            opened.write(b"x")
    assert used_ranges(disk) == "0+3,10+1"


def test_what_the_init_keeps_running_is_told_from_the_services() -> None:
    """A service's own are its processes and their children; the agent that asks counts for nobody."""
    said = (
        "1 0 9000 8000 init\n40 1 300 100 supervise\n41 40 500 400 web\n42 41 500 200 worker\n43 1 300 110 supervise\n"
        "50 1 600 60 getty\n60 1 700 70 sh\n61 60 700 80 sh\n61 self\n"
    )
    processes = parsed(said)
    assert processes[0] == Process(1, 0, 9000, 8000, "init")
    assert kept_running(processes, SMALL) == (("supervise", 2, 210),)


RUNS = (
    Series("slow", 12_300_000, [Run("", 5.0, 3.9, 4.0, 9000, 8000, (("log", 1, 1000),), 0.02, 1.5, True)] * 2),
    Series("quick", 100_000, [Run("", 5.0, 2.0, 2.0, 900, 800), Run("", 5.0, 2.2, 2.2, 900, 800)]),
    Series("broken", 0, [Run("no word of it")]),
)
COMPARISON = Comparison("graph", "wall", list(RUNS), 1.5, ("a", "b"), 1.5, 2.4, 2)


def test_the_table_has_a_row_each_peer_the_quickest_first() -> None:
    """A peer that does not boot is shown with its reason."""
    assert table(COMPARISON) == (
        "set graph, first boot: two emulated processors, by the clock\n"
        "peer      up s  ratio  of bound  said s  PID 1 PSS  RSS  others PSS  size  status ms  off s\n"
        "quick     2.10   1.00      1.40    2.10        0.8  0.9         0.0   0.1          -      -\n"
        "slow      4.00   1.90      2.67    3.90        8.2  9.2         1.0  12.3         20   1.50\n"
        "broken  failed                                                        0.0\n"
        "least-most\n"
        "peer    boots       up s     said s  PID 1 PSS      RSS  others PSS  status ms      off s\n"
        "quick       2  2.00-2.20  2.00-2.20    0.8-0.8  0.9-0.9     0.0-0.0          -          -\n"
        "slow        2  4.00-4.00  3.90-3.90    8.2-8.2  9.2-9.2     1.0-1.0      20-20  1.50-1.50\n"
        "broken      0          -          -          -        -           -          -          -\n"
        "lower bound 1.50 s: the longest chain takes 1.50 s alone (a b),\n"
        "  all work divided by the processors 1.20 s\n"
        "broken: does not boot: no word of it"
    )


def test_second_boots_are_shown_beside_the_first() -> None:
    """Of a peer that booted in both."""
    second = replace(COMPARISON, boot="second", series=[Series("slow", 0, [Run("", 5.0, 2.9, 3.0)]), RUNS[2]])
    assert later_boots([COMPARISON, second]) == (
        "\nset graph, second boot beside first\npeer  first s  second s  ratio\nslow     4.00      3.00   0.75"
    )
    assert later_boots([COMPARISON]) == ""


def test_results_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    """--json, then --from-json."""
    (tmp_path / "results.json").write_text(as_json([COMPARISON], {"image": "x"}))
    assert from_json(tmp_path / "results.json") == [COMPARISON]


def test_json_has_medians_spread_and_ratios_beside_the_runs() -> None:
    """A ratio is to the least median of all peers; there is none to one that is 0."""
    slow = json.loads(as_json([COMPARISON], {}))["comparisons"][0]["series"][0]
    assert slow["figures"]["up_s"] == {"median": 4.0, "least": 4.0, "most": 4.0, "ratio": pytest.approx(4.0 / 2.1)}
    assert slow["figures"]["shutdown_s"]["ratio"] == 1.0
    assert slow["figures"]["others_pss_kib"]["ratio"] is None
    assert len(slow["runs"]) == 2


def test_the_picture_names_every_peer_and_the_bound() -> None:
    """Well-formed SVG, the quickest first."""
    words = [element.text for element in xml.etree.ElementTree.fromstring(picture([COMPARISON])).iter() if element.text]
    places = [words.index(series.peer) for series in ranked(COMPARISON)]
    assert places == sorted(places)
    assert "no init can do better: 1.50 s" in words
    assert "does not boot" in words
    assert {"PID 1", "resident", "its others", "on disk", "status", "switch off", "20 ms", "1.50 s"} <= set(words)


# --- the profile


def test_a_profile_is_told_in_order_of_time() -> None:
    """Notes are in nanoseconds of the guest's clock; the first one's time after the exec is known from the kernel."""
    written = (
        "5000000000 interpreter \n5010000000 import linit\n5032000000 import linit.plan\n5035000000 begin plan read\n"
        "5045000000 end plan read\n5050000000 spawn os.fork\n5060000000 import asyncio\n5080000000 import socket\n"
        "5090000000 spawn os.fork\n"
    )
    report = {
        "services": [
            {"name": "clock", "at_s": 0.1, "start_s": 0.05},
            {"name": LAST, "at_s": 0.3, "start_s": 0.1},
            {"name": "getty", "at_s": None, "start_s": None},
        ]
    }
    jobs = JobSet("small", (CLOCK, Job(LAST, ("x",), after=("clock",))))
    found = Profile(
        1.2, 1.5, parsed_notes(written, 0.03), waves_of(report, jobs, 0.4), 0.4, (("interpreter alone", 0.02),)
    )  # fmt: skip
    assert found.waves == (
        Wave(0, ("clock",), pytest.approx(0.15), pytest.approx(0.2)),  # type: ignore[arg-type]
        Wave(1, (LAST,), pytest.approx(0.3), pytest.approx(0.4)),  # type: ignore[arg-type]
    )
    assert profile_text(found) == (
        "where the time of a linit boot goes, in ms from the exec of linit\n"
        "   -1500.0  the kernel begins\n"
        "    -300.0  the initramfs begins; with instructions counted it copies the disk\n"
        "      30.0  the interpreter runs linit's launcher\n"
        "      65.0  plan read: begins\n"
        "      75.0  plan read: ended\n"
        "      80.0  first process spawned\n"
        "      90.0  asyncio: first import (4 in all)\n"
        "     110.0  last import\n"
        "     120.0  process number 2 spawned\n"
        "     400.0  all up\n"
        "\n"
        "longest imports (until the next note)\n"
        "      22.0  linit\n"
        "      20.0  asyncio\n"
        "\n"
        "waves: services equally deep in the order, first start to last up\n"
        "     150.0    200.0    1  clock\n"
        "     300.0    400.0    1  bench-up\n"
        "\n"
        "on this machine, outside\n"
        "      20.0  interpreter alone"
    )
