"""Administrative commands that set how an instrument or an account is traded: phases, fees, limits, status."""

from typing import Final

from lockstep.engine.reference import events
from lockstep.engine.reference.events import Output
from lockstep.engine.reference.limits import SECOND_NS, Limits
from lockstep.engine.reference.mass import cancel_all
from lockstep.engine.reference.phases import change_phase
from lockstep.engine.reference.rows import COMMAND_ROW, SETTING_ROW, Row
from lockstep.engine.reference.state import State
from lockstep.stream.codes import Code
from lockstep.stream.records import MAX_PRICE_TICKS, AccountStatus, EventKind, Phase

MAX_FEE_PPM: Final = 100_000
MAX_WIDTH_PPM: Final = 10**6
MAX_DURATION_NS: Final = 2**50
MAX_MARGIN_PPM: Final = 10**7
MAX_INDEX_WEIGHT: Final = 2**30
MAX_CONCENTRATION_PPM: Final = 10**9
_BREAKER_PHASES: Final = (int(Phase.HALT), int(Phase.VOLATILITY_AUCTION))


def _refuse(out: Output, row: Row, code: Code) -> None:
    events.definition(out, row, EventKind.ADMIN_REJECTED, code=code)


def set_phase(state: State, row: Row, out: Output) -> None:
    """SET_PHASE, for one instrument or (id 0) for all: also the operator's halt and resume."""
    phase, next_phase, _, reference, until_ns = SETTING_ROW.unpack(COMMAND_ROW.pack(*row))[13:18]
    if row[10]:
        books = [state.books[row[10]]] if row[10] in state.books else []
    else:
        books = [book for _, book in sorted(state.books.items())]
    good_schedule = until_ns > out.now_ns if next_phase else not until_ns
    if not books:
        _refuse(out, row, Code.UNKNOWN_INSTRUMENT)
    elif not 1 <= phase <= 7 or next_phase > 7 or not good_schedule or not 0 <= reference <= MAX_PRICE_TICKS:
        _refuse(out, row, Code.BAD_DEFINITION)
    else:
        for book in books:
            book.reference = reference or book.reference
            change_phase(state, book, phase, next_phase, until_ns, (row[7], row[8]), out)


def set_account_status(state: State, row: Row, out: Output) -> None:
    """SET_ACCOUNT_STATUS; BANNED takes off the account's orders."""
    status = SETTING_ROW.unpack(COMMAND_ROW.pack(*row))[13]
    account = state.accounts.get(row[9])
    if account is None:
        _refuse(out, row, Code.UNKNOWN_ACCOUNT)
    elif status > max(AccountStatus):
        _refuse(out, row, Code.BAD_DEFINITION)
    else:
        previous = account.status
        account.status = status
        events.setting(out, row, EventKind.ACCOUNT_STATUS_SET, status, previous)
        if status == AccountStatus.BANNED:
            cancel_all(state, list(account.orders.values()), row, Code.ACCOUNT_BLOCKED, out)


def set_risk_limits(state: State, row: Row, out: Output) -> None:
    """SET_RISK_LIMITS: all of an account's limits at once."""
    values = row[13], row[14], row[15], row[16], row[17], row[18], row[19], row[20]
    account = state.accounts.get(row[9])
    rate, burst, concentration = row[17], row[18], row[20]
    if account is None:
        _refuse(out, row, Code.UNKNOWN_ACCOUNT)
    elif (
        min(values) < 0
        or concentration > MAX_CONCENTRATION_PPM
        or bool(rate) != bool(burst)
        or max(rate, burst) > SECOND_NS
    ):
        _refuse(out, row, Code.BAD_DEFINITION)
    else:
        if not any(values):
            account.limits = None
        elif account.limits is None:
            account.limits = Limits(values)
        else:
            account.limits.set(values)
        events.setting(out, row, EventKind.RISK_LIMITS_SET)


