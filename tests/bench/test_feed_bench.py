"""Readers of a feed are measured as they read: their frames, and whether what they have is right."""

import struct

import pytest

from lockstep.bench import feed_readers
from lockstep.bench.feed import FeedBenchPlan, run_feed_bench
from lockstep.bench.feed_crowd import CrowdPlan, run_crowd_bench
from lockstep.marketdata.feed_encoding import encode_head, frame_of
from lockstep.v1 import feed_pb2


def test_the_age_and_the_kind_of_an_update_lie_where_the_readers_look() -> None:
    for snapshot in (False, True):
        head = encode_head(
            instrument=7, feed=2, depth=10, candle_s=0, epoch=3, first_seq=11, last_seq=12, previous_last_seq=10,
            timestamp_ns=123_456_789, checksum=5, snapshot=snapshot,
        )  # fmt: skip
        assert struct.unpack_from("<q", head, feed_readers._AGE_AT) == (123_456_789,)
        assert head[feed_readers._SNAPSHOT_AT] == snapshot
        (update,) = feed_pb2.FeedFrame.FromString(frame_of(head, b"")).updates
        assert (update.instrument, update.last_seq, update.timestamp_ns, update.snapshot) == (
            7, 12, 123_456_789, snapshot,
        )  # fmt: skip
        assert struct.unpack_from("<Q", head, feed_readers._SEQ_AT) == (12,)


@pytest.mark.slow
def test_a_small_run_delivers_to_all_and_finds_nothing_wrong() -> None:
    said: list[str] = []
    plan = FeedBenchPlan(("native",), subscribers=5, instruments=3, rate=100, interval_ms=10, duration_s=2.0)
    result = run_feed_bench(plan, said.append)
    assert (result.checksum_errors, result.gaps, result.closed) == (0, 0, ())
    assert result.delivered_per_s > 0
    assert 0 < result.delay_ms["p50"] <= result.delay_ms["p99"] <= result.delay_ms["max"]
    assert {
        "subscribers",
        "delivered_per_s",
        "delay_ms",
        "cpu_us_per_frame",
        "checksum_errors",
        "gaps",
        "recovered",
    } <= set(result.to_json())
    assert 0 < result.spread_ms["p50"] <= result.spread_ms["max"]
    assert result.reader_mean_ms["best"] <= result.reader_mean_ms["worst"]
    assert result.frame_bytes > 0
    assert result.peer is not None, "the extra `peers` is part of `dev`"
    assert result.peer["cpu_us_per_frame"] > 0
    assert len(said) == 3


@pytest.mark.slow
def test_a_small_crowd_is_asked_everything_and_comes_back() -> None:
    said: list[str] = []
    result = run_crowd_bench(
        CrowdPlan(("native",), subscribers=6, instruments=2, rate=200, phase_s=1.0, rounds=1), said.append
    )
    assert len(said) == 3
    assert min(*result.p99_ms, *result.p99_beside_stalled_ms, *result.reconnect_s) > 0
    assert min(*result.orders_per_s_alone, *result.orders_per_s_beside) > 0
    assert (result.checksum_errors, result.gaps, result.closed) == (0, 0, [])
