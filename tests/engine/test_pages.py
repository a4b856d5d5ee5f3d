"""Lists in pages: all of it, once, in order, at a bounded cost, whatever happens between two pages."""

import random

import numpy as np
import pytest

from lockstep.engine.implementations import NAMES, implementation
from lockstep.engine.pages import MAX_POSITIONS, account_rows, instrument_rows, order_rows, position_rows
from lockstep.stream.records import ADMIN, COMMAND, AccountFlag, CommandKind, OrderType, Side, TimeInForce

UNLIMITED = int(AccountFlag.UNLIMITED_CASH | AccountFlag.UNLIMITED_POSITIONS)


class Market:
    """An engine to which commands of one session are given."""

    def __init__(self, name, *, accounts=3, instruments=2):
        self.make = implementation(name)
        self.engine = self.make()
        self._session_no = 0
        numbers = range(1, accounts + 1)
        self.apply(
            *(self.admin(CommandKind.DEFINE_INSTRUMENT, n, f"I{n}", tick_micros=10_000, lot_units=1)
              for n in range(1, instruments + 1)),
            *(self.admin(CommandKind.DEFINE_ACCOUNT, 0, f"A{n}", account=n, flags=UNLIMITED) for n in numbers),
        )  # fmt: skip

    def admin(self, kind, instrument, name, **fields):
        row = np.zeros(1, dtype=ADMIN)
        row["kind"], row["instrument"], row["name"] = kind, instrument, name.encode()
        for field, value in fields.items():
            row[field] = value
        return row.view(COMMAND)

    def order(self, account, price=100, lots=1, side=Side.BUY, instrument=1):
        row = np.zeros(1, dtype=COMMAND)
        row["kind"], row["account"], row["instrument"] = CommandKind.NEW_ORDER, account, instrument
        row["side"], row["order_type"], row["tif"] = side, OrderType.LIMIT, TimeInForce.GTC
        row["price_ticks"], row["quantity_lots"] = price, lots
        return row

    def cancel(self, account, order_id):
        row = np.zeros(1, dtype=COMMAND)
        row["kind"], row["account"], row["order_id"] = CommandKind.CANCEL, account, order_id
        return row

    def apply(self, *rows):
        records = np.concatenate(rows)
        records["session_id"] = 1
        records["session_no"] = np.arange(self._session_no + 1, self._session_no + 1 + len(records))
        self._session_no += len(records)
        return self.engine.apply(records, first_seq=self.engine.last_seq + 1, timestamp_ns=self.engine.last_seq + 1)

    def restart(self):
        self.engine = self.make.restore(self.engine.snapshot())


def listed(engine, account, limit, between=lambda: None):
    """Ids in all pages, and the number of pages."""
    found, after, more, pages = [], 0, True, 0
    while more:
        page = engine.orders_page(account, after, limit)
        rows = order_rows(page.rows)
        assert len(rows) <= limit
        assert set(rows["account"].tolist()) <= {account}
        found += rows["order_id"].tolist()
        (_, after), more = page.after, page.more
        pages += 1
        assert pages < 10_000, "the list never ends"
        between()
    return found, pages


@pytest.fixture(params=NAMES)
def market(request):
    return Market(request.param)


