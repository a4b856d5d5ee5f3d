"""Seeded streams of commands that reach every branch of an engine, and a pair of engines that must agree on them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lockstep.engine.contract import ALL_ORDERS
from lockstep.engine.native import NativeEngine
from lockstep.engine.reference import ReferenceEngine
from lockstep.stream.records import (
    ADMIN,
    BANDS,
    COMMAND,
    LIMITS,
    LOTS,
    MARKET,
    RESTRICTION,
    RULES,
    SETTING,
    THROTTLE,
    TRANSFER,
    AccountFlag,
    CommandKind,
    Commands,
    Events,
    OrderFlag,
    OrderType,
    Phase,
    Side,
    TimeInForce,
)

UNLIMITED = 3
MARGIN, SHORT, DAY_TRADER = AccountFlag.MARGIN, AccountFlag.SHORT_SALES, AccountFlag.DAY_TRADE_RULE
ACCOUNTS = {
    1: 0,
    2: 0,
    3: int(DAY_TRADER),
    4: 1,
    5: 2,
    6: UNLIMITED,
    7: int(MARGIN),
    8: int(MARGIN | SHORT),
    9: int(MARGIN | SHORT | DAY_TRADER),
}
INSTRUMENTS = {1: (1, 1), 2: (5, 10), 3: (2**20, 2**20)}
SESSIONS = 4
I64 = 2**63 - 1
FIRST_NS = 1_000
RARE = np.array([0, 1, -1, 2**31 - 1, 2**31, 2**40 - 1, 2**40, 2**62, I64, -I64 - 1], dtype=np.int64)
OFTEN = {
    int(CommandKind.TICK): 8.0,
    int(CommandKind.SET_PHASE): 10.0,
    int(CommandKind.SET_ACCOUNT_STATUS): 10.0,
    int(CommandKind.SET_FEES): 2.0,
    int(CommandKind.SET_PRICE_LIMITS): 2.0,
    int(CommandKind.SET_INDEX): 2.0,
    int(CommandKind.SET_MARGIN): 6.0,
    int(CommandKind.SET_THROTTLE): 2.0,
    int(CommandKind.SET_BANDS): 3.0,
    int(CommandKind.SET_BAND_WIDTH): 2.0,
    int(CommandKind.SET_LOTS): 3.0,
    int(CommandKind.SET_RESTRICTIONS): 7.0,
    int(CommandKind.SET_SHORT_SALES): 3.0,
    int(CommandKind.SESSION_OPENED): 3.0,
    int(CommandKind.SESSION_CLOSED): 3.0,
}
"""How often administrative kinds come, others being 1: enough to undo what would stop all trading."""
ORDER_KINDS = (CommandKind.NEW_ORDER, CommandKind.CANCEL, CommandKind.REPLACE, CommandKind.MASS_CANCEL)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--long`: streams of a million commands and more."""
    parser.addoption("--long", action="store_true", help="differential streams of a million commands and more")


def opening() -> Commands:
    """Instruments, accounts, cash and shares."""
    rows = np.zeros(len(INSTRUMENTS) + len(ACCOUNTS) * (2 + len(INSTRUMENTS)), dtype=ADMIN)
    at = iter(range(len(rows)))
    for number, (tick, lot) in INSTRUMENTS.items():
        terms = {"name": b"I%d" % number, "tick_micros": tick, "lot_units": lot}
        rows[next(at)] = _admin(CommandKind.DEFINE_INSTRUMENT, instrument=number, **terms)
    for number, flags in ACCOUNTS.items():
        rows[next(at)] = _admin(CommandKind.DEFINE_ACCOUNT, account=number, name=b"A%d" % number, flags=flags)
        rows[next(at)] = _admin(
            CommandKind.ADJUST_CASH, account=number, amount_micros=2 * 10**6 if flags & MARGIN else 10**9
        )
        for instrument in INSTRUMENTS:
            rows[next(at)] = _admin(
                CommandKind.ADJUST_POSITION,
                account=number,
                instrument=instrument,
                quantity_lots=20 * (instrument < 3) if flags & MARGIN else 10_000,
            )
    return rows.view(COMMAND)


def _admin(kind: int, **fields: Any) -> Any:
    row = np.zeros(1, dtype=ADMIN)
    row["kind"] = kind
    for name, value in fields.items():
        row[name] = value
    return row[0]


