"""Alerts as a fold: levels are the engine's, each crossing fires once, and any cut of the stream gives the same."""

import itertools
import random
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from lockstep.engine.implementations import implementation
from lockstep.engine.snapshot_format import decode_snapshot
from lockstep.posttrade.alerts import codec, schema
from lockstep.posttrade.alerts.digest import table_digests
from lockstep.posttrade.alerts.limits import MOST_ALERTS, Refused
from lockstep.posttrade.alerts.machine import AT_END, AlertMachine, Request
from lockstep.posttrade.alerts.reader import CommandBegin, CommandEnd, Happened, Reader
from lockstep.posttrade.alerts.rules import (
    BadAlert,
    Base,
    Definition,
    Direction,
    Kind,
    OrderState,
    Price,
    Side,
    Status,
    change_ppm,
    check,
    fires,
    first_side,
    side_of,
)
from lockstep.posttrade.alerts.sink import AlertsSink
from lockstep.posttrade.alerts.store import AlertsAway
from lockstep.posttrade.alerts.world import DAY_NS, Instrument, World
from lockstep.posttrade.opening import opening_of
from lockstep.runtime.snapshot_reader import read_snapshot
from lockstep.stream.records import OrderType, Phase
from tests.posttrade.flows import history
from tests.posttrade.served import snapshot_of

ABOVE, BELOW, CROSSING = Direction.ABOVE, Direction.BELOW, Direction.CROSSING
MIXED = [
    Definition(Kind.PRICE, instrument=7, direction=ABOVE, threshold=101, price=Price.LAST),
    Definition(Kind.PRICE, instrument=7, direction=BELOW, threshold=98, hysteresis=1, price=Price.BID),
    Definition(Kind.PRICE, instrument=8, direction=CROSSING, threshold=100, hysteresis=2, price=Price.ASK),
    Definition(Kind.CHANGE, instrument=7, direction=BELOW, threshold=-20_000, base=Base.OPEN),
    Definition(Kind.CHANGE, instrument=8, direction=ABOVE, threshold=10_000, base=Base.GIVEN, base_ticks=99),
    Definition(Kind.VOLUME, instrument=7, direction=ABOVE, threshold=200),
    Definition(Kind.FILL, account=1, note="mine"),
    Definition(Kind.ORDER_STATE, account=2, states=OrderState.REJECTED | OrderState.CANCELED, instrument=8),
    Definition(Kind.BUYING_POWER, account=3, direction=CROSSING, threshold=-20_000, hysteresis=500),
    Definition(Kind.POSITION_LIMIT, account=1, instrument=7, direction=ABOVE, threshold=500_000),
    Definition(Kind.ACCOUNT_STATUS, account=2, direction=ABOVE, threshold=3),
    Definition(Kind.FILL, account=2, once=True),
]


def live(sink, chunks, pick):
    """Alerts come, and some go, between chunks."""
    wanted = list(MIXED)
    mine = []
    for place, chunk in enumerate(chunks):
        sink.apply(chunk)
        if place and wanted and pick.random() < 0.5:
            mine.append(sink.create(1 + place % 2, wanted.pop(0)))
        elif len(mine) > 6 and pick.random() < 0.05:
            number = mine.pop(pick.randrange(len(mine)))
            sink.remove(sink.machine.alerts[number].owner, number)
    assert not wanted
    return sink


def give_requests(path, requests):
    """As a rebuild finds them."""
    with closing(AlertsSink(path)):
        pass
    with closing(sqlite3.connect(path)) as db:
        db.executemany("INSERT INTO requests VALUES (?,?,?,?,?,?,?)", map(codec.request_row, requests))
        db.commit()


@pytest.mark.parametrize("seed", [1, 2])
def test_a_rebuild_in_other_chunks_has_the_same_rows_and_ids(tmp_path, seed):
    made = history(seed, 500)
    sink = live(AlertsSink(tmp_path / "live.db"), made.chunks([1, 3, 9]), random.Random(seed))
    kinds = {row[4] for row in sink.store.table(schema.FIRINGS)}
    assert kinds >= {Kind.PRICE, Kind.FILL}
    assert len(kinds) >= 5
    ids = [row[-2] for row in sink.store.table(schema.FIRINGS)]
    assert len(set(ids)) == len(ids) > 50
    requests = sink.store.requests(0)
    for sizes in (1, 40, 10_000):
        path = tmp_path / f"again-{sizes}.db"
        give_requests(path, requests)
        with closing(AlertsSink(path)) as again:
            for chunk in made.chunks(sizes):
                again.apply(chunk)
            assert table_digests(again.store) == table_digests(sink.store)
    sink.close()


