"""The live record of one service. Only the engine writes it; others read."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Final

from linit.engine.edges import View
from linit.engine.respawn import Budget, Verdict
from linit.model.reason import Cause, Reason
from linit.model.service import EdgeKind, Service
from linit.model.state import DOWN, Desired, Role, UnitState

NEVER_WANTED: Final = Reason(Cause.NEVER_WANTED)


class StopPhase(enum.Enum):
    """How far a stop has come."""

    NONE = "none"
    HELD = "held"  # something that depends on it must be down first; nothing was done to it yet
    COMMAND = "command"  # a stop command runs
    SIGNALS = "signals"  # the stop signals are being sent
    KILL = "kill"  # SIGKILL was sent


NO_STOP, HELD, SIGNALS = StopPhase.NONE, StopPhase.HELD, StopPhase.SIGNALS


@dataclass(slots=True, eq=False)
class Unit:
    """State of a service: where it is, where it should be, why, and what is running for it. Times are the engine's
    clock in seconds."""

    name: str
    service: Service
    state: UnitState = DOWN
    desired: Desired = Desired.DOWN
    reason: Reason = NEVER_WANTED  # why it is in `state`
    wish: Reason = NEVER_WANTED  # why `desired` is what it is
    changed_at_s: float = 0.0  # when `state` was entered
    began_at_s: float = 0.0  # when the start or stop under way began
    run_at_s: float | None = None  # when its last start began; None: it never did
    start_duration_s: float | None = None  # of the last start that succeeded
    deadline_s: float | None = None  # until when the present start or stop may last
    pids: dict[Role, int] = field(default_factory=dict)  # live processes by role
    restarts: int = 0  # respawns since an operator last started it
    last_exit: int | None = None  # wait status of the last main process
    last_exit_note: str = ""  # the words for it, where those for the status are not all
    is_outdated: bool = False  # a reload changed its definition while it ran

    # What the engine steers by.
    goal: bool = False  # desired, and nothing stands against it: the state moves towards this
    hope: bool = False  # the same once the restarts under way are over
    given_up: Reason | None = None  # why it is not started again before somebody asks
    finished: bool = False  # with `given_up`: that was no failure, it ended as it should
    restarting: Reason | None = None  # why it goes down, and up again once it is down; dependents follow
    bouncing: Reason | None = None  # the same for `restart --only`: dependents are left alone
    next_service: Service | None = None  # takes effect when it is down
    removed: bool = False  # its definition is gone: forgotten when it is down
    blockers: int = 0  # hard dependencies that will not be up
    doomed: int = 0  # hard dependencies without hope
    unmet: int = 0  # dependencies and conflicts that a start waits for
    holders: int = 0  # dependents that a stop waits for; counted while it does
    alive: int = 0  # of a virtual name: providers whose goal is up
    hopeful: int = 0  # of a virtual name: providers with hope
    ready: int = 0  # of a virtual name: providers that are up
    running: set[Role] = field(default_factory=set)  # commands ordered and not yet ended
    left: bool = False  # other processes of it remain
    checking: bool = False  # the answer to CheckConditions is due
    searching: bool = False  # that to FindMain is
    found: bool = False  # the main process is not the command that was spawned: a daemon in the background
    terminal: str = ""  # that it has to itself while it starts
    index: int = 0  # of the pre, post or stop command that runs
    stop_phase: StopPhase = StopPhase.NONE
    stop_reason: Reason | None = None  # why the stop under way was begun
    verdict: Verdict | None = None  # what follows once the remains of a failed start or exit are gone
    budget: Budget = field(default_factory=Budget)
    listed: bool = False  # the board lets it act soon
    owners: Neighbours | None = None  # who depends on it, ...
    others: Neighbours | None = None  # ... and on whom it does; None: not asked yet

    @property
    def view(self) -> View:
        """How it looks to its neighbours."""
        return self.state, self.goal, self.hope

    @property
    def is_enabled(self) -> bool:
        """Is it in a runlevel?"""
        return bool(self.service.runlevels)


Neighbours = tuple[tuple[EdgeKind, list[Unit]], ...]  # by the kind of the edges
