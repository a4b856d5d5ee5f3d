"""*Administration*: how an instrument or an account is traded; phases, status, limits, fees, margin, breakers."""

from typing import Final

from lockstep.engine.reference import events
from lockstep.engine.reference.bands import NO_TERMS, Bands, BandTerms
from lockstep.engine.reference.book import Book
from lockstep.engine.reference.events import admin_refused, asker_of
from lockstep.engine.reference.limit_state import move, open_bands, say_where
from lockstep.engine.reference.limits import NO_LIMITS, SECOND_NS, Limits, LimitValues
from lockstep.engine.reference.lots import NO_LOTS, Lots, Tier, round_lots_at
from lockstep.engine.reference.mass import cancel_all
from lockstep.engine.reference.output import Output
from lockstep.engine.reference.phases import Change
from lockstep.engine.reference.records import (
    BandCommand,
    LimitCommand,
    LotCommand,
    MarketCommand,
    RuleCommand,
    SettingCommand,
    ThrottleCommand,
)
from lockstep.engine.reference.schedule import change_phase
from lockstep.engine.reference.state import State
from lockstep.engine.reference.words import BANNED, CONTINUOUS, HALT, VOLATILITY_AUCTION
from lockstep.stream.codes import Code
from lockstep.stream.records import (
    MAX_PRICE_TICKS,
    MAX_QUANTITY_LOTS,
    AccountStatus,
    EventKind,
    OddLotDisplay,
    OddLots,
    Phase,
)

MAX_FEE_PPM: Final = 100_000
MAX_WIDTH_PPM: Final = 10**6
MAX_DURATION_NS: Final = 2**50
MAX_MARGIN_PPM: Final = 10**7
MAX_INDEX_WEIGHT: Final = 2**30
MAX_CONCENTRATION_PPM: Final = 10**9


def set_phase(state: State, command: SettingCommand, out: Output) -> None:
    """SET_PHASE, for one instrument or (id 0) for all by id: also the operator's halt and resume."""
    books = [book for number, book in state.books.items() if command.instrument in (0, number)]
    if not books:
        admin_refused(out, command, Code.UNKNOWN_INSTRUMENT)
    elif not _is_phase_change(command, out.now_ns):
        admin_refused(out, command, Code.BAD_DEFINITION)
    else:
        change = Change(command.value, command.next_value, command.until_ns)
        for book in books:
            book.reference = command.reference_price_ticks or book.reference
            change_phase(state, book, change, asker_of(command), out)


def _is_phase_change(command: SettingCommand, now_ns: int) -> bool:
    good_end = command.until_ns > now_ns if command.next_value else not command.until_ns
    return (
        1 <= command.value <= max(Phase)
        and command.next_value <= max(Phase)
        and good_end
        and 0 <= command.reference_price_ticks <= MAX_PRICE_TICKS
    )


def set_account_status(state: State, command: SettingCommand, out: Output) -> None:
    """SET_ACCOUNT_STATUS; BANNED takes off the account's orders."""
    account = state.accounts.get(command.account)
    if account is None:
        admin_refused(out, command, Code.UNKNOWN_ACCOUNT)
    elif command.value > max(AccountStatus):
        admin_refused(out, command, Code.BAD_DEFINITION)
    else:
        previous, account.status = account.status, command.value
        events.setting(out, command, EventKind.ACCOUNT_STATUS_SET, value=account.status, previous=previous)
        if account.status == BANNED:
            cancel_all(state, account.orders.values(), asker_of(command), Code.ACCOUNT_BLOCKED, out)


def set_risk_limits(state: State, command: LimitCommand, out: Output) -> None:
    """SET_RISK_LIMITS: all of an account's limits at once. Counters exist while any limit is set."""
    values = LimitValues(
        max_order_lots=command.max_order_lots,
        max_order_micros=command.max_order_micros,
        max_position_lots=command.max_position_lots,
        max_orders_per_day=command.max_orders_per_day,
        orders_per_second=command.orders_per_second,
        burst_orders=command.burst_orders,
        max_orders_per_trade=command.max_orders_per_trade,
        max_concentration_ppm=command.max_concentration_ppm,
    )
    account = state.accounts.get(command.account)
    if account is None:
        admin_refused(out, command, Code.UNKNOWN_ACCOUNT)
        return
    if not _are_limits(values):
        admin_refused(out, command, Code.BAD_DEFINITION)
        return
    if values == NO_LIMITS:
        account.limits = None
    elif account.limits is None:
        account.limits = Limits(values)
    else:
        account.limits.values = values
    events.setting(out, command, EventKind.RISK_LIMITS_SET)


def _are_limits(values: LimitValues) -> bool:
    rate, burst = values.orders_per_second, values.burst_orders
    return (
        min(values) >= 0
        and (rate > 0) == (burst > 0)
        and max(rate, burst) <= SECOND_NS
        and values.max_concentration_ppm <= MAX_CONCENTRATION_PPM
    )


