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
TESTS: Final = ("tests/simulation", "tests/unit/test_engine_parts.py")
SEEDS: Final = "600"
LIMIT_S: Final = 300.0  # a fault may make the engine loop for ever: that is noticed, too

# (file, what stands there, what takes its place)
FAULTS: Final[tuple[tuple[str, str, str], ...]] = (
    ("edges.py", "return not goal\n", "return False\n"),
    ("edges.py", "return not goal or state in SHAKEN", "return not goal"),
    ("edges.py", "return kind.is_hard and not on[2]", "return False"),
    ("edges.py", "return state in PRESENT", "return False"),
    ("edges.py", "return hope and not (goal and state is UnitState.UP)", "return False"),
    ("edges.py", "return not goal and state in RUNNING", "return False"),
    ("edges.py", "return state in RUNNING\n", "return False\n"),
    ("edges.py", "return provider[0] is UnitState.UP and provider[1]", "return provider[0] is UnitState.UP"),
    ("board.py", "dependent.unmet += waiting", "dependent.unmet += max(waiting, 0)"),
    ("board.py", "on.holders += change", "on.holders += min(change, 0)"),
    (
        "board.py",
        "if blocked or doomed:\n            self.look(dependent)",
        "if blocked and doomed:\n            self.look(dependent)",
    ),
    ("board.py", "if not on.holders:\n                    self._act(on)", "pass"),
    ("board.py", "self.changed[unit.name] = None\n        self._show", "self._show"),
    ("board.py", "self._acts.appendleft(unit.name)", "self._acts.append(unit.name)"),
    ("lifecycle.py", "elif not unit.holders or unit.bouncing:", "elif True:"),
    ("lifecycle.py", "arm(self.board, unit, TimerKind.START, unit.service.start_timeout_s)", "pass"),
    ("stopping.py", "self._limit(unit, KILL_WAIT_S)", "pass"),
    ("stopping.py", "self.board.emit(KillAll(unit.name))", "pass"),
    ("lifecycle.py", "unit.budget = verdict.budget", "pass"),
    ("lifecycle.py", "unit.running.discard(event.role)\n        unit.pids", "unit.pids"),
    ("lifecycle.py", "self.board.emit(ArmTimer(unit.name, TimerKind.RESPAWN, verdict.delay_s))", "pass"),
    ("lifecycle.py", "unit.left = event.left", "pass"),
    ("stopping.py", "unit.index = 0 if was_up else UNDO_NOTHING", "unit.index = 0"),
    ("lifecycle.py", "unit.restarting = unit.bouncing = False\n", "unit.bouncing = False\n"),
    ("lifecycle.py", "self._fail_over(unit)\n", ""),
    ("lifecycle.py", "if unit.verdict is not None and unit.goal:", "if unit.verdict is not None:"),
    ("lifecycle.py", "unit.budget = Budget()\n        elif", "pass\n        elif"),
    (
        "respawn.py",
        "if restart.limit and len(recent) >= restart.limit:",
        "if restart.limit and len(recent) > restart.limit:",
    ),
    ("respawn.py", "(*recent, now_s), budget.streak + 1", "(*recent, now_s), 0"),
    ("requests.py", "if pending.open.pop(name, None) is not None:", "if name in pending.open:"),
    ("requests.py", "(awaited is Verb.STOP) is not (new is Verb.STOP)", "False"),
    ("requests.py", "if unit.state.is_at_rest_down and not unit.hope:", "if unit.state is UnitState.FAILED:"),
    ("engine.py", "unit.given_up = losers[name]", "pass"),
    (
        "engine.py",
        "unit.given_up, unit.finished = None, False\n                if unit",
        "unit.finished = False\n                if unit",
    ),
    ("engine.py", 'if self.boot_state == "stopping":\n            return\n', ""),
    ("engine.py", "self._wish(board.units[foe], Desired.DOWN, conflict, Verb.STOP)", "pass"),
    ("wishes.py", "unit.given_up is not None,\n", "False,\n"),
    ("wishes.py", "if not any(units[other].desired is Desired.UP", "if any(units[other].desired is Desired.UP"),
)


def is_noticed(copy: Path, file: str, old: str, new: str) -> bool:
    """Do the tests fail with this fault in place?"""
    path = copy / "linit/engine" / file
    sound = path.read_text()
    if old not in sound:
        raise SystemExit(f"{file}: the text of a fault is no longer there: {old!r}")
    path.write_text(sound.replace(old, new, 1))
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *TESTS]
    environment = os.environ | {"PYTHONPATH": str(copy), "LINIT_SEEDS": SEEDS, "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        status = subprocess.run(
            command, cwd=copy, env=environment, capture_output=True, timeout=LIMIT_S, check=False
        ).returncode
    except subprocess.TimeoutExpired:
        return True
    finally:
        path.write_text(sound)
    return status != 0


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
        for number in chosen:
            file, old, new = FAULTS[number - 1]
            began = time.monotonic()
            noticed = is_noticed(copy, file, old, new)
            unnoticed += not noticed
            verdict = "noticed" if noticed else "UNNOTICED"
            first = " ".join(old.split())
            print(f"{number:3} {verdict:9} {time.monotonic() - began:5.1f} s  {file}: {first[:80]}", flush=True)
    print(f"{len(list(chosen)) - unnoticed} faults noticed, {unnoticed} unnoticed")
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main())