def stream(count: int, seed: int, *, first_seq: int) -> Commands:
    """Random commands: mostly sensible orders on three small books, with everything else strewn in."""
    pick = np.random.default_rng(seed)
    rows = np.zeros(count, dtype=COMMAND)
    rows["kind"] = pick.choice(ORDER_KINDS, count, p=[0.7, 0.16, 0.1375, 0.0025])
    rows["side"] = pick.integers(Side.BUY, Side.SELL + 1, count)
    rows["order_type"] = pick.choice(list(OrderType), count, p=[0.77, 0.08, 0.04, 0.04, 0.02, 0.05])
    rows["tif"] = pick.choice(list(TimeInForce), count, p=[0.2, 0.49, 0.1, 0.1, 0.06, 0.02, 0.02, 0.01])
    rows["account"] = pick.integers(1, len(ACCOUNTS) + 1, count)
    rows["instrument"] = pick.choice(list(INSTRUMENTS), count, p=[0.6, 0.35, 0.05])
    rows["client_order_id"] = pick.integers(0, 40, count)
    limited = np.isin(rows["order_type"], (OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.OCO))
    protected = (rows["order_type"] == OrderType.MARKET) & (pick.random(count) < 0.3)
    rows["price_ticks"] = np.where(
        limited | protected | (rows["kind"] == CommandKind.REPLACE), 1_000 + pick.integers(-15, 16, count), 0
    )
    rows["quantity_lots"] = pick.integers(1, 60, count)
    by_id = (rows["kind"] != CommandKind.NEW_ORDER) & (pick.random(count) < 0.4)
    rows["order_id"] = np.where(by_id, first_seq + np.arange(count) - pick.integers(1, 60, count), 0).clip(0)
    few = pick.random(count) < 0.5
    rows["instrument"][(rows["kind"] == CommandKind.MASS_CANCEL) & few] = 0
    rows["side"][(rows["kind"] == CommandKind.MASS_CANCEL) & ~few] = 0
    _dress(rows, pick)
    _marry(rows, np.random.default_rng((seed, 4)))
    # Dice of its own, so that the other fields stay what they were.
    flags = np.random.default_rng((seed, 1)).choice((0, 64, 128, 192), count, p=[0.7, 0.1, 0.1, 0.1])
    replaces = rows["kind"] == CommandKind.REPLACE
    rows["flags"][replaces] = flags[replaces]
    # A few of them with a stop price, for those that have one.
    moved = replaces & (np.random.default_rng((seed, 2)).random(count) < 0.05)
    rows["stop_price_ticks"][moved] = 1_000 + np.random.default_rng((seed, 3)).integers(-20, 21, int(moved.sum()))
    _strew(rows, pick)
    _number(rows, pick)
    return rows


