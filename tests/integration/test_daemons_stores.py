"""Databases and caches from Debian's packages, by the definitions in services/: ready, reloaded, crashed, stopped."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import Any

from tests.integration.daemons import NOBODY, NOGROUP, Machine, free_port, needs_mounts, talk

SLEEPING = "SELECT count(*) FROM pg_stat_activity WHERE query ~ 'sleep[(]1000' AND pid <> pg_backend_pid()"


def test_redis_is_up_when_its_data_is_loaded_and_keeps_it_over_a_stop(machine: Machine) -> None:
    """ready: notify. TERM writes the data: redis.conf, save."""
    machine.packages.need("redis-server", "redis-tools")
    port, folder = free_port(), machine.keep("redis")
    config = machine.configure("redis.conf", f"bind 127.0.0.1\nport {port}\ndir {folder}\nsave 3600 1\n")
    machine.define("redis", config=config, folder=folder, user=NOBODY, group=NOGROUP)
    machine.boot("redis")
    assert talk(port, b"SET key value\r\n", b"\r\n") == b"+OK\r\n"
    assert machine.ask("redis-cli", "-p", str(port), "SAVE") == "OK\n"
    machine.crash("redis")
    assert talk(port, b"GET key\r\n", b"value\r\n") == b"$5\r\nvalue\r\n"
    assert talk(port, b"SET key other\r\n", b"\r\n") == b"+OK\r\n"
    machine.stop("redis")
    machine.linit.call("start", names=["redis"])
    assert talk(port, b"GET key\r\n", b"other\r\n") == b"$5\r\nother\r\n"
    machine.stop("redis")


def test_memcached_serves_when_it_is_up(machine: Machine) -> None:
    """ready: tcp; no capability, a /tmp and /dev of its own."""
    machine.packages.need("memcached")
    needs_mounts()
    port = free_port()
    machine.define("memcached", port=port, user=NOBODY)
    machine.boot("memcached")
    assert talk(port, b"set key 0 0 5\r\nvalue\r\n", b"\r\n") == b"STORED\r\n"
    assert talk(port, b"get key\r\n", b"END\r\n") == b"VALUE key 0 5\r\nvalue\r\nEND\r\n"
    machine.crash("memcached")
    assert talk(port, b"get key\r\n", b"END\r\n") == b"END\r\n"
    machine.stop("memcached")


def postgresql(machine: Machine, **keys: Any) -> tuple[str, ...]:
    """A database server that is up; how a client begins. `keys` of its definition are changed."""
    machine.packages.need("postgresql")
    programs = machine.packages.file("usr/lib/postgresql/*/bin/postgres").parent
    sockets, port = machine.run / "postgresql", free_port()
    machine.define(
        "postgresql", "postgresql-folders", "postgresql-cluster", "postgresql", programs=programs,
        home=machine.var / "postgresql", sockets=sockets, port=port, user=NOBODY, group=NOGROUP,
        options="--auth-local=peer --no-sync --wal-segsize=1",
    )  # fmt: skip
    machine.change("postgresql", **keys)
    machine.boot("postgresql-folders", "postgresql-cluster", "postgresql")
    psql = (str(programs / "psql"), "-X", "-A", "-t", "-h", str(sockets), "-p", str(port), "-d", "postgres", "-c")
    # A crash of the server loses nothing of what the kernel has; the disk's time is not what is tested.
    machine.ask(*psql, "ALTER SYSTEM SET fsync = off", user=NOBODY)
    machine.reload("postgresql")
    machine.wait_for_log("postgresql", 'parameter "fsync" changed to "off"')
    return psql


def test_postgresql_makes_its_cluster_reloads_and_stops_fast_with_a_session_open(machine: Machine) -> None:
    """initdb as a oneshot, ready: notify, HUP, INT: pg_ctl(1)."""
    psql = postgresql(machine)
    assert machine.ask(*psql, "SELECT 6 * 7", user=NOBODY) == "42\n"
    with (machine.var / "postgresql/main/postgresql.conf").open("a") as config:
        config.write("\nwork_mem = '7MB'\n")
    machine.reload("postgresql")
    machine.wait_for_log("postgresql", 'parameter "work_mem" changed to "7MB"')
    assert machine.ask(*psql, "SHOW work_mem", user=NOBODY) == "7MB\n"
    with subprocess.Popen([*psql[:-1], "-c", "SELECT 'here'; SELECT pg_sleep(1000)"], user=NOBODY, cwd=machine.folder,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as session:  # fmt: skip
        machine.linit.ask_until(lambda: machine.ask(*psql, SLEEPING, user=NOBODY) == "1\n", "the session that sleeps")
        machine.stop("postgresql")
        assert session.wait() != 0
    machine.wait_for_log("postgresql", "database system is shut down")
    machine.linit.call("start", names=["postgresql"])
    assert machine.ask(*psql, "SELECT 6 * 7", user=NOBODY) == "42\n"
    machine.stop("postgresql")


def test_postgresql_that_was_killed_recovers_what_was_committed(machine: Machine) -> None:
    """Its children end with it: one that is left would keep the new one out. Source: postgres(1), NOTES."""
    psql = postgresql(machine)
    machine.ask(*psql, "CREATE TABLE kept (value int); INSERT INTO kept VALUES (7)", user=NOBODY)
    for value in (8, 9):
        machine.crash("postgresql")
        assert machine.ask(*psql, "SELECT max(value) FROM kept", user=NOBODY) == f"{value - 1}\n"
        machine.ask(*psql, f"INSERT INTO kept VALUES ({value})", user=NOBODY)
    told = "automatic recovery in progress"
    machine.linit.ask_until(lambda: machine.linit.log("postgresql").count(told) == 2, "both recoveries in the log")
    machine.stop("postgresql")


def test_postgresql_that_answers_nobody_is_found_by_its_health_check_and_is_back(machine: Machine) -> None:
    """health: pg_isready(1). SIGSTOP stands for a server that hangs: who comes waits in its queue."""
    health = {"interval": "100ms", "timeout": "8s", "retries": 2}
    psql = postgresql(machine, health=health, stop_signal="INT", stop_timeout="1s")
    old = machine.linit.pid("postgresql")
    os.kill(old, signal.SIGSTOP)
    machine.linit.wait_for_transition("postgresql", "up", machine.ups("postgresql") + 1)
    why = "no longer well: its health check failed 2 times: has not ended within 8 s; starts again after 0.5 s"
    assert ("postgresql", "stopping", why) in machine.linit.transitions
    assert machine.ask(*psql, "SELECT 6 * 7", user=NOBODY) == "42\n"
    machine.linit.told.clear()  # that the one which hung was killed
    machine.stop("postgresql")
