"""The code of PID 1 in one file that is quickly read. Run when an image is built, never in PID 1: README.md."""
