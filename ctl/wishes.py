"""`start`, `stop`, `restart`, `reload`, `reset`, `kill`, `runlevel`: what shall be?"""

from __future__ import annotations

from linitctl import table
from linitctl.failure import FAILED, LOOP, OK, USAGE, Failure
from linitctl.progress import ask
from linitctl.session import Command
from linitctl.style import GREEN, RED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any, Final, NoReturn

    from linitctl.session import Session

    from linit.control.messages import WishResult


HINT: Final = "see: linitctl why {0}; linitctl logs {0}"


def _names_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("names", metavar="NAME", nargs="+", help="a service")


def _wait_arguments(parser: ArgumentParser) -> None:
    _names_arguments(parser)
    parser.add_argument("--no-wait", action="store_true", help="do not wait until it came true")


def _dry_run_argument(parser: ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="print the steps in their order, and do nothing")


def _dry_run(session: Session, verb: str, names: list[str], *options: str) -> NoReturn:
    from linitctl.dry_run import run  # only here: linitctl starts faster without

    run(session, verb, names, *options)


def _start_arguments(parser: ArgumentParser) -> None:
    _wait_arguments(parser)
    _dry_run_argument(parser)


def show(session: Session, result: WishResult, hint: str = HINT) -> int:
    """What became of a wish; the exit status. `hint` is told when it failed, {0} being the first that did."""
    if session.is_json:
        session.print_json(result)
        return status_of(result)
    for one in result["results"]:
        if one["outcome"] == "done":
            session.print(f"{session.style.paint(one['name'], GREEN)}: {one['text']}")
    return tell_failures(session, result, hint)


def status_of(result: WishResult) -> int:
    """The exit status that says what became of a wish."""
    if result["outcome"] in ("done", "accepted"):
        return OK
    return LOOP if result["outcome"] == "refused" else FAILED


def tell_failures(session: Session, result: WishResult, hint: str = HINT) -> int:
    """What did not come true, on standard error; the exit status."""
    failed = [one for one in result["results"] if one["outcome"] not in ("done", "accepted")]
    for one in failed:
        session.complain(f"{session.err_style.paint(one['name'], RED)}: {one['text']}")
    if result["outcome"] == "refused":
        session.complain("that would never end, so nothing was done; --no-wait asks without waiting")
    elif failed:
        session.complain(hint.format(failed[0]["name"]))
    return status_of(result)


def _start(session: Session, options: Namespace) -> int:
    if options.dry_run:
        _dry_run(session, "start", options.names)
    return show(session, ask(session, "start", names=options.names, wait=not options.no_wait))


def _need(session: Session, options: Namespace) -> int:
    return show(session, ask(session, "need", names=options.names, wait=not options.no_wait))


def _want(session: Session, options: Namespace) -> int:
    return show(session, ask(session, "want", names=options.names, wait=not options.no_wait))


def _stop_arguments(parser: ArgumentParser) -> None:
    _start_arguments(parser)
    parser.add_argument("--no-cascade", action="store_true", help="refuse when others would have to stop as well")


def _stop(session: Session, options: Namespace) -> int:
    if options.dry_run:
        _dry_run(session, "stop", options.names, *(["--no-cascade"] if options.no_cascade else []))
    wait = not options.no_wait
    if options.no_cascade:
        result = ask(session, "stop", names=options.names, cascade=False, wait=wait)
        return show(session, result, "see: linitctl rdeps {0}; without --no-cascade they stop first")
    if not session.is_json:
        tell_who_follows(session, options.names, "stops first", "stop first")
    status = show(session, ask(session, "stop", names=options.names, wait=wait))
    if not session.is_json:
        tell_what_starts_again(session, options.names)
    return status


def tell_what_starts_again(session: Session, names: list[str]) -> None:
    """Whoever stops a service should know what may start it at any moment."""
    for name in names:
        try:
            triggers = session.call("status", name=name)["triggers"]
        except Failure:
            continue  # a transient service is forgotten when it is down
        for trigger in triggers:
            if trigger["state"] == "up" and trigger["starts"] and trigger["name"] not in names:
                session.complain(f"{trigger['name']} may start {name} again: linitctl stop {trigger['name']}")


def tell_who_follows(session: Session, names: list[str], verb: str, verb_of_many: str) -> None:
    """Say which other services a stop takes down, before it does."""
    followers: dict[str, None] = {}
    for name in names:
        followers.update(dict.fromkeys(session.call("rdeps", name=name)["stops"]))
    others = [each for each in followers if each not in names]
    if others:
        session.print(f"{verb if len(others) == 1 else verb_of_many}: {', '.join(reversed(others))}")
        session.out.flush()


def _restart_arguments(parser: ArgumentParser) -> None:
    _start_arguments(parser)
    parser.add_argument("--only", action="store_true", help="leave the services alone that need it")


def _restart(session: Session, options: Namespace) -> int:
    if options.dry_run:
        _dry_run(session, "restart", options.names, *(["--only"] if options.only else []))
    if not options.only and not session.is_json:
        tell_who_follows(session, options.names, "restarts with it", "restart with it")
    return show(session, ask(session, "restart", names=options.names, only=options.only, wait=not options.no_wait))


def _reload_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("names", metavar="NAME", nargs="*", help="a service; none: linit reads all definitions anew")


