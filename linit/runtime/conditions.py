"""Is what `when` asks for so? Looked at once, right before each start of a service.

Files are looked at with one stat(2) each, by a child of linit's where they may be on a disk that hangs; commands run as
probes among the processes of the service. All of it is done at the same time. All conditions are evaluated; who asks is
told of the first one that is not met.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Final

from linit.engine.events import ConditionsChecked
from linit.model.service import Condition, ConditionKind, Service
from linit.model.state import UnitState
from linit.runtime import stamps
from linit.runtime.failure import errno_words, error_words
from linit.runtime.kernel_files import read
from linit.runtime.probes import Probe

if TYPE_CHECKING:
    from linit.runtime.errands import Errand
    from linit.runtime.means import Means

NOT_THERE: Final = (errno.ENOENT, errno.ENOTDIR)


class Conditions:
    """Looks at the conditions of services. `root`: where /proc, /sys and the marks of containers are looked for."""

    def __init__(self, means: Means, root: str = "") -> None:
        self._means = means
        self._root = root
        self._checks: dict[str, _Check] = {}
        self._virtualisation: tuple[str, str] | None = None

    def check(self, service: Service) -> None:
        """Report ConditionsChecked: at once, where there are no commands or files among them."""
        self.give_up(service.name)
        check = _Check(self, self._means, service)
        self._checks[service.name] = check
        check.run()

    def give_up(self, name: str) -> None:
        """Nobody waits for the answer any more; none is no error."""
        check = self._checks.pop(name, None)
        if check is not None:
            check.stop()

    def done(self, name: str, text: str) -> None:
        """All conditions of a service are known. `text`: the first that is not met."""
        self._checks.pop(name, None)
        self._means.report(ConditionsChecked(name, text))

    def look(self, condition: Condition) -> str:
        """Why a condition that nobody waits for is not met; "" if it is."""
        value, is_wanted = condition.value, not condition.negated
        match condition.kind:
            case ConditionKind.PATH:
                return _path_text(condition, errno_of(value))
            case ConditionKind.CMDLINE:
                is_so = is_on_cmdline(value, read(f"{self._root}/proc/cmdline"))
                return _unless(is_so is is_wanted, f"{value} is {'' if is_so else 'not '}on the kernel command line")
            case ConditionKind.FIRST_BOOT:
                is_so = stamps.is_first_boot(self._means.paths)
                return _unless(is_so is is_wanted, f"this is {'' if is_so else 'not '}the first boot")
            case ConditionKind.VIRTUALISATION:
                return self._virtual(value, is_wanted)
            case _:
                unit = self._means.engine.units.get(value)
                is_so = unit is not None and unit.state is UnitState.UP
                return _unless(is_so is is_wanted, f"service {value} is {'' if is_so else 'not '}up")

    def _virtual(self, value: str, is_wanted: bool) -> str:
        if self._virtualisation is None:
            from linit.runtime.virtualisation import detect

            self._virtualisation = detect(self._root)
        kind, name = self._virtualisation
        is_so = value in (kind, name) or (value == "any" and bool(kind))
        return _unless(is_so is is_wanted, f"virtualisation is {name}{f', not {value}' if is_wanted else ''}")


class _Check:
    """The conditions of one service, looked at once."""

    def __init__(self, conditions: Conditions, means: Means, service: Service) -> None:
        self._conditions = conditions
        self._means = means
        self._service = service
        self._texts = [""] * len(service.when)
        self._open = 1  # what is under way, and `run` itself: a command may end before it is over
        self._probes: list[Probe] = []
        self._errand: Errand | None = None

    def run(self) -> None:
        away = [index for index, condition in enumerate(self._service.when) if _may_hang(condition)]
        if away:
            self._send_for(away)
        for index, condition in enumerate(self._service.when):
            if index in away:
                continue
            if condition.command is None:
                self._found(index, self._conditions.look(condition))
                continue
            self._open += 1
            on_end = partial(self._ended, index)
            try:
                self._probes.append(Probe(self._means, self._service, condition.command, on_end))
            except OSError as error:
                self._ended(index, error_words(error))
        self._is_known()

    def stop(self) -> None:
        for probe in self._probes:
            probe.stop()
        if self._errand is not None:
            self._errand.cancel()

    def _send_for(self, indexes: list[int]) -> None:
        """Have a child look at the paths with these indexes."""
        from linit.runtime.errands import Errand

        self._open += 1
        conditions = [self._service.when[index] for index in indexes]

        def known(answer: str) -> None:
            numbers = (int(number) for number in answer.split())
            over(_path_text(condition, number) for condition, number in zip(conditions, numbers, strict=True))

        def failed(text: str) -> None:
            over(f"path {condition.value} cannot be looked at: {text}" for condition in conditions)

        def over(texts: Iterable[str]) -> None:
            for index, text in zip(indexes, texts, strict=True):
                self._found(index, text)
            self._is_known()

        look = partial(_errnos, [condition.value for condition in conditions])
        self._errand = Errand(self._means.processes, look, known, failed)

    def _ended(self, index: int, text: str) -> None:
        """A command did. `text`: what went wrong, "" if nothing."""
        condition = self._service.when[index]
        what = f"command {condition.value}"
        if condition.negated:
            self._found(index, "" if text else f"{what} ended with success")
        else:
            self._found(index, f"{what} {_as_predicate(text)}" if text else "")
        self._is_known()

    def _found(self, index: int, text: str) -> None:
        self._texts[index] = f"{text} ({self._service.when[index].place})" if text else ""

    def _is_known(self) -> None:
        self._open -= 1
        if not self._open:
            self._conditions.done(self._service.name, next(filter(None, self._texts), ""))


def is_on_cmdline(wanted: str, line: str) -> bool:
    """Is `key=value` a word of the kernel command line, or `key` one, with or without a value?"""
    parts = line.split('"')
    parts[1::2] = ["\0".join(part.split()) for part in parts[1::2]]  # what is quoted is no end of a word
    found = "".join(parts).split()
    return wanted in found or ("=" not in wanted and any(word.startswith(f"{wanted}=") for word in found))


def _may_hang(condition: Condition) -> bool:
    if condition.kind is not ConditionKind.PATH:
        return False
    from linit.runtime.kernel_files import is_in_memory

    return not is_in_memory(condition.value)


def _errnos(paths: list[str]) -> str:
    return " ".join(str(errno_of(path)) for path in paths)


def errno_of(path: str) -> int:
    """What stat(2) says of a path, as a number of errno(3); 0 if it is there."""
    try:
        os.stat(path)
    except OSError as error:
        return error.errno or errno.EIO
    return 0


def _path_text(condition: Condition, number: int) -> str:
    """Why it is not met; "" if it is. What cannot be looked at is neither there nor missing."""
    path, is_wanted = condition.value, not condition.negated
    if number and number not in NOT_THERE:
        return f"path {path} cannot be looked at: {errno_words(number)}"
    if number:
        return f"path {path} does not exist" if is_wanted else ""
    return "" if is_wanted else f"path {path} exists"


def _unless(is_met: bool, text: str) -> str:
    return "" if is_met else text


def _as_predicate(text: str) -> str:
    """`exited with status 1` follows its subject as it is; what could not be run needs a verb."""
    return text if text.startswith(("exited ", "killed ", "has not ended ")) else f"could not be run: {text}"
