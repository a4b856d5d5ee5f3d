"""The open loop of the load generators: gives each session what has become due, and times the answers.

What a session is, its owner says (`Offered`): one of Lockstep's client, or connections to a system that it is compared
with (`peers/`). Both are offered the same records at the same times and in the same batches, and counted alike. A load
generator is a process of its own, which tells what it does in JSON lines on standard output: `warming up`, `measuring`,
`measured`, then the result.
"""

import asyncio
import contextlib
import gc
import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from lockstep.bench.latency import new_histogram, percentiles_us, record_us
from lockstep.bench.pacing import Pacer

MAX_BATCH: Final = 2048
_BATCH_INTERVAL_S: Final = 0.002
_DRAIN_S: Final = 15.0
_LOOK_S: Final = 0.8
"""Before the measured phase: the owner looks at the cluster's figures meanwhile, which takes CPU."""
_NONE: Final = np.zeros(0, np.int64)

Times = NDArray[np.int64]
"""Nanoseconds on the monotonic clock."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How much is offered, and how."""

    mode: str
    """`single`: each order is a message of its own; `batched`: what is due within 2 ms goes as one batch."""
    rate: int
    duration_s: float
    warm_up_s: float
    sheds: bool = False
    """Whether an order that finds no room when it is due (the gateways refuse what is too much), or is late already, is
    not given at all."""
    turn_s: float = 0.0
    """From one batch to the next, of whichever session; 0: each session has one every 2 ms."""


class Offered(Protocol):
    """One session's share of the load, and the times of its answers."""

    orders: int
    """Given since `measure`."""
    answered_in_time: int
    """Orders answered before the end of the phase."""
    shed: int
    """Orders that were not given."""
    fills: int
    refused: Counter[str]
    seconds: dict[int, list[Times]]
    """Latencies in microseconds by the second in which the order was due."""

    @property
    def unanswered(self) -> int:
        """Orders under way."""

    async def send(self, due_ns: Times) -> None:
        """Send one order for each time that has come."""

    def room_for(self, count: int) -> int:
        """How many of so many orders can be given now; the others are counted as shed."""

    def measure(self) -> None:
        """From the next order on, count."""

    def end(self, now_ns: int) -> None:
        """The phase is over: what is answered from here on is late."""

    async def drain(self) -> None:
        """Wait until everything is answered."""

    def count(self) -> None:
        """Bring the figures up to date with the answers that have come."""


async def offer_and_measure(pace: Pace, sessions: Sequence[Offered]) -> dict[str, Any]:
    """Warm up, offer, wait for the last answers; the result."""
    gc.collect()
    gc.freeze()
    gc.disable()
    late_s = min(pace.warm_up_s, _LOOK_S)
    await _offer(pace, sessions, pace.warm_up_s - late_s)
    announce({"event": "warming up"})
    await _offer(pace, sessions, late_s)
    for session in sessions:
        session.measure()
    announce({"event": "measuring"})
    started = time.monotonic()
    await _offer(pace, sessions, pace.duration_s)
    seconds = time.monotonic() - started
    for session in sessions:
        session.end(time.monotonic_ns())
    announce({"event": "measured"})
    # Nothing is counted before the last answer has come: it would wait, and be timed, behind the counting.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_S):
            for session in sessions:
                await session.drain()
    for session in sessions:
        session.count()
    return _sum_up(sessions, seconds)


async def _offer(pace: Pace, sessions: Sequence[Offered], seconds: float) -> None:
    total = round(pace.rate * seconds)
    step_ns = 1e9 / pace.rate
    # A turn is one message of one session: one order, or what has become due since the last turn.
    batch_s = pace.turn_s or _BATCH_INTERVAL_S / len(sessions)
    turn_ns = step_ns if pace.mode == "single" else batch_s * 1e9
    # When each is due, from the start: made beforehand, so that the load generator has the CPU for what is measured.
    due_ns = (np.arange(total) * step_ns).astype(np.int64)
    sent = turn = 0
    pacer = Pacer()
    start_ns = time.monotonic_ns()
    while sent < total:
        # A turn of the loop also when late, for the answers. What was missed is caught up, timed from its due time.
        await pacer.until(round(start_ns + turn * turn_ns))
        due = min(total, int((time.monotonic_ns() - start_ns) / step_ns) + 1)
        # One that sheds gives no order late, not even where the lateness is its own.
        rows = due - sent if pace.sheds else min(due - sent, 1 if pace.mode == "single" else MAX_BATCH)
        if rows > 0:
            session = sessions[turn % len(sessions)]
            given = session.room_for(rows) if pace.sheds else rows
            if given:
                # Those that are not given are the oldest: they would have been late.
                await session.send(start_ns + due_ns[sent + rows - given : sent + rows])
            sent += rows
        turn += 1
    pacer.close()


def file_by_second(seconds: dict[int, list[Times]], due_ns: Times, came_ns: Times) -> None:
    """Put latencies where `Offered.seconds` has them."""
    latency_us = (came_ns - due_ns) // 1000
    second = due_ns // 1_000_000_000
    for one in np.unique(second).tolist():
        seconds.setdefault(one, []).append(latency_us[second == one])


def _sum_up(sessions: Sequence[Offered], seconds: float) -> dict[str, Any]:
    histogram = new_histogram()
    refused: Counter[str] = Counter()
    for session in sessions:
        record_us(histogram, np.concatenate([part for parts in session.seconds.values() for part in parts] or [_NONE]))
        refused.update(session.refused)
    return {
        "event": "result",
        "seconds": seconds,
        "orders": sum(session.orders for session in sessions),
        "answered_in_time": sum(session.answered_in_time for session in sessions),
        "unanswered": sum(session.unanswered for session in sessions),
        "latency_us": percentiles_us(histogram),
        "p99_by_second_us": _p99_by_second(sessions),
        "refused": dict(refused),
        "shed": sum(session.shed for session in sessions),
        "fills": sum(session.fills for session in sessions),
    }


def _p99_by_second(sessions: Sequence[Offered]) -> list[int]:
    """p99 of each whole second of the phase, in order: shows which seconds the machine was busy with something else."""
    seconds = sorted({second for session in sessions for second in session.seconds})
    return [
        int(
            np.percentile(
                np.concatenate([part for session in sessions for part in session.seconds.get(second, [])]), 99
            )
        )
        for second in seconds[1:-1]
    ]


def announce(message: dict[str, Any]) -> None:
    """One line for the process that started this one."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def end_with_parent() -> None:
    """End at once when standard input is closed, which is when the parent has ended."""
    threading.Thread(target=_wait_for_end, daemon=True).start()


def _wait_for_end() -> None:
    # Nobody ever writes there: the read returns when the other end is closed.
    os.read(0, 1)
    os._exit(1)
