"""What only PID 1 does: start, console, mounts, shutdown, rescue. Start with `boot.py`."""
