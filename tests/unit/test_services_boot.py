"""A simulated boot of the definitions in services/, by the real engine in virtual time: what an administrator sees."""

from __future__ import annotations

from linit.model.service import Kind
from linit.testing import Boot
from tests.unit.shipped_services import plan, services

FAILS = 8  # an exit status


def image(runlevel: str = "default") -> Boot:
    """A machine as it is shipped, about to boot."""
    return Boot(plan(), runlevel)


def order_of_stops(boot: Boot, *names: str) -> list[str]:
    """These services in the order in which they went down."""
    return [name for name in boot.stops() if name in names]


def test_a_boot_brings_everything_up_but_what_belongs_to_single_user_mode() -> None:
    """Boot to default: issue 2."""
    boot = image()
    assert boot.failed() == ()
    down = {name for name, state in boot.states().items() if state != "up" and services()[name].kind != Kind.VIRTUAL}
    assert down == {"fsck", "modules", "netmount", "shutdown", "single", "single-shell", "swap"}


def test_single_user_mode_is_the_file_systems_and_a_shell() -> None:
    """linit.runlevel=single."""
    assert set(image("single").order()) == {
        "api-filesystems", "mdev", "root-check", "root", "single-shell",
    }  # fmt: skip


def test_a_virtual_name_that_is_used_is_waited_for() -> None:
    """use: after, if it is also being started; by whatever name. DESIGN.md section 3."""
    boot = image()
    boot.takes("hwclock", 5.0)
    assert boot.time_to("syslogd") > 5.0


def test_the_question_for_a_lease_is_asked_while_the_root_is_checked() -> None:
    """Parallel start: what takes its time begins first."""
    boot = image()
    boot.takes("root-check", 5.0)
    assert boot.time_to("network") < 5.0 < boot.time_to("root") < boot.time_to("dropbear")


def test_without_a_lease_there_is_a_login_soon_and_the_boot_ends() -> None:
    """No lease in time fails what needs the network, and only that."""
    boot = image()
    boot.hang("network")
    assert boot.time_to("getty@ttyS0") < 7.0  # `idle: 5s` lets the rest go first for no longer
    assert boot.failed() == ("dropbear", "net", "network", "nginx")
    assert boot.total() < 120.0
    assert boot.state("ntpd") == "up"


def test_what_needed_the_network_comes_when_it_comes() -> None:
    """An explicit start has a fresh budget, and brings back what was lost: DESIGN.md section 3."""
    boot = image()
    boot.hang("network")
    boot.run()
    boot.heal("network")
    assert (boot.start("network"), boot.failed(), boot.state("nginx")) == ("done", (), "up")


def test_a_root_that_cannot_be_repaired_leaves_a_login_on_a_read_only_system() -> None:
    """e2fsck(8): 4 and more. Nothing that writes is started; the person who must decide can log in."""
    boot = image()
    boot.fail("root-check", FAILS)
    assert boot.state("getty@ttyS0") == "up"
    assert boot.state("network") == "up"
    assert {"root-check", "root", "localmount", "syslogd", "redis", "nginx"} <= set(boot.failed())


def test_a_host_key_that_is_there_lets_in_whoever_repairs_the_root_from_afar() -> None:
    """dropbear writes nothing; only making a key wants a writable root."""
    boot = image()
    boot.fail("root-check", FAILS)
    assert boot.state("dropbear") == "up"


def test_stopping_the_network_stops_what_needs_it_first() -> None:
    """need: dependents stop first. DESIGN.md section 3."""
    boot = image()
    boot.stop("network")
    assert sorted(boot.stops()) == ["dropbear", "network", "nginx"]
    assert boot.stops()[-1] == "network"
    assert boot.state("ntpd") == "up"


def test_a_respawning_network_takes_nobody_down() -> None:
    """udhcpc killed: the addresses stay, and so do those who use them. DESIGN.md section 3."""
    boot = image()
    boot.crash("network")
    assert (boot.restarts("network"), boot.stops(), boot.failed()) == (1, (), ())


def test_a_login_that_ends_again_and_again_is_never_given_up() -> None:
    """getty ends with every logout."""
    boot = image()
    for _ in range(100):
        boot.crash("getty@ttyS0")
    assert (boot.restarts("getty@ttyS0"), boot.state("getty@ttyS0")) == (100, "up")


def test_a_shutdown_ends_with_the_root_as_the_last() -> None:
    """Reverse order: who writes is down before the file systems are."""
    boot = image()
    assert boot.shut_down() < 15.0
    order = order_of_stops(boot, "redis", "nginx", "syslogd", "random-seed", "localmount", "root", "api-filesystems")
    assert order[-3:] == ["localmount", "root", "api-filesystems"]
    assert set(boot.states().values()) == {"down"}
    assert boot.world.processes == {}


def test_a_full_day_without_events_wakes_nobody() -> None:
    """After the boot nothing has a timer: an idle linit sleeps."""
    boot = image()
    boot.advance(60.0)
    assert boot.world.is_quiet