def _reload(session: Session, options: Namespace) -> int:
    if options.names:
        return show(session, ask(session, "reload", names=options.names))
    return show_difference(session, ask(session, "reload_plan"))


def show_difference(session: Session, result: dict[str, Any]) -> int:
    """What a new plan changed, and what is wrong in it; the exit status: 1 when a definition is broken."""
    faults = [fault for fault in result["faults"] if fault["severity"] != "note"]
    broken = [fault for fault in faults if fault["severity"] == "error"]
    if session.is_json:
        session.print_json(result)
        return FAILED if broken else OK
    if faults:
        from linit.control.excerpt import excerpt  # only here: linitctl starts faster without

        session.complain(*excerpt((each["severity"], each["key"], each["expected"], each["text"]) for each in faults))
    rows = [(kind, ", ".join(result[kind])) for kind in ("added", "removed", "changed", "outdated") if result[kind]]
    session.print(*table.render((), rows, session.style))
    if not rows:
        session.print("nothing changed")
    kept = result.get("kept", [])
    usable = [name for name in result["outdated"] if name not in kept]
    if kept:
        session.print(f"new definition broken, so the old one stays in use: {', '.join(kept)}")
    if usable:
        session.print(f"to put it to use: linitctl restart {' '.join(usable)}")
        sockets = [name for name in usable if name.endswith(".socket")]
        if sockets:
            session.print(f"which closes {', '.join(sockets)} for a moment: clients are refused meanwhile")
    return FAILED if broken else OK


def _reset(session: Session, options: Namespace) -> int:
    return show(session, ask(session, "reset", names=options.names))


def _kill_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("-s", "--signal", metavar="SIG", default="TERM", help="a name or number; default: TERM")
    parser.add_argument("name", metavar="NAME", help="a service")
    to = parser.add_mutually_exclusive_group()
    to.add_argument("--main", dest="to", action="store_const", const="main", help="to its main process (default)")
    to.add_argument("--all", dest="to", action="store_const", const="all", help="to all of its processes")


def _kill(session: Session, options: Namespace) -> int:
    to = options.to or "main"
    result = session.call("kill", name=options.name, signal=options.signal, to=to)
    if session.is_json:
        session.print_json(result)
    else:
        whom = "its main process" if to == "main" else "all its processes"
        session.print(f"{session.style.paint(options.name, GREEN)}: {result['signal']} sent to {whom}")
    return OK


def _runlevel_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="?", default="", help="the runlevel to switch to")
    _dry_run_argument(parser)


def _runlevel(session: Session, options: Namespace) -> int:
    if options.dry_run:
        if not options.name:
            raise Failure(USAGE, "--dry-run needs the NAME of a runlevel")
        _dry_run(session, "runlevel", [options.name])
    if options.name:
        return show(session, ask(session, "runlevel", name=options.name))
    result = session.call("runlevel")
    if session.is_json:
        session.print_json(result)
        return OK
    others = [name for name in result["runlevels"] if name != result["runlevel"]]
    session.print(f"{result['runlevel'] or 'none yet'} ({result['boot_state']})")
    if others:
        session.print(f"others: {', '.join(others)}")
    return OK


COMMANDS: Final = {
    "start": Command(
        _start_arguments,
        _start,
        "Start services and what they need, and wait until they are up. --dry-run (also of stop, restart, runlevel):\n"
        "print what would happen, step by step, and do nothing.",
        "linitctl start nginx redis",
        "linitctl start --dry-run nginx",
    ),
    "need": Command(
        _wait_arguments,
        _need,
        "From a script of a service: it needs these from now on. They are started; returns when they are up. A wait\n"
        "that would never end is refused at once with the loop, exit status 6, and the script may go on.",
        "linitctl need postgres",
    ),
    "want": Command(
        _wait_arguments,
        _want,
        "From a script of a service: it wants these. They are started; returns when each is up or has failed.",
        "linitctl want cache",
    ),
    "stop": Command(
        _stop_arguments,
        _stop,
        "Stop services and wait until they are down. Those that need them stop first: they are named before.",
        "linitctl stop redis",
        "linitctl stop --no-cascade net",
    ),
    "restart": Command(
        _restart_arguments,
        _restart,
        "Stop and start services, and wait until they are up. Those that need them go down and come back.",
        "linitctl restart nginx",
        "linitctl restart --only net",
    ),
    "reload": Command(
        _reload_arguments,
        _reload,
        "Have services read their configuration anew. Without a name: have linit read the service definitions anew\n"
        "and show the difference. What is newly enabled in the active runlevel starts, what was removed stops, what\n"
        "changed is out of date until its next start. Schedules, watched paths, and of open sockets all but their\n"
        "addresses, change at once.",
        "linitctl reload nginx",
        "linitctl reload",
    ),
    "reset": Command(_names_arguments, _reset, "Forget failures and used-up respawns.", "linitctl reset nginx"),
    "kill": Command(
        _kill_arguments,
        _kill,
        "Send a signal to the processes of a service. What follows from it follows as if nobody had asked: its\n"
        "respawn policy decides. To have it down, use `stop`.",
        "linitctl kill -s HUP syslog",
        "linitctl kill -s KILL --all nginx",
    ),
    "runlevel": Command(
        _runlevel_arguments,
        _runlevel,
        "Show the runlevel; with a name, switch to it: what it wants starts, everything else stops.",
        "linitctl runlevel",
        "linitctl runlevel single",
    ),
}
