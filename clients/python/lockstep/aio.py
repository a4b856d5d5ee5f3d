"""The asyncio client: single calls here, sessions in `lockstep.session`, market data in `lockstep.market_data`."""

import asyncio
import random
import secrets
import weakref
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import grpc
import grpc.aio
from typing_extensions import Self, Unpack

from lockstep.alerts import AsyncAlertsClient
from lockstep.arguments import LONGEST_S, U32, Price, bearer_token, instrument_name, integer, shown, span, word
from lockstep.backoff import pause_s
from lockstep.callbacks import batch_callback
from lockstep.channel import Channels, budget_of, fatal_code, parse_addresses, refusal_code, retry_after_ms
from lockstep.client_log import ClientLog
from lockstep.columns import ReportColumns
from lockstep.enums import Code, Feed, Side
from lockstep.errors import Refused, Unavailable
from lockstep.feed_calls import FeedCalls
from lockstep.feed_reader import AsyncFeedReader
from lockstep.feeds import Feeds
from lockstep.keywords import named_arguments
from lockstep.lists import Lists
from lockstep.market_data import AsyncSubscription
from lockstep.market_orders import MarketOrders
from lockstep.orders import OrderTerms, cancel_row, draft_order, instrument_id, mass_cancel_row, replace_row
from lockstep.reference import Instrument, Reference
from lockstep.rows import CommandRow
from lockstep.session import AsyncSession
from lockstep.session_events import Checkpoint, SessionLimits
from lockstep.session_shell import SessionShell, ShellOptions
from lockstep.v1 import (
    accounts_pb2,
    accounts_pb2_grpc,
    cluster_pb2,
    cluster_pb2_grpc,
    orders_pb2,
    orders_pb2_grpc,
)
from lockstep.values import (
    Account,
    Budget,
    CommandResult,
    GatewayStatus,
    Order,
    Report,
    account_from_proto,
    command_result,
    order_from_proto,
    report_from_proto,
    status_from_proto,
)

_ATTEMPT_S: Final = 1.0
_BACKOFF_FIRST_S: Final = 0.02
_BACKOFF_MOST_S: Final = 0.5
_MOST_ANONYMOUS: Final = 0x7FFE_FFFF


@dataclass(slots=True)
class _KeyLine:
    """A numbered line of single calls: one in flight at a time, so that its numbers come in order."""

    session_id: int
    next_no: int = 1


