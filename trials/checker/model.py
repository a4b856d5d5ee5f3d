"""The journal, executed by the specification: what must have happened, to whom, and what is left."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lockstep.engine.contract import StreamGap
from lockstep.engine.reference import ReferenceEngine
from lockstep.reconciler.proof import Balances
from lockstep.rows import REPORT_DTYPES
from lockstep.stream.batch import Batch, LayoutError, decode_batch
from lockstep.stream.codes import NOT_EXECUTED
from lockstep.stream.digest import GENESIS, next_digest
from lockstep.stream.records import (
    CONTROL,
    CommandKind,
    Commands,
    EventKind,
    Events,
    Side,
    no_commands,
    no_events,
)
from lockstep.trials.checker.history import REPORT, ReportRows
from lockstep.trials.checker.promises import Promise, Violation

TWO_SIDED: Final = (EventKind.TRADE, EventKind.CANCELED, EventKind.REPLACED, EventKind.REDUCED)
"""Events that also concern another session's order, which stands in the maker's fields."""
ADMINISTRATIVE: Final = int(EventKind.INSTRUMENT_DEFINED)
"""From this kind on, events and reports have other fields at the place of an order's."""
_CONTROL: Final = int(CommandKind.EPOCH_START)
_KEPT_OF_ADMIN: Final = ("seq", "index", "leg", "kind", "code", "session_no")


@dataclass(frozen=True, slots=True)
class Model:
    """The specification's account of a run."""

    commands: Commands = field(repr=False)
    """Command i has seq i + 1."""
    events: Events = field(repr=False)
    digests: dict[int, bytes] = field(repr=False)
    """Of the chain, by last seq of each batch; 0: before the first."""
    balances: Balances = field(repr=False)
    fees_micros: int
    value_micros: dict[int, int]
    """By instrument, what one lot at one tick is worth."""
    executed: NDArray[np.bool_] = field(repr=False)
    """For each command, whether it had an effect of its own: it was neither a repeat nor too early."""


def replay(raw_batches: Sequence[bytes]) -> tuple[Model, list[Violation]]:
    """Execute a journal from its first batch; at a batch that can't be there it stops and says why."""
    engine = ReferenceEngine()
    digest = GENESIS
    digests: dict[int, bytes] = {0: bytes(digest)}
    commands, events = [no_commands()], [no_events()]
    violations: list[Violation] = []
    epoch = 0
    for raw in raw_batches:
        try:
            batch = decode_batch(raw)
            _require_epoch(batch, epoch)
            caused = engine.apply(batch.records, first_seq=batch.first_seq, timestamp_ns=batch.timestamp_ns)
        except (LayoutError, StreamGap) as error:
            violations.append(Violation(Promise.ONE_STREAM, 1, f"after seq {engine.last_seq}: {error}"))
            break
        epoch = batch.epoch
        digest = next_digest(digest, raw, caused.tobytes())
        digests[batch.last_seq] = bytes(digest)
        commands.append(batch.records)
        events.append(caused)
    return _model(engine, np.concatenate(commands), np.concatenate(events), digests), violations


def _require_epoch(batch: Batch, before: int) -> None:
    """Raises StreamGap if an epoch falls, or begins without saying so."""
    if batch.epoch < before:
        raise StreamGap(f"epoch {batch.epoch} follows epoch {before} at seq {batch.first_seq}")
    if batch.epoch > before:
        first = batch.records.view(CONTROL)[0]
        if first["kind"] != CommandKind.EPOCH_START or first["epoch"] != batch.epoch:
            raise StreamGap(f"epoch {batch.epoch} begins at seq {batch.first_seq} without its EPOCH_START")


def _model(engine: ReferenceEngine, commands: Commands, events: Events, digests: dict[int, bytes]) -> Model:
    accounts = engine.accounts()
    lots = {
        (account.account, position.instrument): position.quantity_lots
        for account in accounts
        for position in account.positions
        if position.quantity_lots
    }
    executed = (commands["session_no"] > 0) & (commands["kind"] < _CONTROL)
    executed[events["seq"][no_outcome(events)].astype(np.int64) - 1] = False
    return Model(
        commands=commands,
        events=events,
        digests=digests,
        balances=Balances({account.account: account.cash_micros for account in accounts}, dict(sorted(lots.items()))),
        fees_micros=engine.fees_micros,
        value_micros={view.instrument: view.tick_micros * view.lot_units for view in engine.instruments()},
        executed=executed,
    )


def no_outcome(events: Events) -> NDArray[np.bool_]:
    """Events and report rows that say only that a number was repeated, came too early or was another command's."""
    found: NDArray[np.bool_] = (events["kind"] == EventKind.DUPLICATE) | np.isin(events["code"], NOT_EXECUTED)
    return found


def reports_for(session_id: int, events: Events) -> ReportRows:
    """The rows that a session has to receive for these events, in order."""
    reported = events[(events["kind"] < EventKind.EPOCH_STARTED) & ~no_outcome(events)]
    own = reported[reported["session_id"] == session_id]
    other = reported[np.isin(reported["kind"], TWO_SIDED)]
    other = other[other["maker_session_id"] == session_id]
    rows = np.concatenate([_own_side(own), _other_side(other)])
    ordered: ReportRows = plain(rows[np.lexsort((rows["leg"], rows["index"], rows["seq"]))])
    return ordered


def plain(rows: ReportRows) -> ReportRows:
    """Rows of administrative events reduced to what they share with those of orders."""
    admin = rows["kind"] >= ADMINISTRATIVE
    if admin.any():
        for name in REPORT_DTYPES:
            if name not in _KEPT_OF_ADMIN:
                rows[name] = np.where(admin, 0, rows[name])
    return rows


def _own_side(events: Events) -> ReportRows:
    rows = np.zeros(len(events), REPORT)
    for name in REPORT_DTYPES:
        if name not in _APART:
            rows[name] = events[_SOURCE.get(name, name)]
    # A DUPLICATE has a seq where an order's event has a price.
    repeats = events["kind"] == EventKind.DUPLICATE
    rows["original_seq"] = np.where(repeats, events["original_seq"], 0)
    rows["previous_price_ticks"] = np.where(repeats, 0, events["original_seq"]).astype(np.int64)
    return rows


def _other_side(events: Events) -> ReportRows:
    rows = _own_side(events)
    rows["leg"] = 1
    rows["session_no"] = 0
    trade = events["kind"] == EventKind.TRADE
    opposite = np.where(events["side"] == Side.BUY, int(Side.SELL), int(Side.BUY))
    rows["side"] = np.where(trade, opposite, rows["side"])
    rows["counterparty_order_id"] = np.where(trade, events["order_id"], rows["counterparty_order_id"])
    for name, source in _MAKER.items():
        rows[name] = np.where(trade, events[source], rows[name])
    return rows


_APART: Final = ("leg", "original_seq", "previous_price_ticks")
_SOURCE: Final = {"counterparty_order_id": "maker_order_id", "fee_micros": "taker_fee_micros"}
_MAKER: Final = {
    "account": "maker_account",
    "order_id": "maker_order_id",
    "client_order_id": "maker_client_order_id",
    "leaves_lots": "maker_leaves_lots",
    "fee_micros": "maker_fee_micros",
}
