"""The log process: reads what services write and keeps it under /var/log/linit. README.md has the file format."""