def test_pages_put_together_are_all_open_orders_in_order_of_their_ids(market):
    market.apply(*(market.order(1 + n % 2, price=100 + n % 7) for n in range(50)))
    everything = [view.order_id for view in market.engine.open_orders(1)]
    assert len(everything) == 25
    for limit in (1, 2, 7, 24, 25, 26, 500):
        found, pages = listed(market.engine, 1, limit)
        assert found == everything
        assert pages == -(-25 // limit)
    assert listed(market.engine, 9, 5) == ([], 1), "an account that there is not has none"


def test_a_restored_engine_lists_in_the_same_order_and_goes_on_where_another_one_ended(market):
    # Prices that fall let priority and id run against each other in the snapshot.
    market.apply(*(market.order(1, price=100 - n % 11, side=Side.BUY) for n in range(40)))
    before = market.engine
    everything, _ = listed(before, 1, 7)
    half = before.orders_page(1, 0, 20)
    market.restart()
    assert listed(market.engine, 1, 7)[0] == everything
    rest = market.engine.orders_page(1, half.after[1], 500)
    assert order_rows(half.rows)["order_id"].tolist() + order_rows(rest.rows)["order_id"].tolist() == everything


@pytest.mark.parametrize("seed", range(5))
def test_what_is_live_all_the_time_is_listed_once_whatever_comes_and_goes_between_pages(market, seed):
    pick = random.Random(seed)
    market.apply(*(market.order(1) for _ in range(60)))
    stayed = {view.order_id for view in market.engine.open_orders(1)}

    def churn():
        live = [view.order_id for view in market.engine.open_orders(1)]
        gone = pick.sample(live, min(len(live), pick.randint(0, 8)))
        stayed.difference_update(gone)
        market.apply(
            *(market.cancel(1, number) for number in gone), *(market.order(1) for _ in range(pick.randint(1, 2)))
        )
        if pick.random() < 0.1:
            market.restart()

    found, _ = listed(market.engine, 1, 4, churn)
    assert found == sorted(set(found)), "each once, in order"
    assert stayed <= set(found)


def test_a_page_is_bounded_where_the_order_that_it_follows_is_gone(market):
    market.apply(*(market.order(1) for _ in range(400)))
    ids = [view.order_id for view in market.engine.open_orders(1)]
    market.apply(market.cancel(1, ids[300]))
    market.restart()  # nothing is remembered of who has listed what
    after, empty = ids[300], 0
    while not (rows := order_rows((page := market.engine.orders_page(1, after, 5)).rows)).size:
        assert (page.more, page.after[1]) == (True, after)
        empty += 1
        assert empty <= 300 // 5
    assert rows["order_id"].tolist() == ids[301:306]


def test_many_lists_at_once_each_go_on_where_they_were_although_the_order_there_ends(market):
    market.apply(*(market.order(1) for _ in range(300)))
    ids = [view.order_id for view in market.engine.open_orders(1)]
    pages = {begin: market.engine.orders_page(1, ids[begin], 3) for begin in range(0, 200, 2)}
    gone = {number for page in pages.values() for number in (page.after[1], page.after[1] + 1)}
    market.apply(*(market.cancel(1, number) for number in sorted(gone) if number in ids))
    left = [number for number in ids if number not in gone]
    for page in pages.values():
        after, more, found = page.after[1], page.more, []
        while more:
            follows = market.engine.orders_page(1, after, 50)
            found += order_rows(follows.rows)["order_id"].tolist()
            after, more = follows.after[1], follows.more
        assert found == [number for number in left if number > page.after[1]]


def test_orders_of_all_accounts_come_by_account_and_id_and_accounts_without_any_cost_no_page_each():
    for name in NAMES:
        market = Market(name, accounts=40)
        market.apply(*(market.order(account) for _ in range(6) for account in (2, 3, 39)))
        expected = [(a, view.order_id) for a in (2, 3, 39) for view in market.engine.open_orders(a)]
        for limit in (1, 4, 6, 7, 500):
            found: list[tuple[int, int]] = []
            after, more, pages = (0, 0), True, 0
            while more:
                page = market.engine.all_orders_page(after, limit)
                rows = order_rows(page.rows)
                assert len(rows) <= limit
                found += zip(rows["account"].tolist(), rows["order_id"].tolist(), strict=True)
                after, more, pages = page.after, page.more, pages + 1
                assert pages < 200
            assert found == expected


def test_accounts_and_instruments_come_by_id_with_what_they_hold():
    for name in NAMES:
        market = Market(name, accounts=7, instruments=5)
        trades = [(1, 2, 3), (4, 2, 1), (6, 1, 5)]
        for buyer, seller, instrument in trades:
            market.apply(
                market.order(seller, side=Side.SELL, instrument=instrument, lots=4),
                market.order(buyer, instrument=instrument, lots=4),
            )
        views = {view.account: view for view in market.engine.accounts()}
        for limit in (1, 3, 7, 500):
            numbers, after, more = [], 0, True
            while more:
                page = market.engine.accounts_page(after, limit)
                held = iter(position_rows(page.positions).tolist())
                for row in account_rows(page.rows).tolist():
                    number, flags, text, cash, reserved, status, count = row
                    view = views[number]
                    assert (flags, text.decode(), cash, reserved, status) == (
                        view.flags, view.name, view.cash_micros, view.reserved_micros, view.status,
                    )  # fmt: skip
                    mine = [next(held) for _ in range(count)]
                    assert mine == [
                        (p.instrument, p.quantity_lots, p.reserved_lots, p.cost_micros, p.realised_micros)
                        for p in view.positions
                    ]
                    numbers.append(number)
                after, more = page.after, page.more
            assert numbers == sorted(views)
        instruments, after, more = [], 0, True
        while more:
            listed = market.engine.instruments_page(after, 2)
            instruments += instrument_rows(listed.rows).tolist()
            after, more = listed.after, listed.more
        assert instruments == [
            (v.instrument, v.symbol.encode(), v.tick_micros, v.lot_units, v.phase, v.last_price_ticks)
            for v in market.engine.instruments()
        ]


def test_accounts_that_hold_much_make_a_shorter_page():
    rows = []
    for name in NAMES:
        market = Market(name, accounts=4, instruments=MAX_POSITIONS // 2 + 1)
        for buyer in (1, 2, 3):
            for number in range(1, MAX_POSITIONS // 2 + 2):
                rows += [market.order(4, side=Side.SELL, instrument=number), market.order(buyer, instrument=number)]
        market.apply(*rows)
        rows.clear()
        pages, after, more = [], 0, True
        while more:
            page = market.engine.accounts_page(after, 500)
            pages.append(account_rows(page.rows)["account"].tolist())
            after, more = page.after, page.more
        assert pages == [[1], [2], [3], [4]]


def test_both_engines_make_the_same_bytes():
    made = []
    for name in NAMES:
        market = Market(name)
        market.apply(*(market.order(1 + n % 3, price=90 + n % 20, side=Side(1 + n % 2), lots=1 + n) for n in range(60)))
        engine = market.engine
        made.append(
            (
                engine.orders_page(2, 0, 10),
                engine.all_orders_page((0, 0), 20),
                engine.accounts_page(0, 2),
                engine.instruments_page(0, 5),
            )
        )
    assert made[0] == made[1]
