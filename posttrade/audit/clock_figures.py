"""Figures of a host's clock."""

from lockstep.posttrade.audit.clocks import Clock, Demand
from lockstep.runtime.metrics.families import Families, gauge


def clock_families(clock: Clock, demand: Demand, at_s: float) -> Families:
    """Of the last measurement."""
    text = "Furthest that this host's clock may be from UTC, by its time service."
    yield gauge("lockstep_clock_divergence_seconds", text, clock.divergence_ns / 1e9)
    text = "What RTS 25 allows, by the gateways' latency."
    yield gauge("lockstep_clock_allowed_seconds", text, demand.divergence_ns / 1e9)
    text = "1: something leads from this clock to UTC."
    yield gauge("lockstep_clock_traceable", text, float(not clock.why))
    yield gauge("lockstep_clock_measured_timestamp_seconds", "When it was measured last (Unix time).", at_s)
