"""What measuring costs: one call of each hook on the hot path, and one scrape. `python bench/metrics.py`."""

import time
from collections.abc import Callable

import numpy as np

from lockstep.gateway.figures import GatewayFigures
from lockstep.gateway.sessions import Admission, Session, SessionTable
from lockstep.replica.effects import AppliedBatch, Role
from lockstep.replica.figures import EngineFigures
from lockstep.runtime.metrics.server import exposition
from lockstep.runtime.metrics.tally import Latencies
from lockstep.runtime.metrics.trading import TradingTally
from lockstep.sequencer.figures import SequencerFigures
from lockstep.stream.batch import stamp_batch
from lockstep.stream.digest import Digest
from lockstep.stream.messages import Release, Stream, Submit
from lockstep.stream.records import COMMAND, EVENT, EventKind

ROUNDS = 20_000
ROWS = 512


def measure(what: str, call: Callable[[int], object], per: int = 1) -> None:
    """Best of five runs, ns for each call (or for each of `per` things in it)."""
    best = min(_run(call) for _ in range(5))
    print(f"{what:<58} {best / per:9.1f} ns")


def _run(call: Callable[[int], object]) -> float:
    rounds = max(20, ROUNDS // 10)
    began = time.perf_counter_ns()
    for i in range(1, rounds + 1):
        call(i)
    return (time.perf_counter_ns() - began) / rounds


def main() -> None:
    """Measure and print."""
    latencies = Latencies()
    measure("histogram: one observation", lambda i: latencies.add(i * 1000, 8))

    commands = np.zeros(ROWS, COMMAND)
    commands["session_id"] = 1
    tips = iter(range(1, 1 << 40, ROWS))
    sequencer = SequencerFigures()
    commands["received_ns"] = 1
    submitted = Submit(1, 1, 1, 1, 1, False, commands)

    def stamp(_: int) -> None:
        sequencer.on_submit(submitted)
        first = next(tips)
        sequencer.on_stream(Stream(1, 1, 0, stamp_batch(commands, epoch=1, first_seq=first, timestamp_ns=1)))
        sequencer.commit.leave(first + ROWS - 1, time.monotonic_ns())

    measure("sequencer: one batch, submit to commit", stamp)

    engine = EngineFigures()
    events = np.zeros(ROWS, EVENT)
    events["kind"], events["instrument"], events["quantity_lots"] = EventKind.ACCEPTED, 1, 5
    applied = (AppliedBatch(1, 1, ROWS, events, Digest(bytes(16))),)
    released = (Release(1, 1, 0, 1, ROWS, ROWS, events),)

    def release(_: int) -> None:
        engine.on_acked(applied, Role.PRIMARY)
        engine.on_released(released)

    measure(f"primary: one burst of {ROWS}, ack to release", release)
    tally = TradingTally()
    measure("primary: business figures, for each event", lambda _: tally.add(events, 0), ROWS)

    sessions = SessionTable(credit=20_000)
    session = sessions.ensure(1, "bench", 1)
    assert isinstance(session, Session)
    gateway = GatewayFigures()
    admission = Admission(taken=ROWS)

    def order(_: int) -> None:
        gateway.on_submit(admission)
        gateway.on_stored(((1, commands),))
        gateway.on_frames(released)
        gateway.on_delivered(ROWS, sessions)

    measure("gateway: one burst, submit to report", order)
    families = list(engine.trading.families())
    began = time.perf_counter_ns()
    size = len(exposition(lambda: families))
    print(f"scrape: {len(families)} families, {size} bytes: {(time.perf_counter_ns() - began) / 1e6:.1f} ms, in pieces")


if __name__ == "__main__":
    main()
