"""What did a killed log process leave in its spools? It is written before anything new, whoever's pipe comes or not."""

from __future__ import annotations

import contextlib
import os
import re
import time
from typing import Final

from linit.logs import lines as text
from linit.logs.spool import Spool
from linit.logs.store import Store

# Those of files and syslog wait for their pipe, which says where their lines go: linit.logs.stream.
_NAME: Final = re.compile(rf"(.+)\.log\.({text.OUT}|{text.ERR})\.\d+")


def recover(store: Store, *, is_early: bool) -> None:
    """Write the lines that are left. `is_early`: only those that were on the way to a file below /run."""
    try:
        names = sorted(os.listdir(store.spools))
    except OSError:
        return
    for name in names:
        if match := _NAME.fullmatch(name):
            with contextlib.suppress(OSError):  # its pipe's stream tries again, and tells
                _recover(store, os.path.join(store.spools, name), match[1], match[2], is_early)


def _recover(store: Store, path: str, service: str, stream: str, is_early: bool) -> None:
    spool = Spool(path)
    try:
        complete, rest = text.split(b"", spool.left())
        file = store.early_file(service) if is_early else store.file(service)
        has_this_file = file.length.inode == spool.log.inode != 0
        if complete and (has_this_file or not is_early):
            file.resume(text.Batch(complete, time.time_ns(), stream, spool.pid), spool.log, spool.mark)
            spool.commit(file.length, rest)
        if is_early:
            file.close()
    finally:
        spool.close()
