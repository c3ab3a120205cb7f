"""What did the engine go through? The flight recorder: what PID 1 notes, what the log process keeps, how it is read."""
