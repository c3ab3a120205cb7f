"""Effects to the kernel, events from it: spawning, reaping, cgroups, readiness, timers, output. Linux only."""
