"""Panux images and machines: build a small Debian-based image, boot it in QEMU, talk to it.

`panux.image` answers "what is in the image", `panux.machine` answers "how is it run and spoken to", `panux.boot` is
the command line of `vm-tests/boot`. vm-tests/README.md has the tour.
"""
