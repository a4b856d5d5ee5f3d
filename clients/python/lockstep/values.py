"""Results as frozen dataclasses. Prices are ticks, quantities lots, money micros, times nanoseconds; never floats."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from operator import attrgetter

from lockstep.codes import REFUSING_KINDS
from lockstep.enums import EventKind
from lockstep.errors import Refused
from lockstep.rows import REPORT_FIELDS, OrderRow, ReportRow
from lockstep.v1 import accounts_pb2, cluster_pb2, common_pb2, orders_pb2


@dataclass(frozen=True, slots=True)
class EventId:
    """Identity of an event: the same on every replica, for ever. Ordered by (seq, index)."""

    seq: int
    index: int


@dataclass(frozen=True, slots=True)
class Budget:
    """What a client may still ask of the gateway that answered last, in points (docs/access.md of the cluster)."""

    left: int
    """That may be spent at once."""
    per_s: int
    """That come back in a second."""
    at_once: int
    """That there are when nothing was spent lately."""


@dataclass(frozen=True, slots=True)
class Report(ReportRow):
    """One row of what happened to an order. `kind` and `code` are plain ints here; compare them with the enums.

    `leg` is 0 for the session's own side (taker of a trade, owner of an order) and 1 for the maker of a trade, and for
    the owner of an order that another session, or time, took off or changed. `session_no` is 0 for what something else
    than a command of the session did to the order (a maker's fill, a stop that was set off, an auction's trade).
    `flags`: see `ReportFlag`.
    """

    @property
    def event_id(self) -> EventId:
        """(seq, index) of the event."""
        return EventId(self.seq, self.index)

    @property
    def is_refusal(self) -> bool:
        """Whether this is an outcome that had no effect."""
        return self.kind in REFUSING_KINDS


_REPORTED = attrgetter(*(name for name in REPORT_FIELDS if name not in ("seq", "index")), "epoch")


def report_from_proto(row: common_pb2.ExecutionReport) -> Report:
    """One row of the wire."""
    return Report(row.event_id.seq, row.event_id.index, *_REPORTED(row))


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What one command did. The first report is its outcome; trades and a canceled remainder follow."""

    reports: tuple[Report, ...]
    epoch: int
    duplicate: bool = False
    """The command had been executed before (a retry met it); the outcome of then stands."""

    @property
    def outcome(self) -> Report:
        """The first report."""
        return self.reports[0]

    @property
    def order_id(self) -> int:
        """Exchange id of the order concerned."""
        return self.reports[0].order_id

    @property
    def filled_lots(self) -> int:
        """Traded by this command itself, as taker."""
        return sum(row.quantity_lots for row in self.reports if row.kind == EventKind.TRADE and row.leg == 0)

    @property
    def leaves_lots(self) -> int:
        """Still open of the order after this command."""
        # Self-trade prevention and mass cancels report other orders of the session as well.
        mine = self.order_id
        return next(row.leaves_lots for row in reversed(self.reports) if row.order_id == mine)

    def raise_for_refusal(self) -> "CommandResult":
        """Itself.

        Raises:
            Refused: the outcome is a refusal.
        """
        first = self.reports[0]
        if first.is_refusal:
            raise Refused(first.code, f"session number {first.session_no}, event ({first.seq}, {first.index})", first)
        return self


def command_result(reports: Iterable[Report], *, epoch: int, duplicate: bool = False) -> CommandResult:
    """Result of one command from its reports, in order."""
    return CommandResult(tuple(reports), epoch, duplicate)


@dataclass(frozen=True, slots=True)
class Order(OrderRow):
    """A live order. `side`, `order_type` and `tif` are plain ints here; compare them with the enums."""


def order_from_proto(row: orders_pb2.Order) -> Order:
    """One live order of the wire."""
    return Order(*(getattr(row, field.name) for field in fields(Order)))


@dataclass(frozen=True, slots=True)
class Position:
    """What an account holds of one instrument; `reserved_lots` are bound by resting sell orders."""

    instrument: int
    quantity_lots: int
    reserved_lots: int
    cost_micros: int = 0
    """What the lots held were bought (short: sold) for, before fees."""
    realised_micros: int = 0


@dataclass(frozen=True, slots=True)
class Account:
    """Balances as of `seq`; `reserved_micros` are bound by resting buy orders."""

    account: int
    name: str
    unlimited_cash: bool
    unlimited_positions: bool
    cash_micros: int
    reserved_micros: int
    positions: tuple[Position, ...]
    seq: int
    epoch: int
    status: int = 0
    """A `lockstep.AccountStatus`."""
    margin: bool = False
    short_sales: bool = False
    day_trade_rule: bool = False


def account_from_proto(row: accounts_pb2.Account, stamp: common_pb2.Stamp) -> Account:
    """One account of the wire."""
    return Account(
        row.account,
        row.name,
        row.unlimited_cash,
        row.unlimited_positions,
        row.cash_micros,
        row.reserved_micros,
        tuple(
            Position(p.instrument, p.quantity_lots, p.reserved_lots, p.cost_micros, p.realised_micros)
            for p in row.positions
        ),
        stamp.seq,
        stamp.epoch,
        row.status,
        row.margin,
        row.short_sales,
        row.day_trade_rule,
    )


@dataclass(frozen=True, slots=True)
class GatewayStatus:
    """What the gateway says of itself and of the cluster. `why` is empty while it serves."""

    member: int
    serving: bool
    epoch: int
    seq: int
    committed_seq: int
    primary: int
    in_sync: tuple[int, ...]
    learners: tuple[int, ...]
    counters: dict[str, int]
    why: str


def status_from_proto(row: cluster_pb2.GetStatusReply) -> GatewayStatus:
    """Status as of the wire."""
    return GatewayStatus(
        row.member,
        row.role == cluster_pb2.ROLE_SERVING,
        row.epoch,
        row.seq,
        row.committed_seq,
        row.primary,
        tuple(row.in_sync),
        tuple(row.learners),
        dict(row.counters),
        row.why,
    )
