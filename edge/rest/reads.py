"""Accounts and orders as JSON: of the gateways, which know who may see what, and of the engines' history."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import numpy as np

from lockstep.edge.rest.gateways import Gateways
from lockstep.edge.rest.market import Behind
from lockstep.edge.rest.problems import Problem
from lockstep.edge.rest.shapes import Json, TickOf, json_of
from lockstep.gateway.reports import ReportRows, report_messages, route
from lockstep.marketdata.shell import FeedShell
from lockstep.runtime.engines import EnginesUnavailable, EventsGone
from lockstep.stream.codes import Code
from lockstep.stream.records import ORDER_EVENT, EventKind, Events
from lockstep.v1 import accounts_pb2, common_pb2, orders_pb2

READ_S: Final = 4.0
MIN_SEQ_S: Final = 2.0
"""How long a read waits for the feed to come as far as it has to."""
_LOOK_S: Final = 0.002
LAST_INDEX: Final = 2**32 - 1
_U32: Final = 2**32 - 1
_ACCEPTED: Final = int(EventKind.ACCEPTED)
_REPLACED: Final = int(EventKind.REPLACED)
_TRADE: Final = int(EventKind.TRADE)


class Stamped:
    """A JSON answer and where it stands."""

    def __init__(self, body: Json, epoch: int, seq: int) -> None:
        self.body = body
        self.epoch = epoch
        self.seq = seq


class Reads:
    """For one door."""

    def __init__(self, shell: FeedShell, gateways: Gateways, tick_of: TickOf) -> None:
        self._shell = shell
        self._gateways = gateways
        self._tick_of = tick_of

    async def reach(self, seq: int) -> bool:
        """Wait until the feed has come so far, for a while; whether it has."""
        give_up_s = time.monotonic() + MIN_SEQ_S
        while self._shell.machine.seq < seq and time.monotonic() < give_up_s:  # noqa: ASYNC110 - the feed has none
            await asyncio.sleep(_LOOK_S)
        return self._shell.machine.seq >= seq

    async def shown(self, seq: int, make: Callable[[], Json]) -> Json:
        """What stands at `seq`, as JSON. The feed, which knows the ticks, may be a moment behind a gateway.

        Raises:
            Behind: it is more than that.
        """
        try:
            return make()
        except Behind:
            await self.reach(seq)
        return make()

    async def accounts(self, authorization: str | None, cursor: int, limit: int, min_seq: int) -> Stamped:
        """A page of accounts."""
        if cursor > _U32:
            machine = self._shell.machine
            return Stamped({"accounts": [], "next_cursor": None}, machine.epoch, machine.seq)
        asked = accounts_pb2.ListAccountsRequest(cursor=cursor, limit=limit, min_seq=min_seq)
        page = await self._ask("ListAccounts", asked, authorization)

        def make() -> Json:
            shown = [json_of(one, self._tick_of) for one in page.accounts]
            return {"accounts": shown, "next_cursor": str(page.next_cursor) if page.next_cursor else None}

        return Stamped(await self.shown(page.stamp.seq, make), page.stamp.epoch, page.stamp.seq)

    async def account(self, authorization: str | None, account: int, min_seq: int) -> tuple[accounts_pb2.Account, Any]:
        """One account, and the stamp of the answer.

        Raises:
            Problem: 404.
        """
        # As the page of one that begins before it: pages know `min_seq`.
        asked = accounts_pb2.ListAccountsRequest(cursor=account - 1, limit=1, min_seq=min_seq)
        page = await self._ask("ListAccounts", asked, authorization)
        for found in page.accounts:
            if found.account == account:
                return found, page.stamp
        raise Problem(Code.UNKNOWN_ACCOUNT, f"there is no account {account}", seq=str(page.stamp.seq))

    async def open_orders(
        self, authorization: str | None, account: int, cursor: int, limit: int, min_seq: int
    ) -> accounts_pb2.ListOpenOrdersReply:
        """A page of live orders."""
        asked = accounts_pb2.ListOpenOrdersRequest(account=account, cursor=cursor, limit=limit, min_seq=min_seq)
        page: accounts_pb2.ListOpenOrdersReply = await self._ask("ListOpenOrders", asked, authorization)
        return page

    async def order(self, authorization: str | None, account: int, order_id: int, min_seq: int) -> Stamped:
        """One order, live or ended.

        Raises:
            Problem: 404; 503: what became of it can't be had now.
        """
        page = await self.open_orders(authorization, account, max(0, order_id - 1), 1, min_seq)
        stamp = page.stamp
        if page.orders and page.orders[0].order_id == order_id:
            message = page.orders[0]
            live = await self.shown(stamp.seq, lambda: json_of(message, self._tick_of))
            return Stamped({**live, "status": "live"}, stamp.epoch, stamp.seq)
        order = await self._first(account, order_id, stamp)
        filled = False
        async for rows in self._parts(order, stamp):
            for row in rows.rows[rows.rows["kind"] == _REPLACED]:
                order.message.price_ticks = int(row["price_ticks"])
            filled = bool(rows.rows["kind"][-1] == _TRADE)
        if not order.over:
            # It is live no more, and its end has to stand there.
            text = f"the end of order {order_id} has not been found in the history up to seq {stamp.seq}"
            raise Problem(Code.UNAVAILABLE, text)
        shown = {
            **await self.shown(stamp.seq, lambda: json_of(order.message, self._tick_of)),
            "leaves_lots": 0,
            "status": "filled" if filled else "canceled",
        }
        return Stamped(shown, stamp.epoch, stamp.seq)

    async def instrument_of(self, authorization: str | None, account: int, order_id: int, min_seq: int) -> int:
        """Which instrument an order is of: a live one however old it is, an ended one while its history is kept.

        Raises:
            Problem: 404.
        """
        page = await self.open_orders(authorization, account, max(0, order_id - 1), 1, min_seq)
        if page.orders and page.orders[0].order_id == order_id:
            return int(page.orders[0].instrument)
        try:
            return int((await self._first(account, order_id, page.stamp)).message.instrument)
        except Problem as problem:
            if problem.code is not Code.REPORTS_GONE:
                raise
            raise Problem(Code.UNKNOWN_ORDER, f"account {account} has no live order {order_id}") from None

    async def history(
        self, authorization: str | None, account: int, order_id: int, cursor: int, limit: int, min_seq: int
    ) -> Stamped:
        """What happened to an order, behind the event with the number `cursor` of its history."""
        # A gateway says how far there is history: the feed may be behind.
        stamp = (await self.open_orders(authorization, account, max(0, order_id - 1), 1, min_seq)).stamp
        order = await self._first(account, order_id, stamp)
        found: list[common_pb2.ExecutionReport] = []
        seen = 0
        async for rows in self._parts(order, stamp):
            for report in report_messages(rows, stamp.epoch):
                seen += 1
                if seen > cursor:
                    found.append(report)
            if len(found) > limit:
                break

        def make() -> Json:
            return {
                "reports": [json_of(one, self._tick_of) for one in found[:limit]],
                "next_cursor": str(cursor + limit) if len(found) > limit else None,
            }

        return Stamped(await self.shown(stamp.seq, make), stamp.epoch, stamp.seq)

    async def _ask(self, method: str, request: Any, authorization: str | None) -> Any:
        return await self._gateways.call("Accounts", method, request, authorization, patience_s=READ_S)

    # ---- history -------------------------------------------------------------------------------------------------

    async def _first(self, account: int, order_id: int, stamp: common_pb2.Stamp) -> "_Order":
        """The order as it was accepted: its id is the seq of its command. `stamp`: how far there is history.

        Raises:
            Problem: 404, also for an order of another account.
        """
        if 0 < order_id <= stamp.seq:
            async for events in self._events(order_id - 1, order_id, 0, stamp.epoch):
                mine = (events["kind"] == _ACCEPTED) & (events["order_id"] == order_id) & (events["account"] == account)
                if mine.any():
                    return _Order(events[mine][:1])
        raise Problem(Code.UNKNOWN_ORDER, f"account {account} has had no order {order_id}")

    async def _parts(self, order: "_Order", stamp: common_pb2.Stamp) -> AsyncIterator[ReportRows]:
        """The order's rows, from its session's side, in order, until it has ended or nothing more is known of it."""
        session_id, after_seq = order.session_id, order.order_id - 1
        while session_id:
            begin_seq, owner, session_id = after_seq, session_id, 0
            async for events in self._events(begin_seq, stamp.seq, owner, stamp.epoch):
                part, order.over, new_owner = _part(events, order.order_id, owner)
                if part is not None:
                    yield part
                if order.over:
                    return
                if part is not None and new_owner:
                    # Another session has replaced it, and has its reports from then on.
                    session_id, after_seq = new_owner, int(part.rows["seq"][-1])
                    break

    async def _events(self, after_seq: int, to_seq: int, session_id: int, epoch: int) -> AsyncIterator[Events]:
        engines, machine = self._shell.engines, self._shell.machine
        try:
            found = engines.events(
                after=(after_seq, LAST_INDEX), to_seq=to_seq, session_id=session_id,
                min_epoch=max(epoch, machine.epoch), client="history",
            )  # fmt: skip
            async for events, _through in found:
                yield events
        except EventsGone as gone:
            text = f"the history of that time was cut from every journal; it begins at seq {gone.first_seq}"
            raise Problem(Code.REPORTS_GONE, text, status=404) from None
        except EnginesUnavailable as error:
            raise Problem(Code.UNAVAILABLE, f"no engine answers: {error}") from None


_ENDS: Final = [_TRADE, int(EventKind.CANCELED), int(EventKind.REDUCED), _REPLACED]


def _part(events: Events, order_id: int, session_id: int) -> tuple[ReportRows | None, bool, int]:
    """The order's rows among a session's events, whether the order has ended, and its new session, if it has one."""
    routed = route(events, session_id) if len(events) else None
    if routed is None:
        return None, False, 0
    rows = routed.of(0)
    mine = rows.rows["order_id"] == order_id
    if not mine.any():
        return None, False, 0
    part = ReportRows(rows.rows[mine], rows.legs[mine])
    over = np.flatnonzero((part.rows["leaves_lots"] == 0) & np.isin(part.rows["kind"], _ENDS))
    if len(over):
        return part[: int(over[0]) + 1], True, 0
    lost = np.flatnonzero((part.rows["kind"] == _REPLACED) & (part.legs == 1))
    if len(lost):
        at = int(lost[0])
        return part[: at + 1], False, int(part.rows["session_id"][at])
    return part, False, 0


_OF_EVENT: Final = (
    "order_id", "client_order_id", "account", "instrument", "session_id", "side", "price_ticks", "quantity_lots",
)  # fmt: skip
_OF_TERMS: Final = ("order_type", "tif", "stop_price_ticks", "display_lots")


class _Order:
    """An order as it was accepted."""

    def __init__(self, accepted: Events) -> None:
        row = accepted[0]
        terms = np.frombuffer(accepted.tobytes(), dtype=ORDER_EVENT)[0]
        self.order_id = int(row["order_id"])
        self.session_id = int(row["session_id"])
        self.over = False
        """Its end was found."""
        said: dict[str, Any] = {name: int(row[name]) for name in _OF_EVENT}
        said |= {name: int(terms[name]) for name in _OF_TERMS}
        self.message = orders_pb2.Order(**said)
