"""What linit asks of `ctypes`: functions of the C library and numbers of its widths. The library's module makes classes
for every C type in both orders of bytes, and imports half a dozen others for that.
"""

from __future__ import annotations

import _ctypes
import posix
from _ctypes import Array, Structure, _SimpleCData, byref, get_errno
from typing import Any

__all__ = ["Array", "Structure", "byref", "get_errno"]

CALLED_AS_C = 1  # FUNCFLAG_CDECL
KEEPS_ERRNO = 8  # FUNCFLAG_USE_ERRNO


class c_int(_SimpleCData):  # type: ignore[type-arg]
    _type_ = "i"


class c_uint(_SimpleCData):  # type: ignore[type-arg]
    _type_ = "I"


class c_long(_SimpleCData):  # type: ignore[type-arg]
    _type_ = "l"


class c_ulong(_SimpleCData):  # type: ignore[type-arg]
    _type_ = "L"


class c_char(_SimpleCData):  # type: ignore[type-arg]
    _type_ = "c"


class c_char_p(_SimpleCData):  # type: ignore[type-arg]
    _type_ = "z"


c_uint32 = c_uint
c_size_t = c_ulong


class CDLL:
    """The functions of a library; None: of all that the interpreter is linked with. A name that is in none of them is
    an AttributeError."""

    def __init__(self, name: None, *, use_errno: bool = False) -> None:
        self._handle = _ctypes.dlopen(name, posix.RTLD_NOW)  # type: ignore[arg-type]
        flags = CALLED_AS_C | (KEEPS_ERRNO if use_errno else 0)
        self._kind = type("Function", (_ctypes.CFuncPtr,), {"_flags_": flags, "_restype_": c_int})

    def __getattr__(self, name: str) -> Any:
        try:
            address = _ctypes.dlsym(self._handle, name)
        except OSError as error:
            raise AttributeError(name) from error
        function = self._kind(address)
        setattr(self, name, function)
        return function


def create_string_buffer(content: bytes, size: int) -> Any:
    """Bytes that can be written to, zeros behind `content`."""
    buffer: Any = (c_char * size)()
    buffer[: len(content)] = content
    return buffer
