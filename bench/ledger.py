"""How fast a ledger stores a history: one ledger, one database, no cluster around it.

The history is the matching benchmark's flow, executed beforehand by the native engine, so that nothing but the fold and
the database is measured. Each chunk is one transaction, as in the process.
"""

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lockstep.posttrade.chunks import Chunk
from lockstep.posttrade.ledger.place import place_of
from lockstep.posttrade.ledger.sink import LedgerSink
from lockstep.posttrade.reading import executed
from lockstep.stream.batch import Batch, stamp_batch
from lockstep.stream.records import EventKind
from lockstep.trials.matching_flow import MIX, make_flow

_BATCH = 256
_BEGIN_NS = 1_700_000_000_000_000_000
_STEP_NS = 2_000_000


@dataclass(frozen=True, slots=True)
class LedgerPlan:
    """What to measure."""

    commands: int = 500_000
    books: int = 10
    resting: int = 10_000
    database: str = ""
    """URL of PostgreSQL; empty: SQLite."""
    directory: Path = Path("ledger-bench")


@dataclass(frozen=True, slots=True)
class LedgerFigures:
    """One ledger's figures."""

    database: str
    commands: int
    events: int
    trades: int
    rows: int
    seconds: float
    events_per_s: int
    rows_per_s: int
    own_cpu_s: float
    """CPU of this process; PostgreSQL's is its own."""
    chunk_ms_p50: float
    chunk_ms_max: float
    mix: str = MIX


def run_ledger_bench(plan: LedgerPlan, say: Callable[[str], None]) -> LedgerFigures:
    """Store the flow once, from nothing."""
    say(f"preparing {plan.commands} commands")
    flow = make_flow(plan.commands, books=plan.books, resting=plan.resting)
    chunks = list(executed(_batches(flow.opening, flow.commands)))
    place = place_of(plan.database, plan.directory)
    # A generation of its own, far from one that is used.
    generation = 1_000_000
    place.discard(generation)
    sink = LedgerSink(place.open(generation))
    try:
        return _measure(plan, sink, chunks)
    finally:
        sink.close()
        place.discard(generation)
        if not plan.database:
            shutil.rmtree(plan.directory, ignore_errors=True)


def _batches(*parts: np.ndarray) -> Iterator[Batch]:
    seq, now_ns = 1, _BEGIN_NS
    for part in parts:
        for begin in range(0, len(part), _BATCH):
            commands = part[begin : begin + _BATCH]
            yield stamp_batch(commands, epoch=1, first_seq=seq, timestamp_ns=now_ns)
            seq, now_ns = seq + len(commands), now_ns + _STEP_NS


def _measure(plan: LedgerPlan, sink: LedgerSink, chunks: list[Chunk]) -> LedgerFigures:
    took: list[float] = []
    begin_cpu = time.process_time()
    for chunk in chunks:
        begin = time.perf_counter()
        sink.apply(chunk)
        took.append(time.perf_counter() - begin)
    cpu, seconds = time.process_time() - begin_cpu, sum(took)
    events = sum(len(chunk.events) for chunk in chunks)
    trades = sum(int((chunk.events["kind"] == EventKind.TRADE).sum()) for chunk in chunks)
    return LedgerFigures(
        database="PostgreSQL" if plan.database else "SQLite",
        commands=sum(chunk.commands for chunk in chunks),
        events=events,
        trades=trades,
        rows=sink.rows,
        seconds=round(seconds, 3),
        events_per_s=int(events / seconds),
        rows_per_s=int(sink.rows / seconds),
        own_cpu_s=round(cpu, 3),
        chunk_ms_p50=round(float(np.median(took)) * 1e3, 1),
        chunk_ms_max=round(max(took) * 1e3, 1),
    )
