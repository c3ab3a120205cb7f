"""How does a program come to run without a copy of this process? posix_spawn(3): the C library has the kernel make a
child that borrows our memory until it executes (as vfork(2)), in its cgroup from its first moment (CLONE_INTO_CGROUP).

fork(2) of a grown PID 1 copies its page tables, and every page that either writes to afterwards; the child's steps in
Python cost as much again. The C library is the one that the interpreter is linked with (dlopen(3) of NULL). Sources:
posix_spawn(3), spawn.h; clone3(2).
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

SET_DEFAULT_SIGNALS: Final = 0x04  # flags of spawn.h
SET_MASK: Final = 0x08
SET_SESSION: Final = 0x80
SET_CGROUP: Final = 0x100
THREADS_OWN: Final = (32, 33)  # signals of the C library's threads, which its child would ignore for ever otherwise
BLOCK_BYTES: Final = 1024  # more than posix_spawnattr_t, posix_spawn_file_actions_t and sigset_t have anywhere
ARRAY_STEP: Final = 8  # lengths of arrays are multiples of it: each length is a type of its own


class Spawner:
    """posix_spawn(3) with what does not change from call to call. Raises AttributeError where the C library lacks a
    function that this takes, OSError where it refuses one.

    `defaults`: the signals that a child shall not ignore, nor handle; none is blocked in it, and it leads a session.
    """

    def __init__(self, defaults: Iterable[int]) -> None:
        library = ctypes.CDLL(None)
        self._spawn = library.posix_spawn
        self._init = library.posix_spawn_file_actions_init
        self._destroy = library.posix_spawn_file_actions_destroy
        self._dup2 = library.posix_spawn_file_actions_adddup2
        self._open = library.posix_spawn_file_actions_addopen
        self._close = library.posix_spawn_file_actions_addclose
        self._chdir = library.posix_spawn_file_actions_addchdir_np
        self._close_from = library.posix_spawn_file_actions_addclosefrom_np
        self._set_cgroup = getattr(library, "posix_spawnattr_setcgroup_np", None)  # glibc 2.39; not musl
        self._actions, self._pid = _block(), ctypes.c_int()
        self._plain = _attributes(library, defaults, 0)
        self._in_cgroup = _attributes(library, defaults, SET_CGROUP) if self.knows_cgroups else None

    @property
    def knows_cgroups(self) -> bool:
        """Can a child be born in a cgroup?"""
        return self._set_cgroup is not None

    def spawn(
        self,
        path: bytes,
        argv: Sequence[bytes],
        environment: Sequence[bytes],
        *,
        given: int | None,
        copies: Sequence[tuple[int, int]],
        directory: bytes,
        lent: AbstractContextManager[None],
        cgroup: int | None = None,
    ) -> int:
        """The pid of a child that executes the program. Raises OSError where it does not come so far; which step failed
        is not known then.

        `given`: what its standard input is a copy of, None for /dev/null. `copies`: (descriptor of ours, its number in
        the child), in the order of the numbers; ours are all above them. Everything else is closed.
        `lent`: entered while the child is made. `cgroup`: a descriptor of its folder.
        """
        actions, attributes = self._actions, self._plain
        _check(self._init(actions))
        try:
            if given is None:
                _check(self._open(actions, 0, b"/dev/null", os.O_RDONLY, 0))
            else:
                _check(self._dup2(actions, given, 0))
            low = 1
            for ours, number in copies:
                for between in range(low, number):
                    _check(self._close(actions, between))
                _check(self._dup2(actions, ours, number))
                low = number + 1
            _check(self._close_from(actions, low))
            _check(self._chdir(actions, directory))
            if cgroup is not None:
                assert self._set_cgroup is not None, "linit bug: this C library does not know cgroups"
                attributes = self._in_cgroup
                _check(self._set_cgroup(attributes, cgroup))
            pid = self._pid
            words, variables = _array(argv), _array(environment)
            with lent:
                error = self._spawn(ctypes.byref(pid), path, actions, attributes, words, variables)
            _check(error)
            return int(pid.value)
        finally:
            self._destroy(actions)


def _attributes(library: ctypes.CDLL, defaults: Iterable[int], more: int) -> Any:
    """What is asked for besides files."""
    made, signals, nobody = _block(), _block(), _block()
    bits = sum(1 << number - 1 for number in {*defaults, *THREADS_OWN})
    signals[:8] = bits.to_bytes(8, sys.byteorder)  # sigset_t: words, of which the first has the first signals
    _check(library.posix_spawnattr_init(made))
    _check(library.posix_spawnattr_setflags(made, SET_DEFAULT_SIGNALS | SET_MASK | SET_SESSION | more))
    _check(library.posix_spawnattr_setsigdefault(made, signals))
    _check(library.posix_spawnattr_setsigmask(made, nobody))
    return made


def _block() -> Any:
    return ctypes.create_string_buffer(b"", BLOCK_BYTES)


def _array(texts: Sequence[bytes]) -> Any:
    """As char *const[], with NULL at its end."""
    length = (len(texts) // ARRAY_STEP + 1) * ARRAY_STEP
    return (ctypes.c_char_p * length)(*texts)


def _check(number: int) -> None:
    """These functions return what others leave in errno."""
    if number:
        raise OSError(number, os.strerror(number))
