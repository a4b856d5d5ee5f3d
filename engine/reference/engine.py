"""`ReferenceEngine`: *Order of a command*, and the queries of the contract.

For each command: stream, session, then one handler from a table by its kind. Handlers are `(state, command, out)`: they
check everything, then change the state, and say what happened through `events.py`.
"""

from collections.abc import Callable
from hashlib import blake2b
from typing import Any, Final

import numpy as np

from lockstep.engine.command_arguments import word
from lockstep.engine.contract import (
    ALL_ORDERS,
    AccountView,
    BestView,
    BookView,
    DepthView,
    InstrumentView,
    OrderView,
    QueueView,
    StreamGap,
)
from lockstep.engine.pages import AccountsPage, InstrumentsPage, OrdersPage
from lockstep.engine.reference import admin, barring, events, image, mass, pages, schedule, settings, views
from lockstep.engine.reference.cancel import cancel, gateway_refusal
from lockstep.engine.reference.endings import finish
from lockstep.engine.reference.new_order import new_order
from lockstep.engine.reference.output import Output
from lockstep.engine.reference.records import AnyCommand, read_command
from lockstep.engine.reference.replace import replace
from lockstep.engine.reference.sessions import FORGOTTEN, Outcome, Session
from lockstep.engine.reference.state import State
from lockstep.engine.snapshot_format import SnapshotError, decode_snapshot, encode_snapshot, in_this_version
from lockstep.stream.codes import Code
from lockstep.stream.content import NO_CONTENT, contents_of
from lockstep.stream.digest import DIGEST_SIZE
from lockstep.stream.records import COMMAND, EVENT, CommandKind, Commands, EventKind, Events, Side

Handler = Callable[[State, Any, Output], None]
"""The command is of the layout of its kind."""

FIRST_ADMIN: Final = 64
END_ADMIN: Final = 128
FIRST_CONTROL: Final = 192

HANDLERS: Final[dict[int, Handler]] = {
    CommandKind.NEW_ORDER: new_order,
    CommandKind.CANCEL: cancel,
    CommandKind.REPLACE: replace,
    CommandKind.MASS_CANCEL: mass.mass_cancel,
    CommandKind.REFUSED: gateway_refusal,
    CommandKind.DEFINE_INSTRUMENT: admin.define_instrument,
    CommandKind.DEFINE_ACCOUNT: admin.define_account,
    CommandKind.ADJUST_CASH: admin.adjust_cash,
    CommandKind.ADJUST_POSITION: admin.adjust_position,
    CommandKind.SET_PHASE: settings.set_phase,
    CommandKind.SET_ACCOUNT_STATUS: settings.set_account_status,
    CommandKind.SET_RISK_LIMITS: settings.set_risk_limits,
    CommandKind.SET_FEES: settings.set_fees,
    CommandKind.SET_PRICE_LIMITS: settings.set_price_limits,
    CommandKind.TRANSFER_POSITION: admin.transfer_position,
    CommandKind.SESSION_OPENED: mass.session_opened,
    CommandKind.SESSION_CLOSED: mass.session_closed,
    CommandKind.SET_MARGIN: settings.set_margin,
    CommandKind.SET_INDEX: settings.set_index,
    CommandKind.SET_MARKET_BREAKER: settings.set_market_breaker,
    CommandKind.SET_THROTTLE: settings.set_throttle,
    CommandKind.SET_BANDS: settings.set_bands,
    CommandKind.SET_BAND_WIDTH: settings.set_band_width,
    CommandKind.SET_LOTS: settings.set_lots,
    CommandKind.SET_RESTRICTIONS: barring.set_restrictions,
    CommandKind.SET_SHORT_SALES: barring.set_short_sales,
    CommandKind.EPOCH_START: admin.control,
    CommandKind.GROW: admin.control,
    CommandKind.GROW_REVOKED: admin.control,
    CommandKind.TICK: schedule.tick,
}
"""*Order of a command* 3 to 5, by kind."""


