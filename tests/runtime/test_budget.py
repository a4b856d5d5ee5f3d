"""A budget gives what it says over any window, keeps some for cancels, and is one for all of a principal's doors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.runtime.access.callers import OPEN_CLIENT
from lockstep.runtime.access.permissions import METHODS
from lockstep.runtime.access.roles import Role
from lockstep.runtime.budget import _MOST_PRINCIPALS, METHOD_COSTS, Budget, Budgets, spread
from lockstep.runtime.topology import Principal

SECOND = 1_000_000_000
ALICE = Principal(name="alice", number=1)
OPERATED = ("Cluster", "Replication", "Health", "ServerReflection")


@given(
    per_s=st.integers(1, 5_000),
    at_once=st.integers(1, 5_000),
    steps=st.lists(st.tuples(st.integers(0, SECOND // 2), st.integers(1, 600)), min_size=1, max_size=60),
)
def test_no_window_has_more_than_its_share(per_s: int, at_once: int, steps: list[tuple[int, int]]) -> None:
    budget = Budget(per_s, at_once)
    now_ns, taken = 10 * SECOND, []
    for gap_ns, points in steps:
        now_ns += gap_ns
        points = min(points, at_once)
        wait_ns = budget.take(points, now_ns, cancels=True)
        if not wait_ns:
            taken.append((now_ns, points))
        else:
            # It says when, and not a moment too late.
            assert budget.wait_ns(points, now_ns + wait_ns) == 0
            assert budget.wait_ns(points, now_ns + wait_ns - 1) > 0
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            spent = sum(points for _, points in taken[first : last + 1])
            assert spent * SECOND <= at_once * SECOND + (taken[last][0] - taken[first][0]) * per_s


def test_some_is_kept_for_cancels() -> None:
    budget = Budget(100)
    assert budget.left(0).points == 200
    assert budget.take(180, 0) == 0
    assert budget.take(1, 0) > 0
    assert budget.take(20, 0, cancels=True) == 0
    assert budget.take(1, 0, cancels=True) == SECOND // 100
    assert budget.left(0).points == 0
    assert budget.left(0).full_in_s == 2


def test_what_costs_more_than_there_ever_is_costs_all_that_there_is() -> None:
    budget = Budget(100)
    assert budget.take(10**6, 0) == 0
    assert budget.take(1, 0) > 0


def test_what_is_only_counted_leaves_nobody_further_behind_than_a_second() -> None:
    budget = Budget(100)
    for _ in range(1_000):
        budget.charge(10_000, 0)
    assert budget.wait_ns(1, 0) == SECOND + SECOND // 100


@pytest.mark.parametrize(
    ("cancels", "spent", "rows"),
    [
        ([0] * 10, 0, None),
        ([0] * 10, 185, 0),
        ([0] * 10, 175, 5),
        ([1] * 10, 185, None),
        ([1] * 10, 195, 5),
        ([1, 1, 0, 1], 185, 2),
        ([0, 0, 0, 1, 1, 0], 178, 2),
        ([0, 0, 1, 1, 1, 0], 178, 5),
        ([1] * 4, 200, 0),
    ],
)
def test_a_batch_is_within_as_far_as_it_goes(cancels: list[int], spent: int, rows: int | None) -> None:
    budget = Budget(100)
    budget.charge(spent, 0)
    found = budget.allowance(np.array(cancels, dtype=bool), 0)
    assert (None if found is None else found.rows) == rows
    if found is not None:
        later = np.array(cancels[found.rows : found.rows + 1], dtype=bool)
        budget.charge(found.rows, 0)
        assert budget.allowance(later, found.wait_ms * 1_000_000) is None, "after the pause the next one is"


def test_all_doors_of_a_process_have_one_budget_and_processes_a_part_each() -> None:
    budgets = Budgets(1_000, sharers=2)
    known = budgets.of(ALICE)
    assert known is not None
    assert known.per_s == 500
    assert budgets.of(Principal(name="alice", number=1, credential="another")) is known
    own = budgets.of(Principal(name="bob", number=2, budget_per_s=50))
    assert own is not None
    assert own.per_s == 25


def test_members_and_everybody_have_none() -> None:
    budgets = Budgets(1_000)
    assert budgets.of(OPEN_CLIENT) is None
    assert budgets.of(Principal(name="engine-1", roles=(Role.MEMBER,))) is None
    assert Budgets(0).of(ALICE) is None


def test_those_who_spent_nothing_lately_are_forgotten() -> None:
    budgets = Budgets(1_000)
    alice = budgets.of(ALICE)
    for number in range(_MOST_PRINCIPALS):
        assert budgets.of(Principal(name=str(number))) is not None
    assert len(budgets._of) == _MOST_PRINCIPALS
    assert budgets.of(ALICE) is not alice


def test_pauses_are_spread() -> None:
    pauses = {spread(1_000, b"%d" % number) for number in range(1_000)}
    assert min(pauses) >= 1_000
    assert max(pauses) <= 1_250
    assert len(pauses) > 100


def test_every_method_that_clients_call_costs_something() -> None:
    served = {method for method in METHODS if not any(word in method for word in OPERATED)}
    assert served == set(METHOD_COSTS)
