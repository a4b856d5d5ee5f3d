"""More and more of one thing: every point is measured, and nothing that was given stays unanswered."""

import pytest

from lockstep.bench.growth import AXES, QUICK, GrowthPlan, run_growth_bench

VALUES = {"sessions": 40, "resting": 3_000, "instruments": 50, "batch": 64}


@pytest.mark.slow
@pytest.mark.parametrize("axis", ["sessions", "resting", "instruments", "batch"])
def test_a_point_has_a_steady_rate_and_what_is_accepted_of_too_much(axis: str) -> None:
    plan = GrowthPlan(axis, (VALUES[axis],), duration_s=1, warm_up_s=0.2, rate=2_000, too_much=20_000)
    said: list[str] = []
    (point,) = run_growth_bench(plan, said.append).points
    assert said == [f"{axis}: {VALUES[axis]}"]
    assert point.value == VALUES[axis]
    assert point.unanswered == 0
    assert point.latency_us["p99"] >= point.latency_us["p50"] > 0
    assert point.cpu_us_per_order > 0


def test_every_axis_has_a_quick_form() -> None:
    assert AXES.keys() == QUICK.keys() == VALUES.keys()
    assert all(list(points) == sorted(points) for points in AXES.values())
