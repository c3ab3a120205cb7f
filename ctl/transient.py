"""`run`: a command as a service that nobody wrote down."""

from __future__ import annotations

from linitctl.failure import USAGE, Failure
from linitctl.progress import ask
from linitctl.session import Command
from linitctl.wishes import status_of, tell_failures

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any, Final

    from linitctl.session import Session

POLICIES: Final = ("always", "on_failure", "on_abnormal", "never")


def _arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("--name", metavar="NAME", default="", help="default: run-PROGRAM-N, the first that is free")
    add("--need", metavar="NAME", action="append", default=[], help="what must be up before")
    add("--want", metavar="NAME", action="append", default=[], help="what is started before, if it can be")
    add("--oneshot", action="store_true", help="it is to end: wait until it has")
    add("--as", dest="account", metavar="USER", default="", help="run as this user")
    add("--directory", metavar="DIR", default="/", help="where it runs; default: /")
    add("--env", metavar="NAME=VALUE", action="append", default=[], help="in its environment")
    add("--restart", metavar="POLICY", choices=POLICIES, default="never", help=f"{', '.join(POLICIES)} (default)")
    add("--description", metavar="TEXT", default="", help="default: the command")
    add("--no-wait", action="store_true", help="do not wait until it is up")
    add("argv", metavar="COMMAND", nargs="+", help="the program and its arguments, after `--`")


def _run(session: Session, options: Namespace) -> int:
    has_name = False

    def tell_name(method: str, params: dict[str, Any]) -> None:
        nonlocal has_name
        if method == "named" and not session.is_json and not has_name:
            has_name = True
            session.print(params["name"])
            session.out.flush()

    session.client.on_notification = tell_name
    result = ask(session, "run", **parameters(options))
    if session.is_json:
        session.print_json(result)
        return status_of(result)
    if result["name"]:
        tell_name("named", result)
    return tell_failures(session, result)


def parameters(options: Namespace) -> dict[str, Any]:
    """Those of the method `run`. Raises Failure for an --env without a value."""
    environment = {}
    for pair in options.env:
        variable, is_set, value = pair.partition("=")
        if not is_set:
            raise Failure(USAGE, f"--env: found {pair!r}, expected NAME=VALUE")
        environment[variable] = value
    return {
        "argv": options.argv,
        "name": options.name,
        "oneshot": options.oneshot,
        "need": options.need,
        "want": options.want,
        "description": options.description,
        "user": options.account,
        "directory": options.directory,
        "environment": environment,
        "restart": options.restart,
        "wait": not options.no_wait,
    }


COMMANDS: Final = {
    "run": Command(
        _arguments,
        _run,
        "Run a command as a service of its own, supervised as any other: `status`, `logs`, `why` and `stop` know it\n"
        "by its name, which is printed first. It is gone when it has ended; one that failed stays until `linitctl\n"
        "reset`. The program is looked for in the PATH that services have.",
        "linitctl run --need net -- /usr/bin/rsync -a /srv/data backup:",
        "linitctl run --name reindex --oneshot --as www -- /srv/shop/reindex --all",
    ),
}
