"""All alerts of all users over one world: which of them fire, in which order. Pure.

What users ask for (`Request`) is written down with the seq behind which it counts, so that the whole is a fold over two
inputs, the stream and the requests. Run again, the same alerts fire under the same numbers, whatever the chunks were.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from lockstep.posttrade.alerts.reader import CommandBegin, CommandEnd, Happened, Print, Step
from lockstep.posttrade.alerts.rules import (
    LEVELS,
    OF_INSTRUMENT,
    Base,
    Definition,
    Kind,
    Price,
    Side,
    Status,
    change_ppm,
    fires,
    first_side,
    side_of,
)
from lockstep.posttrade.alerts.world import World
from lockstep.stream.values import frozen

AT_END: Final = -1
"""In place of an event's index: behind all of them."""


@frozen
class Place:
    """Where in the stream something stands."""

    seq: int
    index: int
    timestamp_ns: int
    epoch: int


@frozen
class Request:
    """What a user asked for: a new alert, or the end of one."""

    number: int
    """Of all requests: 1, 2, 3 ... A new alert has it as its number."""
    owner: int
    after_seq: int
    """It counts from behind this seq on."""
    timestamp_ns: int
    epoch: int
    create: Definition | None = None
    remove: int = 0
    """Number of the alert that ends."""


@dataclass(slots=True)
class Alert:
    """One of a user's alerts, as it stands."""

    number: int
    owner: int
    definition: Definition = field(repr=False)
    after_seq: int
    status: int = int(Status.ACTIVE)
    side: int = int(Side.UNKNOWN)
    count: int = 0
    """How often it has fired."""
    last_seq: int = 0
    last_ns: int = 0


@frozen
class Firing:
    """An alert has fired."""

    owner: int
    number: int
    """Of all firings of its owner: 1, 2, 3 ..."""
    alert: int
    count: int
    """The alert's so many-th."""
    kind: int
    place: Place
    instrument: int
    account: int
    direction: int
    """Where the level went: `Direction`; 0: no level."""
    level: int
    """What it is now; 0: no level."""
    threshold: int
    note: str
    happened: Happened | None = None


