"""What can go wrong, as exceptions whose text names the thing, the code and the remedy."""

from typing import TYPE_CHECKING

from lockstep.enums import Code, code_name

if TYPE_CHECKING:
    from lockstep.values import Report

_REMEDIES = {
    Code.NOT_ENTITLED: "use an account that this client's token is entitled to, or ask for the entitlement",
    Code.UNAUTHENTICATED: "pass the token of a configured client: Client(..., token=...)",
    Code.SESSION_TAKEN_OVER: "another connection opened the same session id; open a session of your own",
    Code.BATCH_TOO_LARGE: "send fewer rows in one batch",
    Code.UNKNOWN_ACCOUNT: "define the account first, or correct its number",
    Code.UNKNOWN_INSTRUMENT: "define the instrument first, or correct its id",
    Code.INSUFFICIENT_CASH: "lower price or quantity, cancel other buy orders, or pay in cash",
    Code.INSUFFICIENT_POSITION: "lower the quantity, cancel other sell orders, or deliver shares first",
    Code.BAD_PRICE: "a limit price must be a positive number of ticks, a market order has none",
    Code.BAD_QUANTITY: "the quantity must be 1 to 2147483647 lots",
    Code.DUPLICATE_ORDER_ID: "use a client order id that no live order of the account has",
    Code.UNKNOWN_ORDER: "the order is filled, canceled or another account's",
    Code.NOT_SUPPORTED: "this version of the engine does not have that order type or option",
    Code.SESSION_OUT_OF_ORDER: "open a new session: this one's numbering is not the cluster's",
    Code.BUSY: "send less at once, or try again later",
    Code.UNAVAILABLE: "the cluster has no leader just now; try again",
}


class LockstepError(Exception):
    """Base of everything that this package raises on purpose (besides ValueError and TypeError for bad arguments)."""


class Refused(LockstepError):
    """The cluster refused a command or a call, and will refuse it again.

    Attributes:
        code: why; the numeric range tells the stage that refused (see `lockstep.Code`).
        text: the same in words.
        report: the report that told so, if the refusal is part of the history (engine and risk refusals are).
    """

    def __init__(self, code: int, text: str = "", report: "Report | None" = None) -> None:
        self.code = code
        self.text = text
        self.report = report
        remedy = _REMEDIES.get(Code(code)) if code in Code else None
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


class SessionFull(LockstepError):
    """The bound on unanswered commands is reached, and the session was opened with `on_full="raise"`."""


class ReportsNotKept(LockstepError):
    """Reports were asked for that nobody had asked for in time; see `AsyncClient.session`."""


class ProtocolFault(LockstepError):
    """A peer sent what the protocol does not allow; the text says what. The connection is given up."""
