"""linit, the init system of Panux."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:  # linitctl imports this package, and starts in half the time without `typing`
    from typing import Final

VERSION: Final = "0.1.0"
