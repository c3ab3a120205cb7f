"""In what does this system run: a container, a virtual machine, or neither? From files alone, in the order and with the
names of systemd-detect-virt(1).

A container hides a machine around it. What only the instruction CPUID tells is had from what the kernel made of it: the
clock that a hypervisor offers. Sources: systemd's Container Interface (the variable `container` of PID 1,
/run/systemd/container), /sys/class/dmi/id, /sys/hypervisor, the flag `hypervisor` in /proc/cpuinfo, the device tree's
node /hypervisor.
"""

from __future__ import annotations

import os
from typing import Final

from linit.runtime.kernel_files import read

CONTAINER: Final = "container"
MACHINE: Final = "vm"
NONE: Final = ("", "none")

MARKS: Final = (("/run/.containerenv", "podman"), ("/.dockerenv", "docker"))
DMI: Final = ("product_name", "sys_vendor", "board_vendor", "bios_vendor", "product_version")
DMI_BEGINNINGS: Final = (
    ("KVM", "kvm"),
    ("OpenStack", "kvm"),
    ("KubeVirt", "kvm"),
    ("Amazon EC2", "amazon"),
    ("QEMU", "qemu"),
    ("VMware", "vmware"),
    ("VMW", "vmware"),
    ("innotek GmbH", "oracle"),
    ("VirtualBox", "oracle"),
    ("Oracle Corporation", "oracle"),
    ("Xen", "xen"),
    ("Bochs", "bochs"),
    ("Parallels", "parallels"),
    ("BHYVE", "bhyve"),
    ("Hyper-V", "microsoft"),
    ("Apple Virtualization", "apple"),
    ("Google Compute Engine", "google"),
)
CLOCKS: Final = (("kvm-clock", "kvm"), ("hyperv_clocksource", "microsoft"), ("xen", "xen"))
TREE_NAMES: Final = (("linux,kvm", "kvm"), ("xen", "xen"), ("vmware", "vmware"))


def detect(root: str = "") -> tuple[str, str]:
    """(CONTAINER or MACHINE, its name), or NONE. `root`: where /proc, /sys and the rest are looked for."""
    container = _container(root)
    if container:
        return CONTAINER, container
    machine = _machine(root)
    return (MACHINE, machine) if machine else NONE


def _container(root: str) -> str:
    if "microsoft" in read(f"{root}/proc/sys/kernel/osrelease").lower():
        return "wsl"  # also of its second version: it is used as a container is
    if os.path.exists(f"{root}/proc/vz") and not os.path.exists(f"{root}/proc/bc"):
        return "openvz"
    environment = read(f"{root}/proc/1/environ").split("\0")
    said = next((word.partition("=")[2] for word in environment if word.startswith("container=")), "")
    said = said or read(f"{root}/run/systemd/container").strip()
    if said and said != "oci":
        return said
    marked = next((name for path, name in MARKS if os.path.exists(root + path)), "")
    return marked or ("container-other" if said else "")


def _machine(root: str) -> str:
    if read(f"{root}/sys/hypervisor/type").strip() == "xen" or os.path.isdir(f"{root}/proc/xen"):
        return "" if "control_d" in read(f"{root}/proc/xen/capabilities") else "xen"  # dom0 is the machine itself
    clocks = read(f"{root}/sys/devices/system/clocksource/clocksource0/available_clocksource")
    named = _from_dmi(root)
    offered = next((name for word, name in CLOCKS if word in clocks), "")
    if named in ("", "qemu"):  # QEMU is what one sees of it; what runs the guest's instructions says the rest
        named = offered or named
    if named:
        return named
    compatible = read(f"{root}/proc/device-tree/hypervisor/compatible").rstrip("\0")
    for word, name in TREE_NAMES:
        if compatible.startswith(word):
            return name
    if compatible:
        return "vm-other"
    cpu = read(f"{root}/proc/cpuinfo")
    if "User Mode Linux" in cpu:
        return "uml"
    flags = next((line for line in cpu.splitlines() if line.startswith("flags")), "")
    return "vm-other" if "hypervisor" in flags.split() else ""


def _from_dmi(root: str) -> str:
    texts = [read(f"{root}/sys/class/dmi/id/{name}").strip() for name in DMI]
    if "Microsoft Corporation" in texts and "Virtual Machine" in texts:
        return "microsoft"
    for text in texts:
        for beginning, name in DMI_BEGINNINGS:
            if text.startswith(beginning):
                return name
    return ""
