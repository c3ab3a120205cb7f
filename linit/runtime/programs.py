"""Where is the program of a command, and how is it executed? Source: execve(2), exec(3)."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping
from typing import Final, NoReturn

from linit.runtime.failure import StepFailed, errno_words

PATH: Final = "/usr/sbin:/usr/bin:/sbin:/bin"
SYSTEM_FOLDERS: Final = ("/usr/", "/bin/", "/sbin/", "/lib/", "/lib64/")
ELSEWHERE: Final = ("/usr/local/", "/usr/src/")


def of_system(path: str) -> bool:
    """Is a program the operating system's own? Then it is on a disk that linit cannot do without either; any other may
    be on a network that is gone."""
    return path.startswith(SYSTEM_FOLDERS) and not path.startswith(ELSEWHERE) and "/../" not in path


def found(program: str, environment: Mapping[str, str], is_ours: Callable[[str], bool | None]) -> str:
    """The path of a program for which linit may wait, as execvp(3) finds it; "" if there is none, or only looking
    elsewhere could tell. May be asked in PID 1.

    `is_ours`: may linit wait for one that is not the system's own? None: surely no file of that name.
    """
    if "/" in program:
        return program if of_system(program) or is_ours(program) else ""
    for folder in search_path(environment).split(":"):
        candidate = f"{folder}/{program}"
        if not of_system(candidate):
            is_there = is_ours(candidate) if folder.startswith("/") else False
            if is_there is None:
                continue
            if not is_there:
                return ""
        if os.access(candidate, os.X_OK):  # a folder is found, too, and cannot be executed then
            return candidate
    return ""


def search_path(environment: Mapping[str, str]) -> str:
    """Where a program without a folder is looked for."""
    return environment.get("PATH", PATH)


def execute(argv: tuple[str, ...], environment: Mapping[str, str]) -> NoReturn:
    """Become the program. Raises StepFailed, which says why not."""
    if "/" in argv[0]:
        _exec_file(argv[0], argv, environment)
    _exec_found(argv, environment)


def _exec_file(path: str, argv: tuple[str, ...], environment: Mapping[str, str]) -> NoReturn:
    try:
        os.execve(path, argv, environment)
    except OSError as error:
        hint = ""
        if error.errno == errno.ENOENT and os.path.exists(path):
            hint = "; the file is there, the interpreter or loader that it asks for is not"
        elif error.errno == errno.ENOEXEC:
            hint = "; neither a program of this machine nor a script that begins with #!"
        raise StepFailed(f"exec {path}: {errno_words(error.errno or 0)}{hint}") from error


def _exec_found(argv: tuple[str, ...], environment: Mapping[str, str]) -> NoReturn:
    """Search PATH as execvp(3) does: a file that may not be run is remembered, and named if no other is found."""
    path = search_path(environment)
    refused = ""
    for folder in path.split(":"):
        candidate = f"{folder or '.'}/{argv[0]}"
        if os.access(candidate, os.X_OK) and not os.path.isdir(candidate):
            _exec_file(candidate, argv, environment)
        if not refused and os.path.isfile(candidate):
            refused = candidate
    if refused:
        raise StepFailed(f"exec {refused}: {errno_words(errno.EACCES)}")
    raise StepFailed(f"exec {argv[0]}: not found in PATH ({path})")
