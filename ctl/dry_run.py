"""`start`, `stop`, `restart`, `runlevel` with `--dry-run`: what would they do? The planner goes on in virtual time from
where the running linit stands; this program becomes it."""

from __future__ import annotations

import os

from linitctl.definitions import become
from linitctl.planning import planner, reported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

    from linitctl.session import Session


def run(session: Session, verb: str, names: Sequence[str], *options: str) -> NoReturn:
    """Show what that would do; `options` are the planner's. Raises Failure."""
    found = session.call("checkpoint")
    file = os.memfd_create("state", 0)
    with open(file, "wb", closefd=False) as stream:
        stream.write(found["state"])
    state = ["--state", f"/proc/self/fd/{file}", "--now", repr(found["now_s"])]
    compiled = ["--compiled-at", repr(found["compiled_at"])]
    argv = planner(session, "dry-run", *state, *compiled, *reported(session, ()), *options, "--", verb, *names)
    become(argv, "the planner")
