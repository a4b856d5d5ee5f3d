"""Tokens, session ids and accounts."""

from typing import Any

import numpy as np
import pytest

from lockstep.engine.reference import ReferenceEngine
from lockstep.gateway import listings
from lockstep.gateway.entitlement import may_trade, may_use_session
from lockstep.runtime.tokens import OPEN_CLIENT, Entitlements, Unauthenticated
from lockstep.runtime.topology import Client
from lockstep.stream.records import ADMIN, COMMAND, AccountFlag, CommandKind, OrderType, Side, TimeInForce
from lockstep.v1 import replication_pb2

ALICE = Client("alice", "secret", 4, (1, 2))


def test_token_names_the_client():
    assert Entitlements([ALICE]).authenticate("Bearer secret") is ALICE
    assert Entitlements([ALICE]).authenticate("bearer  secret ") is ALICE


@pytest.mark.parametrize("authorization", [None, "secret", "Basic secret", "Bearer wrong", "Bearer "])
def test_anything_else_is_unauthenticated(authorization):
    with pytest.raises(Unauthenticated):
        Entitlements([ALICE]).authenticate(authorization)


def test_cluster_without_clients_is_open():
    client = Entitlements([]).authenticate(None)
    assert client is OPEN_CLIENT
    assert may_use_session(client, (9 << 32) | 1) == ""
    assert may_trade(client, 77)


def test_session_id_carries_the_clients_number():
    assert may_use_session(ALICE, (4 << 32) | 8) == ""
    assert "yours is 4" in (why := may_use_session(ALICE, (5 << 32) | 8))
    assert "client_number=4" in why, "what cures it"
    assert "is 0" in may_use_session(ALICE, 0)
    assert "gateways" in may_use_session(OPEN_CLIENT, (0x7FFF0001 << 32) | 1)


def test_accounts_are_those_listed():
    assert [may_trade(ALICE, account) for account in (1, 2, 3)] == [True, True, False]


def test_a_list_of_instruments_has_prices_of_those_alone_that_its_reader_is_entitled_to():
    prices = {
        name: [one.last_price_ticks for one in listings.instruments(traded(), reader).instruments]
        for name, reader in (
            ("all", ALICE),
            ("the second", Client("bob", "b", 5, instruments=(8,))),
            ("none", Client("eve", "e", 6, instruments=())),
        )
    }
    assert prices == {"all": [100, 101], "the second": [0, 101], "none": [0, 0]}


def traded() -> replication_pb2.QueryReply:
    """An engine's page of two instruments, each of which has traded."""
    engine = ReferenceEngine()
    free = int(AccountFlag.UNLIMITED_CASH | AccountFlag.UNLIMITED_POSITIONS)
    rows = [admin(CommandKind.DEFINE_ACCOUNT, name=b"A", account=1, flags=free)]
    for instrument, price in ((7, 100), (8, 101)):
        name = f"I{instrument}".encode()
        rows.append(admin(CommandKind.DEFINE_INSTRUMENT, name=name, instrument=instrument, tick_micros=1, lot_units=1))
        rows += [order(instrument, side, price) for side in (Side.BUY, Side.SELL)]
    records = np.concatenate(rows)
    records["session_id"], records["session_no"] = 1, np.arange(1, len(records) + 1)
    engine.apply(records, first_seq=1, timestamp_ns=1)
    page = engine.instruments_page(0, 10)
    return replication_pb2.QueryReply(instrument_rows=page.rows)


def admin(kind: CommandKind, **fields: Any) -> Any:
    return filled(np.zeros(1, dtype=ADMIN), kind=kind, **fields).view(COMMAND)


def order(instrument: int, side: Side, price: int) -> Any:
    terms = {"order_type": OrderType.LIMIT, "tif": TimeInForce.GTC, "quantity_lots": 1, "price_ticks": price}
    row = np.zeros(1, dtype=COMMAND)
    return filled(row, kind=CommandKind.NEW_ORDER, account=1, instrument=instrument, side=side, **terms)


def filled(row: Any, **fields: Any) -> Any:
    for field, value in fields.items():
        row[field] = value
    return row
