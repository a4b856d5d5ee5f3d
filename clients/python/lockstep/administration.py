"""Administration of a venue through a session: one text of the calls for the asyncio session and the blocking one."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Generic, TypeVar

from lockstep.admin import (
    AdjustCash,
    AdjustPosition,
    AdminCommand,
    DefineAccount,
    DefineInstrument,
    SetAccountStatus,
    SetBands,
    SetBandWidth,
    SetFees,
    SetIndex,
    SetLots,
    SetMargin,
    SetMarketBreaker,
    SetPhase,
    SetPriceLimits,
    SetRestrictions,
    SetRiskLimits,
    SetShortSales,
    SetThrottle,
    TransferPosition,
)
from lockstep.arguments import Price, micros, word
from lockstep.enums import AccountStatus, Phase, ShortSaleAction
from lockstep.keywords import named_arguments

Handle = TypeVar("Handle")


class Administration(ABC, Generic[Handle]):
    """Each call submits one numbered command and gives its handle (asyncio: after `await`).

    All need the admin entitlement; without it the outcome is a refusal, NOT_ENTITLED. The rules are in docs/engine.md,
    "Administration".
    """

    @abstractmethod
    def administer(self, instrument: str | int, command: Callable[[int], AdminCommand]) -> Handle:
        """Submit what `command` makes of the instrument's id (0: none, or all)."""
        ...

    @named_arguments
    def define_instrument(self, *, id: int, symbol: str, tick: Price, lot_units: int = 1) -> Handle:
        """Make an instrument tradable; `tick` is money for one unit, e.g. "0.01"."""
        made = DefineInstrument(id, symbol, micros("tick", tick), lot_units)
        return self.administer(0, lambda _: made)

    @named_arguments
    def define_account(
        self,
        *,
        account: int,
        name: str,
        unlimited_cash: bool = False,
        unlimited_positions: bool = False,
        margin: bool = False,
        short_sales: bool = False,
        day_trade_rule: bool = False,
    ) -> Handle:
        """Open an account."""
        made = DefineAccount(account, name, unlimited_cash, unlimited_positions, margin, short_sales, day_trade_rule)
        return self.administer(0, lambda _: made)

    @named_arguments
    def adjust_cash(self, *, account: int, amount: Price) -> Handle:
        """Pay in (positive) or out (negative)."""
        made = AdjustCash(account, micros("amount", amount))
        return self.administer(0, lambda _: made)

    @named_arguments
    def adjust_position(self, *, account: int, instrument: str | int, quantity_lots: int) -> Handle:
        """Deliver lots (positive) or take them out (negative)."""
        return self.administer(instrument, lambda number: AdjustPosition(account, number, quantity_lots))

    @named_arguments
    def transfer_position(self, *, account: int, to_account: int, instrument: str | int, quantity_lots: int) -> Handle:
        """Move lots from one account to another, with their part of the cost."""
        return self.administer(instrument, lambda number: TransferPosition(account, to_account, number, quantity_lots))

    @named_arguments
    def set_phase(
        self,
        phase: Phase | str,
        *,
        instrument: str | int = 0,
        next_phase: Phase | str | None = None,
        until_ns: int = 0,
        reference_price_ticks: int = 0,
    ) -> Handle:
        """Bring an instrument (0: all) into a phase; with `next_phase`, into that one at `until_ns`."""
        now = word(Phase, "phase", phase)
        following = 0 if next_phase is None else int(word(Phase, "next_phase", next_phase))
        return self.administer(
            instrument, lambda number: SetPhase(number, int(now), following, until_ns, reference_price_ticks)
        )

    @named_arguments
    def set_account_status(self, *, account: int, status: AccountStatus | str) -> Handle:
        """Say what an account may do; BANNED cancels its orders, too."""
        made = SetAccountStatus(account, int(word(AccountStatus, "status", status)))
        return self.administer(0, lambda _: made)

    @named_arguments
    def set_risk_limits(self, limits: SetRiskLimits) -> Handle:
        """All pre-trade limits of an account at once."""
        return self.administer(0, lambda _: limits)

    @named_arguments
    def set_fees(self, *, instrument: str | int, maker_fee_ppm: int, taker_fee_ppm: int) -> Handle:
        """Fee rates in millionths of a trade's worth. Refused while orders are live in the instrument."""
        return self.administer(instrument, lambda number: SetFees(number, maker_fee_ppm, taker_fee_ppm))

    @named_arguments
    def set_price_limits(
        self,
        *,
        instrument: str | int,
        band_ppm: int = 0,
        collar_ppm: int = 0,
        breaker_ppm: int = 0,
        breaker_window_ns: int = 0,
        breaker_pause_ns: int = 0,
        breaker_phase: Phase | str | None = None,
    ) -> Handle:
        """All price limits of an instrument at once, in millionths; 0 is none."""
        phase = 0 if breaker_phase is None else int(word(Phase, "breaker_phase", breaker_phase))
        breaker = (breaker_ppm, breaker_window_ns, breaker_pause_ns, phase)
        return self.administer(instrument, lambda number: SetPriceLimits(number, band_ppm, collar_ppm, *breaker))

    @named_arguments
    def set_margin(self, *, instrument: str | int, initial_margin_ppm: int, maintenance_margin_ppm: int) -> Handle:
        """Margin rates of an instrument, in millionths of a position's worth."""
        return self.administer(instrument, lambda number: SetMargin(number, initial_margin_ppm, maintenance_margin_ppm))

    @named_arguments
    def set_index(self, *, instrument: str | int, index_weight: int, close_price_ticks: int = 0) -> Handle:
        """An instrument's weight in the index of the market (0: none), and its previous close (0: as it is)."""
        return self.administer(instrument, lambda number: SetIndex(number, index_weight, close_price_ticks))

    @named_arguments
    def set_market_breaker(self, breaker: SetMarketBreaker) -> Handle:
        """At which falls of the index the whole market halts or closes."""
        return self.administer(0, lambda _: breaker)

    @named_arguments
    def set_throttle(self, *, instrument: str | int = 0, orders_per_second: int = 0, burst_orders: int = 0) -> Handle:
        """How many orders an instrument, or (0) the market, takes in a second, and so many at once; 0: all that come.

        What comes beyond is refused, INSTRUMENT_THROTTLED or MARKET_THROTTLED: nothing is wrong with it, and it may be
        sent again later, as a new command.
        """
        return self.administer(instrument, lambda number: SetThrottle(number, orders_per_second, burst_orders))

    @named_arguments
    def set_bands(self, bands: SetBands) -> Handle:
        """Limit up, limit down of an instrument: bands around the mean of its latest trades.

        `SetBands.us_plan` has the figures of the US plan. Bids above the upper and offers below the lower band are
        refused, OUTSIDE_BAND, and end, BAND_MOVED, if a band moves over them.
        """
        return self.administer(0, lambda _: bands)

    @named_arguments
    def set_band_width(self, width: int, *, instrument: str | int = 0, reference_price_ticks: int = 0) -> Handle:
        """Bands of an instrument, or (0) of all that have some, as they were set (`width` 1), or twice as wide (2).

        `reference_price_ticks`: a new reference price of the bands; 0: as it is.
        """
        return self.administer(instrument, lambda number: SetBandWidth(number, width, reference_price_ticks))

    @named_arguments
    def set_lots(self, lots: SetLots) -> Handle:
        """What a round lot of an instrument is, and what becomes of odd lots."""
        return self.administer(0, lambda _: lots)

    @named_arguments
    def set_restrictions(self, restrictions: SetRestrictions) -> Handle:
        """Who may trade an instrument, and how far: an account, or every one.

        What is barred is refused, INSTRUMENT_RESTRICTED; a buy beyond the largest share OWNERSHIP_LIMIT, a short sale
        beyond what was located NOT_LOCATED. Orders that rest already stay.
        """
        return self.administer(0, lambda _: restrictions)

    @named_arguments
    def set_short_sales(
        self, instrument: str | int, *, fall_ppm: int = 0, action: ShortSaleAction | str = ShortSaleAction.KEEP
    ) -> Handle:
        """From which fall under the previous close on short sales are refused at the best bid or below.

        The refusal is SHORT_SALE_PRICE; 100 000 ppm is what Regulation SHO, rule 201, has. `action` begins or ends the
        restriction by hand.
        """
        said = word(ShortSaleAction, "action", action)
        return self.administer(instrument, lambda number: SetShortSales(number, fall_ppm, said))
