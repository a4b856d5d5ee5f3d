"""Seeded streams over every feature at once: all invariants, and a restored engine, after each command."""

import itertools
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lockstep.stream.records import (
    BANDS,
    COMMAND,
    LOTS,
    RESTRICTION,
    SETTING,
    THROTTLE,
    AccountFlag,
    CommandKind,
    EventKind,
    Phase,
)

ACME, OTHER = 7, 8
CONNECTIONS = itertools.count(1)
ACCOUNTS = (1, 2, 9, 9, 20, 21)
ON_MARGIN = ((20, AccountFlag.MARGIN), (21, AccountFlag.MARGIN | AccountFlag.SHORT_SALES | AccountFlag.DAY_TRADE_RULE))


def new_order(venue: Any, pick: random.Random) -> list[Any]:
    """Any order, most of them sensible."""
    order_type = pick.choices((1, 2, 3, 4, 5, 6), (56, 10, 10, 10, 10, 8))[0]
    tif = pick.choices((1, 2, 3, 4, 5, 6, 7, 8), (20, 38, 10, 8, 12, 4, 5, 3))[0]
    lots = pick.randint(1, 40)
    fields: dict[str, Any] = {"order_type": order_type, "tif": tif, "stp": pick.choice((0, 1, 2, 3, 4, 4, 4))}
    if order_type > 2:
        fields["tif"] = tif = pick.choice((1, 2, 5))
        fields["stop_price_ticks"] = pick.randint(90, 110)
    if order_type == 5:
        fields["trail_ticks"] = pick.randint(1, 5)
        fields["stop_price_ticks"] *= pick.randint(0, 1)
    if tif == 5:
        fields["expire_ns"] = venue.now_ns + pick.randint(1, 300)
    extra = pick.randrange(9)
    if order_type == 1 and tif in (1, 2, 5):
        shapes: list[dict[str, int]] = [
            {"display_lots": pick.randint(1, lots)},
            {"flags": 1},
            {"flags": 2},
            {"min_lots": lots // 2},
            {"flags": 4},
            {},
        ]
        fields |= shapes[min(extra, 5)]
    if order_type > 2 and pick.random() < 0.2:
        fields["flags"] = 4
    price = pick.randint(95, 105) if order_type in (1, 4, 6) else 0
    instrument = pick.choice((ACME, ACME, ACME, OTHER))
    terms = {"cid": pick.randint(0, 12), "session": pick.choice((100, 200)), "instrument": instrument}
    if pick.random() < 0.15:
        fields["parent_id"] = pick.randint(1, 12)
        for extra_term in ("display_lots", "flags", "min_lots"):
            fields.pop(extra_term, None)
    return list(venue.new(pick.choice(ACCOUNTS), pick.choice("BS"), lots, price, **terms, **fields))


def lose(venue: Any, session: int) -> list[Any]:
    """A session's only gateway loses it."""
    # Open again behind it: a closed session gives no more orders.
    opened = next(CONNECTIONS)
    return [
        *venue.open_session(session, connection=opened),
        *venue.close_session(session, connection=opened),
        *venue.open_session(session, connection=next(CONNECTIONS)),
    ]


def throttle(venue: Any, instrument: int, rate: int = 0, burst: int = 0) -> list[Any]:
    row = np.zeros(1, dtype=THROTTLE)
    row["kind"], row["instrument"] = CommandKind.SET_THROTTLE, instrument
    row["orders_per_second"], row["burst_orders"] = rate, burst
    return list(venue.send(row.view(COMMAND), session=0))


def bands(venue: Any, pick: random.Random) -> list[Any]:
    """Limit up, limit down of ACME: others, none, or as wide as they were."""
    draw = pick.random()
    row = np.zeros(1, dtype=SETTING if draw < 0.3 else BANDS)
    row["kind"], row["instrument"] = CommandKind.SET_BANDS, ACME
    if draw < 0.3:
        row["kind"], row["value"] = CommandKind.SET_BAND_WIDTH, pick.randint(1, 2)
        row["reference_price_ticks"] = pick.choice((0, 98, 102))
    elif draw < 0.8:
        for name in ("high_ppm", "middle_ppm", "low_ppm"):
            row[name] = pick.choice((20_000, 30_000, 50_000))
        row["step_ppm"] = 10_000
        row["window_ns"], row["limit_ns"], row["pause_ns"] = pick.choice((50, 400)), 30, 40
    return list(venue.send(row.view(COMMAND), session=0))


def round_lots(venue: Any, pick: random.Random) -> list[Any]:
    row = np.zeros(1, dtype=LOTS)
    row["kind"], row["instrument"] = CommandKind.SET_LOTS, ACME
    if pick.random() < 0.6:
        row["round1_lots"], row["display"], row["odd_lots"] = 10, pick.randint(0, 2), pick.random() < 0.2
    return list(venue.send(row.view(COMMAND), session=0))


def restrict(venue: Any, pick: random.Random) -> list[Any]:
    """Restrictions of ACME, mostly none; short sales that a fall restricts."""
    row = np.zeros(1, dtype=RESTRICTION)
    row["instrument"], draw = ACME, pick.random()
    row["kind"] = CommandKind.SET_SHORT_SALES if draw < 0.5 else CommandKind.SET_RESTRICTIONS
    if draw < 0.5:
        row["fall_ppm"], row["action"] = pick.choice((0, 20_000)), pick.choice((0, 0, 1, 2))
    elif draw < 0.6:
        row["account"], row["bars"], row["located_lots"] = pick.choice(ACCOUNTS), pick.randint(0, 7), 100
    elif draw < 0.7:
        row["bars"], row["max_share_ppm"], row["outstanding_lots"] = pick.choice((0, 8)), 500_000, 1_000
    return list(venue.send(row.view(COMMAND), session=0))


def administer(venue: Any, pick: random.Random) -> list[Any]:
    """Any command but NEW_ORDER, CANCEL, REPLACE."""
    account, other = pick.choice(ACCOUNTS), pick.choice(ACCOUNTS)
    phase = pick.choice((*Phase, *[Phase.CONTINUOUS] * 5))
    commands: list[Callable[[], Any]] = [
        lambda: venue.tick(venue.now_ns + pick.randint(1, 100)),
        lambda: venue.phase(phase, pick.choice((ACME, OTHER, 0))),
        lambda: venue.phase(phase, ACME, next_value=Phase.CONTINUOUS, until_ns=venue.now_ns + 50),
        lambda: venue.phase(Phase.CONTINUOUS, 0, reference_price_ticks=pick.randint(95, 105)),
        lambda: venue.phase(Phase.CONTINUOUS, 0),
        lambda: venue.mass_cancel(*pick.choice(((account,), (0,))), order_id=pick.choice((0, 100, 200)), flags=0),
        lambda: venue.mass_cancel(account, side=1, flags=pick.randint(0, 1)),
        lambda: venue.status(account, pick.choice((0, 0, 0, 1, 2, 3))),
        *[lambda: [event for number in ACCOUNTS for event in venue.status(number, 0)]] * 3,
        lambda: lose(venue, pick.choice((100, 200))),
        lambda: venue.limits(
            account, max_order_lots=35, max_position_lots=200, max_orders_per_trade=pick.randint(0, 9)
        ),
        lambda: venue.limits(account),
        lambda: venue.limits(account, max_concentration_ppm=pick.randint(1, 10**6)),
        lambda: venue.fees(pick.randint(-3_000, 5_000), pick.randint(0, 5_000)),
        lambda: venue.market(
            CommandKind.SET_MARGIN,
            instrument=ACME,
            initial_margin_ppm=pick.randint(300_000, 10**6),
            maintenance_margin_ppm=pick.randint(1, 300_000),
        ),
        lambda: venue.market(
            CommandKind.SET_INDEX,
            instrument=pick.choice((ACME, OTHER)),
            index_weight=pick.randint(0, 3),
            close_price_ticks=103,
        ),
        lambda: venue.market(CommandKind.SET_MARKET_BREAKER, level1_ppm=20_000, level2_ppm=50_000, pause_ns=40),
        lambda: venue.market(CommandKind.SET_MARKET_BREAKER),
        lambda: venue.price_limits(band_ppm=pick.choice((0, 40_000)), collar_ppm=pick.choice((0, 50_000))),
        lambda: venue.price_limits(
            breaker_ppm=30_000,
            breaker_window_ns=40,
            breaker_pause_ns=60,
            breaker_phase=pick.choice((Phase.HALT, Phase.VOLATILITY_AUCTION)),
        ),
        *[lambda: bands(venue, pick)] * 2,
        lambda: round_lots(venue, pick),
        lambda: restrict(venue, pick),
        lambda: throttle(venue, pick.choice((ACME, OTHER, 0)), *pick.choice(((10**8, 2), (10**9, 9)))),
        *[lambda: [event for number in (ACME, OTHER, 0) for event in throttle(venue, number)]] * 2,
        lambda: venue.transfer(account, other, pick.randint(1, 30)),
        lambda: venue.pay_in(account, pick.randint(-20_000, 20_000)),
        lambda: venue.move_in(account, pick.randint(-20, 20)),
    ]
    return list(pick.choice(commands)())


LATER = [pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 12)]
"""With `make conformance`."""


