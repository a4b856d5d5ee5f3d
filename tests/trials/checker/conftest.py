"""A small run that keeps every promise, made without the checker's own code, to be spoilt by tests."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from lockstep.engine.reference import ReferenceEngine
from lockstep.gateway.reports import REPORT_COLUMNS, route, shared_columns
from lockstep.reconciler.proof import Balances
from lockstep.rows import COMMAND_DTYPES
from lockstep.stream.batch import decode_batch, stamp_batch
from lockstep.stream.digest import GENESIS, next_digest
from lockstep.stream.records import (
    ADMIN,
    COMMAND,
    CONTROL,
    CommandKind,
    Commands,
    Events,
    OrderType,
    Side,
    TimeInForce,
    members_to_bits,
)
from lockstep.trials.checker.history import SEEN, SENT, SessionHistory
from lockstep.trials.checker.verdict import Verdict, check_run
from lockstep.trials.evidence import EngineEvidence

FUNDING = 900
SESSIONS = {11: 1, 22: 2}
"""Session id -> account."""
CASH = 1_000_000_000_000
LOTS = 100_000
BATCHES = 40
SENT_TO_HEARD_NS = 400
BATCH_NS = 1000


@dataclass(frozen=True)
class Run:
    """Histories and replicas of a run."""

    histories: tuple[SessionHistory, ...]
    replicas: tuple[EngineEvidence, ...]
    opening: Balances

    def check(self) -> Verdict:
        """The checker's verdict on it."""
        return check_run(self.histories, self.replicas, opening=self.opening, others=frozenset({FUNDING}))

    def broken(self) -> set[str]:
        """Names of the promises that were not kept."""
        return {name for name, kept in self.check().kept().items() if not kept}

    def with_history(self, **changes: Any) -> "Run":
        """With changes to the first client's history."""
        return replace(self, histories=(replace(self.histories[0], **changes), *self.histories[1:]))

    def with_replica(self, **changes: Any) -> "Run":
        """With changes to the second replica."""
        return replace(self, replicas=(self.replicas[0], replace(self.replicas[1], **changes)))

    def with_journal(self, journal: Sequence[bytes]) -> "Run":
        """Both replicas hold another journal, and are what executing it makes of them."""
        return replace(self, replicas=tuple(execute(name, journal) for name in ("engine-1", "engine-2")))


def execute(name: str, journal: Sequence[bytes]) -> EngineEvidence:
    """What an engine keeps that has executed a journal."""
    engine = ReferenceEngine()
    digest = GENESIS
    events = []
    for raw in journal:
        batch = decode_batch(raw)
        caused = engine.apply(batch.records, first_seq=batch.first_seq, timestamp_ns=batch.timestamp_ns)
        digest = next_digest(digest, batch.raw, caused.tobytes())
        events.append(caused)
    accounts = engine.accounts()
    lots = {(a.account, p.instrument): p.quantity_lots for a in accounts for p in a.positions if p.quantity_lots}
    return EngineEvidence(
        engine=name,
        seq=engine.last_seq,
        digest=bytes(digest),
        journal=tuple(journal),
        events=np.concatenate(events),
        balances=Balances({a.account: a.cash_micros for a in accounts}, dict(sorted(lots.items()))),
        value_micros={7: 1},
    )


def _opening_batch() -> Commands:
    start = np.zeros(1, CONTROL)
    start["kind"], start["epoch"], start["primary"], start["sequencer"] = CommandKind.EPOCH_START, 1, 1, 1
    start["in_sync"] = members_to_bits((1, 2))
    return start.view(COMMAND)


def _deposits() -> Commands:
    rows = np.zeros(1 + 3 * len(SESSIONS), ADMIN)
    rows["session_id"], rows["session_no"] = FUNDING, np.arange(1, len(rows) + 1)
    rows[0]["kind"], rows[0]["instrument"] = CommandKind.DEFINE_INSTRUMENT, 7
    rows[0]["name"], rows[0]["tick_micros"], rows[0]["lot_units"] = b"ACME", 1, 1
    for place, account in enumerate(SESSIONS.values()):
        define, cash, lots = rows[1 + 3 * place : 4 + 3 * place]
        define["kind"], define["name"] = CommandKind.DEFINE_ACCOUNT, f"T{account}".encode()
        cash["kind"], cash["amount_micros"] = CommandKind.ADJUST_CASH, CASH
        lots["kind"], lots["instrument"], lots["quantity_lots"] = CommandKind.ADJUST_POSITION, 7, LOTS
        for row in (define, cash, lots):
            row["account"] = account
    return rows.view(COMMAND)


