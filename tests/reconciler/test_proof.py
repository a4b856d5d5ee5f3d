"""The deciding functions of the proof: each kind of wrong is found, and a right run is found right."""

import numpy as np
import pytest

from lockstep.reconciler.proof import (
    SEEN,
    Balances,
    SeenRows,
    SessionFindings,
    book_trades,
    compare_session,
    longest_silence,
    repeated_fills,
    rows_for_session,
    totals,
)
from lockstep.stream.records import EVENT, EventKind, Events, Side

MINE, OTHER = 11, 22


def event(seq: int, index: int, kind: EventKind, **fields: int) -> Events:
    row = np.zeros(1, EVENT)
    row["seq"], row["index"], row["kind"] = seq, index, kind
    for name, value in fields.items():
        row[name] = value
    return row


def history() -> Events:
    return np.concatenate(
        [
            event(1, 0, EventKind.ACCEPTED, session_id=OTHER, session_no=1, order_id=1, quantity_lots=5, leaves_lots=5),
            event(2, 0, EventKind.ACCEPTED, session_id=MINE, session_no=1, order_id=2, quantity_lots=3, leaves_lots=3),
            event(
                2,
                1,
                EventKind.TRADE,
                side=Side.BUY,
                session_id=MINE,
                session_no=1,
                instrument=1,
                account=1,
                order_id=2,
                price_ticks=10,
                quantity_lots=3,
                maker_account=2,
                maker_order_id=1,
                maker_session_id=OTHER,
                maker_leaves_lots=2,
            ),
            event(3, 0, EventKind.DUPLICATE, session_id=MINE, session_no=1),
            event(4, 0, EventKind.REJECTED, session_id=MINE, session_no=2),
        ]
    )


def compare(seen: SeenRows, events: Events | None = None, sent: int = 2) -> SessionFindings:
    return compare_session(MINE, sent=sent, seen=seen, history=history() if events is None else events)


def test_a_right_run_has_no_findings() -> None:
    assert compare(rows_for_session(MINE, history())) == SessionFindings(2, 2, 0, 0, 0, 0, 0, 0)


def test_both_sides_of_a_trade_are_expected_where_they_belong() -> None:
    assert [(int(r["seq"]), int(r["leg"]), int(r["order_id"])) for r in rows_for_session(OTHER, history())] == [
        (1, 0, 1),
        (2, 1, 1),
    ]


def test_report_that_was_not_seen_is_missing() -> None:
    assert compare(rows_for_session(MINE, history())[:-1]) == SessionFindings(2, 1, 1, 0, 0, 1, 0, 0)


def test_report_seen_twice_is_repeated() -> None:
    seen = rows_for_session(MINE, history())
    assert compare(np.concatenate([seen, seen[1:2]])).repeated_reports == 1


def test_acknowledged_command_that_the_history_lacks_is_lost() -> None:
    seen = rows_for_session(MINE, history())
    found = compare(seen, history()[:-1])
    assert (found.lost_commands, found.invented_reports) == (1, 1)


def test_number_executed_twice_is_doubled() -> None:
    again = event(5, 0, EventKind.ACCEPTED, session_id=MINE, session_no=1, order_id=5)
    events = np.concatenate([history(), again])
    assert compare(rows_for_session(MINE, events), events).doubled_commands == 1


def test_report_with_other_contents_is_invented() -> None:
    seen = rows_for_session(MINE, history())
    seen["price_ticks"][1] += 1
    assert compare(seen).invented_reports == 1


def test_session_that_saw_nothing_has_everything_missing() -> None:
    found = compare(np.zeros(0, SEEN))
    assert (found.acknowledged, found.unanswered, found.missing_reports) == (0, 2, 3)


def test_trades_move_cash_and_lots_between_the_accounts() -> None:
    opening = Balances({1: 1000, 2: 0}, {(2, 1): 5})
    after = book_trades(opening, history(), value_micros={1: 2})
    assert after == Balances({1: 940, 2: 60}, {(1, 1): 3, (2, 1): 2})
    assert totals(after) == totals(opening)


def test_trade_told_twice_is_found() -> None:
    assert repeated_fills(history()) == 0
    assert repeated_fills(np.concatenate([history(), history()[2:3]])) > 0


def test_fill_told_again_under_another_index_is_found() -> None:
    again = history()[2:3].copy()
    again["index"] = 2
    assert repeated_fills(np.concatenate([history(), again])) > 0


def test_silence_around_the_kill_is_measured_not_one_elsewhere() -> None:
    steady = list(range(0, 10_000, 10))
    arrivals = [t for t in steady if not 4000 < t < 4055 and not 8000 < t < 8500]
    gap = longest_silence(arrivals, 4005, window_ns=1000)
    assert (gap.around_ns, gap.usual_p50_ns) == (60, 10)


def test_silence_that_began_before_the_kill_counts() -> None:
    assert longest_silence([0, 10, 500, 510], 20, window_ns=100).around_ns == 490


def test_usual_silence_leaves_other_kills_out() -> None:
    arrivals = [*range(0, 100, 10), *range(300, 400, 10), *range(700, 800, 10)]
    gap = longest_silence(arrivals, 95, others_ns=[395], window_ns=20)
    assert (gap.around_ns, gap.usual_p99_ns) == (210, 10)


@pytest.mark.parametrize("arrivals", [[], [5]])
def test_no_two_reports_give_no_silence(arrivals: list[int]) -> None:
    assert longest_silence(arrivals, 3).around_ns == 0
