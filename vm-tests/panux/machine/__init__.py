"""Machines: QEMU processes that run an image, and the ways to speak to what runs inside."""
