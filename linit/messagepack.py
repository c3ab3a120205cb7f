"""MessagePack: the C extension of the library msgpack, without what the rest of that package imports.

`import msgpack` brings datetime, struct and collections along, for timestamps and extension types that linit never
sends: more than half of a bare interpreter's start once more (tests/bench/README.md has figures). The extension itself
asks for msgpack.exceptions, two types, and the C part of datetime, so that is what it finds here while it is loaded.
Where there is no such extension, or it asks for more, the package is imported as it is: slower, and else the same.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any


class _Foreign:
    """An extension type or a timestamp. They come from whoever sends nonsense."""

    def __init__(self, *_data: object) -> None:
        raise ValueError("an extension type, of which linit knows none")


def _stand_ins() -> dict[str, ModuleType]:
    """The modules that are found instead of others, by name. Raises ImportError."""
    import _datetime  # type: ignore[import-not-found]

    found = next((spec for each in sys.meta_path if (spec := each.find_spec("msgpack", None))), None)
    if found is None:
        raise ImportError("there is no msgpack")
    new_module = type(sys)
    package, extension_types = new_module("msgpack"), new_module("msgpack.ext")
    package.__path__ = found.submodule_search_locations or []
    vars(extension_types).update(ExtType=type("ExtType", (_Foreign,), {}), Timestamp=type("Timestamp", (_Foreign,), {}))
    modules = {"msgpack": package, "msgpack.ext": extension_types, "datetime": _datetime}
    return {name: module for name, module in modules.items() if name not in sys.modules}


def _load() -> ModuleType:
    """Whatever has Packer, Unpacker and unpackb."""
    if "msgpack" not in sys.modules:
        names: dict[str, ModuleType] = {}
        try:
            names = _stand_ins()
            sys.modules.update(names)
            from msgpack import _cmsgpack
        except (ImportError, AttributeError):
            pass
        else:
            extension: ModuleType = _cmsgpack
            return extension
        finally:
            for name in names:
                del sys.modules[name]  # who wants the whole of it imports that
    import msgpack

    package: ModuleType = msgpack
    return package


_codec = _load()
Packer: Any = _codec.Packer
Unpacker: Any = _codec.Unpacker
unpackb: Any = _codec.unpackb

_exceptions = sys.modules["msgpack.exceptions"]
BufferFull: Any = _exceptions.BufferFull
ExtraData: Any = _exceptions.ExtraData
OutOfData: Any = _exceptions.OutOfData
UnpackException: Any = _exceptions.UnpackException


def packb(value: object, **how: Any) -> bytes:
    """The bytes of a value. Raises TypeError for what MessagePack has no form for."""
    data: bytes = Packer(**how).pack(value)
    return data
