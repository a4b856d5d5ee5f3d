"""The books of all instruments, kept only while somebody subscribes, and their subscribers.

Keeping books costs about as much as everything else that a gateway does with an event, so a gateway without market-data
subscribers keeps none. The first subscriber makes it load the live orders from an engine (a standby where there is one:
the primary has better things to do), page by page, and follow the events from the first page on.

Orders go through the same loop. So what takes long is done in turns: the books are loaded one page of orders at a time,
and of what is to be delivered to all subscribers together, one turn's work is done every few milliseconds.
"""

import asyncio
import gc
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from numpy.typing import NDArray

from lockstep.engine.pages import instrument_rows, order_rows
from lockstep.marketdata.books import Books, RestingOrder, merge_trades
from lockstep.marketdata.encodings import Encodings
from lockstep.marketdata.market import Subscription
from lockstep.runtime.engines import Engines, EnginesUnavailable
from lockstep.stream.records import EventKind, Events, OrderFlag, OrderType, TimeInForce
from lockstep.v1 import replication_pb2

_MAX_BUFFERED_EVENTS: Final = 1_000_000
_EVENTS_IN_TURN: Final = 500
_TURN_PAUSE_S: Final = 0.001
_RETRY_PAUSE_S: Final = 0.05
_PATIENCE_S: Final = 3.0
_INSTRUMENT_DEFINED: Final = int(EventKind.INSTRUMENT_DEFINED)
_IDLE_NS: Final = 30_000_000_000
_IN_BOOK: Final = 0
_WAITS_FOR_CLOSE: Final = 2
_COLUMNS: Final = (
    "order_id", "instrument", "side", "price_ticks", "leaves_lots", "display_lots", "shown_lots", "order_type", "flags",
    "place", "tif",
)  # fmt: skip


