"""Why is a unit where it is? Causes as data, and the words for them: one place, so that the console, the log and
`linitctl why` say the same."""

from __future__ import annotations

import enum
import signal
from typing import Final

from linit.model.value import value


class Cause(enum.Enum):
    """What a reason is about. The comment says which fields of `Reason` are set besides `cause` and `at_s`."""

    __hash__ = object.__hash__  # members are singletons: no need to hash a name, which is slow

    NEVER_WANTED = "never_wanted"
    REQUESTED = "requested"  # by
    RUNLEVEL = "runlevel"  # of: the runlevel that wants it
    PULLED_IN = "pulled_in"  # of: the dependent that pulled it in, place: of the edge
    PROVIDED = "provided"  # of: the provider of a virtual name
    WAITS_FOR = "waits_for"  # of: one of what is waited for, text: the others
    WAITS_FOR_STOP = "waits_for_stop"  # of: who must be down first
    WAITS_FOR_TERMINAL = "waits_for_terminal"  # text: the terminal, of: who has it while it starts
    WAITS_FOR_LOCK = "waits_for_lock"  # its script does. text: the lock, of: the service that holds it, or by: who
    STARTING = "starting"  # text: the step ("pre", "main, waiting for readiness (notify)")
    READY = "ready"
    EXITED = "exited"  # status
    SPAWN_FAILED = "spawn_failed"  # text
    READINESS_FAILED = "readiness_failed"  # text
    UNHEALTHY = "unhealthy"  # text: which check failed, and how
    CONDITION = "condition"  # text: which condition is false
    ACTIVATED = "activated"  # of: the trigger, text: what it saw
    ACTIVATES_FAILED = "activates_failed"  # of: the service that it starts
    START_TIMEOUT = "start_timeout"  # limit_s, text: the step
    STEP_TIMEOUT = "step_timeout"  # limit_s, text: the role of the command
    STOP_TIMEOUT = "stop_timeout"  # limit_s
    RESPAWN = "respawn"  # status or text of the exit, limit_s: the delay
    RESPAWN_LIMIT = "respawn_limit"  # status of the last exit, text: "6 respawns in 60 s"
    DEPENDENCY_FAILED = "dependency_failed"  # of, place: of the edge
    DEPENDENCY_DOWN = "dependency_down"  # of, place: of the edge; it was stopped or is not wanted
    CONFLICT = "conflict"  # of, place
    CYCLE = "cycle"  # text: the loop, place
    BROKEN = "broken"  # text: the first fault, place
    STOPPED = "stopped"  # by
    RESTARTED = "restarted"  # by
    RUNLEVEL_LEFT = "runlevel_left"  # of: the new runlevel
    SHUTDOWN = "shutdown"  # by
    UNNEEDED = "unneeded"  # of: the last dependent
    REMOVED = "removed"  # its definition is gone


# Named once, as the states are: linit.model.state.
IS_STARTING, EXITED, RESPAWN, STOP_TIMEOUT = Cause.STARTING, Cause.EXITED, Cause.RESPAWN, Cause.STOP_TIMEOUT
DEPENDENCY_FAILED, DEPENDENCY_DOWN, WAITS_FOR = Cause.DEPENDENCY_FAILED, Cause.DEPENDENCY_DOWN, Cause.WAITS_FOR


@value
class Reason:
    """One cause. `status` is a wait status as waitpid(2) gives it, `note` the words for it where they are not the usual
    ones; `at_s` the engine's clock, in seconds."""

    cause: Cause
    at_s: float = 0.0
    of: str = ""
    by: str = ""
    text: str = ""
    place: str = ""
    status: int | None = None
    limit_s: float | None = None
    note: str = ""

    def __str__(self) -> str:
        """The words for it, to follow a state: `failed: exited with status 1`."""
        template = WORDS[self.cause]
        if self.cause is Cause.RESPAWN_LIMIT and self.status is None:
            template = "{text}"
        words = template.format(
            of=self.of,
            holder=self.of or self.by,
            by=self.by or "nobody known",
            text=self.text,
            limit=f"{round(self.limit_s, 2):g} s" if self.limit_s is not None else "",
            exit=self.note or (exit_words(self.status) if self.status is not None else self.text),
        )
        return f"{words} ({self.place})" if self.place else words


WORDS: Final[dict[Cause, str]] = {
    Cause.NEVER_WANTED: "nothing has asked for it",
    Cause.REQUESTED: "asked for by {by}",
    Cause.RUNLEVEL: "wanted by runlevel {of}",
    Cause.PULLED_IN: "pulled in by {of}",
    Cause.PROVIDED: "provided by {of}",
    Cause.WAITS_FOR: "waits for {of}{text}",
    Cause.WAITS_FOR_STOP: "waits for {of} to stop",
    Cause.WAITS_FOR_TERMINAL: "waits for the terminal {text}, which {of} has",
    Cause.WAITS_FOR_LOCK: "its script waits for the lock {text}, which {holder} holds",
    Cause.STARTING: "{text}",
    Cause.READY: "ready",
    Cause.EXITED: "{exit}",
    Cause.SPAWN_FAILED: "could not be run: {text}",
    Cause.READINESS_FAILED: "never became ready: {text}",
    Cause.UNHEALTHY: "no longer well: {text}",
    Cause.CONDITION: "a condition is not met: {text}",
    Cause.ACTIVATED: "started by {of}: {text}",
    Cause.ACTIVATES_FAILED: "{of}, which it starts, failed",
    Cause.START_TIMEOUT: "not up within {limit} ({text})",
    Cause.STEP_TIMEOUT: "its {text} command has not ended within {limit}",
    Cause.STOP_TIMEOUT: "not down within {limit}, killed",
    Cause.RESPAWN: "{exit}; starts again after {limit}",
    Cause.RESPAWN_LIMIT: "{exit}; gave up after {text}",
    Cause.DEPENDENCY_FAILED: "needs {of}, which failed",
    Cause.DEPENDENCY_DOWN: "needs {of}, which is down",
    Cause.CONFLICT: "conflicts with {of}",
    Cause.CYCLE: "in a dependency cycle: {text}",
    Cause.BROKEN: "its definition is broken: {text}",
    Cause.STOPPED: "stopped by {by}",
    Cause.RESTARTED: "restarted by {by}",
    Cause.RUNLEVEL_LEFT: "not in runlevel {of}",
    Cause.SHUTDOWN: "shutdown asked for by {by}",
    Cause.UNNEEDED: "not needed since {of} stopped",
    Cause.REMOVED: "its definition was removed",
}


def exit_words(status: int) -> str:
    """A wait status in words: "exited with status 1", "killed by SIGSEGV (core dumped)". Source: wait(2)."""
    number = status & 0x7F
    if not number:
        return f"exited with status {status >> 8}"
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    return f"killed by {name}{' (core dumped)' if status & 0x80 else ''}"
