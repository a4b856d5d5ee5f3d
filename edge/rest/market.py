"""Market data of the feed as JSON. Nothing is asked of anybody: the feed has it all."""

from typing import Any, Final

from lockstep.edge.rest.prices import decimal_of
from lockstep.edge.rest.problems import Problem
from lockstep.edge.rest.shapes import Json, json_of
from lockstep.marketdata.feed_encoding import candle_message
from lockstep.marketdata.market_fold import MarketFold
from lockstep.marketdata.market_status import MARKET, Definition
from lockstep.marketdata.shell import FeedShell
from lockstep.marketdata.trade_tape import TradePrint
from lockstep.runtime.access.instruments import may_read
from lockstep.runtime.topology import Principal
from lockstep.stream.codes import Code
from lockstep.stream.records import Side
from lockstep.v1 import common_pb2, feed_pb2

_MOST_BOOKS: Final = 1_024


class Behind(Problem):
    """503: the feed that the door stands on has not come as far as what is to be shown. As a rule it soon has."""

    def __init__(self, text: str) -> None:
        super().__init__(Code.UNAVAILABLE, text)


def _made[T](kind: type[T], /, **fields: Any) -> T:
    """A message; enums as the plain numbers that the fold has."""
    return kind(**fields)


class MarketJson:
    """What there is now. Belongs to the feed's loop."""

    def __init__(self, shell: FeedShell) -> None:
        self._shell = shell
        self._books: dict[tuple[int, int], tuple[MarketFold, int, Json]] = {}
        self._symbols: dict[str, int] = {}
        self._of: MarketFold | None = None

    @property
    def fold(self) -> MarketFold:
        """Raises:
        Problem: 503, the feed is catching up.
        """
        hub = self._shell.machine.hub
        if hub is None or not self._shell.machine.serves:
            raise Problem(Code.UNAVAILABLE, self._shell.why_not_serving() or "the feed is catching up")
        return hub.fold

    def tick_of(self, instrument: int) -> int:
        """An instrument's tick in millionths; 1 of 0, which is none.

        Raises:
            Behind: the feed has not heard of the instrument. A price with a tick that was guessed is a wrong price.
        """
        if not instrument:
            return 1
        hub = self._shell.machine.hub
        found = None if hub is None else hub.fold.statuses.definitions.get(instrument)
        if found is None:
            why = self._shell.why_not_serving() or f"it is at seq {self._shell.machine.seq}"
            raise Behind(f"the feed that this door stands on does not know instrument {instrument} yet: {why}")
        return found.tick_micros

    def resolve(self, name: str) -> int:
        """Number of an instrument by symbol or number.

        Raises:
            Problem: 404.
        """
        fold = self.fold
        definitions = fold.statuses.definitions
        if self._of is not fold or len(self._symbols) != len(definitions):
            self._of, self._symbols = fold, {one.symbol: number for number, one in definitions.items()}
        found = self._symbols.get(name)
        if found is None and name.isascii() and name.isdigit() and len(name) <= 10 and int(name) in definitions:
            found = int(name)
        if found is None:
            raise Problem(Code.UNKNOWN_INSTRUMENT, f"there is no instrument {name!r}; /v1/instruments lists them")
        return found

    # ---- answers -------------------------------------------------------------------------------------------------

    def instruments(self, client: Principal, after: int, limit: int) -> Json:
        """A page of definitions; prices of those that the client is entitled to alone."""
        fold = self.fold
        numbers = sorted(number for number in fold.statuses.definitions if number > after)
        shown = []
        for number in numbers[:limit]:
            one = self._instrument(fold, number)
            if not may_read(client, number):
                one.ClearField("last_price_ticks")
            shown.append(json_of(one, self.tick_of))
        return {"instruments": shown, "next_cursor": str(numbers[limit - 1]) if len(numbers) > limit else None}

    def instrument(self, name: str) -> Json:
        """One, with its status and day."""
        number, fold = self.resolve(name), self.fold
        status, tick = fold.statuses.of(number), self.tick_of(number)
        low, high = status.band
        shown = _made(
feed_pb2.InstrumentStatus,
            phase=status.phase, until_ns=status.until_ns, reference_ticks=status.reference_ticks, band_low_ticks=low,
            band_high_ticks=high, band_known=status.band_ppm is not None, indicative_ticks=status.indicative_ticks,
            indicative_lots=status.indicative_lots, imbalance_lots=status.imbalance_lots,
            imbalance_side=status.imbalance_side,
            halt_level=fold.statuses.of(MARKET).halt_level, limit_state=status.limit_state,
            limit_until_ns=status.limit_until_ns,
        )  # fmt: skip
        day = fold.days.of(number, fold.timestamp_ns)
        bar = day.bar
        figures = _made(
feed_pb2.Statistics,
            day_ns=bar.begin_ns, open_ticks=bar.open_ticks, high_ticks=bar.high_ticks, low_ticks=bar.low_ticks,
            last_ticks=bar.close_ticks, close_ticks=day.close_ticks, volume_lots=bar.volume_lots, trades=bar.trades,
            vwap_micro_ticks=bar.vwap_micro_ticks,
        )  # fmt: skip
        return {
            **json_of(self._instrument(fold, number), self.tick_of),
            "status": json_of(shown, self.tick_of, tick),
            "day": json_of(figures, self.tick_of, tick),
        }

    def _instrument(self, fold: MarketFold, number: int) -> common_pb2.Instrument:
        one: Definition = fold.statuses.definitions[number]
        return _made(
common_pb2.Instrument,
            id=number, symbol=one.symbol, tick_micros=one.tick_micros, lot_units=one.lot_units,
            phase=fold.statuses.of(number).phase, last_price_ticks=self._last(fold, number),
        )  # fmt: skip

    def _last(self, fold: MarketFold, number: int) -> int:
        return fold.days.of(number, fold.timestamp_ns).bar.close_ticks

    def book(self, name: str, depth: int) -> Json:
        """Levels of both sides; made once for each state of the book."""
        number, fold = self.resolve(name), self.fold
        book = fold.books.book(number)
        known = self._books.get((number, depth))
        if known is not None and known[0] is fold and known[1] == book.changed:
            return known[2]
        tick = self.tick_of(number)
        bids, asks = (
            [
                json_of(
                    _made(
                        feed_pb2.BookLevel,
                        side=side,
                        price_ticks=level.price,
                        quantity_lots=level.lots,
                        orders=len(level.orders),
                    ),
                    self.tick_of,
                    tick,
                )
                for level in book.best(side, depth)
            ]
            for side in (int(Side.BUY), int(Side.SELL))
        )
        symbol = fold.statuses.definitions[number].symbol
        made = {"instrument": number, "symbol": symbol, "seq": str(book.changed), "bids": bids, "asks": asks}
        if len(self._books) >= _MOST_BOOKS:
            self._books.clear()
        self._books[number, depth] = (fold, book.changed, made)
        return made

    def trades(self, name: str, cursor: str | None, limit: int) -> Json:
        """A page of the tape, the latest first."""
        number, fold = self.resolve(name), self.fold
        before = None
        if cursor is not None:
            seq, _, index = cursor.partition("-")
            before = int(seq), int(index)
        found = fold.tape.before(number, before, limit + 1)
        shown = [self._trade(one) for one in found[:limit]]
        last = found[limit - 1] if len(found) > limit else None
        return {"trades": shown, "next_cursor": None if last is None else f"{last.seq}-{last.number}"}

    def _trade(self, one: TradePrint) -> Json:
        message = _made(
feed_pb2.TapeTrade,
            seq=one.seq, index=one.number, price_ticks=one.price_ticks, quantity_lots=one.quantity_lots,
            aggressor=0 if one.auction else one.side, auction=one.auction, taker_order_id=one.taker_order_id,
            maker_order_id=one.maker_order_id, timestamp_ns=one.timestamp_ns,
        )  # fmt: skip
        return json_of(message, self.tick_of, self.tick_of(one.instrument))

    def candles(self, name: str, seconds: int, from_ns: int, to_ns: int, limit: int) -> Json:
        """Candles, gaps filled."""
        number, fold = self.resolve(name), self.fold
        end_ns = min(to_ns or fold.timestamp_ns + 1, fold.timestamp_ns + 1)
        bars = fold.candles.listed(number, seconds, from_ns=from_ns, to_ns=end_ns, most=limit)
        tick = self.tick_of(number)
        return {
            "instrument": number,
            "seconds": seconds,
            "since_seq": str(fold.candles.since_seq),
            "candles": [json_of(candle_message(bar), self.tick_of, tick) for bar in bars],
        }

    def cluster(self) -> Json:
        """Where the cluster stands."""
        machine = self._shell.machine
        hub = machine.hub
        return {
            "serving": not self._shell.why_not_serving(),
            "epoch": str(machine.epoch),
            "seq": str(machine.seq),
            "timestamp_ns": str(0 if hub is None else hub.fold.timestamp_ns),
            "primary": self._shell.driver.primary,
            "instruments": 0 if hub is None else len(hub.fold.statuses.definitions),
            "gateways": len(self._shell.topology.gateways),
        }

    def portfolio(self, account: Any, shown: Json) -> Json:
        """An account (message, and as JSON) at the last prices."""
        fold = self.fold
        positions: list[Json] = []
        worth = gain = realised = 0
        for held, said in zip(account.positions, shown["positions"], strict=True):
            tick, definition = self.tick_of(held.instrument), fold.statuses.definitions[held.instrument]
            symbol, units = definition.symbol, definition.lot_units
            price = self._last(fold, held.instrument) * tick
            value = held.quantity_lots * units * price
            # The cost of a short position is what it was sold for.
            unrealised = (
                (value - held.cost_micros if held.quantity_lots > 0 else value + held.cost_micros) if price else 0
            )
            worth, gain, realised = worth + value, gain + unrealised, realised + held.realised_micros
            figures = {"price": price, "value": value, "unrealised": unrealised}
            positions.append({**said, "symbol": symbol, **{name: decimal_of(one) for name, one in figures.items()}})
        totals = {
            "cash": account.cash_micros,
            "reserved": account.reserved_micros,
            "positions_value": worth,
            "unrealised": gain,
            "realised": realised,
            "equity": account.cash_micros + worth,
        }
        return {
            "account": account.account,
            **{name: decimal_of(one) for name, one in totals.items()},
            "positions": positions,
        }
