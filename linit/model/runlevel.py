"""What does a runlevel want, and what is started when nobody wrote one? Then there is one that wants every service."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from linit.model.place import Place
from linit.model.service import TRIGGERS, Dependency, EdgeKind, Kind, Plan, Service

DEFAULT_RUNLEVEL: Final = "default"


def wanted_for(service: Service) -> tuple[str, ...]:
    """What a runlevel wants in which `service` is enabled: itself, its sockets, or only what starts it."""
    if service.kind.is_trigger:
        return (service.name,)
    has = {Kind.SOCKET: service.listen, Kind.TIMER: service.schedule, Kind.WATCH: service.watch}
    triggers = tuple(service.name + TRIGGERS[kind] for kind, there in has.items() if there)
    on_demand = bool(service.listen) and all(each.on_demand for each in service.listen)
    return triggers if service.schedule or service.watch or on_demand else (*triggers, service.name)


def with_a_runlevel(plan: Plan) -> Plan:
    """A plan without runlevels gets one, `default`, that wants every service."""
    names = {service.name for service in plan.services}
    if any(service.kind is Kind.RUNLEVEL for service in plan.services) or DEFAULT_RUNLEVEL in names:
        return plan
    place = Place("no runlevels: everything is wanted")
    members = (service for service in plan.services if service.kind is not Kind.VIRTUAL and not service.activates)
    wants = tuple(
        Dependency(EdgeKind.WANT, name, place, implied=True)
        for service in members
        for name in wanted_for(service)
        if name in names
    )
    runlevel = Service(DEFAULT_RUNLEVEL, place, Kind.RUNLEVEL, dependencies=wants)
    return replace(plan, services=tuple(sorted((*plan.services, runlevel), key=lambda service: service.name)))
