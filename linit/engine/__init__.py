"""The pure core: an event comes in, effects go out. Start with `engine.py`."""
