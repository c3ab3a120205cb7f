"""How does linit say a time, a count? Small pure texts that the modules of this package share."""

from __future__ import annotations


def seconds(duration_s: float) -> str:
    """`0.31 s`, `6.2 s`, `75 s`: as many digits as a person uses."""
    if duration_s < 1:
        return f"{duration_s:.2f} s"
    return f"{duration_s:.1f} s" if duration_s < 60 else f"{duration_s:.0f} s"


def count(number: int, noun: str) -> str:
    """`1 service`, `2 services`, `2 processes`."""
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun}{'es' if noun.endswith('s') else 's'}"
