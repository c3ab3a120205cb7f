"""linit, the init system of Panux."""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:  # linitctl imports this package, and starts in half the time without `typing`
    from typing import Final

VERSION: Final = "0.1.0"
LOADED_S: Final = time.monotonic()  # when the first line of linit ran in this process