def _orders(chance: random.Random, session_id: int, numbers: range) -> Commands:
    rows = np.zeros(len(numbers), COMMAND)
    rows["session_id"], rows["account"], rows["instrument"] = session_id, SESSIONS[session_id], 7
    for row, number in zip(rows, numbers, strict=True):
        row["session_no"], row["client_order_id"] = number, number
        if chance.random() < 0.15 and number > 3:
            row["kind"], row["client_order_id"] = CommandKind.CANCEL, chance.randrange(1, number)
            continue
        row["kind"], row["order_type"] = CommandKind.NEW_ORDER, OrderType.LIMIT
        row["tif"] = TimeInForce.IOC if chance.random() < 0.2 else TimeInForce.GTC
        row["side"] = chance.choice((Side.BUY, Side.SELL))
        row["price_ticks"], row["quantity_lots"] = 1000 + chance.randint(-4, 4), chance.randint(1, 20)
    return rows


def stamped(records: Commands, *, epoch: int, first_seq: int, timestamp_ns: int) -> bytes:
    """A journaled batch."""
    return stamp_batch(records, epoch=epoch, first_seq=first_seq, timestamp_ns=timestamp_ns).raw


def heard(session_id: int, events: Events, heard_ns: int) -> np.ndarray:
    """What a gateway reports to a session of these events."""
    routed = route(events, session_id)
    if routed is None:
        return np.zeros(0, SEEN)
    rows = np.zeros(len(routed.reports), SEEN)
    rows["heard_ns"], rows["epoch"], rows["leg"] = heard_ns, 1, routed.reports.legs
    for name, source, _ in REPORT_COLUMNS:
        rows[name] = routed.reports.rows[source]
    for name, column in shared_columns(routed.reports.rows):
        rows[name] = column
    return rows


def _sent(records: Commands, sent_ns: int) -> np.ndarray:
    rows = np.zeros(len(records), SENT)
    rows["sent_ns"], rows["session_no"] = sent_ns, records["session_no"]
    for name in COMMAND_DTYPES:
        rows[name] = records[name]
    return rows


@pytest.fixture(scope="session")
def good_run() -> Run:
    """Two clients trade with each other through two replicas, one batch after the other."""
    chance = random.Random(5)
    journal = [stamped(_opening_batch(), epoch=1, first_seq=1, timestamp_ns=1)]
    journal.append(stamped(_deposits(), epoch=1, first_seq=2, timestamp_ns=2))
    next_no = dict.fromkeys(SESSIONS, 1)
    sent: dict[int, list[np.ndarray]] = {session: [] for session in SESSIONS}
    seq = 2 + 1 + 3 * len(SESSIONS)
    for turn in range(BATCHES):
        session = (11, 22)[turn % 2]
        records = _orders(chance, session, range(next_no[session], next_no[session] + 5))
        next_no[session] += 5
        sent[session].append(_sent(records, turn * BATCH_NS))
        journal.append(stamped(records, epoch=1, first_seq=seq, timestamp_ns=10 + turn))
        seq += len(records)
    first, second = (execute(name, journal) for name in ("engine-1", "engine-2"))
    histories = []
    for session, account in SESSIONS.items():
        parts = []
        for turn, raw in enumerate(journal[2:]):
            batch = decode_batch(raw)
            caused = first.events[(first.events["seq"] >= batch.first_seq) & (first.events["seq"] <= batch.last_seq)]
            parts.append(heard(session, caused, turn * BATCH_NS + SENT_TO_HEARD_NS))
        histories.append(SessionHistory(session, account, np.concatenate(sent[session]), np.concatenate(parts)))
    opening = Balances(dict.fromkeys(SESSIONS.values(), CASH), {(a, 7): LOTS for a in SESSIONS.values()})
    return Run(tuple(histories), (first, second), opening)
