"""What is told of the state after a command is told only if that command is committed."""

from lockstep.replica.untold import Untold


def test_answers_are_told_when_their_seq_is_committed():
    untold = Untold[str](8)
    untold.add(5, "five")
    untold.add(7, "seven")
    assert untold.due(4) == []
    assert untold.due(6) == ["five"]
    assert untold.due(7) == ["seven"]
    assert not untold


def test_answers_of_a_tail_that_was_given_up_are_never_told():
    untold = Untold[str](8)
    untold.add(5, "five")
    untold.add(7, "seven of the old history")
    assert untold.give_up_after(6) == ["seven of the old history"]
    untold.add(7, "seven")
    assert untold.due(9) == ["five", "seven"]


def test_the_oldest_are_dropped():
    untold = Untold[int](2)
    for seq in (1, 2, 3):
        untold.add(seq, seq)
    assert untold.due(3) == [2, 3]
