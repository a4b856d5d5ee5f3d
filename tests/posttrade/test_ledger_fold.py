"""The ledger's figures are the engine's, at any seq, however the stream was cut; and every asset adds up to nothing."""

import random

import numpy as np
import pytest

from lockstep.posttrade.chunks import Chunk, Position, check
from lockstep.posttrade.ledger import schema
from lockstep.posttrade.ledger.books import LedgerBroken
from lockstep.posttrade.ledger.digest import table_digests
from lockstep.posttrade.ledger.sink import LedgerSink
from lockstep.posttrade.ledger.store_sqlite import SqliteStore
from lockstep.stream.records import SETTING, CommandKind, EventKind, Phase
from tests.all_features import ACCOUNTS, SESSION, record
from tests.posttrade.flows import History, history
from tests.seeds import seeds


def ledger(path):
    return LedgerSink(SqliteStore(path))


def build(path, made: History, sizes) -> LedgerSink:
    sink = ledger(path)
    for chunk in made.chunks(sizes):
        check(chunk, sink.position())
        sink.apply(chunk)
    return sink


def signed(number: int) -> int:
    return number - 2**64 if number >= 2**63 else number


def compare(sink: LedgerSink, engine) -> None:
    """Balances, positions, cost, profit, live orders and what they bind, as the engine has them."""
    sql = "SELECT account, instrument, amount, cost_micros, profit_micros FROM balances WHERE account > 0"
    rows = {(account, number): rest for account, number, *rest in sink.store.rows(sql)}
    live = sink.store.rows(
        "SELECT account, order_id, leaves_lots, price_ticks, side, lot_micros, order_type FROM orders WHERE state=1"
    )
    for account in engine.accounts():
        assert rows.pop((account.account, 0), [0, 0, 0])[0] == account.cash_micros
        for held in account.positions:
            found = rows.pop((account.account, held.instrument), [0, 0, 0])
            assert found == [held.quantity_lots, held.cost_micros, held.realised_micros]
        own = sorted(row[1:] for row in live if row[0] == account.account)
        orders = engine.open_orders(account.account)
        assert [row[0] for row in own] == [order.order_id for order in orders]
        assert [row[1] for row in own] == [order.leaves_lots for order in orders]
        assert [row[2] for row in own] == [order.price_ticks for order in orders]
        bound = sum(row[1] * row[4] for row in own if row[3] == 1)
        gathering = [row for row in own if row[5] == 2 and row[3] == 1]
        if not gathering:
            assert bound == account.reserved_micros
        elif all(row[2] for row in gathering):
            # A band may be tighter than the price that it names, which no event says.
            assert bound >= account.reserved_micros
    assert not any(any(rest) for rest in rows.values())


@pytest.mark.parametrize("seed", seeds(4))
def test_balances_positions_and_profit_are_the_engines_at_random_seqs(tmp_path, seed):
    made = History(seed)
    sink = ledger(tmp_path / "ledger.db")
    begin, looked = 0, 0
    pick = random.Random(seed + 100)
    for index in made.go_on(900):
        if pick.random() < 0.3:
            sink.apply(made.chunk(begin, index))
            begin = index + 1
            compare(sink, made.engine)
            looked += 1
    assert looked > 200
    sink.close()


@pytest.mark.parametrize("seed", seeds(3))
def test_the_rows_are_the_same_however_the_stream_is_cut(tmp_path, seed):
    made = history(seed, 500)
    digests = []
    for name, sizes in (("one", 1), ("all", 10**6), ("some", (1, 2, 7, 40))):
        sink = build(tmp_path / f"{name}.db", made, sizes)
        digests.append(table_digests(sink.store))
        sink.close()
    assert digests[0] == digests[1] == digests[2]


def test_the_rows_are_the_same_after_each_restart(tmp_path):
    made = history(7, 400)
    whole = build(tmp_path / "whole.db", made, 13)
    expected = table_digests(whole.store)
    whole.close()
    for chunk in made.chunks(13):
        sink = ledger(tmp_path / "restarted.db")
        sink.apply(chunk)
        sink.close()
    again = ledger(tmp_path / "restarted.db")
    assert table_digests(again.store) == expected
    again.close()


