"""Which runs are tried? Scenarios drawn from a seed: every kind of trouble, each often enough to meet the others."""

from __future__ import annotations

import random
from typing import Any, Final

from linit.engine import events
from linit.engine.events import TimerKind, Verb
from linit.engine.simulator import Behaviour
from linit.model.state import Finish, Role
from tests.simulation.graphs import random_service, random_services
from tests.simulation.scenario import (
    Action,
    Ask,
    Become,
    Die,
    End,
    HandOver,
    Keys,
    Late,
    Lock,
    Replace,
    Run,
    Say,
    Scenario,
    See,
    Sicken,
)

MOST_SERVICES: Final = 14
MOST_ACTIONS: Final = 100
PAUSES_S: Final = (0.0, 0.0, 0.001, 0.01, 0.1, 0.5, 2.0, 5.0, 30.0)  # 0: at the same instant as the one before
VERBS: Final = (*[Verb.START, Verb.STOP, Verb.RESTART] * 3, Verb.RESET, Verb.RELOAD)
INSIDE: Final = (Verb.NEED, Verb.NEED, Verb.NEED, Verb.WANT, Verb.START, Verb.STOP, Verb.RESTART, Verb.RELOAD)
CLIENTS: Final = ("tester", "another tester")
LOCKS: Final = ("apt", "dpkg")
TERMINALS: Final = ("/dev/tty1", "/dev/ttyS0")
TRIGGERS: Final = ("socket", "socket", "timer", "watch")
SIGHTS: Final = ("a client", "another client")


def draw(seed: int) -> Scenario:
    """The scenario of this seed: always the same."""
    return _Drawing(random.Random(seed)).scenario()


def random_behaviour(rng: random.Random) -> Behaviour:
    """Mostly good, sometimes every kind of bad."""
    return Behaviour(
        takes_s=rng.choice([0.0, 0.1, 1.0, 3.0]),
        status=rng.choice([0, 0, 0, 0, 256]),
        spawn_error=rng.choice(["", "", "", "", "", "", "exec /bin/daemon: ENOENT"]),
        never_ready=rng.random() < 0.05,
        readiness_error="closed without a line" if rng.random() < 0.05 else "",
        dies_after_s=rng.choice([None, None, None, 0.5, 30.0]),
        death=rng.choice([0, 256, 11]),
        stop_s=rng.choice([0.0, 0.05, 0.8]),
        ignores_term=rng.random() < 0.1,
        unkillable=rng.random() < 0.02,
        leaves_child=rng.random() < 0.1,
        emptied_late_s=rng.choice([0.0, 0.0, 0.3]),
        condition=rng.choice(["", "", "", "", "path /x"]),
        no_main="its pidfile names no process" if rng.random() < 0.05 else "",
        unwell_after_s=rng.choice([None, None, None, 0.0, 5.0]),
        sees_after_s=rng.choice([None, None, None, 0.2, 5.0]),
    )


