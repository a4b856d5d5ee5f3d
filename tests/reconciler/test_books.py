"""The reconciler's own books agree with the engines over every kind of booking, and find numbers and balances wrong."""

import numpy as np
import pytest

from lockstep.engine.native import NativeEngine
from lockstep.engine.reference import ReferenceEngine
from lockstep.engine.snapshot_format import decode_snapshot
from lockstep.reconciler.books import Ledger, SessionBook, books_of, holdings_of, holdings_of_rows
from lockstep.reconciler.twin import Start, StreamBroken, Twin, first_difference
from lockstep.replica.answers import answer_query
from lockstep.stream.batch import Batch, stamp_batch
from lockstep.stream.records import ADMIN, COMMAND, RULES, TRANSFER, CommandKind, OrderType, Side, TimeInForce
from lockstep.v1 import replication_pb2
from tests.restamped import restamped

SESSION = 7 << 32


class Flow:
    """Commands of one session, as batches."""

    def __init__(self) -> None:
        self.number = 0
        self.seq = 1

    def batch(self, *commands: np.ndarray) -> Batch:
        records = np.concatenate([command.view(COMMAND) for command in commands])
        batch = stamp_batch(records, epoch=1, first_seq=self.seq, timestamp_ns=self.seq)
        self.seq += len(records)
        return batch

    def command(self, dtype: np.dtype, **fields: object) -> np.ndarray:
        self.number += 1
        row = np.zeros(1, dtype)
        for name, value in {"session_id": SESSION, "session_no": self.number, **fields}.items():
            row[name] = value
        return row

    def order(self, account: int, side: Side, lots: int, price: int = 100) -> np.ndarray:
        return self.command(
            COMMAND,
            kind=CommandKind.NEW_ORDER,
            side=side,
            order_type=OrderType.LIMIT,
            tif=TimeInForce.GTC,
            account=account,
            instrument=1,
            price_ticks=price,
            quantity_lots=lots,
        )

    def opening(self) -> Batch:
        commands = [
            self.command(
                ADMIN, kind=CommandKind.DEFINE_INSTRUMENT, instrument=1, name=b"A", tick_micros=10, lot_units=5
            ),
            self.command(RULES, kind=CommandKind.SET_FEES, instrument=1, maker_fee_ppm=1000, taker_fee_ppm=3000),
        ]
        for account in (1, 2):
            commands += [
                self.command(ADMIN, kind=CommandKind.DEFINE_ACCOUNT, account=account, name=b"D%d" % account),
                self.command(ADMIN, kind=CommandKind.ADJUST_CASH, account=account, amount_micros=10**9),
                self.command(ADMIN, kind=CommandKind.ADJUST_POSITION, account=account, instrument=1, quantity_lots=500),
            ]
        return self.batch(*commands)

    def trading(self) -> Batch:
        return self.batch(
            self.order(1, Side.SELL, 30),
            self.order(2, Side.BUY, 20),
            self.order(2, Side.BUY, 20, price=99),
            self.order(1, Side.SELL, 10, price=99),
            self.command(
                TRANSFER,
                kind=CommandKind.TRANSFER_POSITION,
                account=1,
                instrument=1,
                to_account=2,
                quantity_lots=9,
            ),
            self.command(ADMIN, kind=CommandKind.ADJUST_CASH, account=1, amount_micros=-5),
        )


def executed(engine=NativeEngine):
    flow, twin, ledger, sessions, breaks = Flow(), Twin(engine, Start()), Ledger(), SessionBook(), []
    for frame in (flow.opening(), flow.trading()):
        done = twin.execute(frame)
        breaks += sessions.book(frame.records, done.events) + ledger.book(frame, done.events)
    assert breaks == []
    return flow, twin, ledger, sessions


@pytest.mark.parametrize("engine", [NativeEngine, ReferenceEngine])
def test_ledger_books_what_the_engine_holds(engine) -> None:
    _flow, twin, ledger, _sessions = executed(engine)
    assert ledger.compare("engine", holdings_of(twin.engine.accounts()), twin.seq) == []
    assert ledger.amounts[1, 1] != 500
    assert ledger.amounts[1, 0] + ledger.amounts[2, 0] < 2 * 10**9, "fees were paid"


def test_balance_that_a_replica_answers_wrong_is_found_by_r8() -> None:
    _flow, twin, ledger, _sessions = executed()
    reply = answer_query(replication_pb2.QueryRequest(accounts_after=0), twin.engine)
    holdings = holdings_of_rows(reply.account_rows, reply.position_rows)
    assert ledger.compare("engine-2", holdings, twin.seq) == []
    holdings[2, 1] += 1
    (found,) = ledger.compare("engine-2", holdings, twin.seq)
    assert (found.rule, found.subject) == ("R8", "engine-2 account 2 instrument 1")


