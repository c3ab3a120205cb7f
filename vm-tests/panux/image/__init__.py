"""The image builder: from signed Debian packages and this repository to a kernel, an initramfs and a root disk."""
