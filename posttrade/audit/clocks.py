"""How far a host's clock may be from UTC, whether that is enough, and a record of it that shows changes. Pure.

Delegated Regulation (EU) 2017/574 ("RTS 25") asks of a trading venue whose gateway-to-gateway latency is at most a
millisecond that its clocks diverge from UTC by at most 100 microseconds and count single ones, of all others a
millisecond of both. ESMA's guidelines take the 99th percentile of that latency.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from lockstep.posttrade.audit.manifest import canonical

GRANULARITY_NS: Final = 1_000
"""Of times in records: they are written in microseconds."""
NOTHING: Final = "0" * 64
_SHARE: Final = 0.99
_FAST_S: Final = 0.001
_FIELDS: Final = 14
"""Of `chronyc -c tracking`."""
_LOCAL: Final = "7F7F"
"""How reference ids of chrony begin that are the host's own clock."""


class ClockFault(ValueError):
    """What was read says nothing about a clock, or a record of clocks was changed. The text says why."""


@dataclass(frozen=True, slots=True)
class Clock:
    """What the time service says of this host's clock."""

    source: str
    """What it is set by: an address or a name; empty: nothing."""
    stratum: int
    divergence_ns: int
    """It is at most so far from its source's clock, and that from UTC."""
    why: str = ""
    """Why nothing leads from it to UTC; empty: something does."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What the regulation asks of a venue."""

    name: str
    divergence_ns: int
    granularity_ns: int


FAST: Final = Demand("gateway-to-gateway latency of 1 ms or less", 100_000, 1_000)
SLOW: Final = Demand("gateway-to-gateway latency above 1 ms", 1_000_000, 1_000_000)


def clock_of(tracking: str) -> Clock:
    """Of what `chronyc -c tracking` has printed.

    The bound is the one of chrony's manual: offset + root dispersion + half the root delay.

    Raises:
        ClockFault: it is something else.
    """
    fields = tracking.strip().split(",")
    if len(fields) != _FIELDS:
        raise ClockFault(f"chronyc tracking has {len(fields)} fields, not {_FIELDS}: {tracking.strip()[:120]!r}")
    try:
        stratum, offset_s, delay_s, dispersion_s = (
            int(fields[2]), float(fields[4]), float(fields[10]), float(fields[11]),
        )  # fmt: skip
        if delay_s < 0 or dispersion_s < 0:
            raise ValueError("a delay or a dispersion below nothing")
        divergence_ns = -int(-(abs(offset_s) + dispersion_s + delay_s / 2) * 1e9 // 1)
    except (ValueError, OverflowError) as error:
        raise ClockFault(f"chronyc tracking can't be read: {error}") from error
    why = ""
    if fields[13] == "Not synchronised" or not stratum:
        why = "the clock is not synchronized"
    elif fields[0].startswith(_LOCAL):
        why = "chrony follows this host's own clock (`local`), which nothing has set"
    return Clock(fields[1] or fields[0], stratum, divergence_ns, why)


def demand_of(buckets: Mapping[float, float]) -> tuple[Demand, float | None]:
    """What is asked, and the share of commands within a millisecond (None: there were none: the stricter one counts).

    `buckets`: cumulative counts of submit-to-report latencies, by upper bound in seconds. A millisecond is a bound.
    """
    total = max(buckets.values(), default=0.0)
    if not total:
        return FAST, None
    share = buckets.get(_FAST_S, 0.0) / total
    return (FAST if share >= _SHARE else SLOW), share


def faults_of(clock: Clock, demand: Demand) -> list[str]:
    """Why it is not enough; none: it is."""
    found = [clock.why] if clock.why else []
    if clock.divergence_ns > demand.divergence_ns:
        may = f"the clock may be {clock.divergence_ns / 1e3:.1f} us from UTC"
        found.append(f"{may}, and {demand.divergence_ns / 1e3:.0f} us are allowed")
    if demand.granularity_ns < GRANULARITY_NS:
        found.append("records count microseconds, which is too coarse")
    return found


def line_of(previous: str, host: str, at: str, clock: Clock, demand: Demand, share: float | None) -> str:
    """The next line of a record of clocks. `previous`: the line before it; empty: there is none."""
    said: dict[str, Any] = {
        "allowed_ns": demand.divergence_ns,
        "at": at,
        "class": demand.name,
        "divergence_ns": clock.divergence_ns,
        "faults": faults_of(clock, demand),
        "granularity_ns": GRANULARITY_NS,
        "host": host,
        "previous": hash_of(previous) if previous else NOTHING,
        "source": clock.source,
        "stratum": clock.stratum,
        # No floating-point number: parts of a million, rounded down.
        "within_1ms_ppm": None if share is None else int(share * 1_000_000),
    }
    return canonical(said).decode("ascii")


def hash_of(line: str) -> str:
    """What the next line names it by."""
    return hashlib.sha256(line.encode()).hexdigest()


@dataclass(slots=True)
class Checked:
    """What a record of clocks says, all in all."""

    lines: int = 0
    faulty: int = 0
    """Measurements that were not enough."""
    worst_ns: int = 0
    first: str = ""
    last: str = ""
    head: str = NOTHING
    """Hash of the newest line: kept elsewhere, it shows later that the end was cut off."""


def checked(lines: Iterable[str]) -> Checked:
    """All lines of a record, oldest first.

    Raises:
        ClockFault: one does not follow from the one before it, or is none.
    """
    found = Checked()
    for number, line in enumerate(lines, 1):
        try:
            said = json.loads(line)
            if said["previous"] != found.head:
                raise ClockFault(f"line {number} does not follow from the one before it")
            found.worst_ns = max(found.worst_ns, int(said["divergence_ns"]))
            found.faulty += bool(said["faults"])
            found.first, found.last = found.first or str(said["at"]), str(said["at"])
        except ClockFault:
            raise
        except (KeyError, TypeError, AttributeError, RecursionError, ValueError, OverflowError) as error:
            raise ClockFault(f"line {number} is no measurement: {error!r}") from error
        found.lines, found.head = number, hash_of(line)
    return found