class MarketHub:
    """`view` is None while nobody subscribes. All in the loop's thread."""

    def __init__(self, engines: Engines, delivered_seq: Callable[[], int], epoch: Callable[[], int]) -> None:
        self._engines = engines
        self._delivered_seq = delivered_seq
        self._epoch = epoch
        self.view: Encodings | None = None
        self.instruments: dict[int, None] = {}
        """Instruments known while books are kept."""
        self._subscribers: dict[Subscription, asyncio.Event] = {}
        self._buffer: deque[tuple[Events, int]] | None = None
        self._buffered = 0
        self._buffer_lost = False
        self._loading = asyncio.Lock()
        self._turn = asyncio.Lock()
        self._idle_since_ns = 0

    @property
    def books(self) -> Books | None:
        """All books, or None while none are kept."""
        return None if self.view is None else self.view.books

    @property
    def subscribers(self) -> int:
        """Open subscriptions."""
        return len(self._subscribers)

    async def subscribe(
        self, subscription: Subscription, wanted: Iterable[int], *, in_doubt: bool = False
    ) -> asyncio.Event | list[int]:
        """Begin to feed a subscription; the event is set whenever something waits in it.

        A list instead: instruments of `wanted` that do not exist. `in_doubt`: see `Tape.begin`.

        Raises:
            EnginesUnavailable: the books can't be loaded now.
        """
        wake = asyncio.Event()
        async with self._loading:
            if self.view is None:
                await self._load()
            assert self.view is not None, "books were loaded"
            unknown = [instrument for instrument in wanted if instrument not in self.instruments]
            if unknown:
                return unknown
            # At one moment: what comes from here on is delivered live, and what was before is not.
            self._subscribers[subscription] = wake
            subscription.tape.begin(self.view.books.seq, in_doubt=in_doubt)
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

    async def take(self, subscription: Subscription, epoch: int, *, progress: bool = False) -> list[bytes]:
        """Messages of what is to be delivered to a subscription: all, or a part, when it is its turn.

        A part is made at the most every few milliseconds, for all subscribers together.
        """
        assert self.view is not None, "books were dropped under a subscriber"
        messages = subscription.take(self.view, epoch, progress=progress)
        if subscription.waiting:
            async with self._turn:
                await asyncio.sleep(_TURN_PAUSE_S)
        return messages

    async def _load(self) -> None:
        """Books of what the engines list in pages, brought to one seq by the events since the first page.

        Each page is of a seq of its own. What an event did before the page that has its order is in that page; so it is
        passed over for that order, and only that (`Books.load`).
        """
        self._buffer, self._buffered, self._buffer_lost = deque(), 0, False
        from_seq = self._delivered_seq()
        try:
            self.instruments = dict.fromkeys(await self._list_instruments(from_seq))
            books: Books | None = None
            cursor = replication_pb2.OrderCursor()
            more = True
            while more:
                least = from_seq if books is None else books.seq
                reply = await self._page(replication_pb2.QueryRequest(all_orders=cursor), least)
                if books is None:
                    books = Books(reply.stamp.seq)
                try:
                    rows = order_rows(reply.order_rows)
                except ValueError as error:
                    raise EnginesUnavailable(f"an engine's page of orders can't be read: {error}") from error
                books.load(resting_orders(rows), reply.stamp.seq)
                await asyncio.sleep(_TURN_PAUSE_S)
                cursor, more = reply.next, reply.more
            assert books is not None, "there is a page, if an empty one"
            view = Encodings(books)
            await self._catch_up(view)
            # No event comes between the last that was buffered and the first that is applied as it comes.
            self.view = view
            # A full collection would walk all orders again and again, half a second where there are 500 000.
            gc.collect(0)
            gc.freeze()
        finally:
            self._buffer = None

    async def _list_instruments(self, min_seq: int) -> list[int]:
        found: list[int] = []
        after, more = 0, True
        while more:
            reply = await self._page(replication_pb2.QueryRequest(instruments_after=after), min_seq)
            found += instrument_rows(reply.instrument_rows)["instrument"].tolist()
            after, more = reply.next.account, reply.more
        return found

    async def _page(self, request: replication_pb2.QueryRequest, min_seq: int) -> replication_pb2.QueryReply:
        """A page, which may have to wait for others and for a failover.

        Raises:
            EnginesUnavailable: none came within some seconds.
        """
        loop = asyncio.get_running_loop()
        give_up_s = loop.time() + _PATIENCE_S
        while True:
            try:
                return await self._engines.page(request, min_epoch=self._epoch(), min_seq=min_seq, standby=True)
            except EnginesUnavailable:
                if self._buffer_lost or loop.time() > give_up_s:
                    raise
                await asyncio.sleep(_RETRY_PAUSE_S)

    async def _catch_up(self, view: Encodings) -> None:
        assert self._buffer is not None, "events are buffered while books are loaded"
        loop = asyncio.get_running_loop()
        give_up_s = loop.time() + _PATIENCE_S
        room = _EVENTS_IN_TURN
        while self._buffer or not view.books.complete:
            if self._buffer_lost:
                raise EnginesUnavailable("too many events came while the books were loaded; try again")
            if not self._buffer:
                # What the last page was of is delivered here in a moment.
                if loop.time() > give_up_s:
                    raise EnginesUnavailable("what the engines have listed has not been delivered here; try again")
                await asyncio.sleep(_TURN_PAUSE_S)
                continue
            events, through_seq = self._buffer.popleft()
            self._buffered -= len(events)
            self._take_in(view, events, through_seq)
            room -= len(events)
            if room <= 0:
                await asyncio.sleep(_TURN_PAUSE_S)
                room = _EVENTS_IN_TURN

    def on_events(self, events: Events, through_seq: int) -> None:
        """A burst was delivered."""
        if self._buffer is not None:
            self._buffered += len(events)
            self._buffer_lost = self._buffer_lost or self._buffered > _MAX_BUFFERED_EVENTS
            if not self._buffer_lost:
                self._buffer.append((events, through_seq))
        if self.view is not None:
            self._take_in(self.view, events, through_seq)

    def _take_in(self, view: Encodings, events: Events, through_seq: int) -> None:
        new = self._learn_instruments(events)
        changes = view.books.apply(events, through_seq)
        trades = merge_trades(changes)
        view.on_changed(change.instrument for change in changes if change.levels)
        for subscription, wake in self._subscribers.items():
            subscription.begin(new)
            subscription.on_burst(changes, trades)
            if subscription.waiting:
                wake.set()

    def _learn_instruments(self, events: Events) -> list[int]:
        defined = events[events["kind"] == _INSTRUMENT_DEFINED]
        new = [number for number in defined["instrument"].tolist() if number not in self.instruments]
        self.instruments.update(dict.fromkeys(new))
        return new

    def on_tick(self, now_ns: int) -> None:
        """Drop the books when nobody has subscribed for a while."""
        if self.view is None or self._subscribers or self._loading.locked():
            self._idle_since_ns = now_ns
        elif now_ns - self._idle_since_ns > _IDLE_NS:
            self.view = None
            self.instruments = {}


def resting_orders(rows: NDArray[Any]) -> Iterator[RestingOrder]:
    """What of the engine's live orders (`OrderRow`) the books are made of: not the stop orders that wait."""
    rows = rows[(rows["place"] == _IN_BOOK) | (rows["place"] == _WAITS_FOR_CLOSE)]
    columns = (rows[name].tolist() for name in _COLUMNS)
    for order_id, instrument, side, price, leaves, display, shown, kind, flags, place, tif in zip(
        *columns, strict=True
    ):
        hidden = bool(flags & OrderFlag.HIDDEN) or kind == OrderType.MARKET
        at_close = place == _WAITS_FOR_CLOSE
        for_any = tif == TimeInForce.GOOD_FOR_AUCTION
        yield RestingOrder(order_id, instrument, side, price, leaves, display, hidden, at_close, shown, for_any)
