"""The books of all instruments, kept only while somebody subscribes, and their subscribers.

Keeping books costs about as much as everything else that a gateway does with an event, so a gateway without market-data
subscribers keeps none. The first subscriber makes it load the live orders from an engine (a standby where there is one:
the primary has better things to do) and follow the events from there on.

A burst that brings an order which is not displayed in full has to wait until the order's terms were read from an
engine's journal (see `terms.py`), and with it all later bursts: market data comes some milliseconds later then, whole.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from lockstep.engine.snapshot_format import OrderRow, StateImage, decode_snapshot
from lockstep.gateway.books import Books, RestingOrder
from lockstep.gateway.engines import Engines, EnginesUnavailable
from lockstep.gateway.market import Subscription
from lockstep.gateway.terms import CommandId, HiddenTerms, orders_with_hidden_terms
from lockstep.stream.records import EventKind, Events, OrderFlag

_MAX_BUFFERED_EVENTS: Final = 1_000_000
_INSTRUMENT_DEFINED: Final = int(EventKind.INSTRUMENT_DEFINED)
_IDLE_NS: Final = 30_000_000_000
_RETRY_PAUSE_S: Final = 0.05
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
        # Bursts that wait for the terms of an order, their events' number, and who fetches the terms.
        self._backlog: list[tuple[Events, int]] = []
        self._backlogged = 0
        self._worker: asyncio.Task[None] | None = None
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
        if self._worker is not None:
            self._worker.cancel()
            self._worker = None
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
        if not self._backlog and not orders_with_hidden_terms(events, books.seq):
            self._apply(books, events, through_seq, {})
            return
        self._backlog.append((events, through_seq))
        self._backlogged += len(events)
        if self._backlogged > _MAX_BUFFERED_EVENTS:
            # No engine has told the terms for long. Who subscribes again begins with a snapshot.
            for subscription, wake in self._subscribers.items():
                subscription.overflowed = True
                wake.set()
            self._drop_books()
        elif self._worker is None:
            self._worker = asyncio.ensure_future(self._work_off(books))

    async def _work_off(self, books: Books) -> None:
        """Apply what waits, in order, as soon as the terms are there."""
        while self._backlog:
            taken = len(self._backlog)
            wanted: dict[int, CommandId] = {}
            for events, _through_seq in self._backlog[:taken]:
                wanted |= orders_with_hidden_terms(events, books.seq)
            try:
                terms = await self._engines.terms(wanted) if wanted else {}
            except EnginesUnavailable:
                await asyncio.sleep(_RETRY_PAUSE_S)
                continue
            done, self._backlog = self._backlog[:taken], self._backlog[taken:]
            for events, through_seq in done:
                self._backlogged -= len(events)
                self._apply(books, events, through_seq, terms)
        self._worker = None

    def _apply(self, books: Books, events: Events, through_seq: int, terms: dict[int, HiddenTerms]) -> None:
        changes = books.apply(events, through_seq, terms)
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
        """Drop the books when nobody has subscribed for a while. Raises what broke while a backlog was worked off."""
        if self._worker is not None and self._worker.done():
            self._worker.result()
        if self.books is None or self._subscribers or self._loading.locked():
            self._idle_since_ns = now_ns
        elif now_ns - self._idle_since_ns > _IDLE_NS:
            self._drop_books()

    def _drop_books(self) -> None:
        if self._worker is not None:
            self._worker.cancel()
            self._worker = None
        self.books = None
        self.instruments = {}
        self._backlog, self._backlogged = [], 0


def resting_orders(image: StateImage) -> Iterable[RestingOrder]:
    """What of a snapshot the books are made of: not the stop orders that wait."""
    for row in image.orders:
        if row.place in (_IN_BOOK, _WAITS_FOR_CLOSE):
            place = row.order_id, row.instrument, row.side, row.price_ticks, row.leaves_lots
            yield RestingOrder(*place, _terms(row), row.shown_lots)


def _terms(row: OrderRow) -> HiddenTerms:
    return HiddenTerms(row.display_lots, bool(row.flags & OrderFlag.HIDDEN), row.place == _WAITS_FOR_CLOSE)
