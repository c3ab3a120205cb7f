"""What is a service? The frozen definition that the compiler reads from YAML and PID 1 from the plan.

Every duration ends in `_s` (seconds), every size in `_bytes`. A duration of `None` means "no limit", which only a
definition that says so gets: every start and stop has a limit by default. Keys and meanings follow openrc-run(8),
systemd.service(5), dinit-service(5) where they agree; services/README.md is the reference for administrators.
"""

from __future__ import annotations

import enum
from typing import Final

from linit.model.place import Fault, Place
from linit.model.value import value

START_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 15.0


class Kind(enum.Enum):
    """What makes a service "up"."""

    __hash__ = object.__hash__  # members are singletons: no need to hash a name, which is slow

    PROCESS = "process"  # its main process runs (and said that it is ready, where readiness is defined)
    ONESHOT = "oneshot"  # its command ended with success; up until stopped
    FORKING = "forking"  # its command has put a daemon into the background and ended; that daemon runs
    TARGET = "target"  # no process: up when what it depends on is
    RUNLEVEL = "runlevel"  # a target that wants what is enabled in it
    VIRTUAL = "virtual"  # a name that others provide: up while a provider is. Made by the compiler only
    # Triggers, made by the compiler from keys of the service that they start: up while they are armed.
    SOCKET = "socket"  # NAME.socket, from `listen`: open, and handed to NAME when that starts
    TIMER = "timer"  # NAME.timer, from `schedule`
    WATCH = "watch"  # NAME.watch, from `watch`

    def __init__(self, word: str) -> None:
        """`is_trigger`: does it start another service when something happens? `is_daemon`: is it up while its main
        process runs? `runs`: does it run commands?"""
        self.is_trigger = word in ("socket", "timer", "watch")
        self.is_daemon = word in ("process", "forking")
        self.runs = word in ("process", "oneshot", "forking")


class EdgeKind(enum.Enum):
    """The kinds of dependency: DESIGN.md section 3."""

    __hash__ = object.__hash__  # members are singletons: no need to hash a name, which is slow

    NEED = "need"
    BIND = "bind"
    WANT = "want"
    USE = "use"
    AFTER = "after"
    PROVIDED_BY = "provided_by"  # from a virtual name to one of its providers
    CONFLICTS = "conflicts"

    def __init__(self, word: str) -> None:
        """`is_hard`: does a failure of the other end take the dependent down? `pulls`: does a wish for the dependent
        become a wish for the other end?"""
        self.is_hard = word in ("need", "bind")
        self.pulls = word in ("need", "bind", "want")


TRIGGERS: Final = {Kind.SOCKET: ".socket", Kind.TIMER: ".timer", Kind.WATCH: ".watch"}  # what their names end in

# For the rules that every event goes through: finding a member by way of its class takes longer than most of them do.
VIRTUAL, PROCESS, ONESHOT = Kind.VIRTUAL, Kind.PROCESS, Kind.ONESHOT
NEED, BIND = EdgeKind.NEED, EdgeKind.BIND
PROVIDED_BY, CONFLICTS = EdgeKind.PROVIDED_BY, EdgeKind.CONFLICTS

EDGE_WORDS: Final = {  # for people: "web needs db"
    EdgeKind.NEED: "needs",
    EdgeKind.BIND: "is bound to",
    EdgeKind.WANT: "wants",
    EdgeKind.USE: "uses",
    EdgeKind.AFTER: "starts after",
    EdgeKind.PROVIDED_BY: "is provided by",
    EdgeKind.CONFLICTS: "conflicts with",
}


@value
class Dependency:
    """An edge of the graph: its owner depends on `on`. `place` is the file and line that wrote it.

    `before: [x]` of a service is stored as an AFTER edge of x whose place is in the other file. `implied` edges were
    written by nobody (a runlevel's members, the implicit order after sysinit); their place says why they are there.
    `learned` edges were asked for at run time by a process of the owner (`linitctl need`); a plan file has none.
    """

    kind: EdgeKind
    on: str
    place: Place
    implied: bool = False
    learned: bool = False


