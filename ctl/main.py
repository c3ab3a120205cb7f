"""Which command is meant? The table of commands; only the one that is meant is imported and gets a parser."""

from __future__ import annotations

import posix
import sys

from linitctl.arguments import Reader
from linitctl.failure import FAILED, INTERRUPTED, OK, USAGE, Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Sequence
    from typing import Final

    from linitctl.session import Command, Session

COMMANDS: Final = {  # name -> (module of this package, summary)
    "list": ("listing", "services and their states"),
    "status": ("status", "everything about services, or the system as a whole"),
    "start": ("wishes", "start services and what they need"),
    "need": ("wishes", "from a service's script: what it needs, found out while running"),
    "want": ("wishes", "from a service's script: what it wants"),
    "stop": ("wishes", "stop services, those that need them first"),
    "restart": ("wishes", "stop and start services"),
    "reload": ("wishes", "have services, or linit itself, read their configuration anew"),
    "reset": ("wishes", "forget failures"),
    "run": ("transient", "run a command as a service that nobody wrote down"),
    "lock": ("locking", "run a command while nobody else holds a lock"),
    "locks": ("locking", "who holds locks, and who waits"),
    "kill": ("wishes", "send a signal to the processes of a service"),
    "enable": ("enabling", "start services with a runlevel"),
    "disable": ("enabling", "no longer do so"),
    "override": ("overriding", "add to what a service depends on, on this machine"),
    "logs": ("logs", "what services wrote"),
    "deps": ("graph", "what a service depends on"),
    "rdeps": ("graph", "what depends on a service"),
    "why": ("why", "why a service is in its state"),
    "boot-plan": ("planning", "what a boot of the definitions on disk would do"),
    "impact": ("planning", "what stops, and who can still log in, without a service"),
    "graph": ("planning", "draw the services and their dependencies"),
    "record": ("recording", "the flight recorder: list what is kept of boots, or save it"),
    "replay": ("recording", "step through what happened in a boot"),
    "analyze": ("analyze", "where the time of a boot went; draw it, compare boots"),
    "verify": ("definitions", "check the definitions on disk"),
    "compile": ("definitions", "make the plan that linit boots from"),
    "runlevel": ("wishes", "show the runlevel, or switch it"),
    "watch": ("watch", "tell what happens, as it happens"),
    "report": ("about", "how long the boot took, and what linit costs"),
    "poweroff": ("machine", "stop everything and switch the machine off"),
    "reboot": ("machine", "stop everything and start the machine anew"),
    "halt": ("machine", "stop everything and halt the machine"),
    "shutdown": ("machine", "the same, as sysvinit's shutdown(8) is called"),
    "version": ("about", "the versions of linitctl and linit"),
}
HELP_WIDTH: Final = 100  # columns
ALIASES: Final = {"monitor": "watch", "ls": "list", "log": "logs"}
CALLED_AS: Final = ("poweroff", "reboot", "halt", "shutdown")  # names under which this program is installed, too

OPTIONS: Final = """\
options of every command:
  --socket PATH   the control socket of the linit to speak to (or in LINIT_CONTROL)
  --user DIR      speak to the linit that runs as `linit --user DIR`
  --json          write JSON
  --color WHEN    always, never or auto (only on a terminal, and not when NO_COLOR is set)

exit status: 0 the wish came true, 1 it did not, 2 usage, 3 no such service, 4 not permitted, 5 no linit answers,
  6 waiting for it would never end (asked from inside a service)
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run linitctl; the exit status. Without `arguments` it is the program: then this ends the process."""
    if arguments is not None:
        return _run(arguments)
    called_as = sys.argv[0].rpartition("/")[2]
    status = _run([called_as, *sys.argv[1:]] if called_as in CALLED_AS else sys.argv[1:])
    sys.stderr.flush()
    posix._exit(status)  # to take the interpreter apart costs a sixth of its start; what was written is flushed


def _run(arguments: Sequence[str]) -> int:
    """What was written to standard output is flushed."""
    try:
        status = _dispatch(list(arguments))
        sys.stdout.flush()
    except Failure as failure:
        return _explain(failure)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output (head, less) has gone. What is still in the buffer must not complain at exit.
        _write_nowhere()
        return FAILED
    return status