def test_what_is_loaded_again_goes_on_the_same_way(tmp_path):
    made = history(5, 300)
    one = live(AlertsSink(tmp_path / "one.db"), made.chunks(7), random.Random(5))
    requests = one.store.requests(0)
    path = tmp_path / "other.db"
    give_requests(path, requests)
    for chunk in made.chunks(7):
        # A process for each chunk.
        with closing(AlertsSink(path)) as other:
            other.apply(chunk)
    with closing(AlertsSink(path)) as other:
        assert table_digests(other.store) == table_digests(one.store)
    one.close()


def test_the_world_is_the_engines(tmp_path):
    made, engine, world = history(3, 900), implementation("native")(), World()
    seen = 0
    for place, chunk in enumerate(made.chunks(1)):
        for batch in chunk.batches:
            engine.apply(batch.records, first_seq=batch.first_seq, timestamp_ns=batch.timestamp_ns)
        for _ in Reader(chunk, world).steps():
            pass
        world.settle()
        if place % 10:
            continue
        image, known = decode_snapshot(engine.snapshot()), World()
        known.begin(image)
        assert {one: (row.leaves, row.place, row.seen) for one, row in world.orders.items()} == {
            one: (row.leaves, row.place, row.seen) for one, row in known.orders.items()
        }
        # What bands hold a market order to that gathers, no event says (docs/alerts.md).
        market = [one.account for one in image.orders if one.order_type == OrderType.MARKET]
        for row in image.accounts:
            own = world.accounts[row.account]
            assert (own.cash, own.status, own.flags) == (row.cash_micros, row.status, row.flags)
            if row.account not in market:
                seen += world.reserved(row.account) > 0
                assert world.buying_power(row.account) == known.buying_power(row.account)
        for number, one in world.instruments.items():
            other = known.instruments[number]
            assert (one.last, one.reference, one.phase) == (other.last, other.reference, other.phase)
            assert world.best(number) == known.best(number)
        held = {key: lots for key, lots in world.positions.items() if lots}
        assert held == {key: lots for key, lots in known.positions.items() if lots}
    assert seen > 50


def test_one_that_begins_with_a_snapshot_fires_as_the_other_from_there_on(tmp_path):
    made = history(9, 300)
    full = AlertsSink(tmp_path / "full.db")
    chunks = list(made.chunks(1))
    cut = len(chunks) // 2
    for chunk in chunks[:cut]:
        full.apply(chunk)
    late = AlertsSink(tmp_path / "late.db")
    late.begin(opening_of(read_snapshot(snapshot_of(made, cut)[2])))
    assert late.position() == full.position()
    for sink in (full, late):
        for one in MIXED:
            # Opening price and volume of the session are not in a snapshot.
            if one.kind != Kind.VOLUME and one.base != Base.OPEN:
                sink.create(1, one)
    for chunk in chunks[cut:]:
        for sink in (full, late):
            sink.apply(chunk)
    fired = [sink.store.table(schema.FIRINGS) for sink in (full, late)]
    assert len(fired[0]) > 20
    assert fired[0] == fired[1]
    for sink in (full, late):
        sink.close()


# ---- rules --------------------------------------------------------------------------------------------------------


def walk(one, levels):
    """Places of the levels at which an alert fires."""
    side, found = first_side(one), []
    for place, level in enumerate(levels):
        after = side_of(one, side, level)
        if fires(one, side, after):
            found.append(place)
        side = after
    return found


@pytest.mark.parametrize(
    ("direction", "hysteresis", "levels", "expected"),
    [
        (ABOVE, 0, [99, 100, 101, 100, 99, 100], [1, 5]),
        (ABOVE, 2, [99, 100, 98, 100, 97, 100], [1, 5]),
        (ABOVE, 0, [105, 106], [0]),
        (BELOW, 0, [101, 100, 99, 101, 100], [1, 4]),
        (BELOW, 2, [100, 102, 100, 103, 100], [0, 4]),
        (CROSSING, 0, [105, 99, 100, 100, 99], [1, 2, 4]),
        (CROSSING, 3, [105, 98, 97, 96, 99, 100], [3, 5]),
        (CROSSING, 3, [98, 99, 100], [2]),
    ],
)
def test_a_crossing_fires_once_and_is_armed_again_behind_the_hysteresis(direction, hysteresis, levels, expected):
    one = Definition(Kind.PRICE, instrument=1, direction=direction, threshold=100, hysteresis=hysteresis, price=1)
    check(one)
    assert walk(one, levels) == expected