def set_fees(state: State, command: RuleCommand, out: Output) -> None:
    """SET_FEES: an instrument's fee rates, while it has no live orders, as these have reserved by the old ones."""
    maker_ppm, taker_ppm = command.maker_fee_ppm, command.taker_fee_ppm
    book = state.books.get(command.instrument)
    if book is None:
        admin_refused(out, command, Code.UNKNOWN_INSTRUMENT)
    elif not -taker_ppm <= maker_ppm <= MAX_FEE_PPM or not 0 <= taker_ppm <= MAX_FEE_PPM:
        # A rebate is paid from the taker's fee of the same trade.
        admin_refused(out, command, Code.BAD_DEFINITION)
    elif (maker_ppm, taker_ppm) != (book.maker_fee_ppm, book.taker_fee_ppm) and _has_live_orders(book):
        admin_refused(out, command, Code.ORDERS_LIVE)
    else:
        book.maker_fee_ppm, book.taker_fee_ppm = maker_ppm, taker_ppm
        events.setting(out, command, EventKind.FEES_SET)


def _has_live_orders(book: Book) -> bool:
    return next(book.live_orders(), None) is not None


def set_price_limits(state: State, command: RuleCommand, out: Output) -> None:
    """SET_PRICE_LIMITS: an instrument's band, collar and breaker, whose span begins anew."""
    book = state.books.get(command.instrument)
    if book is None:
        admin_refused(out, command, Code.UNKNOWN_INSTRUMENT)
    elif not _are_price_limits(command):
        admin_refused(out, command, Code.BAD_DEFINITION)
    else:
        book.band_ppm = command.band_ppm
        book.collar_ppm = command.collar_ppm
        book.breaker_ppm = command.breaker_ppm
        book.breaker_window_ns = command.breaker_window_ns
        book.breaker_pause_ns = command.breaker_pause_ns
        book.breaker_phase = command.breaker_phase
        book.begin_span()
        events.setting(out, command, EventKind.PRICE_LIMITS_SET)


def _are_price_limits(command: RuleCommand) -> bool:
    no_breaker = not (
        command.breaker_ppm or command.breaker_window_ns or command.breaker_pause_ns or command.breaker_phase
    )
    good_breaker = (
        1 <= command.breaker_ppm <= MAX_WIDTH_PPM
        and 1 <= command.breaker_window_ns <= MAX_DURATION_NS
        and 1 <= command.breaker_pause_ns <= MAX_DURATION_NS
        and command.breaker_phase in (HALT, VOLATILITY_AUCTION)
    )
    return (
        0 <= command.band_ppm <= MAX_WIDTH_PPM
        and 0 <= command.collar_ppm <= MAX_WIDTH_PPM
        and (no_breaker or good_breaker)
    )


def set_margin(state: State, command: MarketCommand, out: Output) -> None:
    """SET_MARGIN: an instrument's initial and maintenance margin."""
    book = state.books.get(command.instrument)
    if book is None:
        admin_refused(out, command, Code.UNKNOWN_INSTRUMENT)
    elif not 1 <= command.maintenance_margin_ppm <= command.initial_margin_ppm <= MAX_MARGIN_PPM:
        admin_refused(out, command, Code.BAD_DEFINITION)
    else:
        book.initial_ppm, book.maintenance_ppm = command.initial_margin_ppm, command.maintenance_margin_ppm
        events.setting(out, command, EventKind.MARGIN_SET)


def set_index(state: State, command: MarketCommand, out: Output) -> None:
    """SET_INDEX: an instrument's part of the index, and its previous close."""
    weight, close = command.index_weight, command.close_price_ticks
    book = state.books.get(command.instrument)
    if book is None:
        admin_refused(out, command, Code.UNKNOWN_INSTRUMENT)
    elif not 0 <= weight <= MAX_INDEX_WEIGHT or not 0 <= close <= MAX_PRICE_TICKS:
        admin_refused(out, command, Code.BAD_DEFINITION)
    else:
        book.index_weight = weight
        book.close = close or book.close
        events.setting(out, command, EventKind.INDEX_SET)


def set_market_breaker(state: State, command: MarketCommand, out: Output) -> None:
    """SET_MARKET_BREAKER: at which falls of the index the whole market halts or closes."""
    levels = command.level1_ppm, command.level2_ppm, command.level3_ppm
    wanted = [ppm for ppm in levels if ppm]
    rising = all(low < high for low, high in zip([0, *wanted], wanted, strict=False))
    halts = command.level1_ppm or command.level2_ppm
    good_pause = 1 <= command.pause_ns <= MAX_DURATION_NS if halts else not command.pause_ns
    if not rising or max(levels) > MAX_WIDTH_PPM or not good_pause:
        admin_refused(out, command, Code.BAD_DEFINITION)
    else:
        state.market.set(levels, command.pause_ns)
        events.setting(out, command, EventKind.MARKET_BREAKER_SET)