class AlertMachine:
    """See the module. `world` is changed by whoever reads the chunk, before each step."""

    def __init__(self, world: World, alerts: Iterable[Alert] = (), fired: dict[int, int] | None = None) -> None:
        """`fired`: the number of each owner's last firing."""
        self.world = world
        self.alerts: dict[int, Alert] = {}
        self.owned: dict[int, set[int]] = {}
        """Alerts of each owner."""
        self.fired = dict(fired or {})
        self.changed: set[int] = set()
        """Alerts to be stored, or, where they are no more, to be removed."""
        self.of_instrument: dict[int, dict[int, Alert]] = {}
        self.of_account: dict[int, dict[int, Alert]] = {}
        self._margin_in: dict[int, set[int]] = {}
        """Accounts whose buying power is watched and may hang on an instrument's price."""
        self._now = Place(0, AT_END, 0, 0)
        for alert in alerts:
            self._add(alert)
        self.changed.clear()

    # ---- what users ask for ----------------------------------------------------------------------------------------

    def request(self, asked: Request) -> list[Firing]:
        """Take a request; a new alert may fire at once."""
        if asked.create is None:
            self._remove(asked.remove)
            return []
        alert = Alert(asked.number, asked.owner, asked.create, asked.after_seq, side=int(first_side(asked.create)))
        self._add(alert)
        place = Place(asked.after_seq, AT_END, asked.timestamp_ns, asked.epoch)
        return list(self._look(alert, place))

    def _add(self, alert: Alert) -> None:
        self.alerts[alert.number] = alert
        self.owned.setdefault(alert.owner, set()).add(alert.number)
        self.changed.add(alert.number)
        if alert.status != Status.ACTIVE:
            return
        one = alert.definition
        if one.kind in OF_INSTRUMENT:
            self.of_instrument.setdefault(one.instrument, {})[alert.number] = alert
            return
        self.of_account.setdefault(one.account, {})[alert.number] = alert
        if one.kind == Kind.BUYING_POWER:
            self._know(one.account)

    def _know(self, account: int) -> None:
        for number in self.world.of_account.get(account, ()):
            self._margin_in.setdefault(number, set()).add(account)

    def _remove(self, number: int) -> None:
        alert = self.alerts.pop(number)
        self.owned[alert.owner].discard(number)
        self.changed.add(number)
        self._quiet(alert)

    def _quiet(self, alert: Alert) -> None:
        """It fires no more."""
        one = alert.definition
        index, key = (
            (self.of_instrument, one.instrument) if one.kind in OF_INSTRUMENT else (self.of_account, one.account)
        )
        watching = index.get(key)
        if watching is not None and watching.pop(alert.number, None) is not None and not watching:
            del index[key]

    # ---- the stream ------------------------------------------------------------------------------------------------

    def step(self, step: Step) -> Iterable[Firing]:
        """What fires with this step."""
        match step:
            case CommandBegin():
                self._now = Place(step.seq, AT_END, step.timestamp_ns, step.epoch)
                return ()
            case Print():
                watching = self.of_instrument.get(step.instrument)
                return () if watching is None else list(self._on_print(list(watching.values()), step))
            case Happened():
                watching = self.of_account.get(step.account)
                return () if watching is None else list(self._on_happened(list(watching.values()), step))
            case CommandEnd():
                found = list(self._on_end()) if self.of_instrument or self.of_account else ()
                self.world.settle()
                return found

    def _on_print(self, watching: list[Alert], step: Print) -> Iterator[Firing]:
        place = self._at(step.index)
        for alert in watching:
            one = alert.definition
            if one.kind != Kind.PRICE or one.price == Price.LAST:
                yield from self._look(alert, place)

    def _on_happened(self, watching: list[Alert], step: Happened) -> Iterator[Firing]:
        place = self._at(step.index)
        for alert in watching:
            one = alert.definition
            if one.kind in LEVELS or (one.instrument and one.instrument != step.instrument):
                continue
            wanted = step.is_fill if one.kind == Kind.FILL else bool(one.states & step.state)
            if not wanted or (one.client_order_id and one.client_order_id != step.client_order_id):
                continue
            if not self._is_over(alert, place):
                yield self._fire(alert, place, 0, 0, step)

    def _on_end(self) -> Iterator[Firing]:
        world, place = self.world, self._now
        accounts = set(world.touched_accounts)
        for number in sorted(world.touched_instruments):
            for alert in list(self.of_instrument.get(number, {}).values()):
                yield from self._look(alert, place)
            accounts |= self._margin_in.get(number, set())
        for account in sorted(accounts):
            watching = self.of_account.get(account)
            if watching is None:
                continue
            self._know(account)
            for alert in list(watching.values()):
                yield from self._look(alert, place)

    def look_at_all(self, place: Place) -> list[Firing]:
        """The world was replaced: look at every level."""
        self._margin_in.clear()
        found: list[Firing] = []
        for number in sorted(self.alerts):
            alert = self.alerts[number]
            if alert.status != Status.ACTIVE:
                continue
            if alert.definition.kind == Kind.BUYING_POWER:
                self._know(alert.definition.account)
            found += self._look(alert, place)
        self.world.settle()
        return found

    def _at(self, index: int) -> Place:
        return Place(self._now.seq, index, self._now.timestamp_ns, self._now.epoch)

    # ---- one alert -------------------------------------------------------------------------------------------------

    def _look(self, alert: Alert, place: Place) -> Iterator[Firing]:
        one = alert.definition
        if one.kind not in LEVELS:
            return
        level = self.level(one)
        if level is None:
            return
        side = side_of(one, alert.side, level)
        if side == alert.side or self._is_over(alert, place):
            return
        before, alert.side = alert.side, int(side)
        self.changed.add(alert.number)
        if fires(one, before, side):
            yield self._fire(alert, place, level, 1 if side == Side.ABOVE else 2, None)

    def level(self, one: Definition) -> int | None:
        """What a level alert watches, now; None: it is not known."""
        world = self.world
        if one.kind in OF_INSTRUMENT:
            return self._market_level(one)
        account = world.accounts.get(one.account)
        if account is None:
            return None
        match one.kind:
            case Kind.BUYING_POWER:
                return world.buying_power(one.account)
            case Kind.POSITION_LIMIT:
                return world.limit_use_ppm(one.account, one.instrument)
            case Kind.ACCOUNT_STATUS:
                return account.status
            case _:
                return account.margin_called

    def _market_level(self, one: Definition) -> int | None:
        instrument = self.world.instruments.get(one.instrument)
        if instrument is None:
            return None
        if one.kind == Kind.VOLUME:
            return instrument.volume
        if one.kind == Kind.CHANGE:
            bases = {Base.OPEN: instrument.open, Base.CLOSE: instrument.close, Base.REFERENCE: instrument.reference}
            base = bases.get(Base(one.base), one.base_ticks)
            return change_ppm(instrument.last, base) if instrument.last else None
        if one.price == Price.LAST:
            return instrument.last or None
        bid, ask = self.world.best(one.instrument)
        return (bid if one.price == Price.BID else ask) or None

    def _is_over(self, alert: Alert, place: Place) -> bool:
        expire_ns = alert.definition.expire_ns
        if not expire_ns or place.timestamp_ns < expire_ns:
            return False
        alert.status = int(Status.EXPIRED)
        self.changed.add(alert.number)
        self._quiet(alert)
        return True

    def _fire(self, alert: Alert, place: Place, level: int, direction: int, happened: Happened | None) -> Firing:
        one = alert.definition
        alert.count += 1
        alert.last_seq, alert.last_ns = place.seq, place.timestamp_ns
        number = self.fired[alert.owner] = self.fired.get(alert.owner, 0) + 1
        self.changed.add(alert.number)
        if one.once:
            alert.status = int(Status.FIRED)
            self._quiet(alert)
        return Firing(
            alert.owner, number, alert.number, alert.count, one.kind, place,
            happened.instrument if happened else one.instrument, one.account, direction, level, one.threshold,
            one.note, happened,
        )  # fmt: skip
