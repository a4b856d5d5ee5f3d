"""The native engine's side of the contract: arrays, errors, snapshots, growth."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lockstep.engine.contract import StreamGap
from lockstep.engine.native import NativeEngine, Sizes
from lockstep.engine.snapshot_format import SnapshotError
from lockstep.stream.records import ADMIN, COMMAND, EVENT, CommandKind, Commands, OrderType, TimeInForce

Stream = Callable[..., Commands]


def orders(count: int, *, first: int = 1) -> Commands:
    """Buys that rest, each at another price, of the unlimited account."""
    rows = np.zeros(count, dtype=COMMAND)
    rows["kind"] = CommandKind.NEW_ORDER
    rows["side"] = 1
    rows["order_type"] = OrderType.LIMIT
    rows["tif"] = TimeInForce.GTC
    rows["account"] = 6
    rows["instrument"] = 1
    rows["client_order_id"] = np.arange(first, first + count)
    rows["price_ticks"] = 1 + np.arange(first, first + count) * 7_919 % 1_000_003
    rows["quantity_lots"] = 1
    rows["session_id"] = 1
    rows["session_no"] = np.arange(first, first + count)
    return rows


def test_gap_and_time_going_back_stop_the_replica_and_change_nothing(pair: Any) -> None:
    engine = pair.native
    before = engine.snapshot()
    with pytest.raises(StreamGap, match="is next"):
        engine.apply(orders(1), first_seq=engine.last_seq + 2, timestamp_ns=10**9)
    with pytest.raises(StreamGap, match="time went back"):
        engine.apply(orders(1), first_seq=engine.last_seq + 1, timestamp_ns=0)
    assert engine.snapshot() == before


def test_records_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match="records of 128 bytes"):
        NativeEngine().apply(np.zeros(1, dtype=EVENT), first_seq=1, timestamp_ns=1)


def test_empty_batch_changes_nothing() -> None:
    engine = NativeEngine()
    assert len(engine.apply(np.empty(0, dtype=COMMAND), first_seq=1, timestamp_ns=9)) == 0
    assert engine.last_seq == 0
    assert engine.snapshot() == NativeEngine().snapshot()


def test_strided_and_unaligned_arrays_are_read_like_any_other(pair: Any) -> None:
    rows = orders(8)
    strided = np.repeat(rows, 2)[::2]
    assert not strided.flags.c_contiguous
    pair.apply(strided)
    raw = b"x" + orders(8, first=9).tobytes()
    pair.apply(np.frombuffer(raw, dtype=COMMAND, offset=1))
    pair.compare_state()


def test_events_of_earlier_batches_stay_as_they_were(pair: Any) -> None:
    engine = pair.native
    kept, copies = [], []
    for at in range(20):
        rows = orders(100, first=1 + 100 * at)
        events = engine.apply(rows, first_seq=engine.last_seq + 1, timestamp_ns=10**6)
        kept.append(events)
        copies.append(events.copy())
        if at % 3 == 0:
            kept[at // 2] = copies[at // 2]
    assert all(np.array_equal(a, b) for a, b in zip(kept, copies, strict=True))
    assert not kept[-1].flags.writeable


def test_engine_grows_beyond_the_sizes_it_was_given(pair: Any) -> None:
    small = NativeEngine.restore(pair.native.snapshot(), Sizes(1, 1, 1, 1, 1))
    count = 20_000
    small.apply(orders(count), first_seq=small.last_seq + 1, timestamp_ns=10**6)
    assert len(small.open_orders(6)) == count
    view = small.book(1, 10**6)
    assert view is not None
    prices = [level.price_ticks for level in view.bids]
    assert prices == sorted(prices, reverse=True)
    assert len(prices) == count
    assert NativeEngine.restore(small.snapshot()).snapshot() == small.snapshot()


@pytest.mark.parametrize("wrong", [-1, 2**32, 1.5, True])
def test_sizes_that_are_none_are_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match="orders is"):
        Sizes(orders=wrong)
    with pytest.raises(ValueError, match=r"give Sizes\(orders=...\)"):
        NativeEngine(wrong)


def test_prices_at_both_ends_of_the_range_are_found_again(pair: Any) -> None:
    rows = orders(6)
    rows["price_ticks"] = [2**40 - 1, 1, 2**39, 63, 64, 2**40 - 2]
    pair.apply(rows)
    pair.compare_state()


def test_accounts_and_instruments_are_found_by_numbers_of_any_size(pair: Any) -> None:
    numbers = (7_000, 65_535, 65_536, 2**32 - 1)
    rows = np.zeros(2 * len(numbers), dtype=ADMIN)
    rows["kind"] = np.repeat((CommandKind.DEFINE_INSTRUMENT, CommandKind.DEFINE_ACCOUNT), len(numbers))
    rows["instrument"][: len(numbers)] = rows["account"][len(numbers) :] = numbers
    rows["name"] = [b"N%d" % at for at in range(len(rows))]
    rows["flags"][len(numbers) :] = 3
    rows["tick_micros"][: len(numbers)] = rows["lot_units"][: len(numbers)] = 1
    pair.apply(rows.view(COMMAND))
    trading = orders(2 * len(numbers) + 1)
    trading["account"][: 2 * len(numbers)] = np.repeat(numbers, 2)
    trading["instrument"][: 2 * len(numbers)] = np.tile(numbers, 2)
    trading["account"][-1] = 65_537
    pair.apply(trading)
    pair.compare_state()
    assert all(len(pair.native.open_orders(number)) == 2 for number in numbers)


@pytest.mark.parametrize("damage", ["cut", "magic", "version", "tail", "order"])
def test_damaged_snapshot_is_refused_with_a_reason(pair: Any, damage: str) -> None:
    pair.apply(orders(5))
    raw = bytearray(pair.native.snapshot())
    if damage == "cut":
        del raw[-3:]
    elif damage == "magic":
        raw[0] ^= 1
    elif damage == "version":
        raw[8] = 99
    elif damage == "tail":
        raw += b"\0"
    else:
        raw[-1] ^= 0x80
    with pytest.raises(SnapshotError):
        NativeEngine.restore(bytes(raw))


def test_queries_of_what_is_not_there() -> None:
    engine = NativeEngine()
    assert engine.order(1) is None
    assert engine.order_by_client_id(1, 1) is None
    assert engine.account(1) is None
    assert engine.book(1, 5) is None
    assert engine.open_orders(1) == ()
    assert engine.session_last_no(1) == 0
    assert engine.fees_micros == 0


def test_single_queries_are_those_of_the_reference(pair: Any, make_stream: Stream) -> None:
    pair.apply(make_stream(3_000, 8, first_seq=pair.reference.last_seq + 1))
    for account in pair.reference.accounts():
        assert pair.native.account(account.account) == account
        for order in pair.reference.open_orders(account.account):
            assert pair.native.order(order.order_id) == order
            if order.client_order_id:
                found = pair.native.order_by_client_id(order.account, order.client_order_id)
                assert found == pair.reference.order_by_client_id(order.account, order.client_order_id)
    assert pair.native.book(1, 2) == pair.reference.book(1, 2)
    assert pair.native.book(1, -1) == pair.reference.book(1, -1)
    assert pair.native.session_last_no(1) == pair.reference.session_last_no(1)


def test_overlays_are_taken_as_commands() -> None:
    rows = np.zeros(1, dtype=ADMIN)
    rows["kind"] = CommandKind.DEFINE_INSTRUMENT
    (event,) = NativeEngine().apply(rows, first_seq=1, timestamp_ns=1)
    assert event["seq"] == 1
