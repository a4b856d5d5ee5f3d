"""The native engine's early outs: plain orders of accounts and in books without rules, while rules come and go."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from lockstep.stream.codes import Code
from lockstep.stream.records import (
    COMMAND,
    LIMITS,
    RULES,
    SETTING,
    THROTTLE,
    AccountStatus,
    CommandKind,
    Commands,
    EventKind,
    OrderFlag,
    OrderType,
    Phase,
    Side,
    TimeInForce,
)
from tests.seeds import seeds

BOOKS = (1, 2, 3)
FUNDED, UNLIMITED, OWING, SHORT = 1, 6, 4, 5
"""Accounts of the opening: without flags, with both that lift a bound, with one of them."""
ACCOUNTS = (FUNDED, 2, OWING, SHORT, UNLIMITED)
COUNT = 12_000
TOP_TICKS = 2**40 - 1
TOP_LOTS = 2**31 - 1


def plain(kind: CommandKind = CommandKind.NEW_ORDER, **fields: Any) -> Any:
    """A limit order without options, or another command about one."""
    row = np.zeros(1, dtype=COMMAND)
    row["kind"], row["account"], row["instrument"] = kind, UNLIMITED, 1
    if kind == CommandKind.NEW_ORDER:
        row["side"], row["order_type"], row["tif"] = Side.BUY, OrderType.LIMIT, TimeInForce.GTC
    for name, value in fields.items():
        row[name] = value
    return row


def setting(kind: CommandKind, layout: Any, **fields: Any) -> Any:
    """A command that sets a rule of account or instrument."""
    row = np.zeros(1, dtype=layout)
    row["kind"] = kind
    for name, value in fields.items():
        row[name] = value
    return row.view(COMMAND)


def numbered(rows: list[Any], first: int = 1) -> Commands:
    """Commands of one session, one after the other."""
    commands: Commands = np.concatenate(rows)
    commands["session_id"] = 1
    commands["session_no"] = first + np.arange(len(commands))
    return commands


def rule(pick: np.random.Generator) -> Iterator[Any]:
    """A rule that begins or ends; most of them end."""
    account, book, ends = int(pick.choice(ACCOUNTS)), int(pick.choice(BOOKS)), pick.random() < 0.6
    match int(pick.integers(8)):
        case 0 | 7:
            limits = {} if ends else {str(pick.choice(["max_order_lots", "max_position_lots"])): 40}
            yield setting(CommandKind.SET_RISK_LIMITS, LIMITS, account=account, **limits)
        case 1:
            status = AccountStatus.ACTIVE if ends else int(pick.integers(1, 4))
            yield setting(CommandKind.SET_ACCOUNT_STATUS, SETTING, account=account, value=status)
        case 2:
            width = 0 if ends else 20_000
            which = str(pick.choice(["band_ppm", "collar_ppm"]))
            yield setting(CommandKind.SET_PRICE_LIMITS, RULES, instrument=book, **{which: width})
        case 3:
            moved = {"breaker_ppm": 30_000, "breaker_window_ns": 50, "breaker_pause_ns": 3, "breaker_phase": Phase.HALT}
            terms = {} if ends else moved
            yield setting(CommandKind.SET_PRICE_LIMITS, RULES, instrument=book, **terms)
        case 4:
            rate = {} if ends else {"orders_per_second": 10**9, "burst_orders": 3}
            yield setting(CommandKind.SET_THROTTLE, THROTTLE, instrument=int(pick.choice((0, book))), **rate)
        case 5:
            yield plain(CommandKind.MASS_CANCEL, account=0, instrument=book)
            fees = {} if ends else {"maker_fee_ppm": -100, "taker_fee_ppm": 700}
            yield setting(CommandKind.SET_FEES, RULES, instrument=book, **fees)
        case _:
            phase = Phase.CONTINUOUS if ends else int(pick.integers(1, 7))
            yield setting(CommandKind.SET_PHASE, SETTING, instrument=book, value=phase, reference_price_ticks=1_000)


def order(pick: np.random.Generator) -> Any:
    """A plain order, cancel or replace; a few with an option, or with numbers at the edge of what there is."""
    kinds = (CommandKind.NEW_ORDER, CommandKind.CANCEL, CommandKind.REPLACE)
    row = plain(
        kinds[int(pick.choice(3, p=[0.55, 0.3, 0.15]))],
        account=int(pick.choice(ACCOUNTS)),
        instrument=int(pick.choice(BOOKS, p=[0.6, 0.3, 0.1])),
        client_order_id=int(pick.integers(0, 60)),
        price_ticks=1_000 + int(pick.integers(-25, 26)),
        quantity_lots=int(pick.integers(1, 50)),
    )
    if row["kind"][0] == CommandKind.NEW_ORDER:
        row["side"] = pick.integers(Side.BUY, Side.SELL + 1)
        row["tif"] = pick.choice([TimeInForce.DAY, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK])
        if pick.random() < 0.05:
            row["flags"] = pick.choice([OrderFlag.POST_ONLY, OrderFlag.HIDDEN])
        if pick.random() < 0.05:
            row["display_lots"] = row["quantity_lots"]
    elif row["kind"][0] == CommandKind.REPLACE:
        row["flags"] = pick.choice([0, 0, 0, 64, 128])
    if pick.random() < 0.03:
        row["price_ticks"] = pick.choice([0, 1, TOP_TICKS, TOP_TICKS + 1, -1])
    if pick.random() < 0.03:
        row["quantity_lots"] = pick.choice([0, TOP_LOTS, TOP_LOTS + 1, -1])
    return row


@pytest.mark.parametrize("seed", seeds(4))
def test_orders_give_the_same_while_rules_come_and_go(pair: Any, seed: int) -> None:
    pick = np.random.default_rng(seed)
    rows: list[Any] = []
    while len(rows) < COUNT:
        rows.extend(rule(pick) if pick.random() < 0.015 else [order(pick)])
    commands = numbered(rows)
    seen: set[int] = set()
    codes: set[int] = set()
    for at in range(0, len(commands), 50):
        events = pair.apply(commands[at : at + 50])
        seen |= set(events["kind"].tolist())
        codes |= set(events["code"].tolist())
        if at % 1_000 == 0:
            pair.compare_state()
    pair.compare_state()
    assert {EventKind.TRADE, EventKind.REPLACED, EventKind.REPLACE_REJECTED, EventKind.CANCELED} <= seen
    assert {
        Code.IOC_REMAINDER,
        Code.OVERFLOW,
        Code.DUPLICATE_ORDER_ID,
        Code.ORDER_TOO_LARGE,
        Code.OUTSIDE_BAND,
    } <= codes
    assert {Code.INSUFFICIENT_CASH, Code.INSUFFICIENT_POSITION, Code.WRONG_PHASE, Code.BAD_PRICE} <= codes


def answers(pair: Any, *rows: Any) -> list[tuple[int, int]]:
    """Kind and code of each event, both engines saying the same."""
    last = getattr(pair, "last_no", 0)
    pair.last_no = last + len(rows)
    events = pair.apply(numbered(list(rows), last + 1))
    pair.compare_state()
    return list(zip(events["kind"].tolist(), events["code"].tolist(), strict=True))


ACCEPTED = (EventKind.ACCEPTED, Code.OK)

RULES_OF_ACCOUNTS = {
    "limits": (
        setting(CommandKind.SET_RISK_LIMITS, LIMITS, account=UNLIMITED, max_order_lots=5),
        setting(CommandKind.SET_RISK_LIMITS, LIMITS, account=UNLIMITED),
        Code.ORDER_TOO_LARGE,
    ),
    "status": (
        setting(CommandKind.SET_ACCOUNT_STATUS, SETTING, account=UNLIMITED, value=AccountStatus.RESTRICTED),
        setting(CommandKind.SET_ACCOUNT_STATUS, SETTING, account=UNLIMITED, value=AccountStatus.ACTIVE),
        Code.ACCOUNT_RESTRICTED,
    ),
    "collar": (
        setting(CommandKind.SET_PRICE_LIMITS, RULES, instrument=1, collar_ppm=1_000),
        setting(CommandKind.SET_PRICE_LIMITS, RULES, instrument=1),
        Code.PRICE_COLLAR,
    ),
    "phase": (
        setting(CommandKind.SET_PHASE, SETTING, instrument=1, value=Phase.HALT),
        setting(CommandKind.SET_PHASE, SETTING, instrument=1, value=Phase.CONTINUOUS),
        Code.WRONG_PHASE,
    ),
}


@pytest.mark.parametrize("name", RULES_OF_ACCOUNTS)
def test_a_rule_holds_from_the_command_that_sets_it_to_the_one_that_ends_it(pair: Any, name: str) -> None:
    """A plain order and a plain replace before, under and after the rule, and again after a restore under it."""
    begins, ends, why = RULES_OF_ACCOUNTS[name]
    made = plain(side=Side.SELL, price_ticks=900, quantity_lots=1, client_order_id=90)
    met = plain(price_ticks=900, quantity_lots=1, client_order_id=91)
    assert (EventKind.TRADE, Code.OK) in answers(pair, made, met)
    buy = plain(price_ticks=990, quantity_lots=20, side=Side.BUY)
    live = plain(price_ticks=890, quantity_lots=20, client_order_id=7)
    more = plain(CommandKind.REPLACE, price_ticks=991, quantity_lots=21, client_order_id=7)
    assert answers(pair, buy, live) == [ACCEPTED, ACCEPTED]
    answers(pair, begins)
    refused = [(EventKind.REJECTED, why), (EventKind.REPLACE_REJECTED, why)]
    assert answers(pair, buy, more) == refused
    pair.native = type(pair.native).restore(pair.reference.snapshot())
    assert answers(pair, buy, more) == refused
    answers(pair, ends)
    assert answers(pair, buy, more) == [ACCEPTED, (EventKind.REPLACED, Code.OK)]


def test_fees_are_reserved_by_plain_orders_too(pair: Any) -> None:
    fees = setting(CommandKind.SET_FEES, RULES, instrument=1, maker_fee_ppm=100_000, taker_fee_ppm=100_000)
    whole = plain(account=FUNDED, price_ticks=10_000, quantity_lots=95_000)
    end = plain(CommandKind.MASS_CANCEL, account=FUNDED)
    assert answers(pair, whole)[0] == ACCEPTED
    answers(pair, end, fees)
    assert answers(pair, whole) == [(EventKind.REJECTED, Code.INSUFFICIENT_CASH)]


def test_sums_beyond_64_bits_are_refused(pair: Any) -> None:
    """What an unlimited account owes, and what it may get, stay within range; a sell is worth the best bid."""
    # The third instrument's unit is 2^40 micros, so that a lot at 2^20 ticks is worth 2^60.
    half = plain(instrument=3, price_ticks=2**20, quantity_lots=4)
    assert answers(pair, half)[0] == ACCEPTED
    assert answers(pair, half) == [(EventKind.REJECTED, Code.OVERFLOW)]
    low = plain(account=SHORT, instrument=3, side=Side.SELL, price_ticks=2**21, quantity_lots=3)
    assert answers(pair, low)[0] == ACCEPTED
    assert answers(pair, low) == [(EventKind.REJECTED, Code.OVERFLOW)]
    assert answers(
        pair, plain(account=SHORT, instrument=3, side=Side.SELL, price_ticks=1, quantity_lots=2**31 - 1)
    ) == [(EventKind.REJECTED, Code.OVERFLOW)]


def test_the_long_way_and_the_short_one_are_the_same(make_pair: Callable[[], Any]) -> None:
    """The same orders where a limit that nobody reaches sends them the long way: the same events."""
    pick = np.random.default_rng(5)
    rows = [order(pick) for _ in range(3_000)]
    far = 2**62
    long_way = [setting(CommandKind.SET_RISK_LIMITS, LIMITS, account=one, max_order_micros=far) for one in ACCOUNTS]
    short_way = [setting(CommandKind.SET_RISK_LIMITS, LIMITS, account=one) for one in ACCOUNTS]
    given = [make_pair().apply(numbered(way + rows)) for way in (short_way, long_way)]
    assert given[0].tobytes() == given[1].tobytes()
