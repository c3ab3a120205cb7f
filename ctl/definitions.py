"""`verify` and `compile`: the compiler is another program; this one becomes it, or runs it."""

from __future__ import annotations

import os
import sys

from linitctl.failure import FAILED, Failure
from linitctl.session import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Final, NoReturn

    from linitctl.session import Session

FALLBACK: Final = "/usr/bin/python3"  # an interpreter that does not know its own path


def program(session: Session, module: str, command: str, *arguments: str) -> list[str]:
    """The argv of a program of linit for the supervisor that is meant.

    It runs in this interpreter, deaf to its environment and with this program's sys.path: in the image that was set
    by hand, and nothing but the program itself knows it.
    """
    folder = session.folder()
    user = ["--user", folder] if folder else []
    return interpreted(module, command, *user, *(["--json"] if session.is_json else []), *arguments)


def interpreted(module: str, *arguments: str) -> list[str]:
    """The argv that calls `main` of a module of linit with these arguments, and nothing more."""
    bootstrap = (
        f"import sys; sys.path[:] = {sys.path!r}; sys.argv[0] = 'linitctl'; "
        f"from {module} import main; sys.exit(main())"
    )
    flags = ["-I", "-S", *(["-B"] if sys.flags.dont_write_bytecode else [])]
    return [sys.executable or FALLBACK, *flags, "-c", bootstrap, *arguments]


def become(argv: list[str], what: str) -> NoReturn:
    """Be that program from now on. Raises Failure."""
    try:
        os.execv(argv[0], argv)
    except OSError as fault:
        raise Failure(FAILED, f"{what} cannot be run: {argv[0]}: {fault.strerror}") from fault


def compiler(session: Session, command: str, *arguments: str) -> list[str]:
    """The argv of the compiler for the supervisor that is meant."""
    return program(session, "linit.compiler", command, *arguments)


def run_compiler(session: Session, *arguments: str) -> int:
    """Compile the plan in a child; its exit status. What is wrong is told on standard error. Raises Failure."""
    argv = compiler(session, "compile", *arguments)
    session.out.flush()
    session.err.flush()
    quiet = (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)
    aloud = (os.POSIX_SPAWN_DUP2, 2, 1)
    try:
        pid = os.posix_spawn(argv[0], argv, os.environ, file_actions=[quiet if session.is_json else aloud])
    except OSError as fault:
        raise Failure(FAILED, f"the compiler cannot be run: {argv[0]}: {fault.strerror}") from fault
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def output_of(argv: list[str], what: str = "the compiler") -> tuple[int, str]:
    """Exit status and standard output of a program. Raises Failure when it cannot be run."""
    end, far_end = os.pipe()
    try:
        pid = os.posix_spawn(argv[0], argv, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, far_end, 1)])
    except OSError as fault:
        raise Failure(FAILED, f"{what} cannot be run: {argv[0]}: {fault.strerror}") from fault
    finally:
        os.close(far_end)
    with open(end, encoding="utf-8", errors="replace") as stream:
        answer = stream.read()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), answer


def _no_arguments(parser: ArgumentParser) -> None:
    pass


def _become(command: str) -> Command:
    texts = {
        "verify": "Check all definitions and print everything that is wrong with them: file, line, what was found,\n"
        "what was expected. Of what is wrong in the same way very often, the first ones; --all: all of them.\n"
        "With PATHs, check only these. --strict: warnings are errors.",
        "compile": "Check all definitions and write the plan that linit boots from; a plan that is up to date stays.\n"
        "--force: write it anew. --output FILE, --root DIR: for another machine's image.",
    }
    examples = {
        "verify": ("linitctl verify", "linitctl verify ./nginx.yaml --strict"),
        "compile": ("linitctl compile", "linitctl compile --root /mnt/image"),
    }

    def run(session: Session, options: Namespace) -> NoReturn:
        become(compiler(session, command, *options.rest), "the compiler")

    return Command(_no_arguments, run, texts[command], *examples[command], passes_on=True)


COMMANDS: Final = {"verify": _become("verify"), "compile": _become("compile")}