@value
class Command:
    """A program to run: argv as execve(2) takes it. `timeout_s` overrides the service's own for this command."""

    argv: tuple[str, ...]
    place: Place
    timeout_s: float | None = None


class ReadinessKind(enum.Enum):
    """How a process says that it can serve."""

    __hash__ = object.__hash__  # as above

    NONE = "none"  # running is ready
    NOTIFY = "notify"  # READY=1 on NOTIFY_SOCKET: sd_notify(3)
    FD = "fd"  # a complete line on a descriptor: s6's notification-fd
    PIDFILE = "pidfile"  # a file appears that names a process of the service
    TCP = "tcp"  # host:port accepts a connection
    UNIX = "unix"  # a Unix socket accepts a connection
    PATH = "path"  # a file exists
    PROBE = "probe"  # a command ends with success


AT_ONCE: Final = ReadinessKind.NONE


@value
class Readiness:
    """`value`: the path (pidfile, unix, path), "host:port" (tcp), the descriptor number (fd), else ""."""

    kind: ReadinessKind = ReadinessKind.NONE
    value: str = ""
    probe: Command | None = None
    interval_s: float = 0.5


@value
class Health:
    """Is a service that is up still well? `retries` failures of `probe` in a row mean that it is not. No probe runs
    before `grace_s` after it came up."""

    probe: Command
    interval_s: float = 10.0
    timeout_s: float = 5.0
    retries: int = 3
    grace_s: float = 0.0


class ListenKind(enum.Enum):
    """What clients connect to. Sources: unix(7), tcp(7), udp(7), fifo(7)."""

    UNIX_STREAM = "unix"
    UNIX_DGRAM = "unix_dgram"
    UNIX_SEQPACKET = "unix_seqpacket"
    TCP = "tcp"
    UDP = "udp"
    FIFO = "fifo"


@value
class Listen:
    """A socket that linit opens. `address`: a path, "@name" (abstract), or "host:port" with a numeric host.

    `name` is its word in LISTEN_FDNAMES. `on_demand`: the service starts at the first client. `accept`: a process for
    each connection, at most `most` at a time. `mode`, `owner`, `group` are those of a path.
    """

    kind: ListenKind
    address: str
    place: Place
    name: str = ""
    owner: str = ""
    group: str = ""
    mode: int = 0o666
    backlog: int = 128
    on_demand: bool = False
    accept: bool = False
    most: int = 64


@value
class Schedule:
    """When a service is started by the clock. `calendar`: cron expressions (five fields, local time); `every_s` since
    the last start; `after_boot_s` once. `persistent`: what was missed while the machine was off is made up for."""

    place: Place
    every_s: float | None = None
    after_boot_s: float | None = None
    calendar: tuple[str, ...] = ()
    persistent: bool = False


class WatchKind(enum.Enum):
    """What about a path starts a service."""

    EXISTS = "exists"  # it is there
    CHANGES = "changes"  # it was written, replaced or removed
    NOT_EMPTY = "not_empty"  # a folder holds something: a spool


@value
class WatchedPath:
    """A path that starts a service."""

    path: str
    on: WatchKind
    place: Place


class ConditionKind(enum.Enum):
    """What a start is made to depend on."""

    PATH = "path"  # exists
    CMDLINE = "cmdline"  # a word of the kernel command line: `word` or `key=value`
    FIRST_BOOT = "first_boot"
    VIRTUALISATION = "virtualisation"  # "any" or a name: kvm, qemu, container, docker, lxc ...
    COMMAND = "command"  # ends with success
    SERVICE = "service"  # is up


@value
class Condition:
    """One line of `when`. `negated`: it must not be so."""

    kind: ConditionKind
    value: str
    place: Place
    negated: bool = False
    command: Command | None = None

    def __str__(self) -> str:
        """As a person would say it: `path /etc/x exists`."""
        return f"{'not ' if self.negated else ''}{self.kind.value}{f' {self.value}' if self.value else ''}"