def set_fees(state: State, row: Row, out: Output) -> None:
    """SET_FEES: an instrument's fee rates, while it has no live orders, as these have reserved by the old ones."""
    maker_ppm, taker_ppm = row[13:15]
    book = state.books.get(row[10])
    if book is None:
        _refuse(out, row, Code.UNKNOWN_INSTRUMENT)
    elif not -taker_ppm <= maker_ppm <= MAX_FEE_PPM or not 0 <= taker_ppm <= MAX_FEE_PPM:
        # A rebate is paid from the taker's fee of the same trade.
        _refuse(out, row, Code.BAD_DEFINITION)
    elif (maker_ppm, taker_ppm) != (book.maker_fee_ppm, book.taker_fee_ppm) and next(book.live_orders(), None):
        _refuse(out, row, Code.ORDERS_LIVE)
    else:
        book.set_fees(maker_ppm, taker_ppm)
        events.setting(out, row, EventKind.FEES_SET)


def set_price_limits(state: State, row: Row, out: Output) -> None:
    """SET_PRICE_LIMITS: an instrument's band, collar and breaker."""
    band, collar, breaker, window_ns, pause_ns, phase = row[15:21]
    book = state.books.get(row[10])
    no_breaker = not (breaker or window_ns or pause_ns or phase)
    good_breaker = (
        1 <= breaker <= MAX_WIDTH_PPM
        and 1 <= window_ns <= MAX_DURATION_NS
        and 1 <= pause_ns <= MAX_DURATION_NS
        and phase in _BREAKER_PHASES
    )
    if book is None:
        _refuse(out, row, Code.UNKNOWN_INSTRUMENT)
    elif not (0 <= band <= MAX_WIDTH_PPM and 0 <= collar <= MAX_WIDTH_PPM and (no_breaker or good_breaker)):
        _refuse(out, row, Code.BAD_DEFINITION)
    else:
        book.band_ppm, book.collar_ppm, book.breaker_ppm = band, collar, breaker
        book.breaker_window_ns, book.breaker_pause_ns, book.breaker_phase = window_ns, pause_ns, phase
        book.window_start_ns = book.window_price = 0
        events.setting(out, row, EventKind.PRICE_LIMITS_SET)


def set_margin(state: State, row: Row, out: Output) -> None:
    """SET_MARGIN: an instrument's initial and maintenance margin."""
    initial, maintenance = row[13:15]
    book = state.books.get(row[10])
    if book is None:
        _refuse(out, row, Code.UNKNOWN_INSTRUMENT)
    elif not 1 <= maintenance <= initial <= MAX_MARGIN_PPM:
        _refuse(out, row, Code.BAD_DEFINITION)
    else:
        book.initial_ppm, book.maintenance_ppm = initial, maintenance
        events.setting(out, row, EventKind.MARGIN_SET)


def set_index(state: State, row: Row, out: Output) -> None:
    """SET_INDEX: an instrument's part of the index, and its previous close."""
    weight, close = row[15:17]
    book = state.books.get(row[10])
    if book is None:
        _refuse(out, row, Code.UNKNOWN_INSTRUMENT)
    elif not 0 <= weight <= MAX_INDEX_WEIGHT or not 0 <= close <= MAX_PRICE_TICKS:
        _refuse(out, row, Code.BAD_DEFINITION)
    else:
        book.index_weight = weight
        book.close = close or book.close
        events.setting(out, row, EventKind.INDEX_SET)


def set_market_breaker(state: State, row: Row, out: Output) -> None:
    """SET_MARKET_BREAKER: at which falls of the index the whole market halts or closes."""
    levels = row[17], row[18], row[19]
    pause_ns = row[20]
    wanted = [ppm for ppm in levels if ppm]
    rising = all(low < high for low, high in zip([0, *wanted], wanted, strict=False))
    good_pause = 1 <= pause_ns <= MAX_DURATION_NS if levels[0] or levels[1] else not pause_ns
    if not rising or max(levels) > MAX_WIDTH_PPM or not good_pause:
        _refuse(out, row, Code.BAD_DEFINITION)
    else:
        state.market.set(levels, pause_ns)
        events.setting(out, row, EventKind.MARKET_BREAKER_SET)
