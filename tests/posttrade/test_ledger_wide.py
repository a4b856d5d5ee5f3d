"""Sums that leave 64 bits: of the outside world, of the exchange, of an order, of a day; the same in both databases."""

import random
from contextlib import closing

import numpy as np
import pytest

from lockstep.posttrade.ledger import schema
from lockstep.posttrade.ledger.beancount_export import beancount_lines
from lockstep.posttrade.ledger.books import amount_of, halves_of
from lockstep.posttrade.ledger.digest import table_digests
from lockstep.posttrade.ledger.fold import parts_that_fit
from lockstep.posttrade.ledger.lots import I64_MAX, Holding
from lockstep.posttrade.ledger.messages import day
from lockstep.posttrade.ledger.orders import _sums
from lockstep.posttrade.ledger.place import SqlitePlace
from lockstep.posttrade.ledger.queries import Filter, view_of
from lockstep.posttrade.ledger.sink import LedgerSink
from lockstep.posttrade.ledger.statement import statement_of
from lockstep.posttrade.ledger.store_postgres import PostgresStore
from lockstep.stream.records import ADMIN, RULES, AccountFlag, CommandKind, OrderType, Side, TimeInForce
from tests.all_features import record
from tests.posttrade.flows import History

RICH = (2**31 + 7, 2**32 - 1, 5, 6)
"""Accounts; the numbers of two are above what a signed number of 32 bits holds."""
NUMBER = 9


@pytest.mark.parametrize("amount", [0, -1, I64_MAX, -I64_MAX, 2**63, -(2**63), -(2**64) - 5, 2**95 + 3, -(2**126)])
def test_an_amount_comes_back_from_its_halves(amount):
    low, high = halves_of(amount)
    assert amount_of(low, high) == amount
    assert -(2**63) <= low < 2**63
    assert (high == 0) == (-(2**63) <= amount < 2**63)
    if abs(amount) < 2**70:
        parts = list(parts_that_fit(amount))
        assert sum(parts) == amount
        assert all(abs(part) <= I64_MAX for part in parts)


def test_sums_of_columns_are_held_and_never_wrap():
    pick = random.Random(3)
    near = (I64_MAX, I64_MAX - 1, 2**62, 2**32, 1, 0)
    for _ in range(300):
        sign = pick.choice((1, -1))
        values = [sign * pick.choice(near) for _ in range(pick.randint(1, 6))]
        found = _sums(np.array(values, dtype=np.int64)[:, None], np.array([0]))
        assert int(found[0, 0]) == max(-I64_MAX, min(sum(values), I64_MAX))


def test_profit_first_in_first_out_is_held_as_profit_by_average_cost_is():
    holding = Holding()
    for seq in range(1, 9, 2):
        holding.trade(1, 0)
        holding.fifo((seq, 0, 0, 0), 1, 0)
        holding.trade(-1, I64_MAX)
        holding.fifo((seq + 1, 0, 0, 0), -1, I64_MAX)
    assert holding.fifo_profit == holding.profit == I64_MAX


def rich() -> History:
    """Accounts with 2^62 micros each, which trade nearly all of it to and fro."""
    made = History(1)
    commands = [
        record(
            CommandKind.DEFINE_INSTRUMENT, ADMIN, instrument=NUMBER, name=b"DEAR", tick_micros=1, lot_units=1
        ),
        record(CommandKind.SET_FEES, RULES, instrument=NUMBER, maker_fee_ppm=0, taker_fee_ppm=1_000),
    ]  # fmt: skip
    for account in RICH:
        name = f"RICH-{account}".encode()
        flags = AccountFlag.UNLIMITED_POSITIONS | AccountFlag.UNLIMITED_CASH
        commands += [
            record(CommandKind.DEFINE_ACCOUNT, ADMIN, account=account, name=name, flags=flags),
            record(CommandKind.ADJUST_CASH, ADMIN, account=account, amount_micros=2**62),
            record(CommandKind.ADJUST_POSITION, ADMIN, account=account, instrument=NUMBER, quantity_lots=2**61),
        ]
    # The other side of the lowest number of 64 bits is none of them.
    commands += [
        record(CommandKind.ADJUST_CASH, ADMIN, account=RICH[0], amount_micros=1),
        record(CommandKind.ADJUST_CASH, ADMIN, account=RICH[0], amount_micros=-(2**63)),
        record(CommandKind.ADJUST_CASH, ADMIN, account=RICH[0], amount_micros=2**62),
        record(CommandKind.ADJUST_CASH, ADMIN, account=RICH[0], amount_micros=2**62),
    ]
    made.stamp(np.concatenate(commands))
    lots, price = 2**31 - 1, 2**30
    number = 0
    for turn in range(6):
        pair = RICH[:2] if turn % 2 else RICH[1::-1]
        for account, side in zip(pair, (Side.SELL, Side.BUY), strict=True):
            number += 1
            made.stamp(
                record(
                    CommandKind.NEW_ORDER, side=side, order_type=OrderType.LIMIT, tif=TimeInForce.GTC,
                    quantity_lots=lots, price_ticks=price, account=account, instrument=NUMBER,
                    client_order_id=number, session_id=77, session_no=number,
                )
            )  # fmt: skip
    return made


