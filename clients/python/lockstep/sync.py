"""The blocking client: the asyncio one in a thread of its own, for programs without an event loop.

Results, errors and guarantees are those of `lockstep.aio` and `lockstep.session`; only the waiting differs. All
methods may be called from any thread, but none that waits from a callback (`on_report`, `on_batch`): callbacks run in
the loop's thread, where it raises CalledFromCallback. They may submit commands; keep them short. In a process that was
forked from the client's every call raises CalledAfterFork.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import grpc
from typing_extensions import Self, Unpack

from lockstep.admin import AdminCommand, checked_admin
from lockstep.administration import Administration
from lockstep.aio import AsyncClient
from lockstep.alerts import AlertsClient
from lockstep.arguments import Price, flag, instrument_name, wait_s
from lockstep.book import TradesMissed
from lockstep.columns import CommandColumns, ReportColumns
from lockstep.delivery import CommandHandle
from lockstep.enums import Feed, Side
from lockstep.errors import ReportsNotKept, SessionFull, Unavailable
from lockstep.feed_book import FeedBook
from lockstep.feed_machine import Candle, FeedTrade
from lockstep.feeds import FeedReader
from lockstep.keywords import named_arguments
from lockstep.lists import BlockingLists, Lists
from lockstep.loop_thread import LoopThread
from lockstep.market_orders import MarketOrders
from lockstep.orders import OrderTerms, cancel_row, draft_order, instrument_id, mass_cancel_row, replace_row
from lockstep.reference import Instrument
from lockstep.rows import CommandRow
from lockstep.session import AsyncSession, check_fits, checked_command
from lockstep.session_events import Checkpoint, Counters, ReportId
from lockstep.session_rows import last_id
from lockstep.session_shell import SessionShell
from lockstep.subscription import Subscription
from lockstep.values import Account, Budget, CommandResult, GatewayStatus, Order, Report

T = TypeVar("T")


class Client(MarketOrders[CommandResult], BlockingLists):
    """A client of one cluster, blocking. Arguments as for `AsyncClient`; `loop_factory` may be uvloop's.

    Example:
        >>> with Client("127.0.0.1:7450") as client:
        ...     done = client.place(account=1, instrument="ACME", side="buy", quantity_lots=10, price="101.50")
        ...     client.cancel(account=1, order_id=done.order_id)
    """

    def __init__(
        self,
        addresses: str | Sequence[str],
        *,
        token: str | None = None,
        client_number: int | None = None,
        credentials: grpc.ChannelCredentials | None = None,
        timeout_s: float = 5.0,
        loop_factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop,
    ) -> None:
        self._client = AsyncClient(
            addresses, token=token, client_number=client_number, credentials=credentials, timeout_s=timeout_s
        )
        self._token, self._credentials, self._timeout_s = token, credentials, timeout_s
        self._loop = LoopThread(loop_factory)

    def __enter__(self) -> Self:
        """Itself."""
        self._loop.owner.check_process("Client")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections (in a process that was forked from the client's, nothing: they are not its own)."""
        if self._loop.owner.is_here:
            self.close()

    def close(self) -> None:
        """Close the connections, sessions that are still open (without waiting for answers), and subscriptions."""
        self._loop.owner.check_may_wait("Client.close()")
        if self._loop.running:
            self._loop.run(self._client.close(), "Client.close()")
            self._loop.close()

    def alerts(self, address: str) -> AlertsClient:
        """Watchlists and alerts of this client, at the address of the alerts process (`lockstep alerts run`). Close it
        by itself."""
        self._loop.owner.check_process("Client.alerts()")
        return AlertsClient(address, token=self._token, credentials=self._credentials, timeout_s=self._timeout_s)

    @named_arguments
    def place(
        self, *, account: int, instrument: str | int, side: Side | str, quantity_lots: int, **terms: Unpack[OrderTerms]
    ) -> CommandResult:
        """Place one order and wait for what it did. See `AsyncClient.place`."""
        return self._loop.run(
            self._client.place(account=account, instrument=instrument, side=side, quantity_lots=quantity_lots, **terms)
        )

    @named_arguments
    def cancel(self, *, account: int, order_id: int = 0, client_order_id: int = 0) -> CommandResult:
        """Cancel one order, named by either id."""
        return self._loop.run(self._client.cancel(account=account, order_id=order_id, client_order_id=client_order_id))

    @named_arguments
    def replace(
        self,
        *,
        account: int,
        quantity_lots: int,
        order_id: int = 0,
        client_order_id: int = 0,
        price: Price | None = None,
        price_ticks: int | None = None,
        instrument: str | int | None = None,
        stop_price_ticks: int | None = None,
    ) -> CommandResult:
        """Give an order a new price and a new open quantity. `price` needs `instrument`."""
        return self._loop.run(
            self._client.replace(
                account=account,
                quantity_lots=quantity_lots,
                order_id=order_id,
                client_order_id=client_order_id,
                price=price,
                price_ticks=price_ticks,
                instrument=instrument,
                stop_price_ticks=stop_price_ticks,
            )
        )

    @named_arguments
    def mass_cancel(
        self,
        *,
        account: int,
        instrument: str | int = 0,
        side: Side | str | None = None,
        session_id: int = 0,
        block: bool = False,
    ) -> CommandResult:
        """Cancel all orders of an account, of one instrument (0: all), of one side (None: both)."""
        return self._loop.run(
            self._client.mass_cancel(
                account=account, instrument=instrument, side=side, session_id=session_id, block=block
            )
        )

    @named_arguments
    def order(self, *, account: int, order_id: int = 0, client_order_id: int = 0) -> Order | None:
        """A live order; None if it is unknown, filled or canceled."""
        return self._loop.run(self._client.order(account=account, order_id=order_id, client_order_id=client_order_id))

    def account(self, account: int) -> Account:
        """Balances and positions."""
        return self._loop.run(self._client.account(account))

    def _lists(self) -> Lists:
        return self._client

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._loop.run(work)

    @property
    def budget(self) -> Budget | None:
        """What this client may still ask; see `AsyncClient.budget`."""
        return self._client.budget

    def status(self) -> GatewayStatus:
        """What the gateway says of itself and of the cluster."""
        return self._loop.run(self._client.status())

    def resolve(self, instrument: str | int, *, tick_needed: bool = True) -> Instrument | None:
        """An instrument by symbol or id, from the cache or a fresh list."""
        instrument = instrument_name(instrument)
        found = self._client.reference.find(instrument)
        if found is not None or (isinstance(instrument, int) and not tick_needed):
            return found
        return self._loop.run(self._client.resolve(instrument, tick_needed=tick_needed))

    def session(
        self,
        *,
        resume: Checkpoint | None = None,
        linger_ms: float = 1.0,
        batch_rows: int = 512,
        max_unanswered: int = 16_384,
        on_full: str = "block",
        on_report: Callable[[Report], None] | None = None,
        on_batch: Callable[[ReportColumns], None] | None = None,
        timeout_s: float = 5.0,
        log_dir: Path | str | None = None,
        cancel_on_disconnect_s: float | None = None,
    ) -> "Session":
        """Open a trading session. See `AsyncClient.session`; callbacks run in the loop's thread."""
        opened = self._loop.run(
            self._client.session(
                resume=resume,
                linger_ms=linger_ms,
                batch_rows=batch_rows,
                max_unanswered=max_unanswered,
                on_full=on_full,
                on_report=on_report,
                on_batch=on_batch,
                timeout_s=timeout_s,
                log_dir=log_dir,
                cancel_on_disconnect_s=cancel_on_disconnect_s,
            )
        )
        return Session(self, self._loop, opened, blocking=on_full == "block")

    def subscribe(
        self, instruments: Sequence[str | int] = (), feeds: Sequence[Feed] = (Feed.L2,), *, depth: int = 0
    ) -> "Subscription":
        """Market data of some instruments (none named: of all)."""
        return Subscription(self._loop, self._loop.run(self._client.subscribe(instruments, feeds, depth=depth)))

    def books(
        self,
        instruments: Sequence[str | int] = (),
        feed: Feed = Feed.L2,
        *,
        depth: int = 0,
        interval_ms: int = 100,
        legs: int = 1,
    ) -> "FeedReader[FeedBook]":
        """Books from a feed, kept up to date, each with its state. See `AsyncClient.books`."""
        opened = self._client.books(instruments, feed, depth=depth, interval_ms=interval_ms, legs=legs)
        return FeedReader(self._loop, self._loop.run(opened))

    def trades(
        self, instruments: Sequence[str | int] = (), *, interval_ms: int = 100, legs: int = 1
    ) -> "FeedReader[FeedTrade | TradesMissed]":
        """Trades from now on, each once, over every break. See `AsyncClient.trades`."""
        opened = self._client.trades(instruments, interval_ms=interval_ms, legs=legs)
        return FeedReader(self._loop, self._loop.run(opened))

    def candles(
        self,
        instruments: Sequence[str | int] = (),
        *,
        length_s: int = 60,
        interval_ms: int = 1000,
        legs: int = 1,
    ) -> "FeedReader[Candle]":
        """Candles: the latest ones, then each again as it changes. See `AsyncClient.candles`."""
        opened = self._client.candles(instruments, length_s=length_s, interval_ms=interval_ms, legs=legs)
        return FeedReader(self._loop, self._loop.run(opened))

    def list_candles(
        self, instrument: str | int, *, length_s: int = 60, from_ns: int = 0, to_ns: int = 0, limit: int = 0
    ) -> list[Candle]:
        """Candles of an instrument, oldest first. See `AsyncClient.list_candles`."""
        listing = self._client.list_candles(instrument, length_s=length_s, from_ns=from_ns, to_ns=to_ns, limit=limit)
        return self._loop.run(listing)


