"""Where does everything live? One value for the system, one for a supervisor that a user runs in a folder."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Paths:
    """The places that linit reads and writes. `services` is in order of precedence, strongest first."""

    services: tuple[str, ...]
    runlevels: str
    plan: str
    plan_fallback: str  # where a plan goes when `plan` cannot be written: a read-only root
    control: str
    run: str
    log: str
    state: str
    generators: tuple[str, ...] = ()  # strongest first, as `services`
    generated: str = ""  # where what they wrote is kept for people to read

    @staticmethod
    def system(root: str = "") -> Paths:
        """Those of PID 1; below `root` when an image is prepared from outside."""
        return Paths(
            services=(
                f"{root}/etc/linit/services",
                f"{root}/run/linit/services",
                f"{root}/usr/lib/linit/services",
            ),
            runlevels=f"{root}/etc/linit/runlevels",
            plan=f"{root}/var/lib/linit/plan.msgpack",
            plan_fallback=f"{root}/run/linit/plan.msgpack",
            control=f"{root}/run/linit/control.sock",
            run=f"{root}/run/linit",
            log=f"{root}/var/log/linit",
            state=f"{root}/var/lib/linit",
            generators=(f"{root}/etc/linit/generators", f"{root}/usr/lib/linit/generators"),
            generated=f"{root}/var/lib/linit/generated",
        )

    @staticmethod
    def user(folder: str) -> Paths:
        """Those of `linit --user FOLDER`."""
        return Paths(
            services=(f"{folder}/services",),
            runlevels=f"{folder}/runlevels",
            plan=f"{folder}/run/plan.msgpack",
            plan_fallback=f"{folder}/run/plan.msgpack",
            control=f"{folder}/run/control.sock",
            run=f"{folder}/run",
            log=f"{folder}/log",
            state=f"{folder}/run",
            generators=(f"{folder}/generators",),
            generated=f"{folder}/run/generated",
        )
