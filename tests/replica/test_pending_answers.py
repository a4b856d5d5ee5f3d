"""An answer about the state after a command is delivered only if that command is committed."""

from lockstep.replica.pending_answers import PendingAnswers


def test_answers_are_told_when_their_seq_is_committed():
    pending_answers = PendingAnswers[str](8)
    pending_answers.add(5, "five")
    pending_answers.add(7, "seven")
    assert pending_answers.due(4) == []
    assert pending_answers.due(6) == ["five"]
    assert pending_answers.due(7) == ["seven"]
    assert not pending_answers


def test_answers_of_a_tail_that_was_given_up_are_never_told():
    pending_answers = PendingAnswers[str](8)
    pending_answers.add(5, "five")
    pending_answers.add(7, "seven of the old history")
    assert pending_answers.give_up_after(6) == ["seven of the old history"]
    pending_answers.add(7, "seven")
    assert pending_answers.due(9) == ["five", "seven"]


def test_the_oldest_are_dropped():
    pending_answers = PendingAnswers[int](2)
    for seq in (1, 2, 3):
        pending_answers.add(seq, seq)
    assert pending_answers.due(3) == [2, 3]
