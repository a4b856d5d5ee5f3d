"""What a client asks a feed for: checked whole, before anything is done. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from lockstep.marketdata.candles import LENGTHS_S
from lockstep.marketdata.feed_sources import CANDLES, DEPTHS, FEEDS, L2, STATUS
from lockstep.marketdata.market_status import MARKET
from lockstep.stream.codes import Code
from lockstep.v1 import feed_pb2, market_data_pb2

INTERVALS_MS: Final = (0, 10, 100, 1_000)
DEFAULT_MS: Final = 100
MAX_NAMED: Final = 16_384
_MOST_SHOWN: Final = 10


class FeedRefused(Exception):
    """What was asked for can't be had. `code` and the text say why, `retry_after_ms` when to come again (0: not)."""

    def __init__(self, code: Code, text: str, retry_after_ms: int = 0) -> None:
        super().__init__(text)
        self.code = code
        self.retry_after_ms = retry_after_ms


@dataclass(frozen=True, slots=True)
class Wanted:
    """One subscription."""

    instruments: tuple[int, ...]
    """Empty: all."""
    feed: int
    parameter: int = 0
    """Depth of L2, length of candles in seconds."""
    interval_ms: int = DEFAULT_MS
    recover: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    """(Epoch, seq) by instrument."""

    def may_be_market(self, instrument: int) -> bool:
        """Whether it means the whole market."""
        return instrument == MARKET and self.feed == STATUS


def wanted_of(asked: feed_pb2.Subscription) -> Wanted:
    """A subscription as it was asked for.

    Raises:
        FeedRefused: something in it is wrong; the text says what there is instead.
    """
    if asked.feed not in FEEDS:
        names = ", ".join(market_data_pb2.Feed.Name(feed) for feed in FEEDS)
        raise FeedRefused(Code.UNKNOWN_ENUM_VALUE, f"there is no feed {asked.feed}; there are {names}")
    if asked.depth and asked.feed != L2:
        raise FeedRefused(Code.FIELD_OUT_OF_RANGE, "depth is of FEED_L2; leave it out")
    if asked.depth not in DEPTHS:
        raise FeedRefused(Code.FIELD_OUT_OF_RANGE, f"no depth {asked.depth}; there are {_listed(DEPTHS)} (0: all)")
    if (asked.feed == CANDLES) != bool(asked.candle_s) or (asked.candle_s and asked.candle_s not in LENGTHS_S):
        text = f"FEED_CANDLES has candle_s of {_listed(LENGTHS_S)}, no other feed has one"
        raise FeedRefused(Code.FIELD_OUT_OF_RANGE, text)
    interval_ms = asked.interval_ms if asked.HasField("interval_ms") else DEFAULT_MS
    if interval_ms not in INTERVALS_MS:
        text = f"no interval of {interval_ms} ms; there are {_listed(INTERVALS_MS)}"
        raise FeedRefused(Code.FIELD_OUT_OF_RANGE, text)
    if len(asked.instruments) > MAX_NAMED or len(asked.recover) > MAX_NAMED:
        raise FeedRefused(Code.FIELD_OUT_OF_RANGE, f"name {MAX_NAMED} instruments at the most")
    recover = {one.instrument: (one.epoch, one.seq) for one in asked.recover}
    return Wanted(
        tuple(dict.fromkeys(asked.instruments)), asked.feed, asked.depth or asked.candle_s, interval_ms, recover
    )


def _listed(numbers: tuple[int, ...]) -> str:
    return ", ".join(map(str, numbers))
