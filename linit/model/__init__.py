"""Values that every part of linit speaks of. No I/O, no clock, nothing of linit imported."""
