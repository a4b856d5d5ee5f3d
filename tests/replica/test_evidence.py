"""What a journal is worth, decided from the mark that was written apart from it."""

import re
from dataclasses import replace

import pytest

from lockstep.replica.divergence import EpochEntry
from lockstep.replica.evidence import Found, Mark, Tip, Wholeness, digest_differs, judge
from lockstep.stream.digest import Digest

FOUND = Found(
    journal=7, tip=Tip(3, 100), promised=4, joined=True, epochs=(EpochEntry(1, 1), EpochEntry(3, 60)), witnessed=True
)
MARK = Mark(7, "u", Tip(3, 100), Tip(3, 90), 4, joined=True, unsynced=False)


def worth(found, mark, *, same_boot=True) -> Wholeness:
    return judge(found, mark, same_boot=same_boot).wholeness


def test_journal_that_holds_what_its_mark_says_is_whole():
    assert worth(FOUND, MARK) is Wholeness.WHOLE


def test_journal_that_holds_more_than_its_mark_is_whole_because_the_mark_comes_after_the_write():
    assert worth(replace(FOUND, tip=Tip(3, 140)), MARK) is Wholeness.WHOLE


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"tip": Tip(3, 99)}, "ends at seq 99 of epoch 3; it held seq 100 of epoch 3"),
        ({"tip": Tip(), "epochs": ()}, "ends at nothing"),
        ({"epochs": (EpochEntry(1, 1), EpochEntry(2, 60))}, "at seq 100 it has a record of epoch 2"),
        ({"tip": Tip(4, 140)}, "its epoch table says 3 for its last record, seq 140 of epoch 4"),
        ({"promised": 3}, "promise of epoch 3; epoch 4 was promised"),
        ({"joined": False}, "forgotten that the cluster admitted it"),
        ({"journal": 8}, "it is journal 8 .* the witness beside it is of journal 7"),
    ],
)
def test_journal_that_lacks_something_is_damaged_and_the_verdict_says_what(change, text):
    verdict = judge(replace(FOUND, **change), MARK, same_boot=True)
    assert verdict.wholeness is Wholeness.DAMAGED
    assert verdict.needed == Tip(3, 100)
    assert re.search(text, verdict.why)


def test_after_the_machine_went_down_only_what_was_synced_has_to_be_there():
    torn = replace(FOUND, tip=Tip(3, 90))
    assert worth(torn, MARK, same_boot=False) is Wholeness.WHOLE
    assert worth(replace(FOUND, tip=Tip(3, 89)), MARK, same_boot=False) is Wholeness.DAMAGED


def test_machine_that_went_down_under_replicated_leaves_a_journal_that_is_no_in_sync_log():
    mark = replace(MARK, unsynced=True)
    assert worth(FOUND, mark, same_boot=False) is Wholeness.UNSYNCED
    assert worth(FOUND, mark, same_boot=True) is Wholeness.WHOLE


def test_journal_that_is_gone_is_damaged_where_the_cluster_had_taken_it_in():
    assert worth(None, MARK) is Wholeness.DAMAGED
    assert worth(None, replace(MARK, joined=False)) is Wholeness.NEW
    assert worth(None, None) is Wholeness.NEW


def test_witness_that_is_gone_leaves_nothing_that_shows_the_journal_to_be_whole():
    assert worth(FOUND, None) is Wholeness.DAMAGED


def test_journal_of_a_program_without_marks_is_taken_as_it_is():
    assert worth(replace(FOUND, witnessed=False), None) is Wholeness.UNMARKED


def test_mark_of_an_earlier_blank_journal_does_not_condemn_a_new_one():
    new = Found(8, Tip(), 0, joined=False, epochs=(), witnessed=False)
    assert worth(new, replace(MARK, joined=False)) is Wholeness.UNMARKED


def test_digest_is_compared_only_at_the_seq_that_the_mark_names():
    mark = replace(MARK, applied_seq=80, digest=b"a" * 16)
    assert digest_differs(mark, 80, Digest(b"b" * 16))
    assert not digest_differs(mark, 80, Digest(b"a" * 16))
    assert not digest_differs(mark, 79, Digest(b"b" * 16))
    assert not digest_differs(None, 80, Digest(b"b" * 16))
