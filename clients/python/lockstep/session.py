"""A trading session for asyncio: numbers commands, batches them, goes on after any break."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from types import TracebackType
from typing import Any, Protocol, TypeVar

from typing_extensions import Self, Unpack

from lockstep.admin import AdminCommand, checked_admin
from lockstep.administration import Administration
from lockstep.arguments import Price, flag
from lockstep.columns import CommandColumns, ReportColumns
from lockstep.delivery import CommandHandle
from lockstep.enums import Side
from lockstep.errors import ReportsNotKept, SessionFull, Unavailable
from lockstep.keywords import named_arguments
from lockstep.market_orders import MarketOrders
from lockstep.orders import (
    OrderTerms,
    cancel_row,
    checked_row,
    draft_order,
    instrument_id,
    mass_cancel_row,
    replace_row,
)
from lockstep.reference import Instrument
from lockstep.rows import CommandRow
from lockstep.session_events import Checkpoint, Counters, ReportId
from lockstep.session_rows import last_id
from lockstep.session_shell import SessionShell
from lockstep.values import Report

T = TypeVar("T")


class Resolver(Protocol):
    """Finds instruments (the client does)."""

    async def resolve(self, instrument: str | int, *, tick_needed: bool) -> Instrument | None:
        """By symbol or id."""
        ...


def checked_command(command: CommandRow | AdminCommand) -> CommandRow | AdminCommand:
    """A command that the caller made himself, as one that the wire can hold.

    Raises:
        TypeError, ValueError: it can't.
    """
    return checked_row(command) if isinstance(command, tuple) else checked_admin(command)


def check_fits(batch: CommandColumns, limit: int) -> None:
    """Raises TypeError if it is no batch, ValueError if it can never be taken."""
    if not isinstance(batch, CommandColumns):
        raise TypeError(f"submit_columns takes CommandColumns, not {type(batch).__name__}; submit takes one command")
    count = batch.count
    if count > limit:
        raise ValueError(
            f"a batch of {count} commands in a session whose bound is {limit} unanswered: submit it in parts, or open "
            "the session with a larger max_unanswered"
        )


class AsyncSession(
    Administration[Coroutine[Any, Any, CommandHandle]], MarketOrders[Coroutine[Any, Any, CommandHandle]]
):
    """See `AsyncClient.session`. Commands get the numbers 1, 2, 3 ... in the order in which they are submitted.

    Example:
        >>> async with await client.session() as session:
        ...     handle = await session.place(account=1, instrument="ACME", side="buy", quantity_lots=5, price="99.5")
        ...     result = await handle
    """

    def __init__(self, resolver: Resolver, shell: SessionShell, *, blocking: bool) -> None:
        self._resolver = resolver
        self.shell = shell
        """The I/O underneath (the blocking facade uses it)."""
        self._blocking = blocking
        self._room = asyncio.Event()
        shell.on_room(self._room.set)

    async def __aenter__(self) -> Self:
        """Itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for answers (a few seconds), close.

        Raises:
            Unavailable: commands stayed unanswered (and no other exception is on its way).
        """
        if not self.shell.owner.is_here:
            # A process that was forked from the owner's leaves the block: the session is not its own.
            return
        why = self.shell.why_silent
        checkpoint = await self.close()
        if checkpoint.unanswered and error is None:
            raise Unavailable(f"closed with commands unanswered: {why}; `close()` returns a checkpoint to go on from")

    # ---- state -------------------------------------------------------------------------------------------------

    @property
    def session_id(self) -> int:
        """Identity of the session in the cluster."""
        return self.shell.machine.session_id

    @property
    def unanswered(self) -> int:
        """Commands without an answer so far."""
        return self.shell.machine.unanswered

    @property
    def room(self) -> int:
        """How many commands would leave at once if they were submitted now; what is more waits in the client.

        For those who would rather not give an order than give it late: beyond what the cluster can do its gateways
        refuse (BUSY), and this falls until they don't. 0 without a gateway.
        """
        return self.shell.machine.room

    @property
    def epoch(self) -> int:
        """Highest epoch that a report carried."""
        return self.shell.machine.epoch

    @property
    def counters(self) -> Counters:
        """What happened besides the plain flow."""
        return self.shell.machine.counters

    def checkpoint(self) -> Checkpoint:
        """State to go on from in another process, as of the last report that was handed out here.

        A checkpoint that was taken while commands were unanswered holds them; it is good for a restart only if no
        command was submitted after it. `close()` returns the final one.
        """
        return self.shell.checkpoint()

    async def close(self, drain_s: float = 5.0) -> Checkpoint:
        """Wait up to `drain_s` seconds for answers and end it here; orders stay, but for `cancel_on_disconnect_s`."""
        return await self.shell.close(drain_s)

    # ---- commands ----------------------------------------------------------------------------------------------

    @named_arguments
    async def place(
        self,
        *,
        account: int,
        instrument: str | int,
        side: Side | str,
        quantity_lots: int,
        track: bool = True,
        **terms: Unpack[OrderTerms],
    ) -> CommandHandle:
        """Submit one order; it is sent within the linger time. `track=False` spares the handle's future.

        An order without a price is a market order only if it says so (`order_type="market"`, or `place_market`).

        Raises:
            TypeError, ValueError: an argument is wrong. Refused: unknown symbol.
            SessionEnded: the session was closed or failed. SessionFull: see `on_full`.
        """
        draft = draft_order(account=account, side=side, quantity_lots=quantity_lots, terms=terms)
        found = await self._resolver.resolve(instrument, tick_needed=draft.needs_tick)
        return await self._submit(draft.row(instrument_id(found, instrument), found), track=track)

    @named_arguments
    async def cancel(
        self, *, account: int, order_id: int = 0, client_order_id: int = 0, track: bool = True
    ) -> CommandHandle:
        """Submit the cancel of one order, named by either id."""
        row = cancel_row(account=account, order_id=order_id, client_order_id=client_order_id)
        return await self._submit(row, track=track)

    @named_arguments
    async def replace(
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
        found = None
        if instrument is not None:
            found = await self._resolver.resolve(instrument, tick_needed=price is not None)
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
        return await self._submit(row, track=track)

    @named_arguments
    async def mass_cancel(
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
        found = await self._resolver.resolve(instrument, tick_needed=False)
        number = instrument_id(found, instrument)
        row = mass_cancel_row(account=account, instrument_id=number, side=side, session_id=session_id, block=block)
        return await self._submit(row, track=track)

    async def administer(self, instrument: str | int, command: Callable[[int], AdminCommand]) -> CommandHandle:
        """Submit what `command` makes of the instrument's id."""
        found = await self._resolver.resolve(instrument, tick_needed=False)
        return await self._submit(checked_admin(command(instrument_id(found, instrument))), track=True)

    async def submit(self, command: CommandRow | AdminCommand, *, track: bool = True) -> CommandHandle:
        """Submit one command as a value.

        Raises:
            TypeError, ValueError: the wire can't hold it. SessionEnded, SessionFull: as `place`.
        """
        return await self._submit(checked_command(command), track=track)

    async def _submit(self, command: CommandRow | AdminCommand, *, track: bool) -> CommandHandle:
        """What has been checked."""
        if flag("track", track):
            return await self._when_room(lambda: self.shell.submit_tracked(command))
        number = await self._when_room(lambda: self.shell.submit(command))
        return CommandHandle(number, None)

    async def submit_columns(self, batch: CommandColumns) -> int:
        """Submit many commands at once: the fast path.

        Returns:
            The session number of the first row; row i has that number plus i.
        """
        check_fits(batch, self.shell.machine.limits.max_unanswered)
        return await self._when_room(lambda: self.shell.submit(batch))

    async def _when_room(self, attempt: Callable[[], T | None]) -> T:
        while True:
            self._room.clear()
            done = attempt()
            if done is not None:
                return done
            if not self._blocking:
                raise SessionFull(f"no room: {self.shell.why_silent}; wait for answers, or raise max_unanswered")
            await self._room.wait()

    async def drain(self) -> None:
        """Wait until everything is answered.

        Raises:
            SessionEnded: the session ended before.
        """
        machine = self.shell.machine
        while machine.unanswered:
            self._room.clear()
            self.shell.raise_if_ended()
            await self._room.wait()

    # ---- reports -----------------------------------------------------------------------------------------------

    async def batches(self) -> AsyncIterator[ReportColumns]:
        """Reports as columns, in order, each once; ends when the session is closed.

        Raises:
            SessionEnded: the session failed. ReportsNotKept: they go to a callback, or came too long ago.
        """
        if self.shell.has_callback:
            raise ReportsNotKept("this session's reports go to its callback; open one without to iterate")
        async for batch in self.shell.queue.awaiting():
            self.shell.queue.delivered = last_id(batch)
            yield batch

    async def reports(self) -> AsyncIterator[Report]:
        """Reports row by row, otherwise like `batches`."""
        if self.shell.has_callback:
            raise ReportsNotKept("this session's reports go to its callback; open one without to iterate")
        async for batch in self.shell.queue.awaiting():
            for row in batch.rows():
                self.shell.queue.delivered = ReportId(row.seq, row.index, row.leg)
                yield row
