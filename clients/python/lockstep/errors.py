"""What can go wrong, as exceptions whose text names the thing, the code and the remedy."""

from typing import TYPE_CHECKING

from lockstep.codes import code_name
from lockstep.enums import Code

if TYPE_CHECKING:
    from lockstep.values import Report

_REMEDIES: dict[int, str] = {
    Code.NOT_ENTITLED: "use an account that this client's token is entitled to, or ask for the entitlement",
    Code.UNAUTHENTICATED: "pass the token of a configured client: Client(..., token=...)",
    Code.SESSION_TAKEN_OVER: "another connection opened the same session id; open a session of your own",
    Code.REPORTS_GONE: "ask for the orders and accounts as they are now, reconcile, and open a new session",
    Code.BATCH_TOO_LARGE: "send fewer rows in one batch",
    Code.UNKNOWN_ACCOUNT: "define the account first, or correct its number",
    Code.UNKNOWN_INSTRUMENT: "define the instrument first, or correct its id",
    Code.INSUFFICIENT_CASH: "lower price or quantity, cancel other buy orders, or pay in cash",
    Code.INSUFFICIENT_POSITION: "lower the quantity, cancel other sell orders, or deliver shares first",
    Code.ACCOUNT_CLOSE_ONLY: "the account may only lessen its positions: lower the quantity, or have its status set",
    Code.ACCOUNT_RESTRICTED: "the account may only cancel until an administrator sets its status",
    Code.ACCOUNT_BANNED: "the account may not trade until an administrator sets its status",
    Code.ACCOUNT_KILLED: "the kill switch was used: the account may only cancel until an administrator sets its status",
    Code.ORDER_TOO_LARGE: "lower the quantity to the account's max_order_lots, or have the limit raised",
    Code.ORDER_WORTH_TOO_MUCH: "lower price or quantity to the account's max_order_micros, or have the limit raised",
    Code.POSITION_LIMIT: "cancel other orders of that side or lower the quantity: max_position_lots would be exceeded",
    Code.DAILY_ORDER_LIMIT: "the account has entered its max_orders_per_day; wait for the next day (UTC)",
    Code.ORDER_RATE: "send slower: at most orders_per_second, burst_orders at once",
    Code.ORDER_TO_TRADE_RATIO: "the account enters too many orders for its trades (max_orders_per_trade)",
    Code.INSTRUMENT_THROTTLED: "too many orders for this instrument just now: send it again later, as a new command",
    Code.MARKET_THROTTLED: "too many orders for the market just now: send it again later, as a new command",
    Code.PRICE_COLLAR: "the price is too far from the last one; correct it",
    Code.BAD_PRICE: "a limit price must be a positive number of ticks; stop and trailing stop orders have none",
    Code.BAD_QUANTITY: "the quantity must be 1 to 2147483647 lots",
    Code.WOULD_TRADE: "a post-only order must not cross the best opposite price; move it away, or drop post_only",
    Code.BAD_EXPIRY: "expire_ns must be later than now (nanoseconds since 1970)",
    Code.WRONG_PHASE: "the instrument does not take such orders in its present phase",
    Code.OUTSIDE_BAND: "the price is outside the band around the reference price; move it inside",
    Code.ORDERS_LIVE: "fees can't change while orders are live: cancel them first (mass cancel of the instrument)",
    Code.BAD_STOP_PRICE: "give a positive stop price, an OCO one beyond its limit; a bare trailing stop needs a trade",
    Code.BAD_DISPLAY: "display_lots must be at least a thousandth of the quantity, and no more than it",
    Code.BAD_MINIMUM: "min_lots must be 0 to the quantity",
    Code.BAD_DEFINITION: "a value is out of its range; see Administration in docs/engine.md",
    Code.ALREADY_DEFINED: "the id or name is taken with other values; use another",
    Code.DUPLICATE_ORDER_ID: "use a client order id that no live order of the account has",
    Code.INSTRUMENT_RESTRICTED: "the instrument is on a restricted list, for the account or for all",
    Code.OWNERSHIP_LIMIT: "buy less: the account may hold no larger share of all that there is",
    Code.NOT_LOCATED: "have shares located, or sell no more than the account has",
    Code.SHORT_SALE_PRICE: "short sales are restricted: give a price above the best bid",
    Code.ODD_LOT: "the instrument takes whole round lots only: give a multiple of one",
    Code.TOO_MANY_CHILDREN: "too many orders of the account wait for another one: cancel some first",
    Code.BAD_PARENT: "name a live order of the account, of this instrument, that waits for none and has few children",
    Code.UNKNOWN_ORDER: "the order is filled, canceled or another account's",
    Code.NOT_SUPPORTED: "these terms can't stand together (see New order in docs/engine.md), or the order waits",
    Code.KEY_REUSED: "the key stands for another command, sent before; give this one a number of its own",
    Code.SESSION_CLOSED: "the session was closed because its client was gone; open it with cancel on disconnect again",
    Code.SESSION_OUT_OF_ORDER: "open a new session: this one's numbering is not the cluster's",
    Code.BUSY: "send less at once, or try again later",
    Code.UNAVAILABLE: "the cluster has no leader just now; try again",
}


def remedy_of(code: int) -> str:
    """What to do about a refusal, in a sentence; empty: nothing general can be said."""
    return _REMEDIES.get(code, "")


class LockstepError(Exception):
    """Base of everything that this package raises on purpose (besides ValueError and TypeError for bad arguments)."""


class Refused(LockstepError):
    """The cluster refused a command or a call, and will refuse it again.

    Attributes:
        code: why; the numeric range names the stage that refused (see `lockstep.Code`).
        text: the same in words.
        report: the report that says so, if the refusal is part of the history (engine and risk refusals are).
    """

    def __init__(self, code: int, text: str = "", report: "Report | None" = None) -> None:
        self.code = code
        self.text = text
        self.report = report
        remedy = remedy_of(code)
        parts = [f"{code_name(code)} ({code})"]
        if text:
            parts.append(text)
        if remedy:
            parts.append(f"remedy: {remedy}")
        super().__init__("; ".join(parts))


class Unavailable(LockstepError):
    """No gateway answered in the time given.

    Whether the command was executed is not known, unless the text says so: ask for the order, or look at the session's
    reports.
    """


class SessionEnded(LockstepError):
    """The session was closed, or failed before; the text says which, and `__cause__` holds the reason."""


class SubscriptionEnded(LockstepError):
    """The subscription was closed, or failed before; the text says which, and `__cause__` holds the reason."""


class CalledFromCallback(LockstepError, RuntimeError):
    """A call that waits was made in the event loop's own thread, where it would wait for itself for ever.

    That is where `on_report` and `on_batch` run. The text says what to do instead.
    """


class CalledAfterFork(LockstepError, RuntimeError):
    """A client, session, subscription or handle was used in a process that was forked from its own.

    The threads and connections behind it stayed in the parent. The text says what to do instead.
    """


class SessionFull(LockstepError):
    """The bound on unanswered commands is reached, and the session was opened with `on_full="raise"`."""


class ReportsNotKept(LockstepError):
    """Reports were asked for that nobody had asked for in time; see `AsyncClient.session`."""


class ProtocolFault(LockstepError):
    """A peer sent what the protocol does not allow; the text says what. The client closes the connection."""