def execute(state: State, command: AnyCommand, out: Output) -> None:
    """*Order of a command* 3 to 5. A kind that this version doesn't know is refused, not guessed."""
    handler = HANDLERS.get(command.kind)
    if handler is None:
        events.refused(out, command, EventKind.REJECTED, Code.UNKNOWN_COMMAND)
    else:
        handler(state, command, out)
        finish(state, out)


class ReferenceEngine:
    """The specification of `MatchingEngine`. Not thread safe: one thread applies and queries."""

    __slots__ = ("_state",)

    def __init__(self) -> None:
        self._state = State()

    @property
    def state(self) -> State:
        """The live state, for invariant checks; nobody else changes or keeps it."""
        return self._state

    @property
    def last_seq(self) -> int:
        """Seq of the last applied command, 0 before the first."""
        return self._state.last_seq

    @property
    def last_timestamp_ns(self) -> int:
        """Stamp of the last applied batch, 0 before the first."""
        return self._state.last_timestamp_ns

    def apply(self, commands: Commands, *, first_seq: int, timestamp_ns: int) -> Events:
        """Apply one stamped batch; see `MatchingEngine.apply`. An empty batch changes nothing.

        Raises:
            StreamGap: `first_seq` is not the next, or time went backwards; nothing was applied.
            ValueError: the array does not hold 128-byte command records.
        """
        state = self._state
        if commands.dtype.itemsize != COMMAND.itemsize:
            raise ValueError(f"commands are records of {COMMAND.itemsize} bytes, not {commands.dtype.itemsize}")
        if first_seq != state.last_seq + 1:
            raise StreamGap(f"batch starts at seq {first_seq}, but {state.last_seq + 1} is next")
        if timestamp_ns < state.last_timestamp_ns:
            raise StreamGap(f"time went back from {state.last_timestamp_ns} to {timestamp_ns} ns at seq {first_seq}")
        out = Output(timestamp_ns)
        raw = commands.tobytes()
        for place, content in enumerate(contents_of(commands).tolist()):
            out.begin(first_seq + place)
            self._take(read_command(raw, place * COMMAND.itemsize), content, out)
            state.last_seq = out.seq
            state.last_timestamp_ns = timestamp_ns
        return np.frombuffer(b"".join(out.records), dtype=EVENT)

    def _take(self, command: AnyCommand, content: int, out: Output) -> None:
        """*Order of a command* 2: what the session's number says, and what follows."""
        state, session_id, number = self._state, command.session_id, command.session_no
        if command.kind >= FIRST_CONTROL or (not session_id and command.kind >= FIRST_ADMIN):
            execute(state, command, out)
            return
        session = state.sessions.get(session_id)
        last_no = session.last_no if session is not None else 0
        if not session_id or number > last_no + 1:
            _refuse_number(command, Code.SESSION_OUT_OF_ORDER, out)
        elif number <= last_no:
            outcome = session.outcome(number) if session is not None else FORGOTTEN
            _answer_used_number(outcome, command, content, out)
        else:
            if session is None:
                session = state.sessions[session_id] = Session()
            session.advance(out.seq, content)
            execute(state, command, out)

    def snapshot(self) -> bytes:
        """The whole state in the canonical format of `lockstep.engine.snapshot_format`."""
        return encode_snapshot(image.image_of(self._state))

    @classmethod
    def restore(cls, raw: bytes) -> "ReferenceEngine":
        """An engine in the state of a snapshot.

        Raises:
            SnapshotError: the bytes are not a canonical snapshot of this version or the one before.
        """
        raw = in_this_version(raw)
        engine = cls()
        engine._state = image.state_of(decode_snapshot(raw))
        # The format is canonical, so what was understood must give the same bytes again.
        if engine.snapshot() != raw:
            raise SnapshotError("the snapshot is not in canonical form; fetch it again from another replica")
        return engine

    def state_digest(self) -> bytes:
        """BLAKE2b-128 of `snapshot()`: equal states, equal digests, whichever engine."""
        return blake2b(self.snapshot(), digest_size=DIGEST_SIZE).digest()

    def session_last_no(self, session_id: int) -> int:
        """Last session number executed, 0 if none."""
        session = self._state.sessions.get(session_id)
        return session.last_no if session is not None else 0

    @property
    def fees_micros(self) -> int:
        """All fees that were paid, in micros."""
        return self._state.fees

    def order(self, order_id: int) -> OrderView | None:
        """A live order by its exchange id."""
        order = self._state.orders.get(order_id)
        return views.order_view(order) if order is not None else None

    def order_by_client_id(self, account: int, client_order_id: int) -> OrderView | None:
        """A live order by the id that its account gave it."""
        owner = self._state.accounts.get(account)
        order = owner.by_client_id.get(client_order_id) if owner is not None else None
        return views.order_view(order) if order is not None else None

    def open_orders(self, account: int) -> tuple[OrderView, ...]:
        """Live orders of an account in order of exchange id; none for an unknown account."""
        owner = self._state.accounts.get(account)
        return views.order_views(owner) if owner is not None else ()

    def account(self, account: int) -> AccountView | None:
        """An account's balances."""
        owner = self._state.accounts.get(account)
        return views.account_view(owner) if owner is not None else None

    def accounts(self) -> tuple[AccountView, ...]:
        """All accounts in order of id."""
        return tuple(views.account_view(account) for _, account in sorted(self._state.accounts.items()))

    def instruments(self) -> tuple[InstrumentView, ...]:
        """All instruments in order of id."""
        return tuple(views.instrument_view(book) for _, book in sorted(self._state.books.items()))

    def orders_page(self, account: int, after: int, limit: int) -> OrdersPage:
        """See `MatchingEngine.orders_page`."""
        return pages.orders_page(self._state, account, after, limit)

    def all_orders_page(self, after: tuple[int, int], limit: int) -> OrdersPage:
        """See `MatchingEngine.all_orders_page`."""
        return pages.all_orders_page(self._state, after, limit)

    def accounts_page(self, after: int, limit: int) -> AccountsPage:
        """See `MatchingEngine.accounts_page`."""
        return pages.accounts_page(self._state, after, limit)

    def instruments_page(self, after: int, limit: int) -> InstrumentsPage:
        """See `MatchingEngine.instruments_page`."""
        return pages.instruments_page(self._state, after, limit)

    def book(self, instrument: int, depth: int) -> BookView | None:
        """The best `depth` levels of both sides; None for an unknown instrument."""
        book = self._state.books.get(instrument)
        return views.book_view(book, depth) if book is not None else None

    def best(self, instrument: int) -> BestView | None:
        """Best bid and offer as they are displayed; None for an unknown instrument."""
        book = self._state.books.get(instrument)
        return views.best_view(book) if book is not None else None

    def depth(self, instrument: int, levels: int) -> DepthView | None:
        """The best `levels` levels of both sides with what is hidden there; None for an unknown instrument."""
        book = self._state.books.get(instrument)
        return views.depth_view(book, levels) if book is not None else None

    def queue(self, instrument: int, side: Side | str, price_ticks: int, limit: int = ALL_ORDERS) -> QueueView | None:
        """See `MatchingEngine.queue`."""
        of_side = word(Side, "side", side)
        book = self._state.books.get(instrument)
        return views.queue_view(book, of_side, price_ticks, limit) if book is not None else None


def _answer_used_number(outcome: Outcome, command: AnyCommand, content: int, out: Output) -> None:
    """*Order of a command* 2, "Used numbers"."""
    if content != outcome.content and NO_CONTENT not in (content, outcome.content):
        _refuse_number(command, Code.KEY_REUSED, out)
    else:
        events.duplicate(out, command, outcome_seq=outcome.seq)


def _refuse_number(command: AnyCommand, code: Code, out: Output) -> None:
    """The refusal of a command for its number, in the shape of its own refusals; the session stays as it is."""
    if FIRST_ADMIN <= command.kind < END_ADMIN:
        events.admin_refused(out, command, code)
    elif command.kind == CommandKind.CANCEL:
        events.refused(out, command, EventKind.CANCEL_REJECTED, code)
    elif command.kind == CommandKind.REPLACE:
        events.refused(out, command, EventKind.REPLACE_REJECTED, code)
    else:
        events.refused(out, command, EventKind.REJECTED, code)
