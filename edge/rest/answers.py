"""What each operation answers."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import grpc

from lockstep.edge.rest.gateways import CallEnded, Gateways
from lockstep.edge.rest.inputs import I64_MAX, as_meant, order_of, price_ticks
from lockstep.edge.rest.keyed import KeyedCommands, KeyReused, Outcome, Reports, ReportsCut, Unanswered
from lockstep.edge.rest.lanes import name_of
from lockstep.edge.rest.market import Behind, MarketJson
from lockstep.edge.rest.operations import PREFIX, Operation
from lockstep.edge.rest.principal import require_instrument
from lockstep.edge.rest.problems import Problem, refused
from lockstep.edge.rest.reads import Reads, Stamped
from lockstep.edge.rest.shapes import Json, json_of
from lockstep.marketdata.shell import FeedShell
from lockstep.runtime.topology import Principal
from lockstep.stream.codes import Code
from lockstep.stream.records import EventKind, Side
from lockstep.v1 import orders_pb2

_REFUSALS: Final = tuple(
    int(kind) for kind in (EventKind.REJECTED, EventKind.CANCEL_REJECTED, EventKind.REPLACE_REJECTED)
)
_TRADE: Final = int(EventKind.TRADE)
_SIDES: Final[dict[str, Any]] = {"buy": int(Side.BUY), "sell": int(Side.SELL)}
_STATUS: Final = {
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request whose form is right, of a client that may see the account that it names."""

    operation: Operation
    client: Principal
    authorization: str | None
    values: Mapping[str, Any]
    key: str
    body: Mapping[str, Any]

    @property
    def content(self) -> bytes:
        """What tells it from other requests under the same key, however it was written."""
        said = [self.operation.name, dict(self.values), as_meant(self.operation.body, self.body)]
        return json.dumps(said, sort_keys=True, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request is answered, and where that stands."""

    body: Json
    epoch: int
    seq: int
    headers: Mapping[str, str] = field(default_factory=dict)


class Answers:
    """All operations. Belongs to the feed's loop."""

    def __init__(self, shell: FeedShell) -> None:
        self._shell = shell
        self._gateways = Gateways(shell.topology.gateways, first=shell.member.id)
        self._commands = KeyedCommands(shell, self._gateways)
        self._market = MarketJson(shell)
        self._reads = Reads(shell, self._gateways, self._market.tick_of)
        self._own: dict[str, Callable[[Asked, int], Awaitable[Stamped]]] = {
            "listAccounts": self._accounts,
            "getAccount": self._account,
            "listPositions": self._positions,
            "getPortfolio": self._portfolio,
            "listOpenOrders": self._open_orders,
            "getOrder": self._order,
            "getOrderHistory": self._history,
        }

    async def close(self) -> None:
        """End all connections."""
        await self._gateways.close()

    async def of(self, asked: Asked) -> Answer:
        """Raises:
        Problem: why there is no other answer.
        """
        try:
            if asked.operation.keyed:
                return await self._command(asked)
            found = await self._read(asked)
        except CallEnded as ended:
            raise _problem_of(ended) from None
        return Answer(found.body, found.epoch, found.seq)

    # ---- commands ------------------------------------------------------------------------------------------------

    async def _command(self, asked: Asked) -> Answer:
        why = self._shell.why_not_serving()
        if why:
            raise Problem(Code.UNAVAILABLE, f"{why}; nothing was executed by this request")
        name = name_of(asked.key, asked.content)
        try:
            # What the key stands for comes first: what the request would mean now does not matter if it had an outcome.
            outcome = await self._commands.execute(
                asked.client, asked.authorization, name, partial(self._request, asked)
            )
        except KeyReused:
            raise Problem(
                Code.KEY_REUSED, "the key was used before, for another request; nothing was executed"
            ) from None
        except ReportsCut as cut:
            raise Problem(Code.REPORTS_GONE, f"it was executed, once; its reports are kept no more: {cut}") from None
        except Unanswered as unanswered:
            raise Problem(unanswered.code, str(unanswered), retry_after_ms=unanswered.retry_after_ms) from None
        return await self._answer_of(asked, outcome)

    async def _request(self, asked: Asked) -> tuple[str, Any]:
        account = asked.values["account"]
        body = asked.body
        match asked.operation.name:
            case "placeOrder":
                instrument = self._market.resolve(body["instrument"])
                require_instrument(asked.client, instrument)
                order = order_of(account, instrument, self._market.tick_of(instrument), body)
                return "Place", orders_pb2.PlaceRequest(order=order)
            case "cancelOrder":
                return "Cancel", orders_pb2.CancelRequest(cancel=orders_pb2.CancelOrder(order=_ref(asked)))
            case "replaceOrder":
                # An order is of one instrument for life, whose tick the price is counted in.
                instrument = await self._reads.instrument_of(
                    asked.authorization, account, int(asked.values["order_id"]), self._commands.answered_seq
                )
                tick = self._market.tick_of(instrument)
                stop = body.get("stop_price")
                replace = orders_pb2.ReplaceOrder(
                    order=_ref(asked),
                    price_ticks=price_ticks(body["price"], tick, "price"),
                    quantity_lots=body["quantity_lots"],
                    stop_price_ticks=0 if stop is None else price_ticks(stop, tick, "stop_price"),
                )
                return "Replace", orders_pb2.ReplaceRequest(replace=replace)
            case _:
                wanted = body.get("instrument")
                every = orders_pb2.MassCancelOrders(
                    account=account,
                    instrument=0 if wanted is None else self._market.resolve(wanted),
                    side=_SIDES.get(body.get("side", ""), 0),
                )
                return "MassCancel", orders_pb2.MassCancelRequest(mass_cancel=every)

    async def _answer_of(self, asked: Asked, outcome: Outcome) -> Answer:
        """An outcome as it is answered: the same each time."""
        reports = outcome.reports
        first = reports[0]
        last_seq = reports[-1].event_id.seq
        shown = (await self._reads.shown(last_seq, lambda: {"reports": self._json_of(reports)}))["reports"]
        seq = first.event_id.seq
        replayed = {"Idempotency-Replayed": "true" if outcome.repeated else "false"}
        if first.kind in _REFUSALS:
            code = Code(first.code)
            raise refused(code, f"refused with {code.name}", headers=replayed, seq=str(seq), reports=shown)
        body = {
            "kind": shown[0]["kind"],
            "order_id": str(first.order_id),
            "filled_lots": sum(one.quantity_lots for one in reports if one.kind == _TRADE),
            "leaves_lots": reports[-1].leaves_lots,
            "seq": str(seq),
            "reports": shown,
        }
        headers = replayed
        if asked.operation.name == "placeOrder":
            headers["Location"] = f"{PREFIX}/accounts/{first.account}/orders/{first.order_id}"
        return Answer(body, outcome.epoch, seq, headers)

    def _json_of(self, reports: Reports) -> list[Json]:
        return [json_of(one, self._market.tick_of) for one in reports]

    # ---- reads ---------------------------------------------------------------------------------------------------

    async def _read(self, asked: Asked) -> Stamped:
        min_seq = int(asked.values["min_seq"])
        own_seq = self._commands.answered_seq
        await self._reads.reach(max(min_seq, own_seq))
        if self._shell.machine.seq < min_seq:
            text = f"the cluster is at seq {self._shell.machine.seq}, not at {min_seq} yet"
            remedy = "ask again in a second; the min_seq is the seq of an answer of this cluster, no later one"
            raise Problem(Code.UNAVAILABLE, text, status=409, retry_after_s=1, remedy=remedy)
        if "instrument" in asked.values and asked.client.instruments is not None:
            require_instrument(asked.client, self._market.resolve(asked.values["instrument"]))
        own = self._own.get(asked.operation.name)
        if own is not None:
            return await own(asked, max(min_seq, own_seq))
        body = self._market_answer(asked)
        machine = self._shell.machine
        return Stamped(body, machine.epoch, machine.seq)

    def _market_answer(self, asked: Asked) -> Json:
        values, market = asked.values, self._market
        match asked.operation.name:
            case "listInstruments":
                return market.instruments(asked.client, int(values["cursor"]), values["limit"])
            case "getInstrument":
                return market.instrument(values["instrument"])
            case "getBook":
                return market.book(values["instrument"], values["depth"])
            case "listTrades":
                return market.trades(values["instrument"], values["cursor"], values["limit"])
            case "listCandles":
                begin_ns, end_ns = (min(int(values[name]), I64_MAX) for name in ("from_ns", "to_ns"))
                return market.candles(values["instrument"], values["seconds"], begin_ns, end_ns, values["limit"])
            case _:
                return market.cluster()

    async def _accounts(self, asked: Asked, min_seq: int) -> Stamped:
        return await self._reads.accounts(
            asked.authorization, int(asked.values["cursor"]), asked.values["limit"], min_seq
        )

    async def _account(self, asked: Asked, min_seq: int) -> Stamped:
        found, stamp = await self._reads.account(asked.authorization, asked.values["account"], min_seq)
        shown = await self._reads.shown(stamp.seq, lambda: json_of(found, self._market.tick_of))
        return Stamped(shown, stamp.epoch, stamp.seq)

    async def _positions(self, asked: Asked, min_seq: int) -> Stamped:
        found = await self._account(asked, min_seq)
        return Stamped({"positions": found.body["positions"]}, found.epoch, found.seq)

    async def _portfolio(self, asked: Asked, min_seq: int) -> Stamped:
        found, stamp = await self._reads.account(asked.authorization, asked.values["account"], min_seq)
        if not await self._reads.reach(stamp.seq):
            at = self._shell.machine.seq
            raise Behind(f"the feed that this door stands on is at seq {at}, and has no prices as of {stamp.seq} yet")
        body = self._market.portfolio(found, json_of(found, self._market.tick_of))
        return Stamped(body, stamp.epoch, stamp.seq)

    async def _open_orders(self, asked: Asked, min_seq: int) -> Stamped:
        values = asked.values
        page = await self._reads.open_orders(
            asked.authorization, values["account"], int(values["cursor"]), values["limit"], min_seq
        )

        def make() -> Json:
            return {
                "orders": [json_of(one, self._market.tick_of) for one in page.orders],
                "next_cursor": str(page.next_cursor) if page.next_cursor else None,
            }

        return Stamped(await self._reads.shown(page.stamp.seq, make), page.stamp.epoch, page.stamp.seq)

    async def _order(self, asked: Asked, min_seq: int) -> Stamped:
        account, order_id = asked.values["account"], int(asked.values["order_id"])
        return await self._reads.order(asked.authorization, account, order_id, min_seq)

    async def _history(self, asked: Asked, min_seq: int) -> Stamped:
        values = asked.values
        order = values["account"], int(values["order_id"])
        return await self._reads.history(asked.authorization, *order, int(values["cursor"]), values["limit"], min_seq)


def _ref(asked: Asked) -> orders_pb2.OrderRef:
    return orders_pb2.OrderRef(account=asked.values["account"], order_id=int(asked.values["order_id"]))


def _problem_of(ended: CallEnded) -> Problem:
    status = _STATUS.get(ended.status, 503 if ended.unanswered and not ended.refused else 0)
    return Problem(ended.code, str(ended), status=status, retry_after_ms=ended.retry_after_ms)