class RestartPolicy(enum.Enum):
    """When an exit that nobody asked for is followed by a new start."""

    ALWAYS = "always"
    ON_FAILURE = "on_failure"  # not after a success status
    ON_ABNORMAL = "on_abnormal"  # only after a signal or a timeout
    NEVER = "never"


NEVER, ALWAYS, ON_FAILURE = RestartPolicy.NEVER, RestartPolicy.ALWAYS, RestartPolicy.ON_FAILURE


@value
class Restart:
    """Respawn policy. The delay before respawn n is `delay_s * factor**(n-1)`, at most `delay_max_s`.

    More than `limit` respawns within `window_s` seconds end in `failed`; after `healthy_after_s` of uptime both the
    budget and the delay are reset.
    """

    policy: RestartPolicy = RestartPolicy.NEVER
    delay_s: float = 0.2
    factor: float = 2.0
    delay_max_s: float = 30.0
    limit: int = 5
    window_s: float = 60.0
    healthy_after_s: float = 10.0


@value
class StopStep:
    """Send `signal` (a number), then wait up to `wait_s` for the processes to be gone."""

    signal: int
    wait_s: float


class StopTo(enum.Enum):
    """Who gets the stop signals. KILL at the end always goes to all."""

    ALL = "all"
    MAIN = "main"


class Output(enum.Enum):
    """Where standard output and error go."""

    LOG = "log"
    CONSOLE = "console"
    NULL = "null"
    FILE = "file"  # `Execution.output_to`: (path,)
    SYSLOG = "syslog"  # (facility.level,)
    COMMAND = "command"  # the argv of a logger that reads its standard input


@value
class Limits:
    """What a service's cgroup may use. None: unlimited, or the kernel's default. Source: cgroup v2."""

    memory_max_bytes: int | None = None
    memory_high_bytes: int | None = None
    cpu_weight: int | None = None  # 1 to 10000, default 100
    cpu_max_us: tuple[int, int] | None = None  # so many microseconds in each period of so many
    pids_max: int | None = None
    io_weight: int | None = None  # 1 to 10000, default 100


@value
class Execution:
    """With which rights and surroundings the commands of a service run. Empty text means "as PID 1 has it"."""

    user: str = ""
    group: str = ""
    groups: tuple[str, ...] | None = None  # None: the user's own supplementary groups
    directory: str = "/"
    umask: int = 0o022
    environment: tuple[tuple[str, str], ...] = ()
    tty: str = ""  # e.g. /dev/ttyS0: becomes stdin, stdout, stderr and the controlling terminal
    output: Output = Output.LOG
    nice: int = 0
    oom_score_adj: int = 0
    rlimits: tuple[tuple[str, int, int], ...] = ()  # (name as in setrlimit(2) without RLIMIT_, lower case; soft; hard)
    environment_files: tuple[tuple[str, bool], ...] = ()  # (path, may it be missing)
    ionice: str = ""  # "idle", "best-effort:LEVEL", "realtime:LEVEL": ionice(1)
    scheduler: tuple[str, int] | None = None  # (other, batch, idle, fifo or rr; priority): sched(7)
    cpu_affinity: tuple[int, ...] = ()  # numbers of CPUs; (): all
    chroot: str = ""
    no_new_privs: bool = False
    capabilities: tuple[str, ...] | None = None  # the bounding set, names without CAP_, lower case; None: all
    ambient: tuple[str, ...] = ()
    private_tmp: bool = False
    private_network: bool = False
    private_devices: bool = False
    read_only_paths: tuple[str, ...] = ()
    hidden_paths: tuple[str, ...] = ()
    limits: Limits = Limits()
    output_to: tuple[str, ...] = ()  # what `output` says more: see Output