def set_throttle(state: State, command: ThrottleCommand, out: Output) -> None:
    """SET_THROTTLE: how many orders an instrument, or (id 0) the market, takes in a second."""
    rate, burst = command.orders_per_second, command.burst_orders
    book = state.books.get(command.instrument)
    if book is None and command.instrument:
        admin_refused(out, command, Code.UNKNOWN_INSTRUMENT)
    elif not 0 <= rate <= SECOND_NS or not 0 <= burst <= SECOND_NS or (rate > 0) != (burst > 0):
        admin_refused(out, command, Code.BAD_DEFINITION)
    else:
        throttle = state.market.throttle if book is None else book.throttle
        throttle.set(rate, burst)
        events.setting(out, command, EventKind.THROTTLE_SET)


def set_bands(state: State, command: BandCommand, out: Output) -> None:
    """SET_BANDS: an instrument's limit up and limit down, anew; all terms 0: none."""
    terms = BandTerms(*(getattr(command, name) for name in BandTerms._fields))
    book = state.books.get(command.instrument)
    if book is None:
        admin_refused(out, command, Code.UNKNOWN_INSTRUMENT)
    elif terms != NO_TERMS and not _are_bands(terms):
        admin_refused(out, command, Code.BAD_DEFINITION)
    else:
        book.bands = None if terms == NO_TERMS else Bands(terms)
        events.setting(out, command, EventKind.BANDS_SET, value=int(book.bands is not None))
        if book.phase == CONTINUOUS:
            open_bands(state, book, 0, out)
        state.touch(book)


def _are_bands(terms: BandTerms) -> bool:
    rates = terms.high_ppm, terms.middle_ppm, terms.low_ppm, terms.step_ppm
    times = terms.window_ns, terms.limit_ns, terms.pause_ns
    return (
        min(rates) >= 1
        and max(rates) <= MAX_WIDTH_PPM
        and min(times) >= 1
        and max(times) <= MAX_DURATION_NS
        and 0 <= terms.low_below_ticks <= terms.high_above_ticks <= MAX_PRICE_TICKS
        and 0 <= terms.low_most_ticks <= MAX_PRICE_TICKS
    )


def set_band_width(state: State, command: SettingCommand, out: Output) -> None:
    """SET_BAND_WIDTH, of one instrument or (id 0) of all that have bands, by id."""
    chosen = [book for number, book in state.books.items() if command.instrument in (0, number)]
    if not chosen:
        admin_refused(out, command, Code.UNKNOWN_INSTRUMENT)
        return
    banded = [(book, book.bands) for book in chosen if book.bands is not None]
    if not banded or command.value not in (1, 2) or not 0 <= command.reference_price_ticks <= MAX_PRICE_TICKS:
        admin_refused(out, command, Code.BAD_DEFINITION)
        return
    events.setting(out, command, EventKind.BAND_WIDTH_SET, value=command.value)
    for book, bands in banded:
        bands.factor = command.value
        if command.reference_price_ticks:
            move(state, book, bands, command.reference_price_ticks, out)
        elif bands.reference:
            bands.fit(book.close)
            say_where(state, book, bands, out)
        state.touch(book)


def set_lots(state: State, command: LotCommand, out: Output) -> None:
    """SET_LOTS: what a round lot of an instrument is, by its previous close; all terms 0: there are none."""
    tiers = (
        Tier(0, command.round1_lots),
        Tier(command.above2_ticks, command.round2_lots),
        Tier(command.above3_ticks, command.round3_lots),
        Tier(command.above4_ticks, command.round4_lots),
    )
    none = not any((*tiers[0], *tiers[1], *tiers[2], *tiers[3], command.odd_lots, command.display))
    book = state.books.get(command.instrument)
    if book is None:
        admin_refused(out, command, Code.UNKNOWN_INSTRUMENT)
    elif not none and not _are_lots(tiers, command):
        admin_refused(out, command, Code.BAD_DEFINITION)
    else:
        book.lots = NO_LOTS
        if not none:
            book.lots = Lots(round_lots_at(tiers, book.close), command.odd_lots, command.display)
        events.setting(out, command, EventKind.LOTS_SET, value=book.lots.round_lots, previous=book.lots.display)


def _are_lots(tiers: tuple[Tier, ...], command: LotCommand) -> bool:
    """A first tier, and others above it whose prices rise; a tier that there is not has neither price nor lots."""
    others = [tier for tier in tiers[1:] if tier != (0, 0)]
    rising = all(low.above < high.above for low, high in zip([tiers[0], *others], others, strict=False))
    return (
        all(1 <= tier.lots <= MAX_QUANTITY_LOTS for tier in (tiers[0], *others))
        and all(tier.above <= MAX_PRICE_TICKS for tier in others)
        and rising
        and command.odd_lots <= max(OddLots)
        and command.display <= max(OddLotDisplay)
    )
