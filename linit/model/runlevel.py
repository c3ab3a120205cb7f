"""What is started when nobody wrote a runlevel? Then there is one that wants every service."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from linit.model.place import Place
from linit.model.service import Dependency, EdgeKind, Kind, Plan, Service

DEFAULT_RUNLEVEL: Final = "default"


def with_a_runlevel(plan: Plan) -> Plan:
    """A plan without runlevels gets one, `default`, that wants every service."""
    names = {service.name for service in plan.services}
    if any(service.kind is Kind.RUNLEVEL for service in plan.services) or DEFAULT_RUNLEVEL in names:
        return plan
    place = Place("no runlevels: everything is wanted")
    wants = tuple(
        Dependency(EdgeKind.WANT, service.name, place, implied=True)
        for service in plan.services
        if service.kind is not Kind.VIRTUAL
    )
    runlevel = Service(DEFAULT_RUNLEVEL, place, Kind.RUNLEVEL, dependencies=wants)
    return replace(plan, services=tuple(sorted((*plan.services, runlevel), key=lambda service: service.name)))
