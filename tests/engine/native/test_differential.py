"""The native engine is the reference engine: same events, same state, whatever the commands."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lockstep.engine.native import NativeEngine
from lockstep.engine.reference import ReferenceEngine
from lockstep.stream.records import Commands, EventKind

BATCHES = (1, 2, 7, 64, 256, 1000)
Stream = Callable[..., Commands]


def run(pair: Any, rows: Commands, *, compare_every: int) -> np.ndarray:
    """Apply in batches of changing size; returns how often each event kind came."""
    seen = np.zeros(256, dtype=np.int64)
    at = turn = since = 0
    while at < len(rows):
        size = BATCHES[turn % len(BATCHES)]
        events = pair.apply(rows[at : at + size])
        seen += np.bincount(events["kind"], minlength=256)
        at += size
        since += size
        turn += 1
        if since >= compare_every:
            pair.compare_state()
            since = 0
    pair.compare_state()
    return seen


@pytest.mark.parametrize("seed", range(4))
def test_random_streams_give_the_same_events_and_state(pair: Any, make_stream: Stream, seed: int) -> None:
    rows = make_stream(25_000, seed, first_seq=pair.reference.last_seq + 1)
    seen = run(pair, rows, compare_every=2_000)
    never = [kind.name for kind in EventKind if not seen[kind] and kind < EventKind.EPOCH_STARTED]
    assert not set(never) & {"ACCEPTED", "TRADE", "CANCELED", "REPLACED", "DUPLICATE", "MASS_CANCELED", "REJECTED"}


@pytest.mark.slow
def test_a_long_random_stream_gives_the_same_events_and_state(
    pair: Any, make_stream: Stream, request: pytest.FixtureRequest
) -> None:
    count = 2_000_000 if request.config.getoption("--long", default=False) else 400_000
    run(pair, make_stream(count, 99, first_seq=pair.reference.last_seq + 1), compare_every=50_000)


def test_each_engine_goes_on_from_the_others_snapshot(pair: Any, make_stream: Stream) -> None:
    rows = make_stream(12_000, 5, first_seq=pair.reference.last_seq + 1)
    for at in range(0, len(rows), 3_000):
        run(pair, rows[at : at + 3_000], compare_every=10_000)
        raw = pair.native.snapshot()
        pair.native, pair.reference = (
            NativeEngine.restore(pair.reference.snapshot()),
            ReferenceEngine.restore(raw),
        )
        pair.compare_state()