def test_every_asset_adds_up_to_nothing_and_every_order_to_its_quantity(tmp_path):
    made = history(3, 600)
    sink = build(tmp_path / "ledger.db", made, 50)
    rows = sink.store.rows
    assert rows("SELECT sum(cash_micros), count(*) > 500 FROM entries")[0] == (0, 1)
    assert all(total == 0 for (total,) in rows("SELECT sum(lots) FROM entries GROUP BY instrument"))
    assert all(total == 0 for (total,) in rows("SELECT sum(amount) FROM balances GROUP BY instrument"))
    sql = (
        "SELECT e.account, e.instrument, sum(e.lots) - coalesce((SELECT amount FROM balances b "
        "WHERE b.account=e.account AND b.instrument=e.instrument), 0) FROM entries e "
        "WHERE e.instrument != 0 GROUP BY 1, 2"
    )
    assert all(off == 0 for _, _, off in rows(sql))
    bad = "SELECT count(*) FROM orders WHERE quantity_lots != filled_lots + leaves_lots + canceled_lots"
    assert rows(bad)[0][0] == 0
    assert rows("SELECT count(*) FROM orders WHERE state=1 AND leaves_lots=0")[0][0] == 0
    filled = (
        "SELECT (SELECT sum(filled_micros) FROM orders), "
        "(SELECT sum(abs(cash_micros + fee_micros)) FROM entries WHERE kind=1)"
    )
    assert rows(filled)[0][0] == rows(filled)[0][1] > 0
    fees = (
        "SELECT (SELECT sum(fees_micros) FROM orders), (SELECT amount FROM balances WHERE account=-2 AND instrument=0)"
    )
    assert rows(fees)[0][0] == rows(fees)[0][1] == made.engine.fees_micros
    sink.close()


def test_lots_and_their_closings_explain_positions_and_profits(tmp_path):
    made = history(5, 600)
    sink = build(tmp_path / "ledger.db", made, 50)
    rows = sink.store.rows
    sql = "SELECT account, instrument, amount, fifo_profit_micros FROM balances WHERE account > 0 AND instrument != 0"
    found = rows(sql)
    assert {row[0] for row in found} == set(ACCOUNTS)
    for account, instrument, amount, profit in found:
        place = (account, instrument)
        still = "SELECT coalesce(sum(open_lots), 0) FROM lots WHERE account=? AND instrument=?"
        assert rows(still, place)[0][0] == amount
        explained = "SELECT coalesce(sum(profit_micros), 0) FROM lot_closings WHERE account=? AND instrument=?"
        assert rows(explained, place)[0][0] == profit
    # Each lot is what is open of it and what was closed of it, in lots and in money.
    sql = (
        "SELECT l.lots - l.open_lots, l.micros - l.open_micros, coalesce(sum(c.lots), 0), "
        "coalesce(sum(c.cost_micros), 0) FROM lots l LEFT JOIN lot_closings c ON c.account=l.account "
        "AND c.instrument=l.instrument AND c.lot_seq=l.seq AND c.lot_index=l.event_index AND c.lot_leg=l.leg "
        "GROUP BY l.account, l.instrument, l.seq, l.event_index, l.leg"
    )
    assert all(abs(lots) == closed and micros == cost for lots, micros, closed, cost in rows(sql))
    assert rows("SELECT count(*) FROM lot_closings WHERE profit_micros = proceeds_micros - cost_micros")[0][0] > 50
    sink.close()


def test_an_orders_whole_life_can_be_read(tmp_path):
    made = history(2, 300)
    sink = build(tmp_path / "ledger.db", made, 20)
    kinds = {kind for (kind,) in sink.store.rows("SELECT DISTINCT kind FROM order_events")}
    assert {EventKind.ACCEPTED, EventKind.TRADE, EventKind.CANCELED, EventKind.REPLACED, EventKind.REJECTED} <= kinds
    sql = (
        "SELECT o.order_id, o.leaves_lots, (SELECT e.leaves_lots FROM order_events e WHERE e.order_id=o.order_id AND "
        "e.kind NOT IN (6, 7) ORDER BY seq DESC, event_index DESC LIMIT 1) FROM orders o WHERE o.state != 4"
    )
    assert all(leaves == last for _, leaves, last in sink.store.rows(sql))
    sink.close()