@pytest.mark.parametrize("seed", [0, *LATER])
def test_random_commands_over_all_features_keep_all_invariants(make_venue: Callable[[], Any], seed: int) -> None:
    pick = random.Random(seed)
    venue = make_venue()
    venue.define_instrument(OTHER, b"OTHER", tick=3, lot=1)
    for number, flags in ON_MARGIN:
        venue.define_account(number, b"m%d" % number, flags)
        venue.pay_in(number, 20_000)
    seen: Counter[EventKind] = Counter()
    for _ in range(1_200):
        draw = pick.random()
        if draw < 0.68:
            events = new_order(venue, pick)
        elif draw < 0.73:
            events = venue.cancel(pick.choice(ACCOUNTS), pick.randint(0, 12))
        elif draw < 0.91:
            stop = pick.choice((0, 0, pick.randint(90, 110)))
            price = pick.randint(95, 105) * (not stop or pick.randint(0, 1))
            terms = {"stop_price_ticks": stop}
            events = venue.replace(pick.choice(ACCOUNTS), pick.randint(1, 12), price, 9, **terms)
        else:
            events = administer(venue, pick)
        seen.update(event.kind for event in events)
    wanted = {EventKind.TRADE, EventKind.REDUCED, EventKind.TRIGGERED, EventKind.REPLACED, EventKind.PHASE_CHANGED}
    assert wanted <= set(seen), f"the stream says nothing about {wanted - set(seen)}"
