"""linit: PID 1, or with `--user DIR` a supervisor that a person runs in a folder.

Exit status with --user: 0 everything was stopped in order; 1 there is no plan, or it cannot be used; 2 wrong usage;
3 another linit runs in that folder. PID 1 does not exit.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

OK: Final = 0
NO_PLAN: Final = 1
USAGE: Final = 2
RUNNING_ALREADY: Final = 3


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; gives the exit status. As PID 1 it does not return."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    # The kernel passes on to PID 1 what it did not understand of its own command line: that is no usage of ours.
    if os.getpid() == 1 or arguments[:1] == ["--system"]:
        from linit.system import boot

        boot.main()
    from linit.runtime import user

    options = _options(arguments)
    return user.run(options.user, runlevel=options.runlevel, cgroup_root=options.cgroup, is_quiet=options.quiet)


class _Options:
    """What was asked for."""

    user: str
    runlevel: str
    cgroup: str
    quiet: bool


def _options(arguments: list[str]) -> _Options:
    import argparse

    from linit import VERSION

    parser = argparse.ArgumentParser(
        prog="linit",
        description="The init system of Panux. Without options it wants to be PID 1.",
        epilog="Exit status of --user: 0 all stopped in order, 1 no usable plan, 2 wrong usage, 3 already running "
        "in DIR. TERM and INT stop everything in order, HUP reads changed definitions.",
    )
    parser.add_argument("--version", action="version", version=f"linit {VERSION}")
    parser.add_argument(
        "--user",
        metavar="DIR",
        required=True,
        help="supervise the services defined in DIR/services; DIR/run holds the control socket, DIR/log the logs",
    )
    parser.add_argument(
        "--runlevel",
        metavar="NAME",
        default="",
        help="what to start: DIR/runlevels/NAME; `default` if not said. If there are no runlevels, every service",
    )
    parser.add_argument(
        "--cgroup",
        metavar="DIR",
        default=os.environ.get("LINIT_CGROUP", ""),
        help="a cgroup2 folder in which cgroups may be made, one for each service (also: LINIT_CGROUP)",
    )
    parser.add_argument("--quiet", action="store_true", help="do not print what happens")
    return parser.parse_args(arguments, namespace=_Options())


if __name__ == "__main__":
    sys.exit(main())
