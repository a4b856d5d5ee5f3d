"""The books of all instruments, kept only while somebody subscribes, and their subscribers.

Keeping books costs about as much as everything else that a gateway does with an event, so a gateway without market-data
subscribers keeps none. The first subscriber makes it load the live orders from an engine (a standby where there is one:
the primary has better things to do) and follow the events from there on.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from lockstep.engine.snapshot_format import StateImage, decode_snapshot
from lockstep.gateway.books import Books, RestingOrder
from lockstep.gateway.engines import Engines, EnginesUnavailable
from lockstep.gateway.market import Subscription
from lockstep.stream.records import EventKind, Events, OrderFlag

_MAX_BUFFERED_EVENTS: Final = 1_000_000
_INSTRUMENT_DEFINED: Final = int(EventKind.INSTRUMENT_DEFINED)
_IDLE_NS: Final = 30_000_000_000
_IN_BOOK: Final = 0
_WAITS_FOR_CLOSE: Final = 2


class MarketHub:
    """`books` is None while nobody subscribes. All in the loop's thread."""

    def __init__(self, engines: Engines, delivered_seq: Callable[[], int]) -> None:
        self._engines = engines
        self._delivered_seq = delivered_seq
        self.books: Books | None = None
        self.instruments: dict[int, None] = {}
        """Instruments known while books are kept."""
        self._subscribers: dict[Subscription, asyncio.Event] = {}
        self._buffer: list[tuple[Events, int]] | None = None
        self._buffered = 0
        self._loading = asyncio.Lock()
        self._idle_since_ns = 0

    @property
    def subscribers(self) -> int:
        """Open subscriptions."""
        return len(self._subscribers)

    async def subscribe(self, subscription: Subscription, wanted: Iterable[int]) -> asyncio.Event | list[int]:
        """Begin to feed a subscription; the event is set whenever something waits in it.

        A list instead: instruments of `wanted` that do not exist.

        Raises:
            EnginesUnavailable: the books can't be loaded now.
        """
        wake = asyncio.Event()
        async with self._loading:
            if self.books is None:
                await self._load()
            unknown = [instrument for instrument in wanted if instrument not in self.instruments]
            if unknown:
                return unknown
            self._subscribers[subscription] = wake
            subscription.begin(self.instruments)
        wake.set()
        return wake

    def unsubscribe(self, subscription: Subscription) -> None:
        """End a subscription."""
        self._subscribers.pop(subscription, None)

    def end(self) -> None:
        """Wake all subscribers: the gateway is being stopped."""
        for wake in self._subscribers.values():
            wake.set()

    async def _load(self) -> None:
        from_seq = self._delivered_seq()
        self._buffer, self._buffered = [], 0
        try:
            seq, content = await self._engines.snapshot()
            image = await asyncio.to_thread(decode_snapshot, content)
            bursts: list[tuple[Events, int]] = []
            if seq < from_seq:
                bursts.append((await self._engines.fetch(after_seq=seq, to_seq=from_seq), from_seq))
            if self._buffered > _MAX_BUFFERED_EVENTS:
                raise EnginesUnavailable("too many events came while the books were loaded; try again")
            bursts += self._buffer
        finally:
            self._buffer = None
        self.instruments = {row.instrument: None for row in image.instruments}
        self.books = Books(seq, resting_orders(image))
        for events, through_seq in bursts:
            self._take_in(self.books, events, through_seq)

    def on_events(self, events: Events, through_seq: int) -> None:
        """A burst was delivered."""
        if self._buffer is not None:
            self._buffered += len(events)
            if self._buffered <= _MAX_BUFFERED_EVENTS:
                self._buffer.append((events, through_seq))
        if self.books is not None:
            self._take_in(self.books, events, through_seq)

    def _take_in(self, books: Books, events: Events, through_seq: int) -> None:
        new = self._learn_instruments(events)
        for subscription, wake in self._subscribers.items():
            subscription.begin(new)
            if subscription.waiting:
                wake.set()
        changes = books.apply(events, through_seq)
        for subscription, wake in self._subscribers.items():
            for change in changes:
                subscription.on_change(change)
            if subscription.waiting:
                wake.set()

    def _learn_instruments(self, events: Events) -> list[int]:
        defined = events[events["kind"] == _INSTRUMENT_DEFINED]
        new = [number for number in defined["instrument"].tolist() if number not in self.instruments]
        self.instruments.update(dict.fromkeys(new))
        return new

    def on_tick(self, now_ns: int) -> None:
        """Drop the books when nobody has subscribed for a while."""
        if self.books is None or self._subscribers or self._loading.locked():
            self._idle_since_ns = now_ns
        elif now_ns - self._idle_since_ns > _IDLE_NS:
            self.books = None
            self.instruments = {}


def resting_orders(image: StateImage) -> Iterable[RestingOrder]:
    """What of a snapshot the books are made of: not the stop orders that wait."""
    for row in image.orders:
        if row.place in (_IN_BOOK, _WAITS_FOR_CLOSE):
            place = row.order_id, row.instrument, row.side, row.price_ticks, row.leaves_lots
            hidden, at_close = bool(row.flags & OrderFlag.HIDDEN), row.place == _WAITS_FOR_CLOSE
            yield RestingOrder(*place, row.display_lots, hidden, at_close, row.shown_lots)
