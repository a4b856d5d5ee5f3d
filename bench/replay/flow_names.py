"""The accounts and instruments of an order-flow file: what it declares above its rows, and by which index it goes."""

import re
from dataclasses import dataclass
from typing import Final

from lockstep.bench.replay.flow_fields import Place, shown
from lockstep.bench.replay.numbers import format_micros
from lockstep.stream.records import MAX_PRICE_TICKS, MAX_QUANTITY_LOTS

AUTO_TICK_MICROS: Final = 10_000
"""Tick of instruments that `--auto` creates: 0.01."""

_NAME: Final = re.compile(r"[!-~]{1,32}\Z")
_PRICE_CACHE: Final = 200_000


@dataclass(frozen=True, slots=True)
class FlowInstrument:
    """An instrument as the file declares it."""

    name: str
    tick_micros: int
    lot_units: int


@dataclass(frozen=True, slots=True)
class FlowAccount:
    """An account as the file declares it. `cash_micros` None: unlimited; `positions` None: unlimited."""

    name: str
    cash_micros: int | None
    positions: tuple[tuple[str, int], ...] | None
    """Opening holdings in units, by instrument name."""


class Names:
    """Accounts and instruments by index. `auto`: undeclared ones are taken, with unlimited funds."""

    def __init__(
        self, place: Place, *, auto: bool, instruments: tuple[FlowInstrument, ...], accounts: tuple[FlowAccount, ...]
    ) -> None:
        self._place = place
        self._auto = auto
        self.instruments = list(instruments)
        self.accounts = list(accounts)
        self._instrument_index = {item.name: i for i, item in enumerate(self.instruments)}
        self._account_index = {item.name: i for i, item in enumerate(self.accounts)}
        self._prices: dict[tuple[int, str], int] = {}

    def declare(self, what: str, rest: str) -> None:
        """Take `# instrument: rest` or `# account: rest`. Raises FlowError."""
        name, *pairs = rest.split() or [""]
        if not _NAME.match(name):
            raise self._place.error(
                f"{what} name {shown(name)}", "use 1 to 32 printable ASCII characters without blanks"
            )
        values: dict[str, str] = {}
        for pair in pairs:
            key, equals, value = pair.partition("=")
            if not equals or key in values:
                raise self._place.error(
                    f"{shown(pair)} in the declaration of {what} {name}", "write each as key=value, once"
                )
            values[key] = value
        if what == "instrument":
            self._declare_instrument(name, values)
        else:
            self._declare_account(name, values)

    def _declare_instrument(self, name: str, values: dict[str, str]) -> None:
        self._only(values, {"tick", "lot"}, f"instrument {name}")
        if "tick" not in values:
            raise self._place.error(f"instrument {name} has no tick", "add for example tick=0.01")
        tick = self._place.micros(values["tick"], f"tick of instrument {name}")
        lot = self._place.whole(values.get("lot", "1"), f"lot of instrument {name}", 1, 2**40)
        if tick < 1 or tick * lot > 2**40:
            raise self._place.error(f"tick {values['tick']} of instrument {name}", "use 0.000001 to 1000000")
        if name in self._instrument_index:
            raise self._place.error(f"instrument {name} is declared twice", "remove one")
        self._instrument_index[name] = len(self.instruments)
        self.instruments.append(FlowInstrument(name, tick, lot))

    def _declare_account(self, name: str, values: dict[str, str]) -> None:
        self._only(values, {"cash", "positions"}, f"account {name}")
        cash: int | None = 0
        if "cash" in values:
            cash = (
                None if values["cash"] == "unlimited" else self._place.micros(values["cash"], f"cash of account {name}")
            )
        positions: tuple[tuple[str, int], ...] | None = ()
        if "positions" in values:
            positions = None if values["positions"] == "unlimited" else self._positions(name, values["positions"])
        if name in self._account_index:
            raise self._place.error(f"account {name} is declared twice", "remove one")
        self._account_index[name] = len(self.accounts)
        self.accounts.append(FlowAccount(name, cash, positions))

    def _positions(self, account: str, text: str) -> tuple[tuple[str, int], ...]:
        positions = []
        for item in text.split(","):
            instrument, _, quantity = item.rpartition(":")
            if instrument not in self._instrument_index:
                raise self._place.error(
                    f"positions of account {account} name the undeclared instrument {instrument or item!r}",
                    "declare the instrument above, and write positions=NAME:UNITS,... or positions=unlimited",
                )
            units = self._place.whole(quantity, f"position of account {account} in {instrument}", 0, MAX_QUANTITY_LOTS)
            self.lots(units, self._instrument_index[instrument], f"position of account {account}")
            positions.append((instrument, units))
        return tuple(positions)

    def _only(self, values: dict[str, str], known: set[str], what: str) -> None:
        for key in values:
            if key not in known:
                raise self._place.error(
                    f"unknown key {key!r} in the declaration of {what}", f"use {', '.join(sorted(known))}"
                )

    def account(self, name: str) -> int:
        """Index of an account. Raises FlowError if it is not declared."""
        index = self._account_index.get(name)
        if index is None:
            if not (self._auto and _NAME.match(name)):
                raise self._place.error(
                    f"unknown account {shown(name)}",
                    f"declare it above the header (# account: {name or 'NAME'} "
                    "cash=unlimited positions=unlimited), or use --auto",
                )
            index = self._account_index[name] = len(self.accounts)
            self.accounts.append(FlowAccount(name, None, None))
        return index

    def instrument(self, name: str) -> int:
        """Index of an instrument. Raises FlowError if it is not declared."""
        index = self._instrument_index.get(name)
        if index is None:
            if not (self._auto and _NAME.match(name)):
                raise self._place.error(
                    f"unknown instrument {shown(name)}",
                    f"declare it above the header (# instrument: {name or 'NAME'} tick=0.01 lot=1), or use --auto",
                )
            index = self._instrument_index[name] = len(self.instruments)
            self.instruments.append(FlowInstrument(name, AUTO_TICK_MICROS, 1))
        return index

    def price(self, text: str, instrument: int, column: str) -> int:
        """A price, or a distance of prices, in ticks. Raises FlowError."""
        ticks = self._prices.get((instrument, text))
        if ticks is not None:
            return ticks
        item = self.instruments[instrument]
        micros = self._place.micros(text, column)
        ticks, off = divmod(micros, item.tick_micros)
        if off:
            tick = format_micros(item.tick_micros)
            raise self._place.error(
                f"{column} {text} is off the tick {tick} of {item.name}", f"use a multiple of {tick}"
            )
        if not 1 <= ticks <= MAX_PRICE_TICKS:
            raise self._place.error(f"{column} {text} is out of range", f"use 1 to {MAX_PRICE_TICKS} ticks")
        if len(self._prices) > _PRICE_CACHE:
            self._prices.clear()
        self._prices[instrument, text] = ticks
        return ticks

    def quantity(self, text: str, instrument: int, column: str) -> int:
        """A quantity in lots. Raises FlowError."""
        units = self._place.whole(text, column, 1, MAX_QUANTITY_LOTS * self.instruments[instrument].lot_units)
        return self.lots(units, instrument, column)

    def lots(self, units: int, instrument: int, column: str) -> int:
        """Units in lots. Raises FlowError."""
        item = self.instruments[instrument]
        lots, off = divmod(units, item.lot_units)
        if off:
            raise self._place.error(
                f"{column} {units} is no whole number of lots of {item.name}", f"use a multiple of {item.lot_units}"
            )
        return lots
