"""Which queries an engine answers in a turn of its loop, and that the rest of the turn is for trading."""

import gc
import time
from collections.abc import Iterator

import pytest

from lockstep.engine.contract import MatchingEngine
from lockstep.engine.implementations import NAMES
from lockstep.engine.pages import account_rows, instrument_rows, order_rows
from lockstep.replica.answers import answer_query, is_listing
from lockstep.replica.driver import ReplicaDriver
from lockstep.replica.reads import LISTINGS_SHARE, LOOKUPS_A_TURN, MAX_WAITING, Reads
from lockstep.replica.service import QueryCall, TooManyQueries
from lockstep.v1 import replication_pb2
from tests.engine.test_pages import Market

LISTINGS = {
    "open_orders": replication_pb2.QueryRequest(open_orders=replication_pb2.OrderCursor(account=1)),
    "all_orders": replication_pb2.QueryRequest(all_orders=replication_pb2.OrderCursor()),
    "accounts_after": replication_pb2.QueryRequest(accounts_after=0),
    "instruments_after": replication_pb2.QueryRequest(instruments_after=0),
}


def test_one_listing_in_a_turn_and_none_for_some_times_as_long_as_it_took():
    reads = Reads[int]()
    for number in range(3):
        assert reads.add(1, number, listing=True)
    assert reads.turn(1_000) == [0]
    reads.answered(1_500, took_ns=500)
    pause_ns = 500 * (LISTINGS_SHARE - 1)
    assert reads.turn(1_500) == reads.turn(1_499 + pause_ns) == []
    assert reads.turn(1_500 + pause_ns) == [1]
    assert len(reads) == 1


def test_what_is_looked_up_waits_for_no_listing_but_has_an_end_in_each_turn():
    reads = Reads[int | str]()
    reads.add(1, "page", listing=True)
    for number in range(LOOKUPS_A_TURN + 1):
        reads.add(1, number, listing=False)
    assert reads.turn(0) == [*range(LOOKUPS_A_TURN), "page"]
    reads.answered(0, took_ns=10**9)
    assert reads.turn(1) == [LOOKUPS_A_TURN]


def test_one_caller_with_many_listings_delays_another_by_one():
    reads = Reads[str]()
    for number in range(5):
        reads.add(1, f"greedy {number}", listing=True)
    reads.add(2, "modest", listing=True)
    assert [reads.turn(0) for _ in range(3)] == [["greedy 0"], ["modest"], ["greedy 1"]]


def test_what_is_beyond_the_bound_is_refused_and_taken_again_when_there_is_room():
    reads = Reads[int | str]()
    assert all(reads.add(1, number, listing=True) for number in range(MAX_WAITING))
    assert not reads.add(2, "too many", listing=True)
    assert reads.add(2, "of another kind", listing=False)
    reads.turn(0)
    assert reads.add(2, "now", listing=True)


@pytest.mark.parametrize("field", [field.name for field in replication_pb2.QueryRequest.DESCRIPTOR.oneofs[0].fields])
def test_every_query_is_either_looked_up_or_a_page(field):
    """A query that is added has to say what it costs: whatever grows with the state is a page."""
    request = LISTINGS.get(field)
    if request is not None:
        assert is_listing(request)
        return
    assert field in {"order", "account", "session_id", "delivered"}
    message = replication_pb2.QueryRequest.DESCRIPTOR.fields_by_name[field].message_type
    request = replication_pb2.QueryRequest()
    if message is None:
        setattr(request, field, 1)
    else:
        getattr(request, field).SetInParent()
    assert not is_listing(request)


def test_an_engine_has_no_way_to_give_the_main_loop_more_than_a_page():
    """What lists everything at once is for tests and tools: `replica` does not name it."""
    from pathlib import Path

    import lockstep.replica

    whole = ("open_orders(", "accounts()", "instruments()", ".snapshot()", "decode_snapshot(")
    assert all(hasattr(MatchingEngine, name) for name in ("open_orders", "accounts", "instruments", "snapshot"))
    for name in ("answers.py", "shell.py", "service.py"):
        text = Path(lockstep.replica.__file__).with_name(name).read_text(encoding="utf-8")
        found = [call for call in whole if f"engine.{call.lstrip('.')}" in text]
        assert not found, f"{name} has {found}"


# ---- what a page costs ----------------------------------------------------------------------------------------------

ORDERS, ACCOUNTS, INSTRUMENTS = 30_000, 5_000, 2_000
MOST_NS = 20_000_000
"""CPU time of one page, as the main loop spends it. Measured: 0.3 ms (native) and 1.5 ms (reference) at the most; all
100 000 orders at once took 0.4 s. The bound leaves room for a sanitizer, and none for what grows with the state."""


@pytest.fixture
def no_collection() -> Iterator[None]:
    """What the interpreter collects meanwhile, of whichever objects, is no cost of a page."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.usefixtures("no_collection")
def test_no_page_costs_the_main_loop_more_where_there_is_much_to_list(name):
    market = Market(name, accounts=ACCOUNTS, instruments=INSTRUMENTS)
    for begin in range(0, ORDERS, 10_000):
        market.apply(*(market.order(1, 100 + n % 50, instrument=1 + n % 1_000) for n in range(begin, begin + 10_000)))
    listed = dict.fromkeys(LISTINGS, 0)
    for query, first in LISTINGS.items():
        request, more, pages = replication_pb2.QueryRequest(), True, 0
        request.CopyFrom(first)
        while more:
            began_ns = time.thread_time_ns()
            reply = answer_query(request, market.engine)
            took_ns = time.thread_time_ns() - began_ns
            assert took_ns < MOST_NS, (query, pages)
            assert len(reply.SerializeToString()) < 200_000
            rows = len(order_rows(reply.order_rows)) + len(account_rows(reply.account_rows))
            listed[query] += rows + len(instrument_rows(reply.instrument_rows))
            more, pages = reply.more, pages + 1
            if query.endswith("_after"):
                setattr(request, query, reply.next.account)
            else:
                getattr(request, query).CopyFrom(reply.next)
    assert listed == {
        "open_orders": ORDERS, "all_orders": ORDERS, "accounts_after": ACCOUNTS, "instruments_after": INSTRUMENTS,
    }  # fmt: skip


def test_an_account_that_is_asked_for_is_that_one_or_none():
    market = Market("native", accounts=3)
    for asked, expected in ((2, [2]), (3, [3]), (4, []), (0, [])):
        reply = answer_query(replication_pb2.QueryRequest(account=asked), market.engine)
        assert account_rows(reply.account_rows)["account"].tolist() == expected


def test_a_query_beyond_what_may_wait_whose_caller_has_gone_stops_no_loop():
    """It is answered TooManyQueries, which a cancelled future takes for an error of who answers it."""
    driver = object.__new__(ReplicaDriver)
    driver._reads = Reads()
    calls = [QueryCall(replication_pb2.QueryRequest(account=1)) for _ in range(MAX_WAITING + 2)]
    calls[-2].done.cancel()
    for call in calls:
        driver._take_query(call)
    with pytest.raises(TooManyQueries):
        calls[-1].done.result(0)
