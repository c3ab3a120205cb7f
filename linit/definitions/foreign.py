"""Which key is meant by a word of another init system? Sources: systemd.unit(5), systemd.service(5), dinit-service(5),
openrc-run(8), supervisord's program section, the services of Compose."""

from __future__ import annotations

from typing import Final

ENABLE: Final = "`linitctl enable NAME [RUNLEVEL]` puts it into a runlevel"
CGROUP: Final = "the key is 'limits'"

# As written without case, "-" and "_".
MEANT: Final = {
    "need": "requires requisite depends dependson dependency",
    "bind": "bindsto",
    "want": "wants waitsfor",
    "use": "softdepends",
    "provide": "provides alias aliases",
    "conflicts": "conflict",
    "run": "execstart exec command cmd commandargs daemon",
    "pre": "execstartpre startpre execcondition",
    "post": "execstartpost startpost",
    "stop": "execstop stopcommand stoppre",
    "reload": "execreload",
    "kind": "type",
    "description": "desc title",
    "environment": "env envs setenv",
    "env_file": "environmentfile envfile",
    "directory": "workingdirectory workingdir workdir cwd chdir",
    "chroot": "rootdirectory",
    "user": "runas",
    "ready": "readiness readynotification",
    "when": "condition conditions conditionpathexists assertpathexists",
    "listen": "listenstream listendatagram socket sockets socketlisten",
    "schedule": "timer oncalendar cron",
    "output": "standardoutput log logfile stdoutlogfile outputlogger logtype",
    "restart": "autorestart respawn restartsec restartdelay",
    "start_timeout": "timeoutstartsec timeoutstart",
    "stop_timeout": "timeoutstopsec timeoutstop stopwaitsecs",
    "stop_signal": "killsignal termsignal",
    "stop_to": "killmode",
    "watchdog": "watchdogsec",
    "tty": "ttypath runsonconsole startsonconsole console",
    "cpu_affinity": "cpuaffinity affinity",
    "private_tmp": "privatetmp",
    "hidden_paths": "inaccessiblepaths",
}
_TO_ENABLE: Final = "runlevel runlevels wantedby requiredby enable enabled autostart"
_OF_CGROUPS: Final = "memorymax memoryhigh cpuweight cpumax cpuquota tasksmax pidsmax ioweight"
_HINTS: Final = {
    **{word: f"the key is '{key}'" for key, words in MEANT.items() for word in words.split()},
    **dict.fromkeys(_TO_ENABLE.split(), ENABLE),
    **dict.fromkeys(_OF_CGROUPS.split(), CGROUP),
}


def hint(word: str) -> str:
    """The hint of a fault: what to write instead; "" for a word that is nobody's."""
    return _HINTS.get(word.lower().replace("-", "").replace("_", ""), "")