@pytest.fixture(scope="module")
def made():
    return rich()


def build(store, made: History, size: int) -> LedgerSink:
    sink = LedgerSink(store)
    for chunk in made.chunks(size):
        sink.apply(chunk)
    return sink


def test_the_outside_world_may_owe_more_than_64_bits_hold_in_both_databases(made, postgres, tmp_path):
    place = SqlitePlace(tmp_path)
    other = PostgresStore(postgres.url, "wide")
    with closing(build(place.open(1), made, 1)) as one, closing(build(other, made, 3)) as two:
        assert table_digests(one.store) == table_digests(two.store)
        for sink in (one, two):
            rows = sink.store.rows("SELECT account, instrument, amount, amount_high FROM balances")
            totals: dict[int, int] = {}
            for _, instrument, low, high in rows:
                totals[instrument] = totals.get(instrument, 0) + amount_of(low, high)
            assert set(totals.values()) == {0}
            world = {row[1]: amount_of(*row[2:]) for row in rows if row[0] == schema.WORLD}
            assert world[0] < -(2**63)
            assert world[NUMBER] == -(4 * 2**61)
            assert not any(high for account, _, _, high in rows if account > 0)
            cash = {row[0]: row[2] for row in rows if row[1] == 0 and row[0] > 0}
            assert {one.account: one.cash_micros for one in made.engine.accounts() if one.cash_micros} == {
                account: amount for account, amount in cash.items() if amount
            }
            entries = sink.store.rows("SELECT account, cash_micros FROM entries WHERE instrument=0")
            assert sum(amount for _, amount in entries) == 0
            (lowest,) = sink.store.rows("SELECT count(*) FROM entries WHERE cash_micros = ?", (-(2**63),))
            assert lowest == (1,)
        trades = one.store.rows("SELECT count(*) FROM order_events WHERE kind=3")[0][0]
        assert trades == 12, "the flow must trade for this to say anything"
    with closing(PostgresStore(postgres.url, "wide")) as store:
        # What was stored wide goes on from there.
        sink = LedgerSink(store)
        made.stamp(record(CommandKind.ADJUST_CASH, ADMIN, account=RICH[2], amount_micros=17))
        sink.apply(made.chunk(len(made.batches) - 1, len(made.batches) - 1))
        ((low, high),) = store.rows("SELECT amount, amount_high FROM balances WHERE account=-1 AND instrument=0")
        assert amount_of(low, high) == world[0] - 17


def test_questions_about_such_accounts_are_answered(made, tmp_path):
    place = SqlitePlace(tmp_path)
    build(place.open(1), made, 4).close()
    reader = place.reader(1)
    with view_of(reader) as view:
        for account in RICH:
            owned = made.engine.account(account)
            assert view.portfolio(account).cash == owned.cash_micros
            assert view.portfolio(account, fifo=True).cash == owned.cash_micros
            assert statement_of(view, account, 0, 0).closing[0] == owned.cash_micros
            for row in view.days(account, Filter()).rows:
                day(row)
        (bought,) = [row["cash_micros"] for row in view.days(RICH[0], Filter(instrument=NUMBER)).rows]
        assert bought
        world = [line for line in beancount_lines(view) if " balance Equity:World:Cash " in line]
        assert world
        assert world[0].split()[3].startswith("-")
    reader.dispose()


def test_what_an_order_has_traded_is_held_in_both_databases(postgres, tmp_path):
    """One order that is replaced and filled again and again."""
    from lockstep.posttrade.ledger.rows import ORDER_ADD, ORDER_SET, Rows, none
    from lockstep.posttrade.ledger.store_sqlite import SqliteStore

    digests = []
    for store in (SqliteStore(tmp_path / "held.db"), PostgresStore(postgres.url, "held")):
        with closing(store):
            width = len(schema.ORDERS.columns)
            rows = Rows(orders=np.arange(1, width + 1, dtype=np.int64)[None, :])
            before, after = store.position(), store.position()
            store.write(rows, (), before, after)
            for more in (I64_MAX - 5, 2**62, -(2**62), -I64_MAX, -I64_MAX, 3):
                change = none(1 + len(ORDER_SET) + len(ORDER_ADD))
                change = np.vstack((change, np.zeros((1, change.shape[1]), dtype=np.int64)))
                change[0, 0] = 1
                change[0, 1 + len(ORDER_SET) :] = more
                store.write(Rows(orders_changed=change), (), before, after)
            ((filled,),) = store.rows("SELECT filled_micros FROM orders WHERE order_id=1")
            assert filled == -I64_MAX + 3
            digests.append(table_digests(store)["orders"])
    assert digests[0] == digests[1]
