"""What the matching engines alone do on this machine: one engine, one thread, no cluster around it.

Throughput is the median of several runs on fresh engines, in batches as a replica applies them. Latency is the time of
an `apply` call with a single command in it, the way through Python and back included. It is service time: nothing
queues here, so nothing can be omitted. Decoding, session check, reservations, matching and events are inside both.
"""

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from lockstep.engine.contract import MatchingEngine
from lockstep.engine.implementations import NAMES, UnknownImplementation, implementation
from lockstep.runtime.process import EnvironmentFault
from lockstep.stream.records import Commands, EventKind
from lockstep.trials.matching_flow import MIX, MatchingFlow, make_flow

LEFT_OUT: Final = "everything but the engine: no journal, no acks, no network, no other load on this core by intent"
_REFERENCE_COMMANDS: Final = 100_000
"""The reference engine gets this much of the flow at the most: it is fifty times slower."""
_ALL_LEVELS: Final = 2**31
_MISSES: Final = (EventKind.CANCEL_REJECTED, EventKind.REPLACE_REJECTED)
_REFUSALS: Final = (EventKind.REJECTED, *_MISSES)


@dataclass(frozen=True, slots=True)
class MatchingPlan:
    """What to measure."""

    commands: int = 500_000
    books: int = 1
    resting: int = 10_000
    batch: int = 256
    runs: int = 5


@dataclass(frozen=True, slots=True)
class MatchingFigures:
    """One engine's figures."""

    commands_per_s: int
    """Median of `runs_per_s`."""
    ns_p50: int
    ns_p99: int
    ns_p999: int
    ns_max: int
    ns_clock: int
    """What reading the clock twice costs; it is inside the latencies."""
    books: int
    resting: int
    """Live orders before the first measured command."""
    resting_at_end: int
    mix: str
    commands: int
    batch: int
    runs_per_s: tuple[int, ...]
    trades: int
    missed: int
    """Cancels and replaces whose order was filled just before."""
    refused: int
    """Of all kinds, the missed ones included."""


def run_matching_bench(plan: MatchingPlan, say: Callable[[str], None]) -> dict[str, MatchingFigures]:
    """Figures by engine name.

    Raises:
        EnvironmentFault: an engine is not built here.
    """
    say(f"preparing {plan.commands} commands")
    try:
        engines = {name: implementation(name) for name in NAMES}
        flow = make_flow(plan.commands, books=plan.books, resting=plan.resting)
    except UnknownImplementation as error:
        raise EnvironmentFault(str(error)) from error
    figures = {}
    for name, make_engine in engines.items():
        count = min(plan.commands, _REFERENCE_COMMANDS) if name == "reference" else plan.commands
        say(f"measuring {name}: {plan.runs} runs of {count} commands, then the latency of each")
        figures[name] = measure(make_engine, flow, flow.commands[:count], batch=plan.batch, runs=plan.runs)
    return figures


def machine() -> dict[str, object]:
    """What the figures were measured on, as far as a program can know."""
    return {"cores": os.cpu_count(), "left_out": LEFT_OUT}


def measure(
    make_engine: Callable[[], MatchingEngine], flow: MatchingFlow, commands: Commands, *, batch: int, runs: int
) -> MatchingFigures:
    """Figures of one engine for the first `commands` of a flow."""
    rates = tuple(round(throughput(make_engine, flow.opening, commands, batch=batch)) for _ in range(runs))
    engine = opened_engine(make_engine, flow.opening)
    resting = resting_orders(engine)
    took_ns, kinds = _latencies(engine, commands)
    p50, p99, p999 = (int(np.quantile(took_ns, share, method="higher")) for share in (0.5, 0.99, 0.999))
    return MatchingFigures(
        commands_per_s=round(statistics.median(rates)),
        ns_p50=p50,
        ns_p99=p99,
        ns_p999=p999,
        ns_max=int(took_ns.max()),
        ns_clock=_clock_ns(),
        books=flow.books,
        resting=resting,
        resting_at_end=resting_orders(engine),
        mix=MIX,
        commands=len(commands),
        batch=batch,
        runs_per_s=rates,
        trades=int(kinds[EventKind.TRADE]),
        missed=sum(int(kinds[kind]) for kind in _MISSES),
        refused=sum(int(kinds[kind]) for kind in _REFUSALS),
    )


def opened_engine(make_engine: Callable[[], MatchingEngine], opening: Commands) -> MatchingEngine:
    """A fresh engine after the opening commands."""
    engine = make_engine()
    engine.apply(opening, first_seq=1, timestamp_ns=1)
    return engine


def throughput(
    make_engine: Callable[[], MatchingEngine], opening: Commands, commands: Commands, *, batch: int
) -> float:
    """Commands per second of one run on a fresh engine."""
    engine = opened_engine(make_engine, opening)
    batches = [commands[at : at + batch] for at in range(0, len(commands), batch)]
    seq = engine.last_seq + 1
    start = time.perf_counter()
    for rows in batches:
        engine.apply(rows, first_seq=seq, timestamp_ns=2)
        seq += len(rows)
    return len(commands) / (time.perf_counter() - start)


def resting_orders(engine: MatchingEngine) -> int:
    """Displayed orders in all books."""
    views = [engine.book(view.instrument, _ALL_LEVELS) for view in engine.instruments()]
    return sum(level.orders for view in views if view is not None for level in (*view.bids, *view.asks))


def _latencies(engine: MatchingEngine, commands: Commands) -> tuple[Any, Any]:
    """Nanoseconds of each command, and how many events of each kind there were."""
    took_ns = np.empty(len(commands), dtype=np.int64)
    kinds = np.zeros(256, dtype=np.int64)
    seq = engine.last_seq
    clock = time.perf_counter_ns
    for at in range(len(commands)):
        row = commands[at : at + 1]
        seq += 1
        start = clock()
        events = engine.apply(row, first_seq=seq, timestamp_ns=2)
        took_ns[at] = clock() - start
        for kind in events["kind"].tolist():
            kinds[kind] += 1
    return took_ns, kinds


def _clock_ns() -> int:
    clock = time.perf_counter_ns
    return round(statistics.median(-(clock() - clock()) for _ in range(1_001)))
