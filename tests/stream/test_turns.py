"""Callers take turns, however much one of them asks."""

import pytest

from lockstep.stream.turns import FairQueue


def test_each_caller_has_one_of_its_own_in_turn_first_in_first_out():
    queue = FairQueue[str, int]()
    for number in range(4):
        queue.add("greedy", number)
    queue.add("modest", 10)
    queue.add("late", 20)
    assert queue.first() == 0
    assert [queue.take() for _ in range(3)] == [0, 10, 20]
    queue.add("modest", 11)
    assert [queue.take() for _ in range(len(queue))] == [1, 11, 2, 3]
    with pytest.raises(IndexError):
        queue.take()
