"""What PID 1 uses in place of dear modules of the standard library: see linit/bundling/README.md."""
