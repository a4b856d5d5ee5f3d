"""Pages of rows are the messages that they would be if each were made by itself."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.engine.pages import ACCOUNT_COLUMNS, INSTRUMENT_COLUMNS, POSITION_COLUMNS
from lockstep.gateway import listings
from lockstep.gateway.row_messages import RowMessages
from lockstep.runtime.tokens import OPEN_CLIENT
from lockstep.stream.records import AccountFlag
from lockstep.v1 import accounts_pb2, common_pb2, market_data_pb2, replication_pb2

U32, I64 = st.integers(0, 2**32 - 1), st.integers(-(2**63), 2**63 - 1)
NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=32)
STAMP = common_pb2.Stamp(epoch=3, seq=9)
POSITION = st.tuples(U32, I64, I64, I64, I64)
ACCOUNT = st.tuples(U32, st.integers(0, 127), NAMES, I64, I64, st.integers(0, 3), st.lists(POSITION, max_size=4))
INSTRUMENT = st.tuples(U32, NAMES, I64, I64, st.integers(0, 7), I64)


def account_message(row) -> accounts_pb2.Account:
    number, flags, name, cash, reserved, status, positions = row
    names = ("instrument", "quantity_lots", "reserved_lots", "cost_micros", "realised_micros")
    return accounts_pb2.Account(
        account=number,
        name=name,
        unlimited_cash=bool(flags & AccountFlag.UNLIMITED_CASH),
        unlimited_positions=bool(flags & AccountFlag.UNLIMITED_POSITIONS),
        cash_micros=cash,
        reserved_micros=reserved,
        positions=[accounts_pb2.Position(**dict(zip(names, one, strict=True))) for one in positions],
        status=status,
        margin=bool(flags & AccountFlag.MARGIN),
        short_sales=bool(flags & AccountFlag.SHORT_SALES),
        day_trade_rule=bool(flags & AccountFlag.DAY_TRADE_RULE),
    )


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(ACCOUNT, max_size=6), kept=st.one_of(st.none(), st.sets(st.integers(0, 5))), more=st.booleans())
def test_accounts_with_their_positions_and_those_that_may_be_seen(rows, kept, more):
    table = np.array([(*row[:2], row[2].encode(), *row[3:6], len(row[6])) for row in rows], dtype=ACCOUNT_COLUMNS)
    positions = np.array([one for row in rows for one in row[6]], dtype=POSITION_COLUMNS)
    reply = replication_pb2.QueryReply(
        stamp=STAMP, account_rows=table.tobytes(), position_rows=positions.tobytes(), more=more
    )
    reply.next.account = 77
    entitled = None if kept is None else frozenset(row[0] for place, row in enumerate(rows) if place in kept)
    wanted = [account_message(row) for row in rows if entitled is None or row[0] in entitled]
    expected = accounts_pb2.ListAccountsReply(stamp=STAMP, accounts=wanted, next_cursor=77 if more else 0)
    assert listings.accounts(reply, entitled) == expected


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(INSTRUMENT, max_size=6))
def test_instruments(rows):
    table = np.array([(number, text.encode(), *rest) for number, text, *rest in rows], dtype=INSTRUMENT_COLUMNS)
    names = ("id", "symbol", "tick_micros", "lot_units", "phase", "last_price_ticks")
    reply = replication_pb2.QueryReply(stamp=STAMP, instrument_rows=table.tobytes())
    wanted = [common_pb2.Instrument(**dict(zip(names, row, strict=True))) for row in rows]
    expected = market_data_pb2.ListInstrumentsReply(stamp=STAMP, instruments=wanted)
    assert listings.instruments(reply, OPEN_CLIENT) == expected


@pytest.mark.parametrize("positions", [1, 3, 400, 47_000])
def test_an_account_of_very_many_positions(positions):
    table = np.zeros(1, dtype=ACCOUNT_COLUMNS)
    table["account"], table["name"], table["positions"] = 5, b"desk", positions
    held = np.zeros(positions, dtype=POSITION_COLUMNS)
    held["instrument"] = np.arange(positions)
    reply = replication_pb2.QueryReply(account_rows=table.tobytes(), position_rows=held.tobytes())
    (account,) = listings.accounts(reply).accounts
    assert (account.account, account.name) == (5, "desk")
    assert [one.instrument for one in account.positions] == list(range(positions))


def test_a_row_that_is_longer_than_a_message_can_be_is_no_page():
    rows = RowMessages(accounts_pb2.ListAccountsReply.DESCRIPTOR, "accounts")
    columns = {name: np.zeros(1, dtype="u1") for name in ("account", "cash_micros", "reserved_micros", "status")}
    columns |= dict.fromkeys(("unlimited_cash", "unlimited_positions", "margin"), columns["account"])
    columns |= {"short_sales": columns["account"], "day_trade_rule": columns["account"], "name": np.array([b"x"])}
    with pytest.raises(ValueError, match="is none of a page"):
        rows.encode(columns, [bytes(1 << 28)])
