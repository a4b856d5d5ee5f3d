"""More is offered than a cluster can do: it refuses, answers all that it took, and goes on."""

import pytest

from lockstep.bench.overload import OverloadPlan, run_overload_bench


@pytest.mark.slow
def test_what_is_too_much_is_refused_and_all_that_was_given_is_answered() -> None:
    said: list[str] = []
    plan = OverloadPlan(duration_s=1, factors=(4.0,), saturation=100_000)
    result = run_overload_bench(plan, said.append)
    (point,) = result.points
    assert point.offered_per_s == 400_000
    given = point.offered_per_s * plan.duration_s - point.not_given
    assert point.not_given > given > 0
    assert point.unanswered == 0
    given = result.calm.offered_per_s * plan.duration_s - result.calm.not_given
    assert given > 0, "it trades on when the load has fallen"
    assert result.calm.unanswered == 0
    assert {"gateway-1", "engine-1", "sequencer-1"} <= set(result.memory_mb)
    assert all(0 < before <= highest for before, highest in result.memory_mb.values())
    for modest in (result.modest_alone, result.modest_beside):
        assert modest.accepted_per_s > 0
        assert modest.unanswered == 0
    assert said[-2:] == [
        "the load falls to half of what can be done",
        "a modest client, alone and then beside a greedy one",
    ]
