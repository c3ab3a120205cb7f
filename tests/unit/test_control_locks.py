"""Named locks: the methods `lock`, `unlock`, `locks`, and `linitctl locks`."""

from __future__ import annotations

from linit.control.messages import RESPONSE
from linit.model.service import Kind

from .control_world import Ran, error_of, outcomes, result_of, service, world


def test_a_lock_is_had_in_the_order_in_which_it_was_asked_for() -> None:
    with world() as here:
        first, second, third = here.client(), here.client(), here.client()
        assert outcomes(result_of(first, "lock", lock="apt")) == ["done", "apt: done"]
        ids = [each.ask("lock", lock="apt") for each in (second, third)]
        here.loop.run_until(lambda: len(list(here.supervisor.engine.locks)) == 3, "three claims")
        shown = result_of(first, "locks")["locks"]
        assert [(lock["name"], len(lock["waiters"])) for lock in shown] == [("apt", 2)]
        assert result_of(first, "unlock", lock="apt") == {"outcome": "done"}
        frame = second.frame()
        assert frame is not None and frame[:3] == [RESPONSE, ids[0], None]
        assert frame[3]["outcome"] == "done"
        second.socket.close()
        assert third.frame() is not None, "the end of a connection lets go of its locks"
        third.socket.close()
        here.loop.run_until(lambda: not list(here.supervisor.engine.locks), "the end of all locks")


def test_who_hangs_up_while_waiting_stands_in_the_queue_no_more() -> None:
    with world() as here:
        first, second = here.client(), here.client()
        result_of(first, "lock", lock="apt")
        second.ask("lock", lock="apt")
        here.loop.run_until(lambda: len(list(here.supervisor.engine.locks)) == 2, "the second claim")
        second.socket.close()
        here.loop.run_until(lambda: len(list(here.supervisor.engine.locks)) == 1, "its end")
        result_of(first, "unlock", lock="apt")
        assert result_of(first, "locks") == {"locks": []}


def test_without_waiting_a_lock_that_another_holds_is_a_failure() -> None:
    with world() as here:
        first, second = here.client(), here.client()
        result_of(first, "lock", lock="apt")
        result = result_of(second, "lock", lock="apt", wait=False)
        assert outcomes(result) == ["failed", "apt: failed"]
        assert result["results"][0]["text"].endswith("holds it")
        assert outcomes(result_of(second, "lock", lock="other", wait=False)) == ["done", "other: done"]


def test_a_lock_belongs_to_the_connection_that_asked() -> None:
    with world() as here:
        first, second = here.client(), here.client()
        result_of(first, "lock", lock="apt")
        assert error_of(second, "unlock", lock="apt")["message"] == "unlock: this connection has no lock 'apt'"
        message = error_of(first, "lock", lock="apt")["message"]
        assert message == "lock: this connection holds apt or waits for it already"
        assert error_of(first, "lock", lock="a b")["code"] == "bad_params"


def test_a_wait_that_would_never_end_is_refused_with_the_loop() -> None:
    """The script of web holds apt and waits for db; a script of db must not wait for apt."""
    with world(service("web", kind=Kind.ONESHOT), service("db", kind=Kind.ONESHOT)) as here:
        supervisor = here.supervisor
        supervisor.hanging.update(("web", "db"))
        here.start("web", "db")
        web, db = here.client(), here.client()
        supervisor.caller = "web"
        result_of(web, "lock", lock="apt")
        supervisor.held_claims = tuple(claim.id for claim in supervisor.engine.locks)
        web.ask("start", names=["db"])
        here.loop.run_until(lambda: len(list(supervisor.engine.open_requests)) == 2, "the wait of web")
        supervisor.caller, supervisor.held_claims = "db", ()
        result = result_of(db, "lock", lock="apt")
        assert result["outcome"] == "refused"
        assert result["results"][0]["text"] == (
            "db would wait for the lock apt, which web holds; web waits for db (linitctl start)"
        )
        assert outcomes(result_of(db, "lock", lock="other")) == ["done", "other: done"]


def test_linitctl_locks_lists_holders_and_waiters() -> None:
    with world() as here:
        assert here.ctl("locks") == Ran(0, "no locks\n", "")
        first, second = here.client(), here.client()
        result_of(first, "lock", lock="apt")
        second.ask("lock", lock="apt")
        here.loop.run_until(lambda: len(list(here.supervisor.engine.locks)) == 2, "the second claim")
        assert here.ctl("locks") == Ran(0, "LOCK         BY\napt   held   WHO\n      waits  WHO\n", "")


def test_linitctl_lock_without_a_linit_to_ask_runs_nothing() -> None:
    with world() as here:
        path = f"{here.folder}/nobody.sock"
        assert here.ctl("--socket", path, "lock", "apt", "--", "true").status == 5
