"""Seeded bursts of commands that use every feature of the engine, on two instruments and three accounts."""

import numpy as np

from lockstep.stream.records import (
    ADMIN,
    BANDS,
    COMMAND,
    RULES,
    SETTING,
    AccountFlag,
    CommandKind,
    OrderType,
    Phase,
    Side,
    TimeInForce,
)

INSTRUMENTS, ACCOUNTS = (7, 8), (1, 2, 3)
SESSION = 5
_UNLIMITED = AccountFlag.UNLIMITED_CASH | AccountFlag.UNLIMITED_POSITIONS
_CALLS = (Phase.OPENING_AUCTION, Phase.CLOSING_AUCTION, Phase.CLOSING_AUCTION, Phase.CLOSED, Phase.VOLATILITY_AUCTION)


def record(kind, layout=COMMAND, **fields):
    row = np.zeros(1, dtype=layout)
    row["kind"] = kind
    for name, value in fields.items():
        row[name] = value
    return row.view(COMMAND)


def new_order(pick, now_ns):
    order_type = pick.choices(list(OrderType), (66, 8, 6, 10, 6, 4))[0]
    tif = pick.choices(list(TimeInForce), (20, 40, 10, 6, 8, 6, 10, 6))[0]
    lots = pick.randint(1, 40)
    fields = {"order_type": order_type, "stp": pick.choice((0, 0, 1, 2, 3, 4))}
    protected = order_type == OrderType.MARKET and pick.randint(0, 1)
    if order_type in (OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.OCO) or protected:
        fields["price_ticks"] = pick.randint(95, 105)
    if order_type >= OrderType.STOP:
        tif = pick.choice((TimeInForce.DAY, TimeInForce.GTC, TimeInForce.GTD))
        fields["stop_price_ticks"] = pick.randint(94, 106)
    if order_type == OrderType.TRAILING_STOP:
        fields["trail_ticks"] = pick.randint(1, 4)
    if tif == TimeInForce.GTD:
        fields["expire_ns"] = now_ns + pick.randint(1, 300)
    if order_type == OrderType.LIMIT and tif in (TimeInForce.DAY, TimeInForce.GTC, TimeInForce.GTD):
        parent = {"parent_id": pick.randint(1, 40)} if pick.randint(0, 3) == 0 else {}
        fields |= pick.choice(
            (parent, {"display_lots": pick.randint(1, lots)}, {"flags": 2}, {"flags": 1}, {"flags": 4})
        )
    return record(
        CommandKind.NEW_ORDER,
        side=pick.choice(list(Side)),
        tif=tif,
        quantity_lots=lots,
        client_order_id=pick.randint(0, 40),
        account=pick.choice(ACCOUNTS),
        instrument=pick.choice(INSTRUMENTS),
        **fields,
    )


def _bands(pick):
    instrument, draw = pick.choice(INSTRUMENTS), pick.random()
    if draw < 0.3:
        value, price = pick.randint(1, 2), pick.choice((0, 98))
        return record(
            CommandKind.SET_BAND_WIDTH, SETTING, instrument=instrument, value=value, reference_price_ticks=price
        )
    if draw < 0.6:
        return record(CommandKind.SET_BANDS, BANDS, instrument=instrument)
    return record(
        CommandKind.SET_BANDS, BANDS, instrument=instrument, high_ppm=30_000, middle_ppm=30_000, low_ppm=30_000,
        step_ppm=10_000, window_ns=200, limit_ns=30, pause_ns=40,
    )  # fmt: skip


def administer(pick):
    phase = pick.choice((*_CALLS, Phase.CONTINUOUS, Phase.CONTINUOUS, Phase.CONTINUOUS))
    account, instrument = pick.choice(ACCOUNTS), pick.choice((0, *INSTRUMENTS))
    return pick.choice(
        (
            record(CommandKind.SET_PHASE, SETTING, value=phase, instrument=instrument),
            record(CommandKind.SET_PHASE, SETTING, value=Phase.CONTINUOUS),
            record(CommandKind.TICK),
            record(CommandKind.TICK),
            record(CommandKind.MASS_CANCEL, account=account, instrument=instrument, side=pick.randint(1, 2)),
            record(CommandKind.SET_ACCOUNT_STATUS, SETTING, account=account, value=pick.choice((0, 3))),
            *(record(CommandKind.SET_ACCOUNT_STATUS, SETTING, account=number, value=0) for number in ACCOUNTS * 2),
            record(
                CommandKind.SET_PRICE_LIMITS, RULES, instrument=pick.choice(INSTRUMENTS), breaker_ppm=30_000,
                breaker_window_ns=40, breaker_pause_ns=60, breaker_phase=Phase.VOLATILITY_AUCTION,
            ),
            *(_bands(pick) for _ in range(2)),
        )
    )  # fmt: skip


def opening():
    yield from (
        record(
            CommandKind.DEFINE_INSTRUMENT, ADMIN, instrument=number, name=b"I%d" % number, tick_micros=1, lot_units=1
        )
        for number in INSTRUMENTS
    )
    for number in ACCOUNTS:
        yield record(CommandKind.DEFINE_ACCOUNT, ADMIN, account=number, name=b"a%d" % number, flags=_UNLIMITED)


def burst(pick, now_ns, session_no):
    """Up to eight commands; orders are numbered in `SESSION`."""
    rows = []
    for _ in range(pick.randint(1, 8)):
        draw = pick.random()
        named = {"account": pick.choice(ACCOUNTS), "client_order_id": pick.randint(1, 40)}
        if draw < 0.74:
            row = new_order(pick, now_ns)
        elif draw < 0.8:
            row = record(CommandKind.CANCEL, **named)
        elif draw < 0.95:
            price, lots = pick.randint(95, 105), pick.randint(1, 30)
            stop = pick.choice((0, 0, 0, pick.randint(94, 106)))
            price *= not stop or pick.randint(0, 1)
            row = record(CommandKind.REPLACE, **named, price_ticks=price, quantity_lots=lots, stop_price_ticks=stop)
        else:
            row = administer(pick)
        if row["kind"] < 64:
            row["session_id"], row["session_no"] = SESSION, session_no
            session_no += 1
        rows.append(row)
    return np.concatenate(rows), session_no
