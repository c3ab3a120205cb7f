"""What happened in a boot? The program behind `linitctl record`, `replay` and `why --at`; never part of PID 1."""
