"""The half of the command builder that sets up a market: instruments, accounts, funds, phases, limits."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from lockstep.engine.command_arguments import I64, U32, switch, text, whole, word
from lockstep.engine.command_rows import CommandRows, Layout
from lockstep.stream.records import (
    ADMIN,
    BANDS,
    CONTROL,
    LIMITS,
    LOTS,
    MARKET,
    MAX_PRICE_TICKS,
    MAX_QUANTITY_LOTS,
    RESTRICTION,
    RULES,
    SETTING,
    THROTTLE,
    TRANSFER,
    AccountFlag,
    AccountStatus,
    CommandKind,
    OddLotDisplay,
    OddLots,
    Phase,
    ShortSaleAction,
    TradeBar,
)

_ADMIN: Final = Layout(ADMIN)
_BANDS: Final = Layout(BANDS)
_CONTROL: Final = Layout(CONTROL)
_LIMITS: Final = Layout(LIMITS)
_LOTS: Final = Layout(LOTS)
_MARKET: Final = Layout(MARKET)
_RESTRICTION: Final = Layout(RESTRICTION)
_RULES: Final = Layout(RULES)
_SETTING: Final = Layout(SETTING)
_THROTTLE: Final = Layout(THROTTLE)
_TRANSFER: Final = Layout(TRANSFER)
_MOST_UNIT_MICROS: Final = 2**40
_MOST_HELD: Final = 2**62
_MOST_LOTS: Final = 2**62
_MOST_FEE_PPM: Final = 100_000
_MOST_MARGIN_PPM: Final = 10**7
_MOST_WEIGHT: Final = 2**30
_MOST_NS: Final = 2**50
_PPM: Final = 10**6
_MOST_TIERS: Final = 3


class AdminCommands(CommandRows):
    """Administrative commands. Each method returns the session number of its command.

    An engine answers each with the event that `docs/engine.md`, *Administration*, names, or with ADMIN_REJECTED and a
    code. What the arguments alone show to be wrong is a ValueError at the call.
    """

    def define_instrument(self, *, instrument: int, symbol: str, tick_micros: int, lot_units: int = 1) -> int:
        """An instrument: one lot at one tick of price is worth `tick_micros * lot_units` micros of the currency.

        A tick of 0.01 is 10 000 micros. It can be traded at once (phase CONTINUOUS).
        """
        fields = {
            "instrument": whole("instrument", instrument, 1, U32),
            "name": text("symbol", symbol),
            "tick_micros": whole("tick_micros", tick_micros, 1, _MOST_UNIT_MICROS),
            "lot_units": whole("lot_units", lot_units, 1, _MOST_UNIT_MICROS),
        }
        if tick_micros * lot_units > _MOST_UNIT_MICROS:
            raise ValueError(
                f"tick_micros * lot_units is {tick_micros * lot_units}: it must not exceed {_MOST_UNIT_MICROS}; "
                "use a smaller lot"
            )
        return self._add(_ADMIN, CommandKind.DEFINE_INSTRUMENT, fields)

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
    ) -> int:
        """An account. Without `unlimited_*` it must have money for what it buys and lots for what it sells.

        `adjust_cash` and `adjust_position` bring these in. An unlimited account may owe both, without bounds.
        """
        if switch("margin", margin) and (unlimited_cash or unlimited_positions):
            raise ValueError("a margin account can't be unlimited as well: leave out margin, or the unlimited flags")
        if switch("short_sales", short_sales) and not margin:
            raise ValueError("short_sales goes with margin=True only; or use unlimited_positions=True")
        flags = (
            AccountFlag.UNLIMITED_CASH * switch("unlimited_cash", unlimited_cash)
            + AccountFlag.UNLIMITED_POSITIONS * switch("unlimited_positions", unlimited_positions)
            + AccountFlag.MARGIN * margin
            + AccountFlag.SHORT_SALES * short_sales
            + AccountFlag.DAY_TRADE_RULE * switch("day_trade_rule", day_trade_rule)
        )
        fields = {"account": whole("account", account, 1, U32), "name": text("name", name), "flags": flags}
        return self._add(_ADMIN, CommandKind.DEFINE_ACCOUNT, fields)

    def adjust_cash(self, *, account: int, amount_micros: int) -> int:
        """Pay in, or out (below 0)."""
        fields = {
            "account": whole("account", account, 1, U32),
            "amount_micros": whole("amount_micros", amount_micros, -I64, I64),
        }
        return self._add(_ADMIN, CommandKind.ADJUST_CASH, fields)

    def adjust_position(self, *, account: int, instrument: int, quantity_lots: int) -> int:
        """Bring lots in, or take them out (below 0)."""
        fields = {
            "account": whole("account", account, 1, U32),
            "instrument": whole("instrument", instrument, 1, U32),
            "quantity_lots": whole("quantity_lots", quantity_lots, -I64, I64),
        }
        return self._add(_ADMIN, CommandKind.ADJUST_POSITION, fields)

    def transfer_position(self, *, account: int, to_account: int, instrument: int, quantity_lots: int) -> int:
        """Move lots from `account` to `to_account`."""
        fields = {
            "account": whole("account", account, 1, U32),
            "to_account": whole("to_account", to_account, 1, U32),
            "instrument": whole("instrument", instrument, 1, U32),
            "quantity_lots": whole("quantity_lots", quantity_lots, 1, _MOST_LOTS),
        }
        return self._add(_TRANSFER, CommandKind.TRANSFER_POSITION, fields)

    def set_phase(
        self,
        *,
        instrument: int = 0,
        phase: Phase | str,
        next_phase: Phase | str | None = None,
        until_ns: int = 0,
        reference_price_ticks: int = 0,
    ) -> int:
        """Another phase for one instrument, or for all (0). A change out of an auction uncrosses it.

        Args:
            instrument: which one; 0: all.
            phase: from now on.
            next_phase: what follows by itself, at the first `tick` whose stamp is `until_ns` or later.
            until_ns: when; with `next_phase`, and only with it.
            reference_price_ticks: a new reference price; 0: it stays.
        """
        if (next_phase is None) != (until_ns == 0):
            raise ValueError("next_phase and until_ns go together: give both, or neither")
        fields = {
            "instrument": whole("instrument", instrument, 0, U32),
            "value": word(Phase, "phase", phase),
            "next_value": word(Phase, "next_phase", next_phase) if next_phase is not None else 0,
            "until_ns": whole("until_ns", until_ns, 0, I64),
            "reference_price_ticks": whole("reference_price_ticks", reference_price_ticks, 0, MAX_PRICE_TICKS),
        }
        return self._add(_SETTING, CommandKind.SET_PHASE, fields)

    def set_account_status(self, *, account: int, status: AccountStatus | str) -> int:
        """What an account may do."""
        fields = {"account": whole("account", account, 1, U32), "value": word(AccountStatus, "status", status)}
        return self._add(_SETTING, CommandKind.SET_ACCOUNT_STATUS, fields)

    def set_risk_limits(
        self,
        *,
        account: int,
        max_order_lots: int = 0,
        max_order_micros: int = 0,
        max_position_lots: int = 0,
        max_orders_per_day: int = 0,
        orders_per_second: int = 0,
        burst_orders: int = 0,
        max_orders_per_trade: int = 0,
        max_concentration_ppm: int = 0,
    ) -> int:
        """All pre-trade limits of an account at once; 0: no such limit."""
        if (orders_per_second == 0) != (burst_orders == 0):
            raise ValueError("orders_per_second and burst_orders go together: give both, or neither")
        fields = {
            "account": whole("account", account, 1, U32),
            "max_order_lots": whole("max_order_lots", max_order_lots, 0, I64),
            "max_order_micros": whole("max_order_micros", max_order_micros, 0, I64),
            "max_position_lots": whole("max_position_lots", max_position_lots, 0, I64),
            "max_orders_per_day": whole("max_orders_per_day", max_orders_per_day, 0, I64),
            "orders_per_second": whole("orders_per_second", orders_per_second, 0, 10**9),
            "burst_orders": whole("burst_orders", burst_orders, 0, 10**9),
            "max_orders_per_trade": whole("max_orders_per_trade", max_orders_per_trade, 0, I64),
            "max_concentration_ppm": whole("max_concentration_ppm", max_concentration_ppm, 0, 10**9),
        }
        return self._add(_LIMITS, CommandKind.SET_RISK_LIMITS, fields)

    def set_fees(self, *, instrument: int, maker_fee_ppm: int, taker_fee_ppm: int) -> int:
        """Fee rates in millionths of a trade's worth; the maker's below 0 is a rebate, at most the taker's rate."""
        taker = whole("taker_fee_ppm", taker_fee_ppm, 0, _MOST_FEE_PPM)
        fields = {
            "instrument": whole("instrument", instrument, 1, U32),
            "maker_fee_ppm": whole("maker_fee_ppm", maker_fee_ppm, -taker, _MOST_FEE_PPM),
            "taker_fee_ppm": taker,
        }
        return self._add(_RULES, CommandKind.SET_FEES, fields)

    def set_price_limits(
        self,
        *,
        instrument: int,
        band_ppm: int = 0,
        collar_ppm: int = 0,
        breaker_ppm: int = 0,
        breaker_window_ns: int = 0,
        breaker_pause_ns: int = 0,
        breaker_phase: Phase | str | None = None,
    ) -> int:
        """All price limits of an instrument at once; 0: no such limit. The four of the breaker go together."""
        breaker = (breaker_ppm != 0, breaker_window_ns != 0, breaker_pause_ns != 0, breaker_phase is not None)
        if any(breaker) and not all(breaker):
            raise ValueError("breaker_ppm, _window_ns, _pause_ns and _phase go together: give all four, or none")
        pause = word(Phase, "breaker_phase", breaker_phase) if breaker_phase is not None else 0
        if pause not in (0, Phase.HALT, Phase.VOLATILITY_AUCTION):
            raise ValueError(f"breaker_phase is {breaker_phase!r}: use Phase.HALT or Phase.VOLATILITY_AUCTION")
        fields = {
            "instrument": whole("instrument", instrument, 1, U32),
            "band_ppm": whole("band_ppm", band_ppm, 0, _PPM),
            "collar_ppm": whole("collar_ppm", collar_ppm, 0, _PPM),
            "breaker_ppm": whole("breaker_ppm", breaker_ppm, 0, _PPM),
            "breaker_window_ns": whole("breaker_window_ns", breaker_window_ns, 0, _MOST_NS),
            "breaker_pause_ns": whole("breaker_pause_ns", breaker_pause_ns, 0, _MOST_NS),
            "breaker_phase": pause,
        }
        return self._add(_RULES, CommandKind.SET_PRICE_LIMITS, fields)

    def set_margin(self, *, instrument: int, initial_ppm: int, maintenance_ppm: int) -> int:
        """Margin rates of an instrument, in millionths of a position's worth."""
        initial = whole("initial_ppm", initial_ppm, 1, _MOST_MARGIN_PPM)
        fields = {
            "instrument": whole("instrument", instrument, 1, U32),
            "initial_margin_ppm": initial,
            "maintenance_margin_ppm": whole("maintenance_ppm", maintenance_ppm, 1, initial),
        }
        return self._add(_MARKET, CommandKind.SET_MARGIN, fields)

    def set_index(self, *, instrument: int, weight: int, close_price_ticks: int = 0) -> int:
        """Weight of an instrument in the market's index (0: none), and its previous close (0: as it is)."""
        fields = {
            "instrument": whole("instrument", instrument, 1, U32),
            "index_weight": whole("weight", weight, 0, _MOST_WEIGHT),
            "close_price_ticks": whole("close_price_ticks", close_price_ticks, 0, MAX_PRICE_TICKS),
        }
        return self._add(_MARKET, CommandKind.SET_INDEX, fields)

    def set_market_breaker(
        self, *, level1_ppm: int = 0, level2_ppm: int = 0, level3_ppm: int = 0, pause_ns: int = 0
    ) -> int:
        """Falls of the index at which the whole market is halted; 0: no such level. Levels that are set rise."""
        levels = [
            whole(f"level{at}_ppm", level, 0, _PPM) for at, level in enumerate((level1_ppm, level2_ppm, level3_ppm), 1)
        ]
        used = [level for level in levels if level]
        if any(low >= high for low, high in pairwise(used)):
            raise ValueError(f"the levels are {levels}: those that are not 0 must rise")
        pauses = level1_ppm != 0 or level2_ppm != 0
        if (pause_ns != 0) != pauses:
            raise ValueError("pause_ns goes with level1_ppm and level2_ppm: give it with them, and only with them")
        fields = {
            "level1_ppm": levels[0],
            "level2_ppm": levels[1],
            "level3_ppm": levels[2],
            "pause_ns": whole("pause_ns", pause_ns, 0, _MOST_NS),
        }
        return self._add(_MARKET, CommandKind.SET_MARKET_BREAKER, fields)

    def set_throttle(self, *, instrument: int = 0, orders_per_second: int = 0, burst_orders: int = 0) -> int:
        """How many orders an instrument, or (0) the market, takes in a second, so many at once; 0: as many as come."""
        if (orders_per_second == 0) != (burst_orders == 0):
            raise ValueError("orders_per_second and burst_orders go together: give both, or neither")
        fields = {
            "instrument": whole("instrument", instrument, 0, U32),
            "orders_per_second": whole("orders_per_second", orders_per_second, 0, 10**9),
            "burst_orders": whole("burst_orders", burst_orders, 0, 10**9),
        }
        return self._add(_THROTTLE, CommandKind.SET_THROTTLE, fields)

    def set_bands(
        self,
        *,
        instrument: int,
        high_ppm: int,
        middle_ppm: int | None = None,
        low_ppm: int | None = None,
        step_ppm: int = 10_000,
        high_above_ticks: int = 0,
        low_below_ticks: int = 0,
        low_most_ticks: int = 0,
        window_ns: int = 300 * 10**9,
        limit_ns: int = 15 * 10**9,
        pause_ns: int = 300 * 10**9,
    ) -> int:
        """Limit up, limit down: bands around the mean of the latest trades. `no_bands` takes them away.

        Args:
            instrument: which one.
            high_ppm: half a band's width, in millionths of the reference price.
            middle_ppm: another one where the previous close is not above `high_above_ticks`; None: the same.
            low_ppm: another one where it is below `low_below_ticks`; None: the same as `middle_ppm`.
            step_ppm: the reference price moves by so much at least.
            high_above_ticks: see `middle_ppm`.
            low_below_ticks: see `low_ppm`; at most `high_above_ticks`.
            low_most_ticks: a width by `low_ppm` is no more than that; 0: whatever it is.
            window_ns: the reference price is the mean of the trades of this time, and stays for a tenth of it.
            limit_ns: a limit state of that length ends in a pause.
            pause_ns: the pause, a VOLATILITY_AUCTION.
        """
        middle = high_ppm if middle_ppm is None else middle_ppm
        high_above = whole("high_above_ticks", high_above_ticks, 0, MAX_PRICE_TICKS)
        fields = {
            "instrument": whole("instrument", instrument, 1, U32),
            "high_ppm": whole("high_ppm", high_ppm, 1, _PPM),
            "middle_ppm": whole("middle_ppm", middle, 1, _PPM),
            "low_ppm": whole("low_ppm", middle if low_ppm is None else low_ppm, 1, _PPM),
            "step_ppm": whole("step_ppm", step_ppm, 1, _PPM),
            "high_above_ticks": high_above,
            "low_below_ticks": whole("low_below_ticks", low_below_ticks, 0, high_above),
            "low_most_ticks": whole("low_most_ticks", low_most_ticks, 0, MAX_PRICE_TICKS),
            "window_ns": whole("window_ns", window_ns, 1, _MOST_NS),
            "limit_ns": whole("limit_ns", limit_ns, 1, _MOST_NS),
            "pause_ns": whole("pause_ns", pause_ns, 1, _MOST_NS),
        }
        return self._add(_BANDS, CommandKind.SET_BANDS, fields)

    def no_bands(self, *, instrument: int) -> int:
        """No limit up, no limit down any more."""
        return self._add(_BANDS, CommandKind.SET_BANDS, {"instrument": whole("instrument", instrument, 1, U32)})

    def set_band_width(self, *, width: int, instrument: int = 0, reference_price_ticks: int = 0) -> int:
        """Bands of an instrument, or (0) of all that have some, as they were set (1), or twice as wide (2).

        `reference_price_ticks`: a new reference price of the bands; 0: as it is.
        """
        fields = {
            "instrument": whole("instrument", instrument, 0, U32),
            "value": whole("width", width, 1, 2),
            "reference_price_ticks": whole("reference_price_ticks", reference_price_ticks, 0, MAX_PRICE_TICKS),
        }
        return self._add(_SETTING, CommandKind.SET_BAND_WIDTH, fields)

    def set_lots(
        self,
        *,
        instrument: int,
        round_lots: int,
        tiers: Sequence[tuple[int, int]] = (),
        odd_lots: OddLots | str = OddLots.ACCEPT,
        display: OddLotDisplay | str = OddLotDisplay.SHOWN,
    ) -> int:
        """What a round lot is, and what becomes of odd lots. `no_lots` takes it away.

        Args:
            instrument: which one.
            round_lots: lots of a round lot.
            tiers: (price in ticks, lots of a round lot where the previous close is above it), at most three that rise.
            odd_lots: whether orders that are no multiple of a round lot are taken.
            display: what of odd lots the best bid and offer show.
        """
        prices = [0, *(above for above, _ in tiers)]
        if len(tiers) > _MOST_TIERS or any(low >= high for low, high in pairwise(prices)):
            raise ValueError(
                f"tiers is {tiers!r}: give at most {_MOST_TIERS} (price, lots) whose prices rise from 1 on"
            )
        fields = {
            "instrument": whole("instrument", instrument, 1, U32),
            "round1_lots": whole("round_lots", round_lots, 1, MAX_QUANTITY_LOTS),
            "odd_lots": word(OddLots, "odd_lots", odd_lots),
            "display": word(OddLotDisplay, "display", display),
        }
        for at, (above, lots) in enumerate(tiers, 2):
            fields[f"round{at}_lots"] = whole("lots of a tier", lots, 1, MAX_QUANTITY_LOTS)
            fields[f"above{at}_ticks"] = whole("price of a tier", above, 1, MAX_PRICE_TICKS)
        return self._add(_LOTS, CommandKind.SET_LOTS, fields)

    def no_lots(self, *, instrument: int) -> int:
        """No lot is a round one any more."""
        return self._add(_LOTS, CommandKind.SET_LOTS, {"instrument": whole("instrument", instrument, 1, U32)})

    def set_restrictions(
        self,
        *,
        instrument: int,
        account: int = 0,
        bars: TradeBar | int = 0,
        max_share_ppm: int = 0,
        outstanding_lots: int = 0,
        located_lots: int = 0,
    ) -> int:
        """Who may trade an instrument, and how far: all terms anew; none given: no such restriction any more.

        Args:
            instrument: which one.
            account: whom it concerns; 0: every account.
            bars: what is refused, TradeBar together; LOCATES of every account only.
            max_share_ppm: what an account may hold at the most of `outstanding_lots`, in millionths; every account.
            outstanding_lots: lots of the instrument that there are; with `max_share_ppm`.
            located_lots: lots that this account may be short of where locates are needed.
        """
        of_all = not whole("account", account, 0, U32)
        most = TradeBar.NO_BUYS | TradeBar.NO_SELLS | TradeBar.ONLY_CLOSING | TradeBar.LOCATES * of_all
        if not isinstance(bars, int) or bars & ~int(most) or bars < 0:
            raise ValueError(f"bars is {bars!r}: give bits of TradeBar, LOCATES of account 0 only")
        if located_lots if of_all else max_share_ppm or outstanding_lots:
            raise ValueError("located_lots is of one account, max_share_ppm and outstanding_lots of every one (0)")
        if bool(max_share_ppm) != bool(outstanding_lots):
            raise ValueError("max_share_ppm and outstanding_lots go together: give both, or neither")
        fields = {
            "instrument": whole("instrument", instrument, 1, U32),
            "account": account,
            "bars": int(bars),
            "max_share_ppm": whole("max_share_ppm", max_share_ppm, 0, _PPM),
            "outstanding_lots": whole("outstanding_lots", outstanding_lots, 0, _MOST_HELD),
            "located_lots": whole("located_lots", located_lots, 0, _MOST_HELD),
        }
        return self._add(_RESTRICTION, CommandKind.SET_RESTRICTIONS, fields)

    def set_short_sales(
        self, *, instrument: int, fall_ppm: int = 0, action: ShortSaleAction | str = ShortSaleAction.KEEP
    ) -> int:
        """When short sales are held to a price above the best bid.

        Args:
            instrument: which one.
            fall_ppm: from which fall under the previous close on, in millionths of it; 0: the price restricts nothing.
            action: BEGIN or END the restriction now; KEEP it as it is.
        """
        fields = {
            "instrument": whole("instrument", instrument, 1, U32),
            "fall_ppm": whole("fall_ppm", fall_ppm, 0, _PPM),
            "action": word(ShortSaleAction, "action", action),
        }
        return self._add(_RESTRICTION, CommandKind.SET_SHORT_SALES, fields)

    def tick(self) -> int:
        """Time has come to the stamp of this batch: orders end, phases change, auctions say what they would give.

        Nothing happens by itself, so send one where time matters. It has no number: the result is 0.
        """
        return self._add(_CONTROL, CommandKind.TICK, {})
