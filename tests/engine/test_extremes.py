"""The largest and the smallest numbers there are: no balance leaves 64 bits, and every refusal is a code."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from lockstep.stream.codes import Code
from lockstep.stream.records import I64_MAX, MAX_QUANTITY_LOTS, EventKind, OrderFlag, OrderType, TimeInForce

ACME = 7
HOUSE, BANK = 9, 4
ACCOUNTS = (1, 2, 3, 4)
PRICES = (1, 2, 10, 1_000, 10**6, 2**20, 2**39, 2**40 - 1)
LOTS = (1, 2, 7, 10**3, 10**6, 2**31 - 1)
BOUNDS = (-(2**63), -1, 0, 2**31, 2**40, 2**62, I64_MAX)
AMOUNTS = (1, 10**6, 2**40, 2**61, 2**62, I64_MAX)


def any_order(venue: Any, pick: random.Random) -> list[Any]:
    order_type = pick.choices((1, 2, 3, 4, 5), (60, 10, 10, 10, 10))[0]
    tif = pick.choice((1, 2, 2, 2, 3, 4, 5, 6, 7)) if order_type == OrderType.LIMIT else pick.choice((1, 2))
    lots = pick.choice(LOTS) if pick.random() < 0.95 else pick.choice(BOUNDS)
    price = pick.choice(PRICES) if pick.random() < 0.95 else pick.choice(BOUNDS)
    fields: dict[str, int] = {"order_type": order_type, "stp": pick.choice((0, 0, 0, 1, 2, 3, 4))}
    if order_type > OrderType.MARKET:
        fields["stop_price_ticks"] = pick.choice(PRICES)
    if order_type == OrderType.TRAILING_STOP:
        fields["trail_ticks"] = pick.choice(PRICES)
    if tif == TimeInForce.GTD:
        fields["expire_ns"] = pick.choice((venue.now_ns + 50, I64_MAX))
    if order_type == OrderType.LIMIT and tif in (1, 2, 5):
        fields |= pick.choice(({}, {}, {"display_lots": max(1, lots // 3)}, {"flags": int(OrderFlag.HIDDEN)}))
    priced = order_type in (OrderType.LIMIT, OrderType.STOP_LIMIT)
    terms = {"cid": pick.randint(0, 9), "tif": tif}
    return list(venue.new(pick.choice(ACCOUNTS), pick.choice("BS"), lots, price if priced else 0, **terms, **fields))


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 6))])
def test_random_commands_with_extreme_numbers_keep_all_invariants(bare_venue: Any, seed: int) -> None:
    pick = random.Random(seed)
    venue = bare_venue
    venue.define_instrument(ACME, b"ACME", tick=pick.choice((1, 10, 2**20)), lot=pick.choice((1, 100, 2**20)))
    for account in ACCOUNTS:
        venue.define_account(account, b"account %d" % account, pick.choice((0, 1, 2, 3, 3)))
        venue.pay_in(account, pick.choice(AMOUNTS))
        venue.move_in(account, pick.choice((1, 10**6, 2**40, 2**62)))
    venue.fees(pick.choice((0, 5, 100_000)), pick.choice((0, 3, 100_000)))
    others: tuple[Callable[[int], Any], ...] = (
        lambda account: venue.replace(account, pick.randint(1, 9), pick.choice(PRICES), pick.choice(LOTS)),
        lambda account: venue.cancel(account, pick.randint(1, 9)),
        lambda account: venue.pay_in(account, pick.choice(AMOUNTS) * pick.choice((1, -1))),
        lambda account: venue.move_in(account, pick.choice((1, 2**40, 2**62, I64_MAX)) * pick.choice((1, -1))),
        lambda account: venue.transfer(account, pick.choice(ACCOUNTS), pick.choice((1, 2**40, 2**62))),
        lambda _: venue.phase(pick.choice((2, 3, 3, 3, 6)), reference_price_ticks=pick.choice((0, *PRICES))),
    )
    codes: set[int] = set()
    for _ in range(400):
        draw = pick.random()
        events = any_order(venue, pick) if draw < 0.75 else pick.choice(others)(pick.choice(ACCOUNTS))
        codes.update(event.code for event in events)
    assert Code.OVERFLOW in codes


def test_cost_and_profit_are_held_at_64_bits(bare_venue: Any) -> None:
    venue = bare_venue
    venue.define_instrument(ACME, b"ACME", tick=2**31)
    for account, name in ((HOUSE, b"house"), (BANK, b"bank")):
        venue.define_account(account, name, 3)
    for _ in range(2):
        venue.new(BANK, "S", MAX_QUANTITY_LOTS, 2)
        assert venue.new(HOUSE, "B", MAX_QUANTITY_LOTS, 2)[1].kind == EventKind.TRADE
        venue.pay_in(HOUSE, 2 * 2**31 * MAX_QUANTITY_LOTS)
        venue.pay_in(BANK, -2 * 2**31 * MAX_QUANTITY_LOTS)
    (held,) = venue.engine.account(HOUSE).positions
    assert (held.quantity_lots, held.cost_micros) == (2 * MAX_QUANTITY_LOTS, I64_MAX)
