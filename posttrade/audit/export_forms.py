"""Steps of orders in the shape of regulators' forms: order records like RTS 24's, transactions like RTS 22's, events
like those of the Consolidated Audit Trail. Pure.

Each form is a table of fields: its number and name, where it comes from, and how. docs/audit-exports.md shows the same
table. A field without a source is one that the exchange does not know; it stays empty, for whoever does to fill in.
The same trail gives the same bytes.
"""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from lockstep.posttrade.audit.order_steps import ENDED_BY_MEMBER, ENDED_BY_TIME, Order, Step
from lockstep.posttrade.audit.records import stamp_text

FORMATS: Final = ("rts24", "rts22", "cat")


@dataclass(frozen=True, slots=True)
class Venue:
    """What the trail does not say of the exchange itself."""

    mic: str = ""
    """Its market identifier code (ISO 10383)."""
    currency: str = ""
    """ISO 4217."""


Getter = Callable[[Step], object]
Field = tuple[int, str, str, Getter | str | None]
"""Number, name, where it comes from (empty: not known here), how: a text is the same of all steps."""

_VALIDITY: Final = {"DAY": "DAVY", "GTC": "GTCV", "GTD": "GTSV", "IOC": "IOCV", "FOK": "FOKV"}


def _event(step: Step) -> str:
    match step.what:
        case "NEW":
            return "NEWO"
        case "REFUSED":
            return "REMO"
        case "REPLACED":
            return "REME"
        case "REDUCED":
            return "REMA"
        case "TRIGGERED":
            return "TRIG"
        case "TRADED":
            return "PARF" if step.order.remaining else "FILL"
    if step.what in ENDED_BY_TIME:
        return "EXPI"
    return "CAME" if step.what in ENDED_BY_MEMBER else "CAMO"


def _status(step: Step) -> str:
    if not step.order.remaining:
        return ""
    return "INAC" if step.order.waits else "ACTI"


def _displayed(order: Order) -> int:
    if order.hidden or order.waits:
        return 0
    return min(order.display, order.remaining) if order.display else order.remaining


def _truth(value: bool) -> str:
    return "true" if value else "false"


def _side(step: Step) -> str:
    return {"BUY": "BUYI", "SELL": "SELL"}.get(step.order.side, "")


def _expiry(order: Order) -> str:
    return stamp_text(int(order.expire)) if order.expire else ""


