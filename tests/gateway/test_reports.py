"""Which session gets which row, and what each side sees."""

import numpy as np

from lockstep.gateway.reports import ReportRows, join, report_batch, report_messages, route, split
from lockstep.stream.codes import Code
from lockstep.stream.records import CONTROL_EVENT, DEFINITION_EVENT, EVENT, SETTING_EVENT, EventKind


def event(**fields):
    row = np.zeros(1, dtype=EVENT)
    for name, value in fields.items():
        row[name] = value
    return row


def burst(*events):
    return np.concatenate(events)


def trade(seq, index, taker, maker):
    return event(
        seq=seq, index=index, kind=EventKind.TRADE, side=1, session_id=taker, session_no=3, order_id=50,
        client_order_id=51, account=5, leaves_lots=9, maker_session_id=maker, maker_order_id=60,
        maker_client_order_id=61, maker_account=6, maker_leaves_lots=2, taker_fee_micros=7, maker_fee_micros=8,
    )  # fmt: skip


def ids(reports):
    return list(zip(reports.rows["seq"].tolist(), reports.rows["index"].tolist(), reports.legs.tolist(), strict=True))


def routed_of(events, *session_id):
    routed = route(events, *session_id)
    assert routed is not None
    return routed


def test_trade_goes_to_taker_and_maker_each_from_its_own_side():
    routed = routed_of(burst(trade(1, 0, taker=10, maker=20)))
    assert routed.sessions == (10, 20)
    taker, maker = routed.of(0), routed.of(1)
    assert (ids(taker), ids(maker)) == ([(1, 0, 0)], [(1, 0, 1)])
    seen = maker.rows[0]
    names = ("side", "account", "order_id", "client_order_id", "leaves_lots", "maker_order_id", "taker_fee_micros")
    assert [int(seen[name]) for name in (*names, "session_no")] == [2, 6, 60, 61, 2, 50, 8, 0]
    assert [int(taker.rows[0][name]) for name in names] == [1, 5, 50, 51, 9, 60, 7]


def test_session_on_both_sides_gets_two_rows_with_one_event_id():
    routed = routed_of(burst(event(seq=1, kind=1, session_id=10, session_no=3), trade(1, 1, taker=10, maker=10)))
    assert ids(routed.of(0)) == [(1, 0, 0), (1, 1, 0), (1, 1, 1)]
    assert routed.answered == (3,)


def test_events_of_many_sessions_keep_their_order_within_each():
    events = burst(*(event(seq=seq, kind=1, session_id=10 + seq % 3, session_no=seq) for seq in range(1, 10)))
    routed = routed_of(events)
    assert routed.sessions == (10, 11, 12)
    assert [routed.of(i).rows["seq"].tolist() for i in range(3)] == [[3, 6, 9], [1, 4, 7], [2, 5, 8]]
    assert routed.answered == (9, 7, 8)


def test_owner_of_an_order_that_another_session_canceled_learns_it():
    routed = routed_of(burst(event(seq=1, kind=EventKind.CANCELED, session_id=10, session_no=4, maker_session_id=20)))
    assert routed.sessions == (10, 20)
    assert (routed.of(1).rows["session_no"][0], routed.answered) == (0, (4, 0))


def test_owner_of_an_order_that_another_session_reduced_learns_it():
    routed = routed_of(burst(event(seq=1, kind=EventKind.REDUCED, session_id=10, session_no=4, maker_session_id=20)))
    assert (routed.sessions, ids(routed.of(1))) == ((10, 20), [(1, 0, 1)])
    assert (routed.of(1).rows["session_no"][0], routed.answered) == (0, (4, 0))


def test_owner_of_an_order_that_expired_learns_it():
    routed = routed_of(burst(event(seq=1, kind=EventKind.CANCELED, code=Code.EXPIRED, maker_session_id=20)))
    assert (routed.sessions, routed.answered) == ((20,), (0,))


