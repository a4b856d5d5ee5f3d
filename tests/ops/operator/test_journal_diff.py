"""Where two journals diverge."""

from collections.abc import Callable
from pathlib import Path

from lockstep.ops.operator.cold import ColdJournal
from lockstep.ops.operator.journal_diff import Comparison, Kind, compare
from tests.restamped import restamped

MakeJournal = Callable[..., Path]


def compared(left: Path, right: Path) -> Comparison:
    with ColdJournal(left) as one, ColdJournal(right) as other:
        return compare(one, other)


def test_equal_journals_agree_through_their_end(make_journal: MakeJournal) -> None:
    found = compared(make_journal("engine-1"), make_journal("engine-2", member=2))
    assert (found.agree, found.equal_through, found.commands, found.digests_compared) == (True, 23, 23, 7)


def test_a_shorter_journal_contradicts_nothing(make_journal: MakeJournal) -> None:
    found = compared(make_journal("engine-1"), make_journal("engine-2", orders=12))
    assert (found.agree, found.equal_through, found.left_tip, found.right_tip) == (True, 15, 23, 15)


def test_the_first_other_command_is_found_inside_its_batch(make_journal: MakeJournal) -> None:
    def alter(seq: int, records):
        changed = records.copy()
        if seq == 12:
            changed["price_ticks"][2:] = 99
        return changed

    found = compared(make_journal("engine-1"), make_journal("engine-2", alter=alter))
    assert found.difference is not None
    assert (found.difference.kind, found.difference.seq, found.equal_through) == (Kind.COMMAND, 14, 13)
    assert "price_ticks=100" in found.difference.left
    assert "price_ticks=99" in found.difference.right


def test_equal_commands_under_other_stamps_are_told_apart(make_journal: MakeJournal) -> None:
    def forge(seq: int, made):
        return restamped(made, timestamp_ns=made.timestamp_ns + 1) if seq == 12 else made

    found = compared(make_journal("engine-1"), make_journal("engine-2", forge=forge))
    assert found.difference is not None
    assert (found.difference.kind, found.difference.seq, found.equal_through) == (Kind.STAMP, 12, 11)


def test_the_first_command_with_another_outcome_is_found(make_journal: MakeJournal) -> None:
    def tell(seq: int, events):
        changed = events.copy()
        if seq == 12:
            changed["price_ticks"][events["seq"] >= 14] += 1
        return changed

    found = compared(make_journal("engine-1"), make_journal("engine-2", tell=tell))
    assert found.difference is not None
    assert (found.difference.kind, found.difference.seq) == (Kind.OUTCOME, 14)
    assert "NEW_ORDER sell limit gtc" in found.difference.left
    assert "TRADE" in found.difference.left
    assert found.difference.left != found.difference.right


def test_outcomes_without_kept_events_are_told_by_batch(make_journal: MakeJournal) -> None:
    def tell(seq: int, events):
        changed = events.copy()
        if seq == 12:
            changed["code"][-1] += 1
        return changed

    left, right = make_journal("engine-1"), make_journal("engine-2", tell=tell)

    class Forgetful(ColdJournal):
        def events(self, first_seq: int) -> None:
            assert first_seq == 12

    with Forgetful(left) as one, ColdJournal(right) as other:
        found = compare(one, other)
    assert found.difference is not None
    assert (found.difference.kind, found.difference.seq) == (Kind.OUTCOME, 12)
    assert "digest" in found.difference.left
