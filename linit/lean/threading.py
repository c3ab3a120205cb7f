"""The three of `threading` that asyncio's loop uses, from where the library has them. PID 1 has one thread."""

from __future__ import annotations

from _thread import _local as local  # noqa: F401 for importers
from _thread import allocate_lock as Lock  # noqa: F401 likewise
from _thread import get_ident  # noqa: F401 likewise
