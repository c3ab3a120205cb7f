"""Would the tests notice? Puts deliberate faults into the engine, one at a time, and runs its tests against each.

    python tests/mutations.py            all of them; exit status 1 if one goes unnoticed
    python tests/mutations.py 3 17       these only

Each fault is a text in a file of `linit/engine` and what takes its place. The tree itself is not touched: a copy is.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

TOP: Final = Path(__file__).parents[1]
EVENTS: Final = "100000"
CAMPAIGN: Final = ("-m", "tests.campaign", "--brief", "--events", EVENTS)
TESTS: Final = (
    *("-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--deselect", "tests/simulation/test_campaign.py"),
    *("tests/simulation", "tests/unit/test_engine_parts.py"),
)
SLOWER: Final = 8  # a fault may make the engine loop for ever: what takes so much longer than without it never ends
LONGEST_S: Final = 3600.0

# (file, what stands there, what takes its place)
FAULTS: Final[tuple[tuple[str, str, str], ...]] = (
    ("edges.py", "return not goal\n", "return False\n"),
    ("edges.py", "return not goal or state in SHAKEN", "return not goal"),
    ("edges.py", "return kind.is_hard and not on[2]", "return False"),
    ("edges.py", "return state in PRESENT", "return False"),
    ("edges.py", "return hope and not (goal and state is UP)", "return False"),
    ("edges.py", "return not goal and state in RUNNING", "return False"),
    ("edges.py", "return state in RUNNING\n", "return False\n"),
    ("edges.py", "return provider[0] is UP and provider[1]", "return provider[0] is UP"),
    ("board.py", "dependent.unmet += waiting\n                    if not", "if not"),
    (
        "board.py",
        "on.holders += held\n",
        "on.holders += min(held, 0)\n",
    ),
    (
        "board.py",
        "(blocked and not (was_blocked and is_blocked)) or",
        "(blocked and not (was_blocked and is_blocked)) and",
    ),
    ("board.py", "if not on.holders:\n                        self.act(on)", "pass"),
    ("board.py", "self.changed[unit.name] = None\n        if unit.terminal", "if unit.terminal"),
    ("board.py", "self.rested = True\n            if not (before", "if not (before"),
    ("board.py", "self.acts.appendleft(unit)", "self.acts.append(unit)"),
    ("lifecycle.py", "elif not unit.holders or unit.bouncing:", "elif True:"),
    ("starting.py", "arm(board, unit, START_TIMER, service.start_timeout_s)", "pass"),
    ("stopping.py", "self._limit(unit, KILL_WAIT_S)", "pass"),
    ("stopping.py", "self.board.emit(KillAll(unit.name))", "pass"),
    ("lifecycle.py", "unit.budget = verdict.budget", "pass"),
    ("lifecycle.py", "unit.running.discard(event.role)\n        unit.pids", "unit.pids"),
    ("lifecycle.py", "self.board.emit(ArmTimer(unit.name, RESPAWN_TIMER, verdict.delay_s))", "pass"),
    ("lifecycle.py", "unit.left = event.left", "pass"),
    ("stopping.py", "unit.index = 0 if was_up else UNDO_NOTHING", "unit.index = 0"),
    ("lifecycle.py", "unit.restarting = unit.bouncing = None\n", "unit.bouncing = None\n"),
    ("lifecycle.py", "self._fail_over(unit)\n", ""),
    ("lifecycle.py", "if unit.verdict is not None and unit.goal:", "if unit.verdict is not None:"),
    ("lifecycle.py", "unit.budget = Budget()\n\n", "pass\n\n"),
    (
        "respawn.py",
        "if restart.limit and len(recent) >= restart.limit:",
        "if restart.limit and len(recent) > restart.limit:",
    ),
    ("respawn.py", "(*recent, now_s), budget.streak + 1", "(*recent, now_s), 0"),
    ("requests.py", "if pending.open.pop(name, None) is not None:", "if name in pending.open:"),
    ("requests.py", "(awaited is Verb.STOP) is not (new is Verb.STOP)", "False"),
    ("requests.py", "if unit.state.is_at_rest_down and not unit.hope:", "if unit.state is UnitState.FAILED:"),
    ("desires.py", "unit.given_up = losers[name]", "pass"),
    (
        "desires.py",
        "unit.given_up, unit.finished = None, False\n                if unit",
        "unit.finished = False\n                if unit",
    ),
    ("engine.py", 'if self.boot_state == "stopping":\n            return\n', ""),
    ("desires.py", "self.wish(board.units[foe], TO_BE_DOWN, conflict, Verb.STOP)", "pass"),
    ("wishes.py", "unit.given_up is not None,\n", "False,\n"),
    ("wishes.py", "if edge.kind.pulls and is_of_use(units[other]):", "if False:"),
    # Terminals, locks, what is made and found at run time, loops of waits.
    ("board.py", "self._give_back_terminal(unit)\n", "pass\n"),
    ("board.py", "self.act(self.units[name])\n        unit.terminal", "pass\n        unit.terminal"),
    ("starting.py", "if holder is not None and not self._would_wedge(unit.name, holder):", "if False:"),
    ("starting.py", "holder is not None and not self._would_wedge(unit.name, holder)", "holder is not None"),
    ("locks.py", "return queue[0] is claim", "return True"),
    ("locks.py", "return None, queue[0] if queue else None", "return None, None"),
    (
        "locks.py",
        "if not was_holder:\n            return claim, None",
        "if not was_holder:\n            return None, None",
    ),
    ("locks.py", "return queue[0] if queue else None", "return queue[-1] if queue else None"),
    ("engine.py", "(loop := self._waits.loop_of_lock(event))", "(loop := '')"),
    ("wait_loops.py", "yield (Awaited.RELEASE, holder.id), text", "yield from ()"),
    ("wait_loops.py", "yield (Awaited.SCRIPTS, holder), f", "yield (Awaited.SCRIPTS, ''), f"),
    ("wait_loops.py", "yield (Awaited.DOWN, other), text", "yield from ()"),
    (
        "wait_loops.py",
        "if following not in came_by:\n                    came_by[following] = (node, text)",
        "if False:\n                    pass",
    ),
    ("learning.py", "if not has(unit.service, edge)", "if has(unit.service, edge)"),
    ("learning.py", "return False\n        owner = ", "return True\n        owner = "),
    ("renewal.py", "learning.learn(board, unit, (edge,))", "pass"),
    ("renewal.py", "self._learn_again(found)", "pass"),
    ("renewal.py", "part_foes(board.units, board)", "pass"),
    ("renewal.py", "board.forget(unit)", "pass"),
    ("renewal.py", "unit.removed = True", "pass"),
    ("renewal.py", "unit.next_service, unit.is_outdated = new, True", "unit.service, unit.is_outdated = new, True"),
    ("wedges.py", "self._lifecycle.stopping.go(unit)", "pass"),
    ("wedges.py", "(board.is_stuck or (is_mixed and self._may_be_closed()))", "board.is_stuck"),
    ("wedges.py", "return self._board.rewired or any(", "return any("),
    ("wedges.py", "for name in self._board.changed)", "for name in ())"),
    ("wedges.py", "mixed.difference_update([", "mixed.clear(), len(["),
    ("learning.py", "if not board.links.learning:", "if board.links.learning:"),
    ("engine.py", "board.links.frugal and self._let_go", "not board.links.frugal and self._let_go"),
    ("board.py", "may_follow = dependent.reason.of == unit.name or FAILED in (before, after)", "may_follow = False"),
    ("asking.py", "self._waits.loop_of(request, request.verb, request.names)", "None"),
    ("engine.py", "self._waits.loop_of_run(event)", "''"),
    # What the long campaign found.
    ("renewal.py", "is not None or unit.running or unit.left:", "is not None:"),
    ("renewal.py", "elif unit.running or unit.left:", "elif False:"),
    ("renewal.py", "if unit.state not in RUNNING or", "if unit.state.is_at_rest_down or"),
    ("engine.py", "unit.left = unit.left or (isinstance(event, events.Exited) and event.left)", "pass"),
    ("engine.py", "self._give_up_waits_for_locks()\n        board.emit", "board.emit"),
    ("lifecycle.py", "and unit.state not in RUNNING:", "and unit.state.is_at_rest_down:"),
    ("lifecycle.py", "self._want(unit)  # a new plan", "pass  # a new plan"),
    ("lifecycle.py", "reason = why_not(self.board, unit) if is_unprovided else unit.wish", "reason = unit.wish"),
    ("starting.py", "self.stop_idling(unit)  # the boot", "pass  # the boot"),
    ("obstacles.py", "if not is_hopeful and is_lost(board, edge.on):", "if False:"),
    ("obstacles.py", "if on is not None and on.state is UP:", "if False:"),
    ("obstacles.py", "if unit.hope:\n        return False", "if False:\n        return False"),
    ("board.py", "for unit in counted:\n            self.counts[unit.state] += 1", "pass"),
    ("wait_loops.py", " or on.name in hopeful", ""),
    ("wait_loops.py", " or _falls_with(dependent, edge, unit)", ""),
    ("wait_loops.py", "unit.next_service.dependencies if unit.next_service is not None and goes_down else ()", "()"),
    ("wait_loops.py", "waits(edge.kind, board.units[foe].view)", "board.units[foe].state is UnitState.STOPPING"),
    ("learning.py", "if edge.learned and edge.on in behind:", "if False:"),
    ("wishes.py", "if is_asked_for or _is_pulled(other, units, links):", "if is_asked_for:"),
    (
        "wishes.py",
        "found.extend(edge.on for edge in links.dependencies(on)",
        "found.extend(edge.on for edge in ()",
    ),
    ("wedges.py", "return unit.hope and not unit.goal", "return False"),
    ("renewal.py", "learning.unlearn(board, unit, edge.on)  # of one", "pass  # of one"),
    ("lifecycle.py", "is_whole = unit.index == 0 and not _has_died(unit)", "is_whole = unit.index == 0"),
    ("lifecycle.py", "(unit.index or _has_died(unit))", "unit.index"),
    # Daemons in the background, conditions, health, what is told by sd_notify(3).
    ("starting.py", "if not unit.checking:\n            return", "if False:\n            return"),
    ("starting.py", "self._finish(unit, Reason(Cause.CONDITION", "self._fail(unit, Reason(Cause.CONDITION"),
    ("starting.py", "unit.checking = True", "self._run_pre(unit)"),
    ("orders.py", "unit.checking = unit.searching = False\n", "pass\n"),
    ("starting.py", "if unit.searching:\n", "if True:\n"),
    ("starting.py", "not _is_launcher(unit):\n            unit.pids", "True:\n            unit.pids"),
    ("starting.py", " and not _is_launcher(unit):\n            self._run_post", ":\n            self._run_post"),
    ("starting.py", "(unit.service.kind is PROCESS or unit.found)", "unit.service.kind.is_daemon"),
    ("starting.py", "self.board.emit(FindMain(unit.service))", "pass"),
    ("starting.py", "and not unit.service.remains:", "and False:"),
    ("requests.py", "if unit.finished and verb is not Verb.NEED:", "if False:"),
    ("wishes.py", "is TO_BE_UP and not unit.finished", "is TO_BE_UP"),
    ("respawn.py", "Cause.READINESS_FAILED, Cause.UNHEALTHY}", "Cause.READINESS_FAILED}"),
    ("lifecycle.py", "            watch_health(self.board, unit)\n", ""),
    ("lifecycle.py", "        leave(self.board, unit)\n", ""),
    ("stopping.py", "        leave(self.board, unit)\n", ""),
    ("lifecycle.py", "or self.board.now_s + delay_s <= unit.deadline_s", ""),
    ("lifecycle.py", "min(event.delay_s, EXTENSION_MAX_S)", "event.delay_s"),
    ("stopping.py", "if unit.stop_phase in (StopPhase.COMMAND, SIGNALS):", "if True:"),
    ("asking.py", "if Role.RELOAD in unit.running:\n            return", "if False:\n            return"),
    ("asking.py", "self._board.emit(DisarmTimer(unit.name, TimerKind.RELOAD))", "pass"),
    (
        "engine.py",
        "if unit.state is not UP and name in ledger.reloading:\n                    self._asking",
        "if False:\n                    self._asking",
    ),
    ("engine.py", 'self._asking.on_reload_over(unit, "it has not', 'str("it has not'),
    # Triggers.
    ("starting.py", "unit.running.discard(MAIN)\n            self._is_up(unit)", "self._is_up(unit)"),
    ("stopping.py", "self.board.emit(Disarm(unit.name))", "pass"),
    ("lifecycle.py", "self.board.emit(Disarm(unit.name))", "pass"),
    ("lifecycle.py", "if not finished:\n            self.close_triggers(unit)", "pass"),
    ("lifecycle.py", "or trigger.desired is TO_BE_DOWN:", "or False:"),
    ("lifecycle.py", "trigger.service.activates != unit.name", "False"),
    ("stopping.py", "self._on_abandoned(unit)", "pass"),
    ("asking.py", "if len(recent) < ACTIVATIONS_MAX or", "if len(recent) <= ACTIVATIONS_MAX or"),
    ("asking.py", "now_s - at_s < ACTIVATION_WINDOW_S", "now_s - at_s < 2 * ACTIVATION_WINDOW_S"),
    (
        "asking.py",
        "if trigger.service.kind is not Kind.TIMER:\n            trigger.given_up",
        "if True:\n            trigger.given_up",
    ),
    ("asking.py", "if target.hope or self._course", "if target.goal or self._course"),
    ("asking.py", 'or self._course.boot_state == "stopping" or self._is_too_often', "or self._is_too_often"),
    ("asking.py", "or trigger.state is not UnitState.UP or", "or"),
    ("engine.py", "self._asking.close_if_vain(event.name)", "pass"),
    ("asking.py", " and unit.name not in kept", ""),
    ("desires.py", "name in names or is_past:", "name in names:"),
    ("explain.py", "        Cause.ACTIVATES_FAILED,\n", ""),
    ("explain.py", "Cause.RUNLEVEL, Cause.ACTIVATED}", "Cause.RUNLEVEL}"),
    # What is not looked at, since nothing can follow from it.
    ("board.py", "if self.goals:\n            self.goals.append(unit)\n", "if False:\n            pass\n"),
    ("board.py", "elif not is_rest and (goals or rising) and", "elif False and"),
    ("board.py", "elif dependent.state in EXPLAINED:", "elif False:"),
    ("board.py", "if state is WAITING and unit.unmet:", "if state is WAITING:"),
    ("engine.py", "if unit.state is state and state not in STEADY:", "if False:"),
    ("lifecycle.py", "(unit.goal or _is_unsettled(unit, reason))", "unit.goal"),
    ("lifecycle.py", "self._advance_waiting(unit)  # put off", "pass  # put off"),
    ("stopping.py", "elif not self.board.defers(unit) and unit.bouncing:", "elif not self.board.defers(unit):"),
    ("board.py", "and (unit.ready or unit.service.kind is not VIRTUAL)", "and True"),
    ("board.py", "self.units[name].owners = None", "pass"),
    ("board.py", "self.units[name].others = None", "pass"),
    ("board.py", "found.setdefault(CONFLICTS, []).append", "str"),
    ("desires.py", "board.act(unit)\n                continue", "continue"),
    ("orders.py", "if unit.deadline_s is not None:", "if unit.deadline_s is None:"),
    ("lifecycle.py", "self.board.look(unit)\n        self.board.move(unit, E", "self.board.move(unit, E"),
    ("stopping.py", "is ONLY_MAIN and unit.stop_phase is not HELD:", "is ONLY_MAIN:"),
)


def run_tests(copy: Path, limit_s: float = LONGEST_S) -> str:
    """Who says that something is wrong in this copy: "tests", "campaign", "time" when they never end, "" for nobody."""
    environment = os.environ | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    for name, arguments in (("tests", TESTS), ("campaign", CAMPAIGN)):
        command = [sys.executable, *arguments]
        try:
            done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, timeout=limit_s, check=False)
        except subprocess.TimeoutExpired:
            return "time"
        if done.returncode == 1:
            return name
        if done.returncode:
            raise SystemExit(f"the {name} do not even run:\n{done.stdout.decode()}{done.stderr.decode()}")
    return ""


def noticed_by(copy: Path, file: str, old: str, new: str, limit_s: float) -> str:
    """Who notices this fault: as `run_tests`."""
    path = copy / "linit/engine" / file
    sound = path.read_text()
    if old not in sound:
        raise SystemExit(f"{file}: the text of a fault is no longer there: {old!r}")
    path.write_text(sound.replace(old, new, 1))
    try:
        return run_tests(copy, limit_s)
    finally:
        path.write_text(sound)


def main() -> int:
    """Run the campaign; 0 when every fault was noticed."""
    chosen = [int(word) for word in sys.argv[1:]] or range(1, len(FAULTS) + 1)
    unnoticed = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in ("linit", "tests", "pyproject.toml"):
            source = TOP / name
            ignore = shutil.ignore_patterns("__pycache__", "integration")
            shutil.copytree(source, copy / name, ignore=ignore) if source.is_dir() else shutil.copy(source, copy)
        began = time.monotonic()
        if wrong := run_tests(copy):
            raise SystemExit(f"without any fault the {wrong} fail: nothing can be learned from this tree")
        limit_s = SLOWER * (time.monotonic() - began)
        for number in chosen:
            file, old, new = FAULTS[number - 1]
            began = time.monotonic()
            who = noticed_by(copy, file, old, new, limit_s)
            unnoticed += not who
            first = " ".join(old.split())
            print(
                f"{number:3} {who or 'UNNOTICED':9} {time.monotonic() - began:5.1f} s  {file}: {first[:80]}", flush=True
            )
    print(f"{len(list(chosen)) - unnoticed} faults noticed, {unnoticed} unnoticed")
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main())