class _Drawing:
    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.order = [f"s{number:02}" for number in range(rng.randint(2, MOST_SERVICES))]
        self.providers = len(self.order) // 3 + 1  # so many of the first can provide the virtual name
        self.now_s = 0.0
        self.runlevels = ["default"]
        self.has_terminals = rng.random() < 0.3
        self.has_locks = rng.random() < 0.5
        self.runs = 0
        self.moved: list[str] = []  # of whom something was asked, or who died
        self.triggers = [
            f"{name}.{rng.choice(TRIGGERS)}" for name in self.order if rng.random() < 0.2
        ]  # each starts the service whose name it begins with

    def scenario(self) -> Scenario:
        rng = self.rng
        services = random_services(rng, self.order)
        for name in self.order:
            self.add_details(services[name])
        self.add_triggers(services)
        if rng.random() < 0.3:
            self.runlevels.append("single")
            services["single"] = {"kind": "runlevel", "want": self.some(2)}
        if rng.random() < 0.2:
            services["shutdown"] = {"kind": "runlevel", "want": self.some(2)}
        if rng.random() < 0.2:
            services["base"] = {"kind": "runlevel", "want": self.some(3)}
            services["default"]["want"] += ["base"]  # runlevels stack
        behaviours = {name: random_behaviour(rng) for name in [*self.order, *self.triggers]}
        actions = [self.action() for _ in range(rng.randint(0, MOST_ACTIONS))]
        if rng.random() < 0.15:
            actions.append(End(rng.uniform(0.0, self.now_s), rng.choice(list(Finish))))
        actions.sort(key=lambda action: action.at_s)
        return Scenario(services, behaviours, tuple(actions), self.now_s + 30.0)

    def add_details(self, keys: dict[str, Any]) -> None:
        """What `graphs.random_service` does not draw: reloading, terminals, broken definitions."""
        rng = self.rng
        runs = keys.get("kind", "process") != "target"
        self.add_supervision(keys)
        if runs and rng.random() < 0.2:
            told = {"reload_signal": 1, "reload_notifies": True}
            keys |= rng.choice([{"reload": True}, {"reload_signal": 1}, told, told | {"reload": True}])
        if runs and self.has_terminals and rng.random() < 0.5:
            keys["tty"] = rng.choice(TERMINALS)
        if rng.random() < 0.02:
            keys |= {"broken": "definition", "broken_by": ("drawn broken",)}

    def add_supervision(self, keys: dict[str, Any]) -> None:
        """Daemons in the background, conditions, health, work that is done and over."""
        rng = self.rng
        kind = keys.get("kind", "process")
        if kind == "process" and rng.random() < 0.25:
            keys["kind"] = "forking"
        if kind == "oneshot" and rng.random() < 0.4:
            keys["remains"] = False
        if kind != "target" and rng.random() < 0.15:
            keys["when"] = True
        if kind != "target" and rng.random() < 0.2:
            keys |= rng.choice([{"health": True}, {"watchdog_s": 30.0}])

    def add_triggers(self, services: dict[str, Any]) -> None:
        """What starts some of the services, as the compiler makes it of their keys; enabled in place of them, or too.

        To be called when the definitions of these are drawn.
        """
        rng = self.rng
        for trigger in self.triggers:
            name, _, kind = trigger.partition(".")
            earlier = self.order[: self.order.index(name)]
            keys: dict[str, Any] = {"kind": kind, "activates": name, "start_timeout_s": 5.0}
            if earlier and rng.random() < 0.3:
                keys[rng.choice(["need", "after", "want"])] = [rng.choice(earlier)]
            services[trigger] = keys
            if kind == "socket":
                services[name].setdefault("need", []).append(trigger)
            wants = services["default"]["want"]
            if name in wants:
                wants.append(trigger)
                if kind != "socket" or rng.random() < 0.5:
                    wants.remove(name)

    def some(self, most: int) -> list[str]:
        return self.rng.sample(self.order, min(len(self.order), self.rng.randint(1, most)))

    def any_name(self) -> str:
        return self.rng.choice([*self.order, *self.order, *self.triggers, "default", "virtual"])

    def action(self) -> Action:
        rng = self.rng
        self.now_s = round(self.now_s + rng.choice(PAUSES_S), 6)
        kinds = (
            (0.40, self.ask),
            (0.20, self.ask_inside),
            (0.12, self.become),
            (0.06, self.die),
            (0.07, self.replace),
            (0.10, self.late),
            (0.05, self.run),
            (0.08, self.lock if self.has_locks else self.ask),
            (0.10, self.see if self.triggers else self.ask),
            (0.10, self.say),
        )
        (draw,) = rng.choices([draw for _, draw in kinds], [weight for weight, _ in kinds])
        return draw()

    def ask(self) -> Ask:
        rng = self.rng
        if len(self.runlevels) > 1 and rng.random() < 0.1:
            return Ask(self.now_s, Verb.RUNLEVEL, (rng.choice([*self.runlevels, "s00"]),), by=rng.choice(CLIENTS))
        names = tuple(dict.fromkeys(self.any_name() for _ in range(rng.randint(1, 2))))
        if rng.random() < 0.01:
            names = ("nobody",)
        self.moved += names
        cascade, only = rng.random() < 0.8, rng.random() < 0.3
        return Ask(self.now_s, rng.choice(VERBS), names, cascade, only, by=rng.choice(CLIENTS))

    def ask_inside(self) -> Action:
        rng = self.rng
        caller = rng.choice(self.order)
        if self.has_locks and rng.random() < 0.6:
            return Lock(self.now_s, rng.choice(LOCKS), rng.choice([0.1, 2.0, 30.0]), caller, rng.random() < 0.9)
        names = (self.any_name(),)
        return Ask(self.now_s, rng.choice(INSIDE), names, caller=caller, waits=rng.random() < 0.9)

    def become(self) -> Become:
        name = self.rng.choice([*self.order, *self.triggers])
        return Become(self.now_s, name, random_behaviour(self.rng))

    def die(self) -> Die:
        self.moved.append(self.rng.choice(self.order))
        return Die(self.now_s, self.moved[-1], self.rng.choice([0, 256, 9, 11]))

    def lock(self) -> Lock:
        rng = self.rng
        return Lock(self.now_s, rng.choice(LOCKS), rng.choice([0.0, 0.1, 2.0, 30.0]), waits=rng.random() < 0.9)

    def see(self) -> See:
        return See(self.now_s, self.rng.choice(self.triggers), self.rng.choice(SIGHTS))

    def say(self) -> Action:
        rng = self.rng
        name = rng.choice(self.order)
        delay_s = rng.choice([0.5, 5.0, 30.0, 1e6])
        happens: list[Action] = [
            Sicken(self.now_s, name),
            HandOver(self.now_s, name),
            Say(self.now_s, events.Extended(name, delay_s)),
            Say(self.now_s, events.Reloaded(name)),
        ]
        return rng.choice(happens)

    def run(self) -> Run:
        rng = self.rng
        self.runs += 1
        name = f"run-{self.runs if rng.random() < 0.8 else 1}"
        keys = random_service(rng, self.order, may_use_virtual=True) | {"transient": True}
        self.add_supervision(keys)
        caller = rng.choice(self.order) if rng.random() < 0.3 else ""
        return Run(self.now_s, name, keys, caller, rng.random() < 0.9)

    def late(self) -> Late:
        rng = self.rng
        name = rng.choice([*self.order, *self.triggers, "gone"])
        if self.moved and rng.random() < 0.8:
            name = rng.choice(self.moved[-2:])  # it may be on its way just then
        spurious: list[events.Event] = [
            events.TimerFired(name, rng.choice(list(TimerKind))),
            events.Emptied(name),
            events.Spawned(name, Role.PRE, 99),
            events.SpawnFailed(name, Role.STOP, "it is over"),
            events.Exited(name, Role.POST, 9),
            events.MainFound(name, 99),
            events.ConditionsChecked(name, rng.choice(["", "path /y"])),
            events.Unhealthy(name, "it was not well"),
            events.Extended(name, 5.0),
            events.Reloaded(name),
            events.Triggered(name, "what is over"),
            events.Ready(name),
            events.Ready(name),
            events.ReadinessFailed(name, "it is over"),
        ]
        return Late(self.now_s, rng.choice(spurious))

    def other_virtual(self) -> Keys:
        """Other providers of the virtual name, or a target of that name."""
        first = self.order[: self.providers]
        others = self.rng.sample(first, self.rng.randint(0, len(first)))
        if not others:
            return {"kind": "target", "digest": str(self.rng.random())}
        return {"kind": "virtual", "provided_by": sorted(others), "digest": str(self.rng.random())}

    def other_trigger(self, name: str) -> dict[str, Keys | None]:
        """Another definition of the trigger of a service, or of what is in its place, or none."""
        rng = self.rng
        trigger = next((each for each in self.triggers if each.startswith(f"{name}.")), "")
        kind = trigger.partition(".")[2]
        if not trigger:
            return {}
        keys: Keys = {"kind": kind, "activates": name, "digest": str(rng.random())}
        return {trigger: rng.choice([keys, keys, keys, None, {"digest": str(rng.random())}])}

    def replace(self) -> Replace:
        """A new plan: the same services in another order, or some of them changed, added, taken away, broken."""
        rng = self.rng
        if rng.random() < 0.2:
            rng.shuffle(self.order)  # what needed another may be needed by it now
            self.providers = len(self.order) // 3 + 1
            fresh: dict[str, Any] = random_services(rng, self.order)
            for name in self.order:
                self.add_details(fresh[name])
                fresh[name]["digest"] = str(rng.random())
            self.add_triggers(fresh)
            return Replace(self.now_s, fresh, rng.random() < 0.9)
        changes: dict[str, Keys | None] = {}
        for name in self.some(3):
            at = self.order.index(name)
            keys = random_service(rng, self.order[:at], may_use_virtual=False)
            self.add_details(keys)
            keys["digest"] = str(rng.random())
            if f"{name}.socket" in self.triggers:
                keys.setdefault("need", []).append(f"{name}.socket")
            changes[name] = keys if rng.random() < 0.7 else None
            if rng.random() < 0.3:
                changes |= self.other_trigger(name)
        if rng.random() < 0.4:
            self.order.append(f"s{len(self.order):02}")
            changes[self.order[-1]] = random_service(rng, self.order[:-1], may_use_virtual=True)
        if rng.random() < 0.5:
            changes["default"] = {"kind": "runlevel", "want": self.some(len(self.order))}
        if rng.random() < 0.05:
            changes["virtual"] = self.other_virtual()
        return Replace(self.now_s, changes, rng.random() < 0.9)
