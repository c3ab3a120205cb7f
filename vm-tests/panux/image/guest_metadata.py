"""importlib.metadata of the image: its packages have none, so nothing is found.

networkx asks for entry points when it is imported. The standard library's module would read e-mail headers for that.
"""

from __future__ import annotations

from typing import Any


class PackageNotFoundError(ModuleNotFoundError):
    """No package of this name has metadata."""


def entry_points(**_: Any) -> tuple[()]:
    """None."""
    return ()


def version(distribution_name: str) -> str:
    """Raises PackageNotFoundError."""
    raise PackageNotFoundError(distribution_name)
