"""What a program pays that drives an engine alone: the queries, the builder, events as values, and a lack of `Sizes`.

Times are CPU times of the thread, medians of several runs, so that other load lengthens them through the shared caches
only. `Sizes` are measured on a flow that brings in 41 000 orders that rest and goes on with the mixed flow of `lockstep
bench matching`: with room for them from the start, and without, run by run in turns.

    .venv/bin/python bench/embedding.py [--runs N]
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from lockstep.engine import CommandBuilder, MatchingEngine, NativeEngine, ReferenceEngine, Side, Sizes, each_event
from lockstep.stream.records import join_records
from lockstep.trials.matching_flow import MatchingFlow, make_flow

RESTING: Final = 41_000
MIXED: Final = 40_000
BATCH: Final = 256
ROOM: Final = Sizes(orders=65_536)


def micros_of(call: Callable[[], object], *, calls: int, runs: int) -> float:
    """Microseconds of one call: the median over the runs."""
    took = []
    for _ in range(runs):
        start = time.thread_time_ns()
        for _ in range(calls):
            call()
        took.append((time.thread_time_ns() - start) / calls / 1000)
    return statistics.median(took)


def fill_and_trade(flow: MatchingFlow, sizes: Sizes) -> tuple[float, float]:
    """Seconds until the orders rest, and of the mixed flow after that."""
    engine = NativeEngine(sizes)
    took = []
    for rows in (flow.opening, flow.commands):
        start = time.thread_time_ns()
        for at in range(0, len(rows), BATCH):
            engine.apply(rows[at : at + BATCH], first_seq=engine.last_seq + 1, timestamp_ns=1)
        took.append((time.thread_time_ns() - start) / 1e9)
    return took[0], took[1]


def measure_sizes(flow: MatchingFlow, runs: int) -> None:
    """With and without room, in turns."""
    with_room, without = [], []
    for _ in range(runs):
        with_room.append(fill_and_trade(flow, ROOM))
        without.append(fill_and_trade(flow, Sizes()))
    print(f"\nspeed without room for {RESTING} orders, of the speed with it ({runs} runs each, medians):")
    for at, part in enumerate(("while they come in", f"in the {MIXED} mixed commands after that")):
        ratio = statistics.median(run[at] for run in with_room) / statistics.median(run[at] for run in without)
        print(f"  {part}: {ratio:.2f}")
    default_us, room_us = (micros_of(partial(NativeEngine, sizes), calls=1, runs=runs) for sizes in (Sizes(), ROOM))
    print(f"  an engine is made in {default_us / 1000:.1f} ms without, {room_us / 1000:.1f} ms with it")


def measure_queries(engine: MatchingEngine, runs: int) -> None:
    """Queries on the book that the flow leaves."""
    calls = 2_000 if isinstance(engine, NativeEngine) else 200
    best = engine.best(1)
    if best is None or best.bid is None:
        raise AssertionError("the flow leaves a book")
    price, order = best.bid.price_ticks, engine.open_orders(1)[0].order_id
    queue = engine.queue(1, Side.BUY, price)
    there = len(queue.orders) if queue is not None else 0
    print(f"\n{type(engine).__name__}, us per call:")
    for name, call in {
        "best(1)": lambda: engine.best(1),
        "depth(1, 5)": lambda: engine.depth(1, 5),
        "depth(1, 50)": lambda: engine.depth(1, 50),
        f"queue(1, BUY, best), {there} orders": lambda: engine.queue(1, Side.BUY, price),
        "order(id)": lambda: engine.order(order),
        "account(1)": lambda: engine.account(1),
    }.items():
        print(f"  {name:36} {micros_of(call, calls=calls, runs=runs):8.2f}")


def measure_builder(flow: MatchingFlow, runs: int) -> None:
    """One order by the builder, one event as a value."""
    builder = CommandBuilder()
    made = micros_of(
        lambda: builder.limit(account=1, instrument=1, side=Side.BUY, price_ticks=100, quantity_lots=5),
        calls=5_000,
        runs=runs,
    )
    events = NativeEngine(ROOM).apply(flow.opening, first_seq=1, timestamp_ns=1)
    read = micros_of(lambda: sum(1 for _ in each_event(events)), calls=1, runs=runs) / len(events)
    print(f"\nbuilder.limit: {made:.2f} us an order; each_event: {read:.2f} us an event")


def main() -> None:
    """Prepare, run, print medians."""
    parser = argparse.ArgumentParser(description="What driving an engine alone costs.")
    parser.add_argument("--runs", type=int, default=11)
    runs = parser.parse_args().runs
    flow = make_flow(MIXED, resting=RESTING)
    for engine in (NativeEngine(ROOM), ReferenceEngine()):
        engine.apply(join_records([flow.opening, flow.commands]), first_seq=1, timestamp_ns=1)
        measure_queries(engine, runs)
    measure_builder(flow, runs)
    measure_sizes(flow, runs)


if __name__ == "__main__":
    main()
