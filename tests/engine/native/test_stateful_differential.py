"""Hypothesis looks for a shortest sequence of commands on which the engines differ, in events or in state."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

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
    AccountStatus,
    CommandKind,
    MassCancelFlag,
    OrderFlag,
    OrderType,
    Phase,
    SelfTradePrevention,
    Side,
    TimeInForce,
)

SESSION = 1
ACCOUNTS = st.integers(1, 7)  # 1-3 funded, 4-6 unlimited in something, 7 unknown
INSTRUMENTS = st.sampled_from([1, 1, 1, 2, 4])  # 4 is unknown
CLIENT_IDS = st.integers(0, 6)
SIDES = st.sampled_from(Side)
PRICES = st.integers(996, 1_004)
FEW_LOTS = st.integers(1, 30)
RARE = st.sampled_from([0, -1, 2**31, 2**40, 2**62, -(2**63)])
RARE_CONNECTIONS = st.sampled_from([2**32, 2**63, 2**64 - 1])
# `one_of` would take equal strategies for one and pick the rare values half of the time.
MOSTLY_PRICES = st.integers(0, 14).flatmap(lambda at: PRICES if at else RARE)
MOSTLY_LOTS = st.integers(0, 14).flatmap(lambda at: FEW_LOTS if at else RARE)
SMALL = st.integers(1, 12)
NS = st.integers(0, 200)
PICKS = st.integers(0, 50)
ACCOUNTS_KNOWN = range(1, 7)
Setting = tuple[np.dtype[Any], int, dict[str, int]]
"""Overlay, kind and fields of a command."""
STOPS = (OrderType.STOP, OrderType.STOP_LIMIT, OrderType.OCO)


@st.composite
def order_fields(draw: st.DrawFn) -> dict[str, int]:
    """A new order of any type; most are well formed, so that they get as far as the book."""
    order_type = draw(st.sampled_from([*[OrderType.LIMIT] * 4, *OrderType]))
    fields: dict[str, int] = {
        "order_type": order_type,
        "tif": draw(st.sampled_from(TimeInForce)),
        "stp": draw(st.sampled_from([SelfTradePrevention.NONE, *SelfTradePrevention])),
        "quantity_lots": draw(MOSTLY_LOTS),
    }
    if order_type in (OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.OCO):
        fields["price_ticks"] = draw(MOSTLY_PRICES)
    elif order_type == OrderType.MARKET and draw(st.booleans()):
        fields["price_ticks"] = draw(PRICES)  # protection
    if order_type in STOPS:
        fields["stop_price_ticks"] = draw(PRICES)
    if order_type == OrderType.TRAILING_STOP:
        fields["trail_ticks"] = draw(SMALL)
        fields["stop_price_ticks"] = draw(st.one_of(st.just(0), PRICES))
    if order_type >= OrderType.STOP and fields["tif"] != TimeInForce.DAY:
        fields["tif"] = TimeInForce.GTC
    if order_type == OrderType.MARKET and fields["tif"] > TimeInForce.FOK:
        fields["tif"] = TimeInForce.IOC
    extra = (
        draw(st.sampled_from(["", "", "flags", "display_lots", "min_lots"])) if order_type == OrderType.LIMIT else ""
    )
    if extra == "flags":
        fields["flags"] = draw(st.sampled_from(OrderFlag))
    elif extra:
        fields[extra] = draw(SMALL)
    return fields


@st.composite
def settings_of_the_market(draw: st.DrawFn) -> Setting:
    """Phase, fees, price limits or throttle of an instrument."""
    kind = draw(
        st.sampled_from(
            [CommandKind.SET_PHASE, CommandKind.SET_FEES, CommandKind.SET_PRICE_LIMITS, CommandKind.SET_THROTTLE]
        )
    )
    instrument = draw(INSTRUMENTS)
    if kind == CommandKind.SET_THROTTLE:
        rate, burst = draw(st.sampled_from([(0, 0), (0, 0), (10**8, 1), (10**9, 4), (10**7, 2), (1, 0), (0, -1)]))
        at = instrument * draw(st.integers(0, 1))
        return THROTTLE, kind, {"instrument": at, "orders_per_second": rate, "burst_orders": burst}
    if kind == CommandKind.SET_FEES:
        maker, taker = draw(st.sampled_from([(0, 0), (777, 12_345), (100_000, 100_000), (-1, 0)]))
        return RULES, kind, {"instrument": instrument, "maker_fee_ppm": maker, "taker_fee_ppm": taker}
    if kind == CommandKind.SET_PRICE_LIMITS:
        breaker = {"ppm": 2_000, "window_ns": 100, "pause_ns": 50, "phase": int(Phase.VOLATILITY_AUCTION)}
        breakers = {f"breaker_{name}": value for name, value in breaker.items()} if draw(st.booleans()) else {}
        limits = {"band_ppm": draw(st.sampled_from([0, 3_000])), "collar_ppm": draw(st.sampled_from([0, 3_000]))}
        return RULES, kind, {"instrument": instrument, **limits, **breakers}
    fields = {
        "instrument": draw(st.sampled_from([0, 1, 2])),
        "value": draw(st.sampled_from(Phase)),
        "reference_price_ticks": draw(st.sampled_from([0, 1_000, 990])),
    }
    if draw(st.booleans()):
        fields |= {"next_value": Phase.CONTINUOUS, "until_ns": draw(NS)}
    return SETTING, kind, fields


@st.composite
def rules_of_an_instrument(draw: st.DrawFn) -> Setting:
    """Bands and their width, round lots, margin, index with its breaker, restrictions, short sales."""
    instrument = draw(INSTRUMENTS)
    what = draw(st.sampled_from([*RULES_OF_AN_INSTRUMENT]))
    overlay, kind, fields = RULES_OF_AN_INSTRUMENT[what]
    chosen = {name: draw(st.sampled_from(values)) for name, values in fields.items()}
    if draw(st.integers(0, 3)) == 0:
        chosen = {}
    if kind == CommandKind.SET_RESTRICTIONS and "located_lots" in fields:
        chosen["account"] = draw(ACCOUNTS)
    return overlay, kind, {"instrument": instrument} | chosen


@st.composite
def settings_of_accounts(draw: st.DrawFn) -> Setting:
    """What concerns accounts and their orders at large."""
    account = draw(ACCOUNTS)
    kind = draw(
        st.sampled_from(
            [
                CommandKind.SET_ACCOUNT_STATUS,
                CommandKind.SET_RISK_LIMITS,
                CommandKind.TRANSFER_POSITION,
                CommandKind.ADJUST_CASH,
                CommandKind.MASS_CANCEL,
                CommandKind.SESSION_OPENED,
                CommandKind.SESSION_CLOSED,
            ]
        )
    )
    if kind == CommandKind.SET_ACCOUNT_STATUS:
        status = draw(st.sampled_from([*[AccountStatus.ACTIVE] * 4, *AccountStatus]))
        return SETTING, kind, {"account": account, "value": status}
    if kind == CommandKind.SET_RISK_LIMITS:
        name = draw(st.sampled_from(["max_order_lots", "max_position_lots", "max_orders_per_day"]))
        burst = draw(st.integers(0, 3))
        rate = {"orders_per_second": 10**7 if burst else 0, "burst_orders": burst}
        return LIMITS, kind, {"account": account, name: draw(st.sampled_from([0, 0, 25, 10_010])), **rate}
    if kind == CommandKind.TRANSFER_POSITION:
        lots = draw(st.one_of(FEW_LOTS, RARE))
        return (
            TRANSFER,
            kind,
            {"account": account, "to_account": draw(ACCOUNTS), "instrument": 1, "quantity_lots": lots},
        )
    if kind == CommandKind.ADJUST_CASH:
        return ADMIN, kind, {"account": account, "amount_micros": draw(st.one_of(st.integers(-(10**6), 10**6), RARE))}
    if kind in (CommandKind.SESSION_OPENED, CommandKind.SESSION_CLOSED):
        connection = draw(st.one_of(st.integers(0, 4), RARE_CONNECTIONS))
        at = {"gateway": draw(st.integers(0, 2)), "client_order_id": connection}
        return COMMAND, kind, {"order_id": draw(st.sampled_from([SESSION, 2])), **at}
    flags = MassCancelFlag.BLOCK if draw(st.integers(0, 9)) == 0 else 0
    return COMMAND, kind, {"account": account, "instrument": draw(st.integers(0, 2)), "flags": flags}


RULES_OF_AN_INSTRUMENT: dict[str, tuple[np.dtype[Any], int, dict[str, list[int]]]] = {
    "bands": (
        BANDS,
        CommandKind.SET_BANDS,
        {
            "high_ppm": [1_000, 2_000, 10_000],
            "middle_ppm": [2_000],
            "low_ppm": [3_000],
            "step_ppm": [1, 1_000],
            "high_above_ticks": [0, 1_000],
            "window_ns": [1, 70, 1_000],
            "limit_ns": [1, 50],
            "pause_ns": [1, 50],
        },
    ),
    "width": (SETTING, CommandKind.SET_BAND_WIDTH, {"value": [1, 2], "reference_price_ticks": [0, 1_000, 999]}),
    "lots": (
        LOTS,
        CommandKind.SET_LOTS,
        {"round1_lots": [1, 5], "round2_lots": [3], "above2_ticks": [1_000], "odd_lots": [0, 1], "display": [0, 1, 2]},
    ),
    "margin": (
        MARKET,
        CommandKind.SET_MARGIN,
        {"initial_margin_ppm": [500_000, 10**6], "maintenance_margin_ppm": [250_000, 10**6]},
    ),
    "index": (MARKET, CommandKind.SET_INDEX, {"index_weight": [0, 1, 3], "close_price_ticks": [0, 1_000, 1_003]}),
    "market breaker": (
        MARKET,
        CommandKind.SET_MARKET_BREAKER,
        {"level1_ppm": [1_000, 2_000], "level2_ppm": [3_000], "pause_ns": [1, 50]},
    ),
    "restrictions of all": (
        RESTRICTION,
        CommandKind.SET_RESTRICTIONS,
        {"bars": [0, 4, 8, 8], "max_share_ppm": [50_000], "outstanding_lots": [200_000, 200_400]},
    ),
    "restrictions": (RESTRICTION, CommandKind.SET_RESTRICTIONS, {"bars": [0, 1, 2, 4], "located_lots": [0, 20]}),
    "short sales": (RESTRICTION, CommandKind.SET_SHORT_SALES, {"fall_ppm": [0, 1_000, 3_000], "action": [0, 0, 1, 2]}),
}
"""Overlay, kind, and values of each field; a part of them sets what an engine refuses."""


class Engines(RuleBasedStateMachine):
    """One command at a time to both; `Pair.apply` compares the events."""

    make_pair: Callable[[], Any]

    @initialize()
    def open_market(self) -> None:
        self.pair = type(self).make_pair()
        self.session_no = 0

    def send(self, overlay: np.dtype[Any], kind: int, **fields: int) -> None:
        row = np.zeros(1, dtype=overlay)
        self.session_no += 1
        for name, value in {"kind": kind, "session_id": SESSION, "session_no": self.session_no, **fields}.items():
            row[name] = value
        self.pair.apply(row.view(COMMAND))

    @rule(fields=order_fields(), account=ACCOUNTS, instrument=INSTRUMENTS, side=SIDES, client_id=CLIENT_IDS, ns=NS)
    def new_order(
        self, fields: dict[str, int], account: int, instrument: int, side: Side, client_id: int, ns: int
    ) -> None:
        if fields["tif"] == TimeInForce.GTD:
            fields = {**fields, "expire_ns": self.pair.now_ns + ns}
        names = {"account": account, "instrument": instrument, "side": side, "client_order_id": client_id}
        self.send(COMMAND, CommandKind.NEW_ORDER, **names, **fields)

    @rule(fields=order_fields(), pick=PICKS, side=SIDES, client_id=CLIENT_IDS)
    def child(self, fields: dict[str, int], pick: int, side: Side, client_id: int) -> None:
        """An order that waits for a live one, now and then for none."""
        live = [
            view
            for account in ACCOUNTS_KNOWN
            for view in self.pair.reference.open_orders(account)
            if view.client_order_id
        ]
        if not live:
            return
        parent = live[pick % len(live)]
        names = {"account": parent.account, "instrument": parent.instrument, "side": side}
        if pick % 5:
            fields = {**fields, "tif": TimeInForce.GTC, "flags": 0, "display_lots": 0, "min_lots": 0}
        if fields["tif"] == TimeInForce.GTD:
            fields = {**fields, "expire_ns": self.pair.now_ns + pick}
        parent_id = parent.client_order_id if pick else 77
        ids = {"client_order_id": client_id, "parent_id": parent_id}
        self.send(COMMAND, CommandKind.NEW_ORDER, **names, **ids, **fields)

    @rule(account=ACCOUNTS, side=SIDES, price=PRICES, lots=FEW_LOTS)
    def plain_order(self, account: int, side: Side, price: int, lots: int) -> None:
        """Something for the others to meet."""
        terms = {"order_type": OrderType.LIMIT, "tif": TimeInForce.GTC, "price_ticks": price, "quantity_lots": lots}
        self.send(COMMAND, CommandKind.NEW_ORDER, account=account, instrument=1, side=side, **terms)

    def some_order(self, pick: int) -> dict[str, int]:
        """Address of a live order, now and then of none."""
        live = [view for account in ACCOUNTS_KNOWN for view in self.pair.reference.open_orders(account)]
        if pick == 0 or not live:
            return {"order_id": self.pair.reference.last_seq, "account": 1}
        view = live[pick % len(live)]
        return {"order_id": view.order_id, "account": view.account}

    @rule(pick=PICKS)
    def cancel(self, pick: int) -> None:
        self.send(COMMAND, CommandKind.CANCEL, **self.some_order(pick))

    @rule(pick=PICKS, price=MOSTLY_PRICES, lots=MOSTLY_LOTS, flags=st.sampled_from((0, 0, 64, 128, 192)))
    def replace(self, pick: int, price: int, lots: int, flags: int) -> None:
        order = self.some_order(pick)
        self.send(COMMAND, CommandKind.REPLACE, **order, price_ticks=price, quantity_lots=lots, flags=flags)

    @rule(pick=PICKS, lots=SMALL)
    def lessen(self, pick: int, lots: int) -> None:
        address = self.some_order(pick)
        order = self.pair.reference.order(address["order_id"])
        price, leaves = (order.price_ticks, order.leaves_lots) if order else (1_000, 1)
        self.send(COMMAND, CommandKind.REPLACE, **address, price_ticks=price, quantity_lots=leaves - lots)

    @rule(setting=settings_of_the_market())
    def administer(self, setting: Setting) -> None:
        overlay, kind, fields = setting
        if "until_ns" in fields:
            fields = {**fields, "until_ns": self.pair.now_ns + fields["until_ns"]}
        self.send(overlay, kind, **fields)

    @rule(setting=rules_of_an_instrument())
    def set_a_rule(self, setting: Setting) -> None:
        overlay, kind, fields = setting
        self.send(overlay, kind, **fields)

    @rule(setting=settings_of_accounts())
    def administer_account(self, setting: Setting) -> None:
        overlay, kind, fields = setting
        self.send(overlay, kind, **fields)

    @rule()
    def reopen(self) -> None:
        """What an operator does after a halt; otherwise most sequences would end in one."""
        self.send(SETTING, CommandKind.SET_PHASE, instrument=1, value=Phase.CONTINUOUS)

    @rule(ahead_ns=NS)
    def tick(self, ahead_ns: int) -> None:
        self.pair.now_ns += ahead_ns
        row = np.zeros(1, dtype=COMMAND)
        row["kind"] = CommandKind.TICK
        self.pair.apply(row)

    @invariant()
    def states_are_equal(self) -> None:
        assert self.pair.native.snapshot() == self.pair.reference.snapshot()
        assert self.pair.native.state_digest() == self.pair.reference.state_digest()


def search(make_pair: Callable[[], Any], examples: int, steps: int) -> None:
    machine = type("Engines", (Engines,), {"make_pair": staticmethod(make_pair)})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_no_short_sequence_of_commands_tells_the_engines_apart(make_pair: Callable[[], Any]) -> None:
    search(make_pair, examples=40, steps=80)


@pytest.mark.slow
def test_no_longer_sequence_of_commands_tells_the_engines_apart(make_pair: Callable[[], Any]) -> None:
    search(make_pair, examples=500, steps=200)