@value
class Service:
    """The definition of one service. Immutable; its live record is `linit.engine.unit.Unit`."""

    name: str
    place: Place
    kind: Kind = Kind.PROCESS
    description: str = ""
    run: Command | None = None
    pre: tuple[Command, ...] = ()
    post: tuple[Command, ...] = ()
    stop: tuple[Command, ...] = ()
    reload: Command | None = None
    reload_signal: int = 0  # used when `reload` is None; 0: the service cannot reload
    dependencies: tuple[Dependency, ...] = ()
    prefer: tuple[str, ...] = ()
    readiness: Readiness = Readiness()
    restart: Restart = Restart()
    start_timeout_s: float | None = START_TIMEOUT_S
    stop_timeout_s: float | None = STOP_TIMEOUT_S
    stop_steps: tuple[StopStep, ...] = ()  # empty: TERM for the whole stop timeout; KILL follows in any case
    stop_to: StopTo = StopTo.ALL
    success_statuses: tuple[int, ...] = (0,)
    success_signals: tuple[int, ...] = ()
    stop_when_unneeded: bool = False
    execution: Execution = Execution()
    runlevels: tuple[str, ...] = ()  # where it is enabled
    broken: str = ""  # why it can never start ("definition", "cycle", ...): see Plan.faults; "" if it can
    broken_by: tuple[str, ...] = ()  # the texts of the faults that took it out, for `why`
    idle_s: float = 0.0  # during a boot: how long it lets everything else go first
    digest: str = ""  # of the definition's meaning: a reload compares it
    transient: bool = False  # made at run time (`linitctl run`); a plan file has none
    pidfile: str = ""  # of a forking service
    remains: bool = True  # of a oneshot: is it up after success? One that a clock or a path starts goes down
    reload_notifies: bool = False  # told by signal, it says RELOADING=1 and then READY=1: sd_notify(3)
    health: Health | None = None
    watchdog_s: float | None = None  # it must say WATCHDOG=1 at least so often: sd_notify(3)
    fd_store: int = 0  # how many descriptors it may leave with linit over a restart
    listen: tuple[Listen, ...] = ()
    schedule: Schedule | None = None
    watch: tuple[WatchedPath, ...] = ()
    activates: str = ""  # of a trigger: the service that it starts
    when: tuple[Condition, ...] = ()
    urgent: bool = False  # a person waits for it: it gets more of the processors during a boot

    @property
    def runs(self) -> bool:
        """Does it run commands, be it for each connection?"""
        return self.kind.runs or self.run is not None

    @property
    def starts(self) -> bool:
        """Is it a trigger that starts its service, and does not only keep its sockets open?"""
        return bool(self.activates) and (self.kind is not Kind.SOCKET or any(each.on_demand for each in self.listen))


@value
class CutEdge:
    """A dependency that the compiler dropped to break a cycle: `owner` no longer waits for `dependency.on`."""

    owner: str
    dependency: Dependency
    cycle: tuple[str, ...]


KERNEL_SIZE: Final = -2  # of a source that only its text tells: linit.plan.freshness


@value
class Source:
    """A file or folder that the plan was made from. For a folder, `sha256` is that of its sorted entry names.

    Of what the kernel makes up when it is read (/proc, /sys) size and time say nothing: `size` is KERNEL_SIZE, and
    `sha256` holds, in two lines, the beginnings of the words that matter ("": all) and these words as they were.
    """

    path: str
    size: int
    mtime_ns: int
    sha256: str


@value
class Plan:
    """Everything PID 1 must know to boot; made by the compiler, read from one MessagePack file.

    `services` is sorted by name and holds broken ones too. Every name in an edge of a service exists in `services`,
    but for `missing` ones: a need of something undefined is a fault and the owner is broken; a soft edge to it is
    left out. The kept edges other than CONFLICTS contain no cycle.
    """

    services: tuple[Service, ...]
    faults: tuple[Fault, ...] = ()
    cuts: tuple[CutEdge, ...] = ()
    sources: tuple[Source, ...] = ()
    compiled_at: float = 0.0  # seconds since the epoch, for people
    compiler: str = ""  # linit's version
