"""Breaks live through open, explained and resolved; what comes back is open again; nothing is lost by a restart."""

import time
from contextlib import closing

import pytest

from lockstep.reconciler.case_file import BreakState, CaseFile, NoSuchBreak
from lockstep.reconciler.rules import Break, Rule
from lockstep.runtime.process import EnvironmentFault

ONE = Break(Rule.ALTERED_FILL, "fill 7.1", "price_ticks is 5, the journal leads to 6", 7)
OTHER = Break(Rule.ORPHAN, "gateway-1 session 1 number 2", "admitted 60 s ago")


@pytest.fixture
def case(tmp_path):
    with closing(CaseFile(tmp_path, create=True)) as opened:
        yield opened


def states(case):
    return [(row.id, row.rule, row.state) for row in case.breaks()]


def test_break_found_again_is_the_same_break(case) -> None:
    assert case.found([ONE, OTHER]) == 2
    assert case.found([ONE]) == 0
    assert states(case) == [(1, "R6", "open"), (2, "R1", "open")]


def test_explained_break_stays_explained_when_it_is_found_again(case) -> None:
    case.found([ONE])
    assert case.change(1, BreakState.EXPLAINED, "test of the alarm").note == "test of the alarm"
    case.found([ONE])
    assert states(case) == [(1, "R6", "explained")]


def test_resolved_break_that_is_found_again_is_open_again(case) -> None:
    case.found([ONE])
    case.change(1, BreakState.RESOLVED, "row repaired")
    assert case.breaks(all_states=False) == []
    assert case.found([ONE]) == 1
    assert states(case) == [(1, "R6", "open")]


def test_break_resolved_while_a_look_was_under_way_is_not_opened_by_it(case) -> None:
    case.found([ONE])
    began_ns = time.time_ns()
    case.change(1, BreakState.RESOLVED, "row repaired")
    assert case.found([ONE], looked_ns=began_ns) == 0
    assert states(case) == [(1, "R6", "resolved")]
    assert case.found([ONE], looked_ns=time.time_ns()) == 1


def test_break_that_a_complete_look_does_not_find_any_more_is_resolved_with_a_note(case) -> None:
    case.found([ONE, OTHER])
    case.settle(Rule.ORPHAN, [], "in the stream now")
    assert states(case) == [(1, "R6", "open"), (2, "R1", "resolved")]
    assert case.breaks()[1].note == "in the stream now"


def test_unknown_or_resolved_break_cannot_be_changed(case) -> None:
    case.found([ONE])
    with pytest.raises(NoSuchBreak, match="no break 9"):
        case.change(9, BreakState.EXPLAINED, "")
    case.change(1, BreakState.RESOLVED, "done")
    with pytest.raises(NoSuchBreak, match="resolved already"):
        case.change(1, BreakState.EXPLAINED, "")


def test_counts_have_every_rule(case) -> None:
    case.found([ONE])
    assert case.counts(BreakState.OPEN) == {str(rule): int(rule == "R6") for rule in Rule}


def test_directory_without_records_is_named_with_the_remedy(tmp_path) -> None:
    with pytest.raises(EnvironmentFault, match="lockstep reconcile run"):
        CaseFile(tmp_path)
