"""The native engine is the reference engine: same events, same state, whatever the commands."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lockstep.engine.native import NativeEngine
from lockstep.engine.reference import ReferenceEngine
from lockstep.stream.codes import Code
from lockstep.stream.records import Commands, EventKind

DAY_NS = 86_400 * 10**9
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


def test_a_stream_over_days_reaches_every_kind_of_event_and_every_code(pair: Any, make_stream: Stream) -> None:
    """Days pass, so that counters, day trades and levels of the breaker end and begin again."""
    # Accounts are defined in the opening; the gateway's and the sequencer's codes never come from an engine.
    kinds = {int(kind) for kind in EventKind} - {EventKind.ACCOUNT_DEFINED}
    codes = {int(code) for code in Code if code >= Code.UNKNOWN_ACCOUNT}
    # No random stream has so many orders wait (`test_contingent.py`).
    codes.discard(Code.TOO_MANY_CHILDREN)
    pair.step_ns = DAY_NS // 16
    rows = make_stream(120_000, 10, first_seq=pair.reference.last_seq + 1)
    for at in range(0, len(rows), 100):
        events = pair.apply(rows[at : at + 100])
        kinds -= set(events["kind"].tolist())
        codes -= set(events["code"].tolist())
        if at % 5_000 == 0:
            pair.compare_state()
            if not kinds and not codes:
                return
    missing = [EventKind(kind).name for kind in kinds] + [Code(code).name for code in codes]
    assert not missing, f"the stream says nothing about {missing}"


@pytest.mark.slow
def test_a_long_random_stream_gives_the_same_events_and_state(
    pair: Any, make_stream: Stream, request: pytest.FixtureRequest
) -> None:
    count = 5_000_000 if request.config.getoption("--long", default=False) else 1_200_000
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
