"""How does a process say of itself what Python has no name for? prctl(2), through ctypes.

By itself, apart from the other calls that confine a process (`linit.runtime.system_calls`): many services want only
`no_new_privs` of these, and start in a boot. The C library is the one that the interpreter is linked with (dlopen(3) of
NULL).
"""

from __future__ import annotations

import ctypes
import os
from typing import Final

KEEP_CAPABILITIES: Final = 8  # PR_SET_KEEPCAPS
READ_BOUND: Final = 23  # PR_CAPBSET_READ
DROP_BOUND: Final = 24  # PR_CAPBSET_DROP
NO_NEW_PRIVS: Final = 38  # PR_SET_NO_NEW_PRIVS
AMBIENT: Final = 47  # PR_CAP_AMBIENT
AMBIENT_RAISE: Final = 2  # PR_CAP_AMBIENT_RAISE

_libc = ctypes.CDLL(None, use_errno=True)


def prctl(option: int, *arguments: int) -> int:
    """prctl(2). Raises OSError."""
    four = (*arguments, 0, 0, 0, 0)[:4]
    result: int = _libc.prctl(ctypes.c_int(option), *(ctypes.c_ulong(each) for each in four))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