class Session(Administration[CommandHandle], MarketOrders[CommandHandle]):
    """A trading session, blocking. See `AsyncSession`.

    Example:
        >>> with client.session() as session:
        ...     handle = session.place(account=1, instrument="ACME", side="buy", quantity_lots=5, price="99.5")
        ...     handle.result(timeout=1.0)
    """

    def __init__(self, client: Client, loop: LoopThread, session: AsyncSession, *, blocking: bool) -> None:
        self._client = client
        self._loop = loop
        self._session = session
        self._shell: SessionShell = session.shell
        self._blocking = blocking
        self._room = threading.Condition()
        self._shell.on_room(self._tell_room)

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for answers (a few seconds), close. See `AsyncSession.__aexit__`."""
        if self._shell.owner.is_here:
            self._loop.run(self._session.__aexit__(kind, error, trace), "a session's close()")

    def _tell_room(self) -> None:
        with self._room:
            self._room.notify_all()

    @property
    def session_id(self) -> int:
        """Identity of the session in the cluster."""
        return self._session.session_id

    @property
    def unanswered(self) -> int:
        """Commands without an answer so far."""
        return self._session.unanswered

    @property
    def room(self) -> int:
        """How many commands would leave at once if they were submitted now; see `AsyncSession.room`."""
        return self._session.room

    @property
    def epoch(self) -> int:
        """Highest epoch that a report carried."""
        return self._session.epoch

    @property
    def counters(self) -> Counters:
        """What happened besides the plain flow."""
        return self._session.counters

    def checkpoint(self) -> Checkpoint:
        """State to go on from in another process. See `AsyncSession.checkpoint`."""
        return self._shell.checkpoint()

    def close(self, drain_s: float = 5.0) -> Checkpoint:
        """Wait up to `drain_s` seconds for answers and end it here; orders stay, but for `cancel_on_disconnect_s`."""
        return self._loop.run(self._session.close(drain_s), "a session's close()")

    def drain(self, timeout_s: float | None = None) -> None:
        """Block until everything is answered.

        Raises:
            Unavailable: not within `timeout_s` seconds. SessionEnded: the session ended before.
        """
        self._shell.owner.check_may_wait("drain()")
        seconds = wait_s("timeout_s", timeout_s)
        with self._room:
            answered = self._room.wait_for(
                lambda: self._shell.machine.unanswered == 0 or self._shell.machine.ended, seconds
            )
        if self._shell.machine.unanswered:
            self._shell.raise_if_ended()
        if not answered:
            raise Unavailable(f"not answered within {timeout_s} s: {self._shell.why_silent}")

    @named_arguments
    def place(
        self,
        *,
        account: int,
        instrument: str | int,
        side: Side | str,
        quantity_lots: int,
        track: bool = True,
        **terms: Unpack[OrderTerms],
    ) -> CommandHandle:
        """Submit one order; it is sent within the linger time. See `AsyncSession.place`."""
        draft = draft_order(account=account, side=side, quantity_lots=quantity_lots, terms=terms)
        found = self._client.resolve(instrument, tick_needed=draft.needs_tick)
        return self._submit(draft.row(instrument_id(found, instrument), found), track=track)

    @named_arguments
    def cancel(self, *, account: int, order_id: int = 0, client_order_id: int = 0, track: bool = True) -> CommandHandle:
        """Submit the cancel of one order, named by either id."""
        row = cancel_row(account=account, order_id=order_id, client_order_id=client_order_id)
        return self._submit(row, track=track)

    @named_arguments
    def replace(
        self,
        *,
        account: int,
        quantity_lots: int,
        order_id: int = 0,
        client_order_id: int = 0,
        price: Price | None = None,
        price_ticks: int | None = None,
        instrument: str | int | None = None,
        stop_price_ticks: int | None = None,
        track: bool = True,
    ) -> CommandHandle:
        """Submit a new price and open quantity for one order. A decimal `price` needs `instrument`."""
        found = None if instrument is None else self._client.resolve(instrument, tick_needed=price is not None)
        row = replace_row(
            account=account,
            order_id=order_id,
            client_order_id=client_order_id,
            price=price,
            price_ticks=price_ticks,
            quantity_lots=quantity_lots,
            instrument=found,
            stop_price_ticks=stop_price_ticks,
        )
        return self._submit(row, track=track)

    @named_arguments
    def mass_cancel(
        self,
        *,
        account: int,
        instrument: str | int = 0,
        side: Side | str | None = None,
        session_id: int = 0,
        block: bool = False,
        track: bool = True,
    ) -> CommandHandle:
        """Submit the cancel of all orders of an account (of one instrument, of one side, of one session).

        Account 0, everybody's orders, and `block`, the kill switch, need the admin entitlement.
        """
        found = self._client.resolve(instrument, tick_needed=False)
        number = instrument_id(found, instrument)
        row = mass_cancel_row(account=account, instrument_id=number, side=side, session_id=session_id, block=block)
        return self._submit(row, track=track)

    def administer(self, instrument: str | int, command: Callable[[int], AdminCommand]) -> CommandHandle:
        """Submit what `command` makes of the instrument's id."""
        found = self._client.resolve(instrument, tick_needed=False)
        return self._submit(checked_admin(command(instrument_id(found, instrument))), track=True)

    def submit(self, command: CommandRow | AdminCommand, *, track: bool = True) -> CommandHandle:
        """Submit one command as a value. See `AsyncSession.submit`."""
        return self._submit(checked_command(command), track=track)

    def _submit(self, command: CommandRow | AdminCommand, *, track: bool) -> CommandHandle:
        if flag("track", track):
            return self._when_room(lambda: self._shell.submit_tracked(command))
        return CommandHandle(self._when_room(lambda: self._shell.submit(command)))

    def submit_columns(self, batch: CommandColumns) -> int:
        """Submit many commands at once: the fast path. Returns the session number of the first row."""
        check_fits(batch, self._shell.machine.limits.max_unanswered)
        return self._when_room(lambda: self._shell.submit(batch))

    def _when_room(self, attempt: Callable[[], T | None]) -> T:
        done = attempt()
        if done is not None:
            return done
        if not self._blocking:
            raise SessionFull(f"no room: {self._shell.why_silent}; wait for answers, or raise max_unanswered")
        self._shell.owner.check_may_wait("a command for which there is no room in the session")
        with self._room:
            # Room is announced under the condition: none can be missed between the attempt and the wait.
            while (done := attempt()) is None:
                self._room.wait()
        return done

    def batches(self, timeout_s: float | None = None) -> Iterator[ReportColumns]:
        """Reports as columns, in order, each once; ends with the session, or after `timeout_s` seconds of silence.

        Raises:
            SessionEnded: the session failed. ReportsNotKept: they go to a callback, or came too long ago.
        """
        if self._shell.has_callback:
            raise ReportsNotKept("this session's reports go to its callback; open one without to iterate")
        for batch in self._shell.queue.blocking(timeout_s):
            self._shell.queue.delivered = last_id(batch)
            yield batch

    def reports(self, timeout_s: float | None = None) -> Iterator[Report]:
        """Reports row by row, otherwise like `batches`."""
        if self._shell.has_callback:
            raise ReportsNotKept("this session's reports go to its callback; open one without to iterate")
        for batch in self._shell.queue.blocking(timeout_s):
            for row in batch.rows():
                self._shell.queue.delivered = ReportId(row.seq, row.index, row.leg)
                yield row