class AsyncClient(MarketOrders[Coroutine[Any, Any, CommandResult]], Lists, FeedCalls):
    """A client of one cluster, for asyncio.

    Args:
        addresses: one gateway's `host:port`, or several (a sequence, or with commas between); any of them will do.
        token: the client's token; None where the cluster has no clients configured (development).
        client_number: upper 32 bits of this client's session ids, as configured with the token.
        credentials: `grpc.ssl_channel_credentials(...)` for TLS; None: plain text.
        timeout_s: seconds that a single call tries for, over all gateways, before it raises Unavailable.

    Example:
        >>> async with AsyncClient("127.0.0.1:7450") as client:
        ...     done = await client.place(account=1, instrument="ACME", side="buy", quantity_lots=10, price="101.50")
        ...     await client.cancel(account=1, order_id=done.order_id)
    """

    def __init__(
        self,
        addresses: str | Sequence[str],
        *,
        token: str | None = None,
        client_number: int | None = None,
        credentials: grpc.ChannelCredentials | None = None,
        timeout_s: float = 5.0,
    ) -> None:
        token = bearer_token(token)
        if client_number is None:
            # Without configured clients nobody gives out numbers: chance keeps the session ids apart.
            client_number = 0 if token else 1 + secrets.randbelow(_MOST_ANONYMOUS)
        self.client_number = integer("client_number", client_number, 0, U32)
        self.reference = Reference()
        self._stamp = 0, 0
        self._budget: Budget | None = None
        self._channels = Channels(parse_addresses(addresses), token=token, credentials=credentials)
        self._token, self._credentials = token, credentials
        self._timeout_s = span("timeout_s", timeout_s, 0, LONGEST_S)
        self._address = 0
        self._key_lines: list[_KeyLine] = []
        self._shells: list[SessionShell] = []
        self._subscriptions: weakref.WeakSet[AsyncSubscription | AsyncFeedReader[Any]] = weakref.WeakSet()
        self._feeds = Feeds(self._list_feeds, partial(Channels, token=token, credentials=credentials))

    async def __aenter__(self) -> Self:
        """Itself."""
        self._channels.owner.check_process("AsyncClient")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections (in a process that was forked from the client's, nothing: they are not its own)."""
        if self._channels.owner.is_here:
            await self.close()

    def alerts(self, address: str) -> AsyncAlertsClient:
        """Watchlists and alerts of this client, at the address of the alerts process (`lockstep alerts run`). Close it
        by itself."""
        return AsyncAlertsClient(address, token=self._token, credentials=self._credentials, timeout_s=self._timeout_s)

    async def close(self) -> None:
        """Close the connections, sessions that are still open (without waiting for answers), and subscriptions."""
        self._channels.owner.check_process("close()")
        for shell in self._shells:
            await shell.close(0.0)
        self._shells.clear()
        for subscription in tuple(self._subscriptions):
            await subscription.close("the client was closed")
        await self._feeds.close()
        await self._channels.close()

    @property
    def budget(self) -> Budget | None:
        """What this client may still ask, as the latest call's answer said; None: no call has been answered, or there
        is no bound. Calls and orders of all connections with the same credential spend it."""
        return self._budget

    # ---- commands ----------------------------------------------------------------------------------------------

    @named_arguments
    async def place(
        self, *, account: int, instrument: str | int, side: Side | str, quantity_lots: int, **terms: Unpack[OrderTerms]
    ) -> CommandResult:
        """Place one order and wait for what it did; see `OrderTerms` for price, type, time in force and the rest.

        An order without a price is a market order only if it says so (`order_type="market"`, or `place_market`).

        Raises:
            TypeError, ValueError: an argument is wrong, or one that there is not; nothing was sent.
            Refused: with the code and text of the refusal.
            Unavailable: no answer in time; whether the order was executed is not known.
        """
        draft = draft_order(account=account, side=side, quantity_lots=quantity_lots, terms=terms)
        found = await self.resolve(instrument, tick_needed=draft.needs_tick)
        row = draft.row(instrument_id(found, instrument), found)
        fields = {name: value for name, value in row._asdict().items() if name not in ("kind", "order_id")}
        order = orders_pb2.NewOrder(**fields)
        return await self._command(lambda key: ("Place", orders_pb2.PlaceRequest(key=key, order=order)))

    @named_arguments
    async def cancel(self, *, account: int, order_id: int = 0, client_order_id: int = 0) -> CommandResult:
        """Cancel one order, named by the exchange's id or by its account's. Raises as `place` does."""
        row = cancel_row(account=account, order_id=order_id, client_order_id=client_order_id)
        cancel = orders_pb2.CancelOrder(order=_order_ref(row))
        return await self._command(lambda key: ("Cancel", orders_pb2.CancelRequest(key=key, cancel=cancel)))

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
    ) -> CommandResult:
        """Give an order a new price and a new open quantity. `price` needs `instrument`. Raises as `place` does."""
        found = None if instrument is None else await self.resolve(instrument, tick_needed=price is not None)
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
        change = orders_pb2.ReplaceOrder(
            order=_order_ref(row),
            price_ticks=row.price_ticks,
            quantity_lots=row.quantity_lots,
            stop_price_ticks=row.stop_price_ticks,
        )
        return await self._command(lambda key: ("Replace", orders_pb2.ReplaceRequest(key=key, replace=change)))

    @named_arguments
    async def mass_cancel(
        self,
        *,
        account: int,
        instrument: str | int = 0,
        side: Side | str | None = None,
        session_id: int = 0,
        block: bool = False,
    ) -> CommandResult:
        """Cancel all orders of an account, of one instrument (0: all), side (None: both) and session (0: all).

        Account 0, everybody's orders, and `block`, the kill switch (the account may not enter orders until its status
        is set again), need the admin entitlement.
        """
        found = await self.resolve(instrument, tick_needed=False)
        number = instrument_id(found, instrument)
        row = mass_cancel_row(account=account, instrument_id=number, side=side, session_id=session_id, block=block)
        # The gateway checks the number; the generated class wants its enum, which an int is on the wire.
        side_value: Any = row.side
        orders = orders_pb2.MassCancelOrders(
            account=row.account,
            instrument=row.instrument,
            side=side_value,
            session_id=row.order_id,
            block=bool(row.flags),
        )
        return await self._command(
            lambda key: ("MassCancel", orders_pb2.MassCancelRequest(key=key, mass_cancel=orders))
        )

    async def _command(self, request: Callable[[orders_pb2.IdempotencyKey], tuple[str, Any]]) -> CommandResult:
        line = self._key_lines.pop() if self._key_lines else _KeyLine(self._new_session_id())
        method, message = request(orders_pb2.IdempotencyKey(session_id=line.session_id, session_no=line.next_no))
        # If this raises, it is not known whether the number was used: the line is not taken up again.
        reply = await self._call(orders_pb2_grpc.OrderEntryStub, method, message)
        line.next_no += 1
        self._key_lines.append(line)
        if not reply.reports:
            raise Unavailable(f"{method} was executed, but the gateway has forgotten its reports; ask for the order")
        rows = map(report_from_proto, reply.reports)
        return command_result(rows, epoch=reply.stamp.epoch, duplicate=reply.duplicate).raise_for_refusal()

    def _new_session_id(self) -> int:
        return self.client_number << 32 | secrets.randbelow(2**32 - 1) + 1

    # ---- queries -----------------------------------------------------------------------------------------------

    @named_arguments
    async def order(self, *, account: int, order_id: int = 0, client_order_id: int = 0) -> Order | None:
        """A live order; None if it is unknown, filled or canceled."""
        row = cancel_row(account=account, order_id=order_id, client_order_id=client_order_id)
        request = orders_pb2.GetOrderRequest(order=_order_ref(row))
        try:
            reply = await self._call(orders_pb2_grpc.OrderEntryStub, "GetOrder", request)
        except Refused as refused:
            if refused.code == Code.UNKNOWN_ORDER:
                return None
            raise
        return order_from_proto(reply.order)

    async def account(self, account: int) -> Account:
        """Balances and positions. Raises Refused (UNKNOWN_ACCOUNT) if there is no such account."""
        request = accounts_pb2.GetAccountRequest(account=integer("account", account, 0, U32))
        try:
            reply = await self._call(accounts_pb2_grpc.AccountsStub, "GetAccount", request)
        except Refused as refused:
            if refused.code == Code.UNKNOWN_ORDER:
                raise Refused(Code.UNKNOWN_ACCOUNT, refused.text) from refused
            raise
        return account_from_proto(reply.account, reply.stamp)

    async def status(self) -> GatewayStatus:
        """What the gateway says of itself and of the cluster."""
        reply = await self._call(cluster_pb2_grpc.ClusterStub, "GetStatus", cluster_pb2.GetStatusRequest())
        return status_from_proto(reply)

    async def resolve(self, instrument: str | int, *, tick_needed: bool) -> Instrument | None:
        """An instrument by symbol or id, from the cache or a fresh list.

        Returns:
            None for an unknown id whose tick is not needed; the cluster will say what it thinks of it.

        Raises:
            Refused: UNKNOWN_INSTRUMENT, naming those that there are.
        """
        instrument = instrument_name(instrument)
        found = self.reference.find(instrument)
        if found is not None or (isinstance(instrument, int) and not tick_needed):
            return found
        await self.instruments()
        found = self.reference.find(instrument)
        if found is None:
            known = ", ".join(self.reference.symbols()[:20]) or "none"
            raise Refused(Code.UNKNOWN_INSTRUMENT, f"no instrument {instrument!r}; there are: {known}")
        return found

    # ---- sessions and market data ------------------------------------------------------------------------------

    async def session(
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
    ) -> AsyncSession:
        """Open a trading session: numbered, batched, resumed by itself after any break.

        Args:
            resume: go on with a session from its checkpoint; None: a new session.
            linger_ms: how long a command waits for company before it is sent.
            batch_rows: commands that are sent at once without waiting.
            max_unanswered: bound on commands without an answer.
            on_full: at that bound, "block" until there is room, or "raise" SessionFull.
            on_report: called for each report, in the event loop, instead of the iterators. A plain function that is
                soon done: it may submit commands, but not wait for anything.
            on_batch: called for each batch of reports as columns: the fast path; otherwise like `on_report`.
            timeout_s: seconds to wait for the first gateway's Welcome.
            log_dir: keep a `ClientLog` of this session in that directory, for audits; None: none.
            cancel_on_disconnect_s: have all its orders canceled when no stream of it has been open for so many seconds
                (0.001 to 3600), whether it broke or was closed; None: they stay.

        Raises:
            ValueError: `on_full` is neither, both callbacks are given, or `cancel_on_disconnect_s` is out of range.
            TypeError: `resume` is no Checkpoint, or a callback can't be called or is no plain function.
            Unavailable, Refused: no gateway admitted the session.
        """
        if on_full not in ("block", "raise"):
            raise ValueError(f'on_full={on_full!r}; use "block" or "raise"')
        if resume is not None and not isinstance(resume, Checkpoint):
            raise TypeError(f"resume must be a Checkpoint (Checkpoint.from_json(text)) or None, not {shown(resume)}")
        callback = batch_callback(on_report, on_batch)
        self._channels.owner.check_process("session()")
        timeout_s = span("timeout_s", timeout_s, 0, LONGEST_S)
        limits = SessionLimits(
            max_unanswered=integer("max_unanswered", max_unanswered, 1, U32),
            batch_rows=integer("batch_rows", batch_rows, 1, U32),
            linger_ns=round(span("linger_ms", linger_ms, 0, LONGEST_S) * 1_000_000),
            cancel_on_disconnect_ms=_grace_ms(cancel_on_disconnect_s),
        )
        checkpoint = Checkpoint(self._new_session_id()) if resume is None else resume
        log = ClientLog(Path(log_dir), checkpoint, resumed=resume is not None) if log_dir is not None else None
        shell = SessionShell(
            self._channels,
            checkpoint,
            limits,
            ShellOptions(on_batch=callback, log=log),
            resumed=resume is not None,
        )
        await shell.open(timeout_s)
        self._shells = [known for known in self._shells if not known.machine.ended]
        self._shells.append(shell)
        return AsyncSession(self, shell, blocking=on_full == "block")

    async def subscribe(
        self,
        instruments: Sequence[str | int] = (),
        feeds: Sequence[Feed] = (Feed.L2,),
        *,
        depth: int = 0,
    ) -> AsyncSubscription:
        """Market data of some instruments (none named: of all). See `AsyncSubscription`.

        Raises:
            TypeError, ValueError: an argument is wrong. Refused: unknown symbol.
        """
        self._channels.owner.check_process("subscribe()")
        if isinstance(instruments, str) or isinstance(feeds, str):
            raise TypeError('instruments and feeds are sequences; for one of them write ["ACME"], feeds=[Feed.L2]')
        feeds = [word(Feed, "feed", feed) for feed in feeds]
        depth = integer("depth", depth, 0, U32)
        ids = await self._ids(instruments)
        subscription = AsyncSubscription(self._channels, ids, feeds, depth, self._reported())
        self._subscriptions.add(subscription)
        return subscription

    async def _ids(self, instruments: Sequence[str | int]) -> list[int]:
        if isinstance(instruments, str):
            raise TypeError('instruments is a sequence; for one of them write ["ACME"]')
        return [instrument_id(await self.resolve(name, tick_needed=False), name) for name in instruments]

    def _reported(self) -> tuple[int, int]:
        """(epoch, seq): how far the cluster was when this client heard of it last."""
        sessions = [shell.machine for shell in self._shells if not shell.machine.ended]
        return max(self._stamp, *((machine.epoch, machine.last_seen.seq) for machine in sessions), (0, 0))

    # ---- one call, over all gateways ---------------------------------------------------------------------------

    async def _call(self, stub: Callable[[Any], Any], method: str, request: Any, *, patient: bool = False) -> Any:
        """One idempotent call: tried again at the next gateway, with jitter, until the client's timeout.

        `patient`: a gateway that lives is given the whole time; what is merely slow is not asked for again. One that
        hangs is noticed by its connection.
        """
        self._channels.owner.check_process(method)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timeout_s
        tries = 0
        last = "silence"
        while (left := deadline - loop.time()) > 0:
            address = self._address
            call: Callable[..., Any] = getattr(stub(self._channels.channel(address)), method)
            try:
                timeout_s = left if patient else min(left, _ATTEMPT_S)
                under_way: Any = call(request, timeout=timeout_s, metadata=self._channels.metadata)
                reply: Any = await under_way
                self._budget = budget_of(await under_way.trailing_metadata()) or self._budget
                if "stamp" in reply.DESCRIPTOR.fields_by_name:
                    self._stamp = max(self._stamp, (reply.stamp.epoch, reply.stamp.seq))
                return reply
            except grpc.aio.AioRpcError as error:
                details = error.details() or error.code().name
                code = fatal_code(error.code())
                if code != Code.OK:
                    raise Refused(refusal_code(error, code), f"{method}: {details}") from error
                last = f"{self._channels.address(address)}: {error.code().name} {details}"
                wanted_s = retry_after_ms(error) / 1000
                self._budget = budget_of(error.trailing_metadata()) or self._budget
                self._channels.on_break(address, details)
            if self._address == address:
                self._address += 1
            chance = random.random()  # noqa: S311 - spreads clients in time, keeps no secret
            pause = max(pause_s(_BACKOFF_FIRST_S, _BACKOFF_MOST_S, tries, chance), wanted_s * (1 + chance))
            tries += 1
            await asyncio.sleep(min(pause, max(0.0, deadline - loop.time())))
        raise Unavailable(
            f"{method}: no gateway answered within {self._timeout_s} s (last: {last}); check that the cluster runs and "
            "that the address is right. Whether the command was executed is not known: ask for the order"
        )


def _order_ref(row: CommandRow) -> orders_pb2.OrderRef:
    return orders_pb2.OrderRef(account=row.account, order_id=row.order_id, client_order_id=row.client_order_id)


def _grace_ms(cancel_on_disconnect_s: float | None) -> int:
    if cancel_on_disconnect_s is None:
        return 0
    return round(span("cancel_on_disconnect_s", cancel_on_disconnect_s, 0.001, 3600) * 1000)