@pytest.mark.parametrize("direction", list(Direction))
def test_between_two_firings_the_level_has_come_back_by_more_than_the_hysteresis(direction):
    pick = random.Random(int(direction))
    for _ in range(200):
        hysteresis = pick.randint(0, 4)
        one = Definition(
            Kind.PRICE, instrument=1, direction=direction, threshold=50, hysteresis=hysteresis, price=Price.LAST
        )
        levels = [pick.randint(42, 58) for _ in range(60)]
        found = walk(one, levels)
        for first, second in itertools.pairwise(found):
            between = levels[first : second + 1]
            if direction == ABOVE:
                assert levels[first] >= 50 <= levels[second]
                assert min(between) < 50 - hysteresis
            elif direction == BELOW:
                assert levels[first] <= 50 >= levels[second]
                assert max(between) > 50 + hysteresis
            else:
                assert (levels[first] >= 50) != (levels[second] >= 50)


def test_a_change_is_rounded_towards_zero():
    assert change_ppm(101, 100) == 10_000
    assert change_ppm(99, 100) == -10_000
    assert change_ppm(199_999, 300_000) == -333_336
    assert change_ppm(400_001, 300_000) == 333_336
    assert change_ppm(5, 0) is None


@pytest.mark.parametrize(
    ("one", "text"),
    [
        (Definition(0), "kind 0 is none"),
        (Definition(Kind.PRICE, instrument=1, direction=1), "needs price"),
        (Definition(Kind.PRICE, direction=1, price=1), "needs instrument"),
        (Definition(Kind.PRICE, instrument=1, price=1, threshold=5), "needs direction"),
        (Definition(Kind.PRICE, instrument=1, direction=4, price=1), "direction 4"),
        (Definition(Kind.PRICE, instrument=1, direction=1, price=1, account=3), "has no account"),
        (Definition(Kind.PRICE, instrument=1, direction=1, price=1, hysteresis=-1), "out of range"),
        (Definition(Kind.CHANGE, instrument=1, direction=1, base=Base.GIVEN), "base_ticks"),
        (Definition(Kind.CHANGE, instrument=1, direction=1, base=Base.OPEN, base_ticks=4), "base_ticks"),
        (Definition(Kind.VOLUME, instrument=1, direction=BELOW, threshold=4), "a volume only grows"),
        (Definition(Kind.ORDER_STATE, account=1), "needs states"),
        (Definition(Kind.ORDER_STATE, account=1, states=4096), "unknown bits"),
        (Definition(Kind.FILL), "needs account"),
        (Definition(Kind.FILL, account=1, note="two\nlines"), "one line"),
        (Definition(Kind.FILL, account=1, note="x" * 300), "one line"),
    ],
)
def test_what_can_not_be_meant_is_refused_with_what_to_change(one, text):
    with pytest.raises(BadAlert, match=text):
        check(one)


# ---- the machine --------------------------------------------------------------------------------------------------


def stepped(machine, seq, *steps, stamp=1_000):
    found = list(machine.step(CommandBegin(seq, stamp, 1)))
    for step in (*steps, CommandEnd(seq)):
        found += machine.step(step)
    return found


def asked(number, one, owner=1, after=0):
    return Request(number, owner, after, 5, 1, one)


def filled(account=1, name=4, index=1, leaves=0):
    state = OrderState.PARTLY_FILLED if leaves else OrderState.FILLED
    return Happened(index, 0, account, 7, 70, name, state, 1, 0, 100, 5, leaves)


@pytest.fixture
def machine():
    world = World()
    world.define_instrument(Instrument(7, 1, 1, symbol="I7"))
    world.account_changes(1)
    world.settle()
    return AlertMachine(world)


def test_both_sides_of_ones_own_trade_fire(machine):
    machine.request(asked(1, Definition(Kind.FILL, account=1)))
    one, other = filled(), replace(filled(), leg=1, order_id=71)
    found = stepped(machine, 9, one, other)
    assert [(f.number, f.count, f.happened.leg) for f in found] == [(1, 1, 0), (2, 2, 1)]
    assert len({codec.firing_id(f) for f in found}) == 2
    for firing in found:
        assert codec.firing_of(codec.firing_row(firing)) == (firing, codec.firing_id(firing))


def test_fills_of_others_and_other_orders_do_not_fire(machine):
    machine.request(asked(1, Definition(Kind.FILL, account=1, client_order_id=4)))
    machine.request(asked(2, Definition(Kind.FILL, account=1, instrument=8)))
    found = stepped(machine, 9, filled(account=2), filled(name=5), filled(leaves=3))
    assert [f.alert for f in found] == [1]


def test_one_that_is_to_fire_once_is_over_then(machine):
    machine.request(asked(1, Definition(Kind.FILL, account=1, once=True)))
    assert len(stepped(machine, 9, filled(), filled(index=2))) == 1
    assert machine.alerts[1].status == Status.FIRED


def test_one_that_has_expired_does_not_fire(machine):
    machine.request(asked(1, Definition(Kind.FILL, account=1, expire_ns=2_000)))
    assert len(stepped(machine, 9, filled(), stamp=1_999)) == 1
    assert not stepped(machine, 10, filled(), stamp=2_000)
    assert machine.alerts[1].status == Status.EXPIRED