RTS24: Final[tuple[Field, ...]] = (
    (1, "entity which submitted the order", "number of the client whose session it was", lambda s: s.order.member),
    (2, "direct electronic access", "", None),
    (3, "client identification code", "account number", lambda s: s.order.account),
    (4, "investment decision within firm", "", None),
    (5, "execution within firm", "", None),
    (6, "non-executing broker", "", None),
    (7, "trading capacity", "", None),
    (8, "liquidity provision activity", "", None),
    (9, "date and time", "stamped time", lambda s: s.time),
    (10, "validity period", "time in force: DAVY, GTCV, GTSV, IOCV, FOKV; of an auction OTHR",
     lambda s: _VALIDITY.get(s.order.tif, "OTHR" if s.order.tif else "")),
    (11, "order restriction", "VFAR for AT_OPEN, AT_CLOSE and GOOD_FOR_AUCTION",
     lambda s: "VFAR" if s.order.tif in ("AT_OPEN", "AT_CLOSE", "GOOD_FOR_AUCTION") else ""),
    (12, "validity period and time", "expiry of a GTD", lambda s: _expiry(s.order)),
    (13, "priority time stamp", "when it came to its place in the queue", lambda s: s.order.priority),
    (14, "priority size", "", None),
    (15, "sequence number", "seq * 1 000 000 + index of the event", lambda s: s.number),
    (16, "segment MIC code", "--mic", "{mic}"),
    (17, "order book code", "instrument number", lambda s: s.order.instrument or ""),
    (18, "financial instrument identification code", "symbol", lambda s: s.order.symbol),
    (19, "date of receipt", "date of the order's first record", lambda s: s.order.received[:10]),
    (20, "order identification code", "exchange order id", lambda s: s.order.order_id),
    (21, "event", "NEWO, REMO, REME, REMA (self-trade prevention), TRIG, PARF, FILL, CAME, CAMO, EXPI", _event),
    (22, "order type", "the exchange's name of it", lambda s: s.order.order_type),
    (23, "order type classification", "STOP while it waits for its stop price, else LMTO",
     lambda s: "STOP" if s.order.waits and s.order.stop_price else "LMTO" if s.order.order_type else ""),
    (24, "limit price", "price", lambda s: s.order.price),
    (25, "additional limit price", "", None),
    (26, "stop price", "stop price", lambda s: s.order.stop_price),
    (27, "pegged limit price", "", None),
    (28, "transaction price", "price of the trade", lambda s: s.price),
    (29, "price currency", "--currency", "{currency}"),
    (30, "currency of leg 2", "", None),
    (31, "price notation", "always MONE: amounts of the currency", "MONE"),
    (32, "buy-sell indicator", "side", _side),
    (33, "order status", "INAC while it waits, ACTI while it can trade, else empty", _status),
    (34, "quantity notation", "always UNIT", "UNIT"),
    (35, "quantity currency", "", None),
    (36, "initial quantity", "of its first record", lambda s: s.order.initial),
    (37, "remaining quantity including hidden", "open behind the event", lambda s: s.order.remaining),
    (38, "displayed quantity", "peak of an iceberg at the most, 0 of a hidden or waiting order",
     lambda s: _displayed(s.order)),
    (39, "traded quantity", "of the trade", lambda s: s.traded or ""),
    (40, "minimum acceptable quantity", "minimum on entry", lambda s: s.order.minimum or ""),
    (41, "minimum executable size", "", None),
    (42, "MES first execution only", "", None),
    (43, "passive only indicator", "POST_ONLY", lambda s: _truth(s.order.post_only)),
    (44, "passive or aggressive indicator", "of a trade: AGRE came, PASV stood; of an auction empty",
     lambda s: "" if s.taker is None else "AGRE" if s.taker else "PASV"),
    (45, "self-execution prevention", "self-trade prevention", lambda s: _truth(s.order.self_trade_prevention)),
    (46, "strategy linked order identification", "", None),
    (47, "routing strategy", "", None),
    (48, "trading venue transaction identification code", "id of the trade's record, without dashes",
     lambda s: s.trade_id),
    (49, "trading phases", "phase of the instrument", lambda s: s.phase),
    (50, "indicative auction price", "", None),
    (51, "indicative auction volume", "", None),
)  # fmt: skip


def _party(side: str) -> Getter:
    return lambda step: step.order.account if step.order.side == side else ""


RTS22: Final[tuple[Field, ...]] = (
    (1, "report status", "always NEWT: no trade is taken back", "NEWT"),
    (2, "transaction reference number", "transaction identification code, and B or S",
     lambda s: s.trade_id + s.order.side[:1]),
    (3, "trading venue transaction identification code", "id of the trade's record, without dashes",
     lambda s: s.trade_id),
    (4, "executing entity", "number of the client whose session it was", lambda s: s.order.member),
    (5, "investment firm covered by directive", "", None),
    (6, "submitting entity", "", None),
    (7, "buyer", "account number, on the buyer's report", _party("BUY")),
    *((number, name, "", None) for number, name in enumerate((
        "buyer branch", "buyer first names", "buyer surnames", "buyer date of birth", "buyer decision maker",
        "buyer decision maker first names", "buyer decision maker surnames", "buyer decision maker date of birth",
    ), 8)),
    (16, "seller", "account number, on the seller's report", _party("SELL")),
    *((number, name, "", None) for number, name in enumerate((
        "seller branch", "seller first names", "seller surnames", "seller date of birth", "seller decision maker",
        "seller decision maker first names", "seller decision maker surnames", "seller decision maker date of birth",
        "transmission of order", "transmitting firm for the buyer", "transmitting firm for the seller",
    ), 17)),
    (28, "trading date time", "stamped time", lambda s: s.time),
    (29, "trading capacity", "", None),
    (30, "quantity", "of the trade", lambda s: s.traded),
    (31, "quantity currency", "", None),
    (32, "derivative notional increase or decrease", "", None),
    (33, "price", "of the trade", lambda s: s.price),
    (34, "price currency", "--currency", "{currency}"),
    (35, "net amount", "", None),
    (36, "venue", "--mic", "{mic}"),
    *((number, name, "", None) for number, name in enumerate((
        "country of branch membership", "up-front payment", "up-front payment currency", "complex trade component",
    ), 37)),
    (41, "instrument identification code", "symbol", lambda s: s.order.symbol),
    *((number, name, "", None) for number, name in enumerate((
        "instrument full name", "instrument classification", "notional currency 1", "notional currency 2",
        "price multiplier", "underlying instrument", "underlying index", "term of the underlying index", "option type",
        "strike price", "strike price currency", "option exercise style", "maturity date", "expiry date",
        "delivery type", "investment decision within firm", "country of the decision's branch",
        "execution within firm", "country of the execution's branch", "waiver", "short selling", "OTC post-trade",
        "commodity derivative",
    ), 42)),
    (65, "securities financing transaction", "always false", "false"),
)  # fmt: skip