def _explain(failure: Failure) -> int:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _write_nowhere()
    if failure.message:
        sys.stderr.write(f"linitctl: {failure.message}\n")
    if failure.hint:
        sys.stderr.write(f"{failure.hint}\n")
    return failure.status


def _write_nowhere() -> None:
    import os  # only here: linitctl starts faster without

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _dispatch(arguments: list[str]) -> int:
    name, rest = split(arguments)
    if not name:
        wants_help = "-h" in rest or "--help" in rest
        (sys.stdout if wants_help else sys.stderr).write(overview())
        return OK if wants_help else USAGE
    name = ALIASES.get(name, name)
    if name not in COMMANDS:
        from linit.control.nearest import nearest

        near = nearest(name, COMMANDS)
        hint = f"did you mean {near}?" if near else "see: linitctl --help"
        raise Failure(USAGE, f"no command is called {name!r}", hint)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a locale without these letters is no reason to fail
    command = load(name)
    options = parse(name, command, rest)
    return command.run(_session(options), options)


def load(name: str) -> Command:
    """A command, by its name in COMMANDS."""
    module = __import__(f"linitctl.{COMMANDS[name][0]}", fromlist=["COMMANDS"])
    command: Command = module.COMMANDS[name]
    return command


def _session(options: Namespace) -> Session:
    from linitctl.session import Session

    return Session(options)


def split(arguments: list[str]) -> tuple[str, list[str]]:
    """The command and everything else: options of every command may stand before it."""
    skips = False
    for index, argument in enumerate(arguments):
        if skips:
            skips = False
        elif argument in ("--socket", "--user", "--color"):
            skips = True
        elif not argument.startswith("-"):
            return argument, arguments[:index] + arguments[index + 1 :]
    return "", arguments


def parse(name: str, command: Command, arguments: list[str]) -> Namespace:
    """The options of one command. Ends the program with status 2 when they are not understood."""
    return read(command, arguments) or parsed(name, command, arguments)


def read(command: Command, arguments: list[str]) -> Namespace | None:
    """Without argparse; None where that has to say."""
    reader = Reader()
    command.arguments(reader)  # type: ignore[arg-type]  # takes the calls that a parser would get
    _common_arguments(reader)
    options = reader.read(arguments)
    if options is not None and command.passes_on:
        options.rest = []
    return options


def _common_arguments(parser: ArgumentParser | Reader) -> None:
    common = parser.add_argument_group("options of every command")
    common.add_argument("--socket", metavar="PATH", default="", help="the control socket of the linit to speak to")
    common.add_argument("--user", metavar="DIR", default="", help="speak to the linit of `linit --user DIR`")
    common.add_argument("--json", action="store_true", help="write JSON")
    common.add_argument("--color", choices=("auto", "always", "never"), default="auto", help="default: auto")


def parsed(name: str, command: Command, arguments: list[str]) -> Namespace:
    """By argparse. Ends the program after --help, and with status 2 when they are not understood."""
    from argparse import ArgumentParser, RawDescriptionHelpFormatter

    lines = "\n".join(f"  {example}" for example in command.examples)
    parser = ArgumentParser(
        prog=f"linitctl {name}",
        description=command.text,
        epilog=f"{'examples' if len(command.examples) > 1 else 'example'}:\n{lines}" if lines else None,
        # With a width of its own it does not import shutil to ask for the terminal's.
        formatter_class=lambda prog: RawDescriptionHelpFormatter(prog, width=HELP_WIDTH),
        allow_abbrev=False,
        add_help=not command.keeps_h,
    )
    if command.keeps_h:
        parser.add_argument("--help", action="help", help="show this help message and exit")
    command.arguments(parser)
    _common_arguments(parser)
    if command.passes_on:
        options, rest = parser.parse_known_args(arguments)
        options.rest = rest
        return options
    return parser.parse_args(arguments)


def overview() -> str:
    """The text of `linitctl --help`."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {summary}" for name, (_, summary) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: linitctl [OPTION...] COMMAND [ARGUMENT...]",
            "",
            "Speaks to linit. `linitctl COMMAND --help` tells more of a command.",
            "",
            "commands:",
            *lines,
            "",
            OPTIONS,
        ]
    )
