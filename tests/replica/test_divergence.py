"""Where two logs diverge."""

import pytest

from lockstep.replica.divergence import EpochEntry, PlanKind, common_seq, diverged_at, epoch_at, plan_catch_up

E1, E2, E3 = EpochEntry(1, 1), EpochEntry(2, 11), EpochEntry(3, 21)


@pytest.mark.parametrize(
    ("own", "own_tip", "peer", "peer_tip", "kind", "common"),
    [
        ((), 0, (E1,), 9, PlanKind.APPEND, 0),
        ((E1,), 9, (E1,), 9, PlanKind.APPEND, 9),
        ((E1,), 9, (E1, E2), 15, PlanKind.APPEND, 9),
        ((E1, E2), 15, (E1,), 9, PlanKind.WAIT, 9),
        ((E1,), 14, (E1, E2), 12, PlanKind.TRUNCATE, 10),
        ((E1, E2), 12, (E1,), 14, PlanKind.WAIT, 10),
        ((E1, E2), 25, (E1, EpochEntry(3, 14)), 30, PlanKind.WAIT, 10),
        ((E1, E2), 12, (E1, EpochEntry(3, 11)), 30, PlanKind.TRUNCATE, 10),
        ((E1, E2, E3), 30, (E1, E2), 30, PlanKind.WAIT, 20),
    ],
)
def test_plan_follows_the_higher_epoch_at_the_first_different_record(own, own_tip, peer, peer_tip, kind, common):
    plan = plan_catch_up(own, own_tip, peer, peer_tip)
    assert plan.kind is kind
    assert plan.common_seq == common


def test_peer_that_has_not_reached_the_promised_epoch_is_no_authority():
    own = (EpochEntry(1, 1),)
    stale = (EpochEntry(1, 1), EpochEntry(2, 5))
    assert plan_catch_up(own, 4, stale, 9, promised=2).kind is PlanKind.APPEND
    assert plan_catch_up(own, 4, stale, 9, promised=3).kind is PlanKind.WAIT


def test_common_seq_is_the_same_from_both_sides():
    assert common_seq((E1, E2), 15, (E1, E3), 40) == common_seq((E1, E3), 40, (E1, E2), 15) == 10


def test_epoch_at_a_seq_is_that_of_the_last_entry_at_or_before_it():
    assert [epoch_at((E1, E2), seq) for seq in (0, 1, 10, 11, 99)] == [0, 1, 1, 2, 2]


@pytest.mark.parametrize(
    ("delivered_epoch", "delivered_seq", "first_void"),
    [
        (1, 10, 0),  # epoch 3 begins behind it
        (1, 11, 11),  # another record stands there now
        (1, 500, 11),
        (2, 15, 11),  # delivered under an epoch that this history never had
        (3, 15, 0),
        (3, 20, 20),
        (4, 500, 0),
        (9, 500, 0),
        (0, 5, 1),
    ],
)
def test_what_was_told_is_history_if_no_later_epoch_begins_before_it(
    delivered_epoch: int, delivered_seq: int, first_void: int
) -> None:
    table = (EpochEntry(1, 1), EpochEntry(3, 11), EpochEntry(4, 20))
    assert diverged_at(table, delivered_epoch, delivered_seq) == first_void
