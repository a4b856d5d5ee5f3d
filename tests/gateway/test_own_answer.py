"""Whose answer it is: what an engine says to a command is its own, and to another command of its number is not."""

import random
from collections import Counter

import numpy as np
import pytest

from lockstep.engine.implementations import DEFAULT, implementation
from lockstep.gateway.own_answer import is_answer_to
from lockstep.stream.codes import Code
from lockstep.stream.records import COMMAND, CommandKind, EventKind, OrderType, Side, TimeInForce
from tests.all_features import SESSION, burst, opening

ALICE, BOB, ACME = 1, 2, 7
RESTS = 8
KINDS = {CommandKind.NEW_ORDER, CommandKind.CANCEL, CommandKind.REPLACE, CommandKind.MASS_CANCEL}


def command(kind=CommandKind.NEW_ORDER, **fields):
    row = np.zeros(1, dtype=COMMAND)
    terms = {"account": ALICE, "instrument": ACME, "session_id": SESSION, "session_no": 1, "client_order_id": 3}
    if kind == CommandKind.NEW_ORDER:
        terms |= {"side": Side.BUY, "order_type": OrderType.LIMIT, "tif": TimeInForce.GTC, "price_ticks": 100}
        terms["quantity_lots"] = 10
    for name, value in {"kind": kind, **terms, **fields}.items():
        row[name] = value
    return row


class Desk:
    """An engine with an order of alice's that rests."""

    def __init__(self):
        self.engine = implementation(DEFAULT)()
        self._apply(np.concatenate(list(opening())))
        self._apply(command(session_id=6, client_order_id=RESTS))

    def _apply(self, rows):
        return self.engine.apply(rows, first_seq=self.engine.last_seq + 1, timestamp_ns=10)

    def first_event(self, row):
        return self._apply(row)[0]


@pytest.mark.parametrize("seed", range(3))
def test_every_answer_of_the_engine_is_that_of_its_own_command(seed):
    pick = random.Random(seed)
    engine = implementation(DEFAULT)()
    engine.apply(np.concatenate(list(opening())), first_seq=1, timestamp_ns=1)
    seen: Counter[tuple[CommandKind, EventKind]] = Counter()
    session_no = 1
    for turn in range(600):
        commands, session_no = burst(pick, 10 + 7 * turn, session_no)
        commands = np.concatenate([commands, commands[commands["session_no"] > 0][:1]])
        events = engine.apply(commands, first_seq=engine.last_seq + 1, timestamp_ns=10 + 7 * turn)
        answers = {int(row["seq"]): row for row in events[::-1] if row["session_id"] == SESSION}
        for seq, row in enumerate(commands, engine.last_seq + 1 - len(commands)):
            if row["kind"] in KINDS and row["session_no"]:
                answer = answers[seq]
                assert is_answer_to(row, answer), (row, answer)
                seen[CommandKind(int(row["kind"])), EventKind(int(answer["kind"]))] += 1
    assert {kind for kind, _ in seen} >= KINDS - {CommandKind.MASS_CANCEL}
    assert {said for _, said in seen} >= {
        EventKind.ACCEPTED, EventKind.REJECTED, EventKind.CANCELED, EventKind.CANCEL_REJECTED, EventKind.REPLACED,
        EventKind.REPLACE_REJECTED, EventKind.DUPLICATE,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("own", "others"),
    [
        pytest.param(command(), command(price_ticks=101), id="price"),
        pytest.param(command(), command(quantity_lots=11), id="quantity"),
        pytest.param(command(), command(side=Side.SELL), id="side"),
        pytest.param(command(), command(account=BOB), id="account"),
        pytest.param(command(), command(client_order_id=4), id="client order id"),
        pytest.param(command(), command(tif=TimeInForce.DAY), id="time in force"),
        pytest.param(command(), command(flags=2), id="flags"),
        pytest.param(command(), command(account=99), id="an order that is refused"),
        pytest.param(command(), command(CommandKind.CANCEL, client_order_id=RESTS), id="a cancel"),
        pytest.param(command(), command(CommandKind.MASS_CANCEL, client_order_id=0, instrument=0), id="a mass cancel"),
        pytest.param(command(CommandKind.CANCEL, client_order_id=RESTS), command(), id="an order, for a cancel"),
        pytest.param(
            command(CommandKind.CANCEL, client_order_id=RESTS),
            command(CommandKind.CANCEL, client_order_id=9),
            id="a vain cancel",
        ),
        pytest.param(
            command(CommandKind.CANCEL, client_order_id=9),
            command(CommandKind.CANCEL, client_order_id=RESTS),
            id="a cancel of another order",
        ),
        pytest.param(
            command(CommandKind.REPLACE, client_order_id=RESTS, price_ticks=90, quantity_lots=5),
            command(CommandKind.REPLACE, client_order_id=RESTS, price_ticks=91, quantity_lots=5),
            id="a replace at another price",
        ),
        pytest.param(
            command(CommandKind.MASS_CANCEL, account=BOB, client_order_id=0, instrument=0),
            command(CommandKind.MASS_CANCEL, client_order_id=0, instrument=0),
            id="a mass cancel of another account",
        ),
    ],
)
def test_answer_to_another_command_is_not_ones_own(own, others):
    assert is_answer_to(own[0], Desk().first_event(own))
    assert not is_answer_to(own[0], Desk().first_event(others))


def test_refusal_by_the_gateway_answers_what_it_refused():
    refused = command(CommandKind.REFUSED, tag=Code.NOT_ENTITLED, client_order_id=0)
    assert is_answer_to(refused[0], Desk().first_event(refused))
    assert not is_answer_to(refused[0], Desk().first_event(command()))
