"""The compiled plan: how it travels to PID 1 (`codec`), and whether it is still true (`freshness`)."""