def test_a_level_that_is_beyond_already_fires_at_once_but_a_crossing_does_not(machine):
    machine.world.traded(7, 105, 1, 0, auction=False)
    machine.world.settle()
    above = Definition(Kind.PRICE, instrument=7, direction=ABOVE, threshold=100, price=Price.LAST)
    (firing,) = machine.request(asked(1, above, after=8))
    assert (firing.place.seq, firing.place.index, firing.level) == (8, AT_END, 105)
    assert not machine.request(asked(2, replace(above, direction=CROSSING)))
    assert machine.alerts[2].side == Side.ABOVE


def test_a_level_that_is_not_known_leaves_an_alert_as_it_is(machine):
    bid = Definition(Kind.PRICE, instrument=7, direction=BELOW, threshold=100, price=Price.BID)
    assert not machine.request(asked(1, bid))
    assert machine.alerts[1].side == Side.ABOVE
    limit = Definition(Kind.POSITION_LIMIT, account=1, instrument=7, direction=ABOVE, threshold=1)
    assert not machine.request(asked(2, limit))


def test_a_session_ends_with_closed_or_where_there_is_none_with_the_day():
    world = World()
    world.define_instrument(Instrument(7, 1, 1))
    one = world.instruments[7]
    world.traded(7, 100, 5, DAY_NS - 1, auction=False)
    world.traded(7, 101, 5, DAY_NS - 1, auction=False)
    assert (one.open, one.close, one.volume) == (100, 0, 10)
    world.traded(7, 102, 1, DAY_NS, auction=False)
    assert (one.open, one.close, one.volume) == (102, 101, 1)
    world.phase(7, Phase.CLOSED, 0)
    world.traded(7, 103, 1, 2 * DAY_NS, auction=False)
    assert (one.open, one.close, one.volume) == (102, 101, 2)
    world.phase(7, Phase.PRE_OPEN, 0)
    assert (one.open, one.close, one.volume) == (0, 103, 0)


def test_a_volume_fires_once_a_session(machine):
    machine.request(asked(1, Definition(Kind.VOLUME, instrument=7, direction=ABOVE, threshold=5)))
    machine.world.traded(7, 100, 9, 0, auction=False)
    assert len(stepped(machine, 3)) == 1
    machine.world.traded(7, 100, 9, 0, auction=False)
    assert not stepped(machine, 4)
    machine.world.phase(7, Phase.CLOSED, 0)
    machine.world.phase(7, Phase.CONTINUOUS, 0)
    assert not stepped(machine, 5)
    machine.world.traded(7, 100, 5, 0, auction=False)
    assert len(stepped(machine, 6)) == 1


def test_what_could_not_be_stored_never_counts(tmp_path):
    chunks = list(history(2, 20).chunks(5))

    def step(what: str) -> None:
        if what == "commit" and full:
            raise OSError("no room")

    full: list[int] = []
    sink = AlertsSink(tmp_path / "a.db", step)
    sink.apply(chunks[0])
    before = table_digests(sink.store)
    full.append(1)
    with pytest.raises(OSError, match="no room"):
        sink.create(1, Definition(Kind.FILL, account=1))
    full.clear()
    # Neither does a request that follows, nor a chunk, bring it back.
    with pytest.raises(AlertsAway):
        sink.create(1, Definition(Kind.FILL, account=1))
    with pytest.raises(AlertsAway):
        sink.apply(chunks[1])
    assert table_digests(sink.store) == before
    sink.close()
    with closing(AlertsSink(tmp_path / "a.db")) as again:
        assert not again.machine.alerts
        again.apply(chunks[1])
        assert again.create(1, Definition(Kind.FILL, account=1)) == 1


def test_limits_and_what_is_not_there_are_refused(tmp_path):
    with closing(AlertsSink(tmp_path / "a.db")) as sink:
        for chunk in history(2, 10).chunks(100):
            sink.apply(chunk)
        with pytest.raises(Refused, match="no instrument 99"):
            sink.create(1, Definition(Kind.FILL, account=1, instrument=99))
        with pytest.raises(Refused, match="no account 99"):
            sink.create(1, Definition(Kind.FILL, account=99))
        with pytest.raises(Refused, match="no alert 5"):
            sink.remove(1, 5)
        number = sink.create(1, Definition(Kind.FILL, account=1))
        with pytest.raises(Refused, match="no alert"):
            sink.remove(2, number)
        sink.machine.owned[1] = set(range(MOST_ALERTS))
        with pytest.raises(Refused, match="remove some") as refused:
            sink.create(1, Definition(Kind.FILL, account=1))
        assert refused.value.full
        assert sink.create(2, Definition(Kind.FILL, account=1)) == number + 1
