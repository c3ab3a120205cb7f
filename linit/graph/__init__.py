"""What order follows, and what is a cycle? `resolve(definitions)` is the way in: `edges` connects names, `loops` finds
and cuts cycles, `conflicts` finds what is enabled together and cannot be, `resolution` joins them."""

from linit.graph.resolution import Resolution, resolve

__all__ = ["Resolution", "resolve"]
