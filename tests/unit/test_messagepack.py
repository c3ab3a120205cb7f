"""linit/messagepack.py: the C extension of msgpack alone.

Each test has an interpreter of its own, as PID 1 and linitctl have: what is loaded changes what will be.
"""

from __future__ import annotations

import json
import subprocess
import sys

WITHOUT_EXTENSION = """
class Nowhere:
    def find_spec(self, name, path=None, target=None):
        if name == "msgpack._cmsgpack":
            raise ImportError(name)
sys.meta_path.insert(0, Nowhere())
"""
BESIDE = ("datetime", "struct", "collections", "msgpack", "msgpack.ext", "msgpack.fallback")


def told(code: str) -> object:
    """What the code prints, as JSON."""
    begin = f"import sys, json; sys.path[:] = {sys.path!r}\n"
    ran = subprocess.run([sys.executable, "-I", "-S", "-c", begin + code], capture_output=True, text=True, check=False)
    assert not ran.returncode, ran.stderr
    return json.loads(ran.stdout)


def test_nothing_is_loaded_beside_the_extension() -> None:
    before = "before = set(sys.modules)\n"
    loaded = told(
        f"{before}from linit import messagepack\n"
        f"print(json.dumps([n for n in {BESIDE!r} if n in sys.modules and n not in before]))"
    )
    assert loaded == []


def test_what_is_packed_is_read_again() -> None:
    value = {"a": [1, None, True, 2.5, "text"], "b": {}}
    assert told(f"from linit import messagepack as m\nprint(json.dumps(m.unpackb(m.packb({value!r}))))") == value


def test_the_whole_package_can_be_imported_later() -> None:
    code = (
        "from linit import messagepack\nimport msgpack, datetime\n"
        "moment = msgpack.Timestamp.from_datetime(datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc))\n"
        "print(json.dumps([msgpack.unpackb(msgpack.packb([1])), moment.seconds, msgpack.Packer is messagepack.Packer]))"
    )
    assert told(code) == [[1], 1767225600, True]


def test_without_the_extension_the_package_does_the_same() -> None:
    code = (
        f"{WITHOUT_EXTENSION}from linit import messagepack as m\n"
        "print(json.dumps([m.Packer.__module__, m.unpackb(m.packb({'a': [1]}))]))"
    )
    assert told(code) == ["msgpack.fallback", {"a": [1]}]


def test_its_errors_are_those_that_the_extension_raises() -> None:
    code = (
        "from linit import messagepack as m\n"
        "def name(act):\n"
        "    try:\n        act()\n"
        "    except (m.ExtraData, m.OutOfData, m.BufferFull, m.UnpackException) as error:\n"
        "        return type(error).__name__\n"
        "unpacker = m.Unpacker(max_buffer_size=1)\n"
        "print(json.dumps([name(lambda: m.unpackb(b'11')), name(unpacker.unpack), name(lambda: unpacker.feed(b'11'))]))"
    )
    assert told(code) == ["ExtraData", "OutOfData", "BufferFull"]


def test_a_value_of_an_extension_type_is_one_that_makes_no_sense() -> None:
    """Timestamps, too: whoever reads a plan, a message or a recording is ready for a ValueError."""
    code = (
        "from linit import messagepack as m\n"
        "def name(data):\n"
        "    try:\n        m.unpackb(data)\n"
        "    except ValueError as error:\n        return str(error)\n"
        "found = (b'\\xd8' + bytes(17), b'\\xd6\\xff' + bytes(4), b'\\xc7\\x0c\\xff' + bytes(12))\n"
        "print(json.dumps([name(data) for data in found]))"
    )
    assert told(code) == ["an extension type, of which linit knows none"] * 3
