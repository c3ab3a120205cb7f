"""A simulated boot of the definitions in services/, by the real engine in virtual time: what an administrator sees."""

from __future__ import annotations

from linit.engine.effects import BootFinished, Transition
from linit.engine.events import Shutdown, Verb
from linit.engine.simulator import Behaviour, Simulator
from linit.model.service import Kind
from linit.model.state import Finish, UnitState
from tests.unit.shipped_services import plan

FAILS = 8 << 8  # a wait status: exited with status 8


def booted(**behaviours: Behaviour) -> Simulator:
    """A machine that was started into the default runlevel, 15 minutes ago. `_` in a name stands for `-`."""
    machine = Simulator(plan(), {name.replace("_", "-"): behaviour for name, behaviour in behaviours.items()})
    machine.request(Verb.RUNLEVEL, "default")
    machine.run(until_s=900.0)
    return machine


def finished_boots(machine: Simulator) -> list[BootFinished]:
    """What the engine told about the end of the boot."""
    return [effect for _, effect in machine.trace if isinstance(effect, BootFinished)]


def up_at_s(machine: Simulator, name: str) -> float:
    """When a service first came up, in seconds."""
    return next(
        at_s for at_s, effect in machine.trace
        if isinstance(effect, Transition) and effect.name == name and effect.after is UnitState.UP
    )  # fmt: skip


def not_up(machine: Simulator) -> dict[str, str]:
    """The services that are not up, but for those that no runlevel of this boot has."""
    return {name: state for name, state in machine.states().items() if state not in ("up", "down")}


def order_of_stops(machine: Simulator, *names: str) -> list[str]:
    """These services in the order in which they were down."""
    return [name for name in machine.transitions(UnitState.DOWN) if name in names]


def test_a_boot_brings_everything_up_but_what_belongs_to_single_user_mode() -> None:
    """Boot to default: issue 2."""
    machine = booted()
    assert finished_boots(machine)[0].failed == ()
    units = machine.engine.units.values()
    down = {unit.name for unit in units if unit.state is not UnitState.UP and unit.service.kind is not Kind.VIRTUAL}
    assert down == {"netmount", "shutdown", "single", "single-shell"}


def test_single_user_mode_is_the_file_systems_and_a_shell() -> None:
    """linit.runlevel=single."""
    machine = Simulator(plan())
    machine.request(Verb.RUNLEVEL, "single")
    machine.run(until_s=60.0)
    running = {
        name for name, unit in machine.engine.units.items()
        if unit.state is UnitState.UP and unit.service.kind in (Kind.PROCESS, Kind.ONESHOT)
    }  # fmt: skip
    assert running == {"api-filesystems", "devices", "mdev", "root-check", "root", "single-shell"}


def test_a_virtual_name_that_is_used_is_waited_for() -> None:
    """use: after, if it is also being started; by whatever name. DESIGN.md section 3."""
    machine = booted(hwclock=Behaviour(takes_s=5.0))
    assert up_at_s(machine, "syslogd") > 5.0


def test_the_question_for_a_lease_is_asked_while_the_root_is_checked() -> None:
    """Parallel start: what takes its time begins first."""
    machine = booted(root_check=Behaviour(takes_s=5.0))
    assert up_at_s(machine, "network") < 5.0 < up_at_s(machine, "root") < up_at_s(machine, "dropbear")


def test_without_a_lease_there_is_a_login_soon_and_the_boot_ends() -> None:
    """No lease in time fails what needs the network, and only that."""
    machine = booted(network=Behaviour(never_ready=True))
    assert up_at_s(machine, "getty@ttyS0") < 7.0  # `idle: 5s` lets the rest go first for no longer
    assert not_up(machine) == {"network": "failed", "net": "failed", "dropbear": "failed", "nginx": "failed"}
    (end,) = finished_boots(machine)
    assert end.at_s < 120.0
    assert machine.state("ntpd") is UnitState.UP


def test_what_needed_the_network_comes_when_it_comes() -> None:
    """An explicit start has a fresh budget, and brings back what was lost: DESIGN.md section 3."""
    machine = booted(network=Behaviour(never_ready=True))
    machine.behaviours.clear()
    machine.request(Verb.START, "network")
    machine.run(until_s=1000.0)
    assert not_up(machine) == {}


def test_a_root_that_cannot_be_repaired_leaves_a_login_on_a_read_only_system() -> None:
    """e2fsck(8): 4 and more. Nothing that writes is started; the person who must decide can log in."""
    machine = booted(root_check=Behaviour(status=FAILS))
    assert machine.state("getty@ttyS0") is UnitState.UP
    assert machine.state("network") is UnitState.UP
    failed = {name for name, state in not_up(machine).items() if state == "failed"}
    assert {"root-check", "root", "localmount", "syslogd", "redis", "nginx"} <= failed


def test_a_host_key_that_is_there_lets_in_whoever_repairs_the_root_from_afar() -> None:
    """dropbear writes nothing; only making a key wants a writable root."""
    assert booted(root_check=Behaviour(status=FAILS)).state("dropbear") is UnitState.UP


def test_stopping_the_network_stops_what_needs_it_first() -> None:
    """need: dependents stop first. DESIGN.md section 3."""
    machine = booted()
    machine.request(Verb.STOP, "network")
    machine.run(until_s=1000.0)
    order = order_of_stops(machine, "network", "nginx", "dropbear", "ntpd", "redis")
    assert order[-1] == "network"
    assert set(order) == {"network", "nginx", "dropbear"}
    assert machine.state("ntpd") is UnitState.UP


def test_a_respawning_network_takes_nobody_down() -> None:
    """udhcpc killed: the addresses stay, and so do those who use them. DESIGN.md section 3."""
    machine = booted(network=Behaviour(dies_after_s=950.0, death=9))
    machine.behaviours.clear()
    machine.run(until_s=1000.0)
    assert machine.engine.units["network"].restarts == 1
    assert not {"dropbear", "nginx"} & set(machine.transitions(UnitState.STOPPING))
    assert not_up(machine) == {}


def test_a_login_that_ends_again_and_again_is_never_given_up() -> None:
    """getty ends with every logout."""
    machine = booted(**{"getty@ttyS0": Behaviour(dies_after_s=3.0, death=0)})
    assert machine.engine.units["getty@ttyS0"].restarts > 100


def test_a_shutdown_ends_with_the_root_as_the_last() -> None:
    """Reverse order: who writes is down before the file systems are."""
    machine = booted()
    machine.tell(Shutdown(Finish.POWEROFF, by="tester"))
    machine.run(until_s=1000.0)
    assert [done.finish for done in machine.finished] == [Finish.POWEROFF]
    order = order_of_stops(machine, "redis", "nginx", "syslogd", "random-seed", "localmount", "root", "api-filesystems")
    assert order[-3:] == ["localmount", "root", "api-filesystems"]
    assert set(machine.states().values()) == {"down"}
    assert machine.processes == {}


def test_a_full_day_without_events_wakes_nobody() -> None:
    """After the boot nothing has a timer: an idle linit sleeps."""
    assert booted().is_quiet
