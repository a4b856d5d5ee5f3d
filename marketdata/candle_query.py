"""Candles on request, whoever asks by whichever door."""

from typing import Final, Protocol

from lockstep.marketdata.candles import LENGTHS_S
from lockstep.marketdata.feed_encoding import candle_message
from lockstep.marketdata.feed_subscriptions import FeedRefused
from lockstep.marketdata.machine import FeedMachine
from lockstep.stream.codes import Code
from lockstep.v1 import feed_pb2

MOST_CANDLES: Final = 1_000


class Feed(Protocol):
    """What is asked: a feed's shell."""

    machine: FeedMachine

    def why_not_serving(self) -> str:
        """In one sentence; empty if it serves."""


def listed_candles(feed: Feed, request: feed_pb2.ListCandlesRequest) -> feed_pb2.ListCandlesReply:
    """Candles, oldest first, gaps filled.

    Raises:
        FeedRefused: the feed is catching up, or there is no such instrument or length.
    """
    machine = feed.machine
    hub = machine.hub
    if hub is None or not machine.serves:
        raise FeedRefused(Code.UNAVAILABLE, feed.why_not_serving(), 50)
    if request.candle_s not in LENGTHS_S:
        text = f"no candles of {request.candle_s} s; there are {', '.join(map(str, LENGTHS_S))}"
        raise FeedRefused(Code.FIELD_OUT_OF_RANGE, text)
    fold = hub.fold
    if request.instrument not in fold.statuses.definitions:
        text = f"unknown instrument {request.instrument}; FEED_INSTRUMENTS says which there are"
        raise FeedRefused(Code.UNKNOWN_INSTRUMENT, text)
    limit = request.limit if 0 < request.limit <= MOST_CANDLES else MOST_CANDLES
    to_ns = min(request.to_ns or fold.timestamp_ns + 1, fold.timestamp_ns + 1)
    bars = fold.candles.listed(
        request.instrument, request.candle_s, from_ns=max(request.from_ns, 0), to_ns=to_ns, most=limit
    )
    return feed_pb2.ListCandlesReply(
        epoch=machine.epoch,
        seq=fold.seq,
        candles=map(candle_message, bars),
        since_seq=fold.candles.since_seq,
    )