def test_stop_order_that_another_session_set_off_is_told_to_its_own():
    triggered = event(seq=1, index=2, kind=EventKind.TRIGGERED, session_id=20, original_seq=95)
    routed = routed_of(burst(trade(1, 1, taker=10, maker=30), triggered))
    assert (routed.sessions, routed.answered) == ((10, 20, 30), (3, 0, 0))
    (report,) = report_messages(routed.of(1), 1)
    assert (report.previous_price_ticks, report.original_seq) == (95, 0), "an ORDER_EVENT has its stop price there"


def test_repetition_names_the_seq_of_its_outcome_and_no_price():
    again = event(seq=9, kind=EventKind.DUPLICATE, session_id=20, session_no=3, original_seq=2**63 + 5)
    reports = routed_of(burst(again)).of(0)
    (report,) = report_messages(reports, 1)
    assert (report.previous_price_ticks, report.original_seq) == (0, 2**63 + 5)
    batch = report_batch(reports, b"")
    assert (batch.previous_price_ticks, np.frombuffer(batch.original_seq, "<u8").tolist()) == (b"", [2**63 + 5])


def test_setting_shows_no_value_as_an_order():
    changed = np.zeros(1, dtype=SETTING_EVENT)
    changed["kind"], changed["seq"], changed["session_id"], changed["session_no"] = EventKind.PHASE_CHANGED, 1, 10, 1
    changed["value"], changed["previous_value"], changed["until_ns"], changed["instrument"] = 4, 3, 77, 7
    (row,) = routed_of(changed.view(EVENT)).of(0).rows
    assert [int(row[name]) for name in ("order_id", "client_order_id", "quantity_lots")] == [0, 0, 0]
    assert int(row["instrument"]) == 7


def test_out_of_order_refusal_answers_nothing_else():
    refused = event(seq=2, kind=EventKind.REJECTED, code=Code.SESSION_OUT_OF_ORDER, session_id=10, session_no=9)
    routed = routed_of(burst(event(seq=1, kind=1, session_id=10, session_no=4), refused))
    assert (routed.answered, routed.out_of_order) == ((4,), ((10, 9),))


def test_control_events_are_nobodys():
    control = np.zeros(1, dtype=CONTROL_EVENT)
    control["seq"], control["kind"], control["epoch"], control["in_sync"] = 1, EventKind.EPOCH_STARTED, 3, 6
    assert route(control.view(EVENT)) is None


def test_definition_shows_no_name_as_numbers():
    defined = np.zeros(3, dtype=DEFINITION_EVENT)
    defined["kind"] = [EventKind.ACCOUNT_DEFINED, EventKind.POSITION_ADJUSTED, EventKind.POSITION_TRANSFERRED]
    defined["seq"], defined["session_id"], defined["session_no"] = [1, 2, 3], 10, [1, 2, 3]
    defined["name"], defined["quantity_lots"], defined["amount_micros"] = b"alice-and-her-friends", [0, -40, 5], 77
    rows = routed_of(defined.view(EVENT)).of(0).rows
    assert len(rows) == 3
    assert rows["quantity_lots"].tolist() == [0, -40, 5]
    for name in ("order_id", "client_order_id", "price_ticks", "leaves_lots", "maker_order_id"):
        assert rows[name].tolist() == [0, 0, 0]


def test_only_one_session_can_be_asked_for():
    events = burst(trade(1, 0, taker=10, maker=20), trade(2, 0, taker=20, maker=30))
    routed = routed_of(events, 20)
    assert (routed.sessions, ids(routed.of(0))) == ((20,), [(1, 0, 1), (2, 0, 0)])
    assert route(events, 99) is None


def test_two_legs_of_one_event_stay_in_one_message():
    routed = routed_of(burst(*(trade(seq, 0, taker=10, maker=10) for seq in range(1, 6))))
    parts = split(routed.of(0), 3)
    assert [len(part) for part in parts] == [4, 4, 2]
    assert ids(join(parts)) == ids(routed.of(0))
    assert isinstance(join(parts), ReportRows)
