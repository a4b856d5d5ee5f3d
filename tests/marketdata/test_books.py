"""Books drawn from events are the engine's own, whatever commands it executed."""

import numpy as np
import pytest

from lockstep.engine.reference import ReferenceEngine
from lockstep.marketdata.books import Best, Books, RestingOrder
from lockstep.stream.records import ADMIN, COMMAND, AccountFlag, CommandKind, OrderType, Side, TimeInForce

ACME = 7


class Market:
    def __init__(self):
        self.engine = ReferenceEngine()
        rows = np.zeros(2, dtype=ADMIN)
        rows["kind"] = [CommandKind.DEFINE_INSTRUMENT, CommandKind.DEFINE_ACCOUNT]
        rows["name"], rows["instrument"], rows["account"] = [b"A", b"b"], [ACME, 0], [0, 1]
        rows["tick_micros"], rows["lot_units"] = [1, 0], [1, 0]
        rows["flags"] = [0, AccountFlag.UNLIMITED_CASH | AccountFlag.UNLIMITED_POSITIONS]
        self.no = 0
        self.apply(rows.view(COMMAND))

    def apply(self, commands):
        return self.engine.apply(commands, first_seq=self.engine.last_seq + 1, timestamp_ns=5)

    def command(self, **fields):
        row = np.zeros(1, dtype=COMMAND)
        self.no += 1
        defaults = {
            "kind": CommandKind.NEW_ORDER,
            "order_type": OrderType.LIMIT,
            "tif": TimeInForce.GTC,
            "session_id": 5,
            "session_no": self.no,
            "account": 1,
            "instrument": ACME,
        }
        for name, value in {**defaults, **fields}.items():
            row[name] = value
        return row

    def levels(self):
        view = self.engine.book(ACME, 1000)
        assert view is not None
        return [
            [(level.price_ticks, level.quantity_lots, level.orders) for level in side]
            for side in (view.bids, view.asks)
        ]


def book_levels(books):
    return [
        [(level.price_ticks, level.quantity_lots, level.orders) for level in side] for side in books.levels(ACME, 0)
    ]


@pytest.fixture
def market():
    return Market()


def test_random_flow_gives_the_engines_book_after_every_burst(market):
    rng = np.random.default_rng(5)
    books = Books(market.engine.last_seq)
    mirror, best = {}, Best()
    for _ in range(150):
        burst = []
        for _ in range(int(rng.integers(1, 6))):
            ids = [order.order_id for order in market.engine.open_orders(1)]
            choice = rng.random()
            common = {"price_ticks": int(rng.integers(90, 110)), "quantity_lots": int(rng.integers(1, 9))}
            if ids and choice < 0.2:
                fields = {"kind": CommandKind.CANCEL, "order_id": int(rng.choice(ids))}
            elif ids and choice < 0.4:
                fields = {"kind": CommandKind.REPLACE, "order_id": int(rng.choice(ids)), **common}
            else:
                tif = int(rng.choice([TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK]))
                fields = {"side": int(rng.integers(1, 3)), "tif": tif, **common}
            burst.append(market.apply(market.command(**fields)))
        for change in books.apply(np.concatenate(burst), market.engine.last_seq):
            for level in change.levels:
                mirror[level.side, level.price_ticks] = (level.quantity_lots, level.orders)
            best = change.best or best
        assert book_levels(books) == market.levels()
        bids, asks = market.levels()
        bid, ask = (bids or [(0, 0)])[0], (asks or [(0, 0)])[0]
        assert best == books.best(ACME) == Best(bid[0], bid[1], ask[0], ask[1])
    shown = {key: value for key, value in mirror.items() if value[1]}
    both = [(Side.BUY, row) for row in market.levels()[0]] + [(Side.SELL, row) for row in market.levels()[1]]
    assert shown == {(side, row[0]): (row[1], row[2]) for side, row in both}


def test_order_that_trades_on_entry_shows_no_level_of_its_own(market):
    books = Books(0)
    first = market.apply(market.command(side=Side.SELL, price_ticks=100, quantity_lots=5))
    books.apply(first, market.engine.last_seq)
    (change,) = books.apply(
        market.apply(market.command(side=Side.BUY, price_ticks=101, quantity_lots=5)), market.engine.last_seq
    )
    assert [(trade.price_ticks, trade.quantity_lots, trade.aggressor) for trade in change.prints] == [
        (100, 5, Side.BUY)
    ]
    assert {(level.side, level.price_ticks): level.orders for level in change.levels} == {
        (Side.BUY, 101): 0,
        (Side.SELL, 100): 0,
    }
    assert change.best == Best()


def test_events_that_the_snapshot_has_are_skipped(market):
    events = market.apply(market.command(side=Side.SELL, price_ticks=100, quantity_lots=5))
    seq = market.engine.last_seq
    books = Books(seq, [RestingOrder(seq, ACME, Side.SELL, 100, 5)])
    assert books.apply(events, seq) == ()
    assert book_levels(books) == market.levels()


def test_snapshot_is_cut_to_its_depth_best_first():
    orders = [RestingOrder(number, ACME, Side.BUY, 100 + number, 1) for number in range(1, 6)]
    bids, asks = Books(1, orders).levels(ACME, 2)
    assert ([level.price_ticks for level in bids], asks) == ([105, 104], ())
