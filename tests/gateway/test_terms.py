"""Which orders have terms that events do not tell, and how they are read from commands."""

import numpy as np

from lockstep.gateway.terms import HiddenTerms, orders_with_hidden_terms, read_terms
from lockstep.stream.records import COMMAND, EVENT, CommandKind, EventFlag, EventKind, OrderFlag, TimeInForce


def accepted(seq, flags, price=100):
    row = np.zeros(1, dtype=EVENT)
    row["kind"], row["seq"], row["order_id"] = EventKind.ACCEPTED, seq, seq
    row["flags"], row["price_ticks"], row["session_id"], row["session_no"] = flags, price, 5, seq + 100
    return row


def command(session_no, **fields):
    row = np.zeros(1, dtype=COMMAND)
    row["kind"], row["session_id"], row["session_no"] = CommandKind.NEW_ORDER, 5, session_no
    for name, value in fields.items():
        row[name] = value
    return row


def test_terms_are_asked_for_unseen_orders_and_for_those_that_wait_with_a_limit():
    events = np.concatenate(
        [
            accepted(1, EventFlag.BOOKS | EventFlag.UNSEEN),
            accepted(2, EventFlag.BOOKS),
            accepted(3, EventFlag.BOOKS | EventFlag.UNSEEN),
            accepted(4, EventFlag.WAITS),
            accepted(5, EventFlag.WAITS, price=0),
        ]
    )
    assert orders_with_hidden_terms(events, 1) == {3: (5, 103), 4: (5, 104)}
    replaced = accepted(6, EventFlag.BOOKS | EventFlag.UNSEEN)
    replaced["kind"] = EventKind.REPLACED
    assert orders_with_hidden_terms(replaced, 0) == {}


def test_terms_stand_in_the_command_whose_seq_is_the_order_id():
    commands = np.concatenate(
        [
            command(1, display_lots=7),
            command(2, flags=OrderFlag.HIDDEN),
            command(3, tif=TimeInForce.AT_CLOSE),
            command(4, kind=CommandKind.CANCEL),
        ]
    )
    wanted = {10: (5, 1), 11: (5, 2), 12: (5, 3), 13: (5, 4), 99: (5, 9)}
    assert read_terms(commands, 10, wanted) == {
        10: HiddenTerms(display_lots=7),
        11: HiddenTerms(hidden=True),
        12: HiddenTerms(at_close=True),
    }


def test_another_command_at_that_seq_is_not_believed():
    # An engine that was cut off may hold a record that was never committed.
    assert read_terms(command(8, display_lots=7), 10, {10: (5, 1)}) == {}
