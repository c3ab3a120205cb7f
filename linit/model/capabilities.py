"""Which capabilities are there? Their names without CAP_, in lower case, and their numbers. Source: capabilities(7)."""

from __future__ import annotations

from typing import Final

NAMES: Final = (
    "chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap",
    "linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock", "ipc_owner",
    "sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct", "sys_admin", "sys_boot", "sys_nice",
    "sys_resource", "sys_time", "sys_tty_config", "mknod", "lease", "audit_write", "audit_control", "setfcap",
    "mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf",
    "checkpoint_restore",
)  # fmt: skip
NUMBERS: Final = {name: number for number, name in enumerate(NAMES)}

# What makes device nodes, or reaches devices without one: who has private devices has these not.
OF_DEVICES: Final = ("mknod", "sys_rawio")