def _dress(rows: Commands, pick: np.random.Generator) -> None:
    """The optional fields of new orders, mostly where they may stand."""
    count = len(rows)
    new = rows["kind"] == CommandKind.NEW_ORDER
    kind, tif = rows["order_type"], rows["tif"]

    def some(share: float) -> Any:
        return new & (pick.random(count) < share)

    rows["stp"][new] = pick.choice(5, int(new.sum()), p=[0.6, 0.1, 0.1, 0.1, 0.1])
    rows["tif"][(kind >= OrderType.STOP) & some(0.95)] = TimeInForce.GTC
    rows["tif"][(kind == OrderType.MARKET) & (tif > TimeInForce.FOK) & some(0.9)] = TimeInForce.IOC
    stops = np.isin(kind, (OrderType.STOP, OrderType.STOP_LIMIT)) & some(0.98)
    rows["stop_price_ticks"][stops] = 1_000 + pick.integers(-20, 21, int(stops.sum()))
    ocos = (kind == OrderType.OCO) & some(0.98)
    # Mostly beyond the limit, and not reached yet.
    away = pick.integers(-3, 26, int(ocos.sum())) * np.where(rows["side"][ocos] == Side.BUY, 1, -1)
    rows["stop_price_ticks"][ocos] = rows["price_ticks"][ocos] + away
    trails = (kind == OrderType.TRAILING_STOP) & some(0.98)
    rows["trail_ticks"][trails] = pick.integers(1, 15, int(trails.sum()))
    begun = trails & some(0.3)
    rows["stop_price_ticks"][begun] = 1_000 + pick.integers(-20, 21, int(begun.sum()))
    rests = (kind == OrderType.LIMIT) & np.isin(tif, (TimeInForce.DAY, TimeInForce.GTC, TimeInForce.GTD))
    shapes = pick.random(count)
    rows["flags"][new & rests & (shapes < 0.08)] = OrderFlag.POST_ONLY
    rows["flags"][new & rests & (shapes > 0.92)] = OrderFlag.HIDDEN
    # A sell that is exempt, with any other shape; now and then a buy, which is refused.
    exempt = new & ((rows["side"] == Side.SELL) | (shapes < 0.05)) & (shapes * 100 % 1 < 0.1)
    halting = (rests | (kind >= OrderType.STOP)) & new & (shapes > 0.6) & (shapes < 0.66)
    rows["flags"][halting] = OrderFlag.CANCEL_ON_HALT
    rows["flags"][exempt] |= np.uint8(OrderFlag.SHORT_EXEMPT)
    icebergs = new & rests & (shapes > 0.2) & (shapes < 0.32)
    rows["display_lots"][icebergs] = np.maximum(1, rows["quantity_lots"][icebergs] // pick.integers(1, 6))
    least = new & (rests | (kind == OrderType.MARKET) | (tif == TimeInForce.IOC)) & (shapes > 0.4) & (shapes < 0.46)
    rows["min_lots"][least] = np.maximum(1, rows["quantity_lots"][least] // pick.integers(1, 4))
    dated = new & (tif == TimeInForce.GTD)
    rows["expire_ns"][dated] = FIRST_NS + 7 * (np.flatnonzero(dated) // 200 + pick.integers(-2, 12, int(dated.sum())))


def _marry(rows: Commands, pick: np.random.Generator) -> None:
    """Some new orders wait for another one of their account: mostly plain ones, for one that came just before."""
    count = len(rows)
    new = np.flatnonzero((rows["kind"] == CommandKind.NEW_ORDER) & (pick.random(count) < 0.08))
    rows["parent_id"][new] = pick.integers(0, 40, len(new))
    plain = new[pick.random(len(new)) < 0.9]
    rows["flags"][plain] = rows["display_lots"][plain] = rows["min_lots"][plain] = 0
    rows["tif"][plain] = TimeInForce.GTC
    for at in plain[plain > 0]:
        before = rows[at - 1]
        if before["kind"] == CommandKind.NEW_ORDER and before["client_order_id"] and pick.random() < 0.8:
            rows["account"][at], rows["instrument"][at] = before["account"], before["instrument"]
            rows["parent_id"][at] = before["client_order_id"]


def _strew(rows: Commands, pick: np.random.Generator) -> None:
    """Rare things: extreme and meaningless values, other kinds, raw bytes."""
    count = len(rows)
    for name in ("price_ticks", "quantity_lots"):
        rare = pick.random(count) < 0.01
        rows[name][rare] = pick.choice(RARE, int(rare.sum()))
        spread = pick.random(count) < 0.02
        rows[name][spread] = pick.integers(1, 2**40, int(spread.sum())) >> pick.integers(0, 40, int(spread.sum()))
    for name, top in (("side", 4), ("order_type", 8), ("tif", 9), ("stp", 5), ("flags", 9), ("account", 12)):
        rare = pick.random(count) < 0.003
        rows[name][rare] = pick.integers(0, top, int(rare.sum()))
    for name in ("stop_price_ticks", "display_lots", "min_lots", "expire_ns", "trail_ticks"):
        rows[name][pick.random(count) < 0.001] = 7
    for at in np.flatnonzero(pick.random(count) < 0.02):
        rows[at : at + 1] = _other(pick)
    # Connections count up slowly, and some come late.
    (opened,) = np.nonzero(np.isin(rows["kind"], (CommandKind.SESSION_OPENED, CommandKind.SESSION_CLOSED)))
    turns = np.arange(len(opened))
    rows["client_order_id"][opened] = 1 + turns // 16 - (rows["instrument"][opened] == 1)
    rows["gateway"][opened] = np.where(turns % 7, 1, rows["gateway"][opened])
    # A session that is closed takes no orders: most of them are opened again at once.
    rows["kind"][opened[turns % 16 != 15]] = CommandKind.SESSION_OPENED
    again = turns[(turns % 16 == 0) & (turns > 0)]
    rows["order_id"][opened[again]] = rows["order_id"][opened[again - 1]]
    rows["client_order_id"][opened[again]] = 1 + again // 16
    rows["gateway"][opened[again]] = 1
    for at in np.flatnonzero(pick.random(count) < 0.001):
        rows[at : at + 1] = np.frombuffer(pick.bytes(COMMAND.itemsize), dtype=COMMAND)


def _other(pick: np.random.Generator) -> Commands:
    """One administrative or control command, or one of an unknown kind."""
    kinds = [int(kind) for kind in CommandKind]
    weights = np.array([OFTEN.get(kind, 1.0) for kind in kinds])
    kind = int(pick.choice(kinds, p=weights / weights.sum())) if pick.random() < 0.95 else int(pick.integers(0, 256))
    row = np.zeros(1, dtype=ADMIN)
    row["kind"] = kind
    if kind >= CommandKind.EPOCH_START:
        return np.frombuffer(row.tobytes()[:48] + pick.bytes(80), dtype=COMMAND)
    row["account"] = pick.integers(0, len(ACCOUNTS) + 3)
    row["instrument"] = pick.integers(0, len(INSTRUMENTS) + 3)
    if kind in (CommandKind.SET_PHASE, CommandKind.SET_ACCOUNT_STATUS):
        return _setting(row, pick)
    if kind == CommandKind.SET_RISK_LIMITS:
        return _limits(row, pick)
    if kind in (CommandKind.SET_FEES, CommandKind.SET_PRICE_LIMITS):
        return _rules(row, pick)
    if kind in (CommandKind.SET_MARGIN, CommandKind.SET_INDEX, CommandKind.SET_MARKET_BREAKER):
        return _market(row, pick)
    if kind == CommandKind.SET_THROTTLE:
        return _throttle(row, pick)
    if kind == CommandKind.SET_BANDS:
        return _bands(row, pick)
    if kind == CommandKind.SET_LOTS:
        return _lots(row, pick)
    if kind in (CommandKind.SET_RESTRICTIONS, CommandKind.SET_SHORT_SALES):
        return _restriction(row, pick)
    if kind == CommandKind.SET_BAND_WIDTH:
        width = row.view(SETTING)
        width["value"] = pick.choice([1, 1, 1, 2, 2, 0, 3])
        width["reference_price_ticks"] = pick.choice([0, 0, 1_000, 990, -1])
        return width.view(COMMAND)
    if kind == CommandKind.TRANSFER_POSITION:
        moved = row.view(TRANSFER)
        moved["to_account"] = pick.integers(0, len(ACCOUNTS) + 2)
        moved["quantity_lots"] = pick.choice(RARE) if pick.random() < 0.1 else pick.integers(0, 2_000)
        return moved.view(COMMAND)
    if kind in (CommandKind.MASS_CANCEL, CommandKind.SESSION_OPENED, CommandKind.SESSION_CLOSED):
        row["order_id"] = pick.choice([0, *range(1, SESSIONS + 2)])
        row["gateway"] = pick.integers(0, 3)
        row["side"] = pick.choice([0, 0, 0, 1, 2])
        row["account"] *= int(pick.integers(0, 2))
        row["flags"] = pick.choice([0] * 7 + [1, 2])
        return row.view(COMMAND)
    row["flags"] = pick.choice([0, 0, 1, 2, 3, 4, 8, 12, 28, 32])
    row["name"] = pick.choice([b"I1", b"A1", b"", b"new", b"\x01", b"a\0b", b"x" * 32, b"I%d" % row["instrument"][0]])
    row["tick_micros"] = pick.choice([0, 1, 5, 2**20, I64])
    row["lot_units"] = pick.choice([0, 1, 10, 2**20, I64])
    big = pick.random() < 0.1
    row["quantity_lots"] = pick.choice(RARE) if big else pick.integers(-5_000, 6_000)
    row["amount_micros"] = pick.choice(RARE) if big else pick.integers(-(10**8), 2 * 10**8)
    row["tag"] = pick.choice([0, 1005, 2**16 - 1, 2**16])
    return row.view(COMMAND)


def _setting(row: Commands, pick: np.random.Generator) -> Commands:
    setting = row.view(SETTING)
    if row["kind"][0] == CommandKind.SET_ACCOUNT_STATUS:
        setting["value"] = pick.choice([0, 1, 2, 3, 4, 5], p=[0.86, 0.04, 0.03, 0.03, 0.03, 0.01])
        return setting.view(COMMAND)
    setting["value"] = pick.choice([*[int(Phase.CONTINUOUS)] * 7, *range(9)])
    setting["next_value"] = pick.choice([0, 0, 3, 3, 3, 6, 7, 8])
    if setting["next_value"][0] or pick.random() < 0.05:
        setting["until_ns"] = FIRST_NS + int(pick.integers(0, 3_000))
    setting["reference_price_ticks"] = pick.choice([0, 0, 1_000, 990, -1, 2**40])
    return setting.view(COMMAND)


def _limits(row: Commands, pick: np.random.Generator) -> Commands:
    limits = row.view(LIMITS)
    for name, values in (
        ("max_order_lots", (0, 0, 40, -1)),
        ("max_order_micros", (0, 0, 50_000, 10**7)),
        ("max_position_lots", (0, 0, 10_100, 12_000)),
        ("max_orders_per_day", (0, 0, 30)),
        ("max_orders_per_trade", (0, 0, 2, 4)),
        ("max_concentration_ppm", (0, 0, 0, 5, 300_000, 900_000, 10**9 + 1)),
    ):
        limits[name] = pick.choice(values)
    if pick.random() < 0.4:
        limits["orders_per_second"] = pick.choice([1, 10**6, 10**8, 10**9])
        limits["burst_orders"] = pick.choice([1, 20])
    return limits.view(COMMAND)


def _rules(row: Commands, pick: np.random.Generator) -> Commands:
    rules = row.view(RULES)
    rules["maker_fee_ppm"] = pick.choice([0, 100, 777, 100_000, 100_001, -1, -200, -12_345])
    rules["taker_fee_ppm"] = pick.choice([0, 300, 12_345, 100_000])
    rules["band_ppm"] = pick.choice([0, 0, 8_000, 50_000, 10**6, 10**6 + 1])
    rules["collar_ppm"] = pick.choice([0, 0, 5_000, 50_000, -1])
    if pick.random() < 0.5:
        rules["breaker_ppm"] = pick.choice([3_000, 10_000, 10**6 + 1])
        rules["breaker_window_ns"] = pick.choice([1, 50, 1_000])
        rules["breaker_pause_ns"] = pick.choice([1, 30, 100])
        rules["breaker_phase"] = pick.choice([4, 5, 5, 3])
    return rules.view(COMMAND)


def _throttle(row: Commands, pick: np.random.Generator) -> Commands:
    throttle = row.view(THROTTLE)
    # Stamps come every 7 ns: half of the orders, nearly all, none for long; mostly none is set.
    throttle["orders_per_second"] = pick.choice([0, 0, 0, 10**8, 10**9, 10**6, -1, 10**9 + 1])
    throttle["burst_orders"] = pick.choice([1, 3, 40]) * (throttle["orders_per_second"][0] != 0) + (
        pick.random() < 0.05
    )
    return throttle.view(COMMAND)


def _bands(row: Commands, pick: np.random.Generator) -> Commands:
    bands = row.view(BANDS)
    if pick.random() < 0.35:
        return row.view(COMMAND)
    bands["high_ppm"] = pick.choice([5_000, 10_000, 50_000, 10**6 + 1], p=[0.5, 0.3, 0.17, 0.03])
    bands["middle_ppm"] = pick.choice([8_000, 20_000])
    bands["low_ppm"] = pick.choice([10_000, 750_000])
    bands["step_ppm"] = pick.choice([1, 2_000, 10_000])
    bands["high_above_ticks"] = pick.choice([0, 1_002, 2_000])
    bands["low_below_ticks"] = pick.choice([0, 0, 1_000])
    bands["low_most_ticks"] = pick.choice([0, 15, -1], p=[0.48, 0.48, 0.04])
    bands["window_ns"] = pick.choice([1, 70, 1_000, 100_000])
    bands["limit_ns"] = pick.choice([1, 20, 60])
    bands["pause_ns"] = pick.choice([1, 40, 2**50 + 1], p=[0.48, 0.48, 0.04])
    return bands.view(COMMAND)


def _lots(row: Commands, pick: np.random.Generator) -> Commands:
    lots = row.view(LOTS)
    if pick.random() < 0.4:
        return row.view(COMMAND)
    lots["round1_lots"] = pick.choice([1, 10, 25, 2**31], p=[0.3, 0.4, 0.27, 0.03])
    lots["odd_lots"] = pick.choice([0, 1, 2], p=[0.8, 0.17, 0.03])
    lots["display"] = pick.choice([0, 1, 2, 3], p=[0.2, 0.39, 0.39, 0.02])
    if pick.random() < 0.5:
        lots["round2_lots"], lots["above2_ticks"] = pick.choice([4, 8, 0]), pick.choice([1_000, 1_002, 0])
    if pick.random() < 0.2:
        lots["round4_lots"], lots["above4_ticks"] = 3, 1_003
    return lots.view(COMMAND)


def _restriction(row: Commands, pick: np.random.Generator) -> Commands:
    """Of everybody or of one account, mostly none; a fall that is reached now and then."""
    terms = row.view(RESTRICTION)
    if row["kind"][0] == CommandKind.SET_SHORT_SALES:
        terms["fall_ppm"] = pick.choice([0, 1_000, 5_000, 100_000, 10**6 + 1], p=[0.3, 0.3, 0.2, 0.17, 0.03])
        terms["action"] = pick.choice([0, 1, 2, 3], p=[0.5, 0.27, 0.2, 0.03])
        return terms.view(COMMAND)
    if pick.random() < 0.5:
        row["account"] = 0
    everybody = row["account"][0] == 0
    if pick.random() < (0.7 if everybody else 0.4):
        return row.view(COMMAND)
    bars = [8, 8, 8, 8, 8, 4, 1, 2, 16, 0, 0, 0] if everybody else [4, 4, 1, 2, 3, 8, 0, 0]
    terms["bars"] = pick.choice(bars)
    if (everybody and pick.random() < 0.5) or pick.random() < 0.03:
        terms["max_share_ppm"] = pick.choice([50_000, 10**6, 10**6 + 1, 0], p=[0.9, 0.06, 0.02, 0.02])
        terms["outstanding_lots"] = pick.choice([200_000, 210_000, 2**62, -1], p=[0.47, 0.47, 0.03, 0.03])
    if not everybody or pick.random() < 0.03:
        terms["located_lots"] = pick.choice([0, 20, 500, -1], p=[0.3, 0.4, 0.28, 0.02])
    return terms.view(COMMAND)


def _market(row: Commands, pick: np.random.Generator) -> Commands:
    market = row.view(MARKET)
    margins: Any = pick.choice(
        [(500_000, 250_000), (10**6, 900_000), (20_000, 10_000), (250_000, 250_001), (10**7, 9 * 10**6)]
    )
    market["initial_margin_ppm"], market["maintenance_margin_ppm"] = margins
    market["index_weight"] = pick.choice([0, 1, 3, 2**30, 2**30 + 1, -1], p=[0.1, 0.4, 0.3, 0.1, 0.05, 0.05])
    market["close_price_ticks"] = pick.choice([0, 1_000, 1_005, 2**40])
    level = int(pick.choice([0, 1_000, 3_000]))
    market["level1_ppm"], market["level2_ppm"] = level, 2 * level
    market["level3_ppm"] = pick.choice([0, 4 * level, 10**6 + 1], p=[0.6, 0.3, 0.1])
    market["pause_ns"] = pick.choice([0, 5, 40]) if level else int(pick.random() < 0.05)
    return market.view(COMMAND)


def _number(rows: Commands, pick: np.random.Generator) -> None:
    """Session numbers, a few of them repeated (by the same command or another), too high, or without a session."""
    rows["session_id"] = pick.integers(1, SESSIONS + 1, len(rows))
    rows["session_id"][pick.random(len(rows)) < 0.01] = 0
    last = dict.fromkeys(range(SESSIONS + 1), 0)
    given: dict[tuple[int, int], int] = {}
    oddities = pick.random(len(rows))
    for at, (session, kind) in enumerate(zip(rows["session_id"].tolist(), rows["kind"].tolist(), strict=True)):
        if session == 0 or kind >= 192:
            continue
        if oddities[at] < 0.004:
            number = max(0, last[session] - int(pick.integers(0, 300)))
            if oddities[at] < 0.002 and number:
                # It comes again by another gateway.
                rows[at] = rows[given[session, number]]
                rows["gateway"][at], rows["received_ns"][at] = 77, 7
            rows["session_no"][at] = number
        elif oddities[at] < 0.006:
            rows["session_no"][at] = last[session] + 2 + int(pick.integers(0, 3))
        elif oddities[at] < 0.0065:
            rows["session_no"][at] = 2**64 - 1
        else:
            last[session] += 1
            rows["session_no"][at] = last[session]
            given[session, last[session]] = at


class Pair:
    """Both engines, given the same; every batch's events are compared byte by byte."""

    def __init__(self) -> None:
        self.native: Any = NativeEngine()
        self.reference: Any = ReferenceEngine()
        self.now_ns = FIRST_NS
        self.step_ns = 7

    def apply(self, rows: Commands) -> Events:
        """Apply one batch to both and compare."""
        first_seq = self.reference.last_seq + 1
        self.now_ns += self.step_ns
        expected = self.reference.apply(rows, first_seq=first_seq, timestamp_ns=self.now_ns)
        got = self.native.apply(rows, first_seq=first_seq, timestamp_ns=self.now_ns)
        if got.tobytes() != expected.tobytes():
            raise AssertionError(_difference(rows, got, expected, first_seq))
        return expected

    def compare_state(self) -> None:
        """Snapshots are the same bytes, and so are all views."""
        raw = self.reference.snapshot()
        assert self.native.snapshot() == raw
        assert self.native.state_digest() == self.reference.state_digest()
        assert self.native.last_seq == self.reference.last_seq
        assert self.native.fees_micros == self.reference.fees_micros
        assert self.native.accounts() == self.reference.accounts()
        assert self.native.instruments() == self.reference.instruments()
        assert self.native.all_orders_page((0, 0), 10_000) == self.reference.all_orders_page((0, 0), 10_000)
        assert self.native.accounts_page(0, 10_000) == self.reference.accounts_page(0, 10_000)
        assert self.native.instruments_page(0, 10_000) == self.reference.instruments_page(0, 10_000)
        assert self.native.last_timestamp_ns == self.reference.last_timestamp_ns
        for view in self.reference.instruments():
            self.compare_book(view.instrument)
        for account in self.reference.accounts():
            assert self.native.open_orders(account.account) == self.reference.open_orders(account.account)

    def compare_book(self, instrument: int) -> None:
        """What stands in one book: displayed, hidden, and the queue of each price, whole and cut short."""
        native, reference = self.native, self.reference
        assert native.book(instrument, 10_000) == reference.book(instrument, 10_000)
        assert native.best(instrument) == reference.best(instrument)
        depth = reference.depth(instrument, 10_000)
        assert native.depth(instrument, 10_000) == depth
        assert native.depth(instrument, 2) == reference.depth(instrument, 2)
        for side, levels in ((Side.BUY, depth.bids), (Side.SELL, depth.asks)):
            for level in levels:
                for limit in (ALL_ORDERS, 2):
                    at = (instrument, side, level.price_ticks, limit)
                    assert native.queue(*at) == reference.queue(*at)


def _difference(rows: Commands, got: Events, expected: Events, first_seq: int) -> str:
    for at, want in enumerate(expected):
        if at >= len(got) or got[at].tobytes() != want.tobytes():
            answer = got[at] if at < len(got) else None
            index = int(want["seq"]) - first_seq
            return f"event {at}: command {rows[index]}\n native    {answer}\n reference {want}"
    return f"native has {len(got)} events, reference {len(expected)}"


@pytest.fixture
def pair() -> Pair:
    """Two engines after the opening commands."""
    both = Pair()
    both.apply(opening())
    return both


@pytest.fixture
def make_pair() -> Callable[[], Pair]:
    """For tests that need many pairs."""

    def make() -> Pair:
        both = Pair()
        both.apply(opening())
        return both

    return make


@pytest.fixture
def make_stream() -> Callable[..., Commands]:
    """The generator of random commands."""
    return stream