def test_balances_of_a_page_are_compared_with_those_of_its_accounts_alone() -> None:
    _flow, twin, ledger, _sessions = executed()
    reply = answer_query(replication_pb2.QueryRequest(accounts_after=0, limit=1), twin.engine)
    holdings = holdings_of_rows(reply.account_rows, reply.position_rows)
    assert {account for account, _ in holdings} == {1}
    assert ledger.compare("engine-2", holdings, twin.seq, first=0, last=reply.next.account) == []
    assert {found.subject for found in ledger.compare("engine-2", holdings, twin.seq)} == {
        "engine-2 account 2 cash",
        "engine-2 account 2 instrument 1",
    }


def test_books_of_a_snapshot_are_those_that_led_there() -> None:
    _flow, twin, ledger, sessions = executed()
    restored_sessions, restored = books_of(decode_snapshot(twin.engine.snapshot()))
    assert restored_sessions.last_no == sessions.last_no
    assert restored.unit_micros == ledger.unit_micros
    assert {k: v for k, v in restored.amounts.items() if v} == {k: v for k, v in ledger.amounts.items() if v}


def test_event_that_states_another_balance_than_its_adjustment_leads_to_is_found_by_r8() -> None:
    flow, twin, ledger, _sessions = executed()
    frame = flow.batch(flow.command(ADMIN, kind=CommandKind.ADJUST_CASH, account=1, amount_micros=50))
    done = twin.execute(frame)
    other = frame.records.copy().view(ADMIN)
    other["amount_micros"] = 60
    changed = restamped(frame, records=other.view(COMMAND))
    assert [found.rule for found in ledger.book(changed, done.events)] == ["R8"]


def session_rules(*numbers: int) -> list[tuple[str, int]]:
    book = SessionBook()
    found: list[tuple[str, int]] = []
    for seq, number in enumerate(numbers, 1):
        records = np.zeros(1, COMMAND)
        records["kind"], records["session_id"], records["session_no"] = CommandKind.CANCEL, SESSION, number
        batch = stamp_batch(records, epoch=1, first_seq=seq, timestamp_ns=0)
        events = Twin(NativeEngine, Start()).execute(restamped(batch, first_seq=1)).events.copy()
        events["seq"], events["code"], events["kind"] = seq, 0, 6
        found += [(each.rule, each.seq) for each in book.book(batch.records, events)]
    return found


def test_number_executed_twice_is_found_by_r3() -> None:
    assert session_rules(1, 2, 2, 3) == [("R3", 3)]


def test_number_left_out_is_found_by_r4_once() -> None:
    assert session_rules(1, 3, 4) == [("R4", 2)]


def test_repetition_that_the_engine_answered_as_such_is_no_break() -> None:
    flow, twin, _ledger, sessions = executed()
    flow.number -= 1
    frame = flow.batch(flow.order(1, Side.SELL, 1))
    assert sessions.book(frame.records, twin.execute(frame).events) == []


def test_number_refused_as_out_of_order_is_no_break() -> None:
    flow, twin, _ledger, sessions = executed()
    flow.number += 5
    frame = flow.batch(flow.order(1, Side.SELL, 1))
    assert sessions.book(frame.records, twin.execute(frame).events) == []


def test_twin_that_starts_from_a_position_goes_on_with_the_same_digests() -> None:
    flow, twin, _ledger, _sessions = executed(ReferenceEngine)
    other = Twin(NativeEngine, twin.position())
    frame = flow.batch(flow.order(2, Side.BUY, 3))
    assert other.digest_after(frame) == twin.execute(frame).digest
    assert other.execute(frame).digest == twin.digest


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"first_seq": 99}, "99"),
        ({"epoch": 0}, "epoch falls"),
        ({"timestamp_ns": 0}, "time"),
        ({"records": np.zeros(0, COMMAND)}, "empty"),
    ],
)
def test_batch_that_does_not_follow_breaks_the_stream(change, text) -> None:
    flow, twin, _ledger, _sessions = executed()
    frame = flow.batch(flow.order(2, Side.BUY, 3))
    with pytest.raises(StreamBroken, match=text):
        twin.execute(restamped(frame, **change))


@pytest.mark.parametrize("first", [1, 2, 500, 999, 1000])
def test_bisection_finds_the_first_difference_in_few_questions(first) -> None:
    asked = []

    def equal_at(seq: int) -> bool:
        asked.append(seq)
        return seq < first

    assert first_difference(0, 1000, equal_at) == first
    assert len(asked) <= 10