@pytest.mark.parametrize(("price", "counted"), [(120, True), (0, False)])
def test_a_market_buy_that_gathers_binds_what_it_names(tmp_path, price, counted):
    made = History(0)
    made.stamp(record(CommandKind.SET_PHASE, SETTING, instrument=7, value=int(Phase.PRE_OPEN)))
    before = {one.account: one.reserved_micros for one in made.engine.accounts()}
    made.stamp(
        record(
            CommandKind.NEW_ORDER, side=1, order_type=2, tif=2, quantity_lots=5, price_ticks=price, account=1,
            instrument=7, client_order_id=9, session_id=SESSION, session_no=1,
        )
    )  # fmt: skip
    sink = build(tmp_path / "ledger.db", made, 100)
    rows = sink.store.rows("SELECT state, leaves_lots * lot_micros FROM orders WHERE order_type=2")
    if not counted:
        assert rows == [(schema.REJECTED, 0)], "nothing limits what it would cost"
    else:
        bound = {one.account: one.reserved_micros for one in made.engine.accounts()}[1] - before[1]
        assert rows == [(schema.LIVE, bound)]
        assert bound > 0
    compare(sink, made.engine)
    sink.close()


def planted(chunk: Chunk, kind: EventKind, field: str, change: int) -> Chunk:
    """One event that says something else."""
    events = chunk.events.copy()
    from lockstep.stream.records import DEFINITION_EVENT

    place = int(np.flatnonzero(events["kind"] == kind)[0])
    events.view(DEFINITION_EVENT)[field][place] += change
    return Chunk(chunk.batches, events, chunk.through_seq, chunk.committed_seq, chunk.epoch)


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        (EventKind.CASH_ADJUSTED, "amount_micros"),
        (EventKind.POSITION_ADJUSTED, "quantity_lots"),
        (EventKind.POSITION_TRANSFERRED, "quantity_lots"),
    ],
)
def test_a_ledger_that_the_stream_contradicts_stops_and_stores_nothing(tmp_path, kind, field):
    made = history(1, 500)
    whole = made.chunk(0, len(made.batches) - 1)
    sink = ledger(tmp_path / "ledger.db")
    with pytest.raises(LedgerBroken, match="the stream states"):
        sink.apply(planted(whole, kind, field, 1))
    assert sink.store.position() == Position()
    assert sink.store.rows("SELECT count(*) FROM entries")[0][0] == 0
    # The true one is taken by the same process all the same.
    sink.reload()
    sink.apply(whole)
    compare(sink, made.engine)
    sink.close()


def test_a_wrong_fee_in_a_trade_is_found_by_the_next_statement_of_cash(tmp_path):
    made = history(1, 500)
    whole = made.chunk(0, len(made.batches) - 1)
    events = whole.events.copy()
    place = int(np.flatnonzero(events["kind"] == EventKind.TRADE)[0])
    events["taker_fee_micros"][place] += 1
    sink = ledger(tmp_path / "ledger.db")
    with pytest.raises(LedgerBroken):
        sink.apply(Chunk(whole.batches, events, whole.through_seq, whole.committed_seq, whole.epoch))
    sink.close()


def test_ids_of_sixty_four_bits_come_back_as_they_were(tmp_path):
    assert signed(2**64 - 1) == -1
    made = History(0)
    name = 2**64 - 3
    made.stamp(
        record(
            CommandKind.NEW_ORDER, side=1, order_type=1, tif=2, quantity_lots=5, price_ticks=100, account=1,
            instrument=7, client_order_id=name, session_id=SESSION, session_no=1,
        )
    )  # fmt: skip
    sink = build(tmp_path / "ledger.db", made, 100)
    assert sink.store.rows("SELECT client_order_id, state FROM orders") == [(signed(name), schema.LIVE)]
    sink.close()