def _cat_type(step: Step) -> str:
    return {
        "NEW": "ORDER_ACCEPTED", "REFUSED": "ORDER_REJECTED", "REPLACED": "ORDER_MODIFIED", "REDUCED": "ORDER_MODIFIED",
        "TRIGGERED": "ORDER_TRIGGERED", "TRADED": "ORDER_TRADE",
    }.get(step.what, "ORDER_CANCELED")  # fmt: skip


def _reason(step: Step) -> object:
    return step.record.get("code") if step.what == "REFUSED" or _cat_type(step) == "ORDER_CANCELED" else None


CAT: Final[tuple[Field, ...]] = (
    (1, "type", "ORDER_ACCEPTED, _REJECTED, _MODIFIED, _TRIGGERED, _TRADE, _CANCELED", _cat_type),
    (2, "sequenceNumber", "seq * 1 000 000 + index of the event", lambda s: s.number),
    (3, "eventTimestamp", "stamped time", lambda s: s.time),
    (4, "exchange", "--mic", "{mic}"),
    (5, "symbol", "symbol", lambda s: s.order.symbol),
    (6, "orderID", "exchange order id", lambda s: s.order.order_id),
    (7, "member", "number of the client whose session it was", lambda s: s.order.member),
    (8, "account", "account number", lambda s: s.order.account),
    (9, "clientOrderID", "the client's name of it", lambda s: s.order.client_order_id),
    (10, "side", "side", lambda s: s.order.side),
    (11, "orderType", "the exchange's name of it", lambda s: s.order.order_type),
    (12, "timeInForce", "time in force", lambda s: s.order.tif),
    (13, "price", "limit price", lambda s: s.order.price),
    (14, "stopPrice", "stop price", lambda s: s.order.stop_price),
    (15, "displayQuantity", "as in RTS 24, 38", lambda s: _displayed(s.order)),
    (16, "leavesQuantity", "open behind the event", lambda s: s.order.remaining),
    (17, "quantity", "of its first record", lambda s: s.order.initial),
    (18, "cancelQuantity", "taken off by the event", lambda s: s.taken_off or None),
    (19, "tradeID", "id of the trade's record, without dashes", lambda s: s.trade_id),
    (20, "tradeQuantity", "of the trade", lambda s: s.traded or None),
    (21, "tradePrice", "of the trade", lambda s: s.price),
    (22, "liquidity", "of a trade: ADDED or REMOVED; of an auction left out",
     lambda s: None if s.taker is None else "REMOVED" if s.taker else "ADDED"),
    (23, "reason", "why it was refused or ended", _reason),
)  # fmt: skip

FIELDS: Final = {"rts24": RTS24, "rts22": RTS22, "cat": CAT}


def lines_of(form: str, steps: Iterable[Step], venue: Venue) -> Iterator[str]:
    """A form's text, in parts. RTS forms are CSV with a head; CAT-like events are JSON, one a line, without what is
    not known."""
    fields = [
        (number, name, get.format(mic=venue.mic, currency=venue.currency) if isinstance(get, str) else get or "")
        for number, name, _, get in FIELDS[form]
    ]
    if form == "cat":
        for step in steps:
            values = {name: get if isinstance(get, str) else get(step) for _, name, get in fields}
            kept = {name: value for name, value in values.items() if value not in ("", None)}
            yield json.dumps(kept, separators=(",", ":")) + "\n"
        return
    yield _row([f"{number} {name}" for number, name, _ in fields])
    for step in steps:
        if form == "rts22" and not step.traded:
            continue
        yield _row([get if isinstance(get, str) else get(step) for _, _, get in fields])


def _row(cells: list[Any]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(cells)
    return out.getvalue()
