"""A rate admits what it says over any window, and no more."""

from hypothesis import given
from hypothesis import strategies as st

from lockstep.runtime.rate import Rate

SECOND = 1_000_000_000


@given(
    per_s=st.integers(1, 1_000),
    burst=st.integers(1, 100),
    gaps=st.lists(st.integers(0, SECOND // 2), min_size=1, max_size=200),
)
def test_no_window_has_more_than_its_share(per_s: int, burst: int, gaps: list[int]) -> None:
    rate = Rate(per_s, burst)
    now_ns, admitted = 10 * SECOND, []
    for gap in gaps:
        now_ns += gap
        wait_ns = rate.wait_ns(now_ns)
        if not wait_ns:
            admitted.append(now_ns)
        else:
            # What it says is when the next is admitted, and not a moment before.
            assert rate.wait_ns(now_ns + wait_ns - 1)
    interval = SECOND // per_s
    for first in range(len(admitted)):
        for last in range(first, len(admitted)):
            assert last - first + 1 <= burst + (admitted[last] - admitted[first]) // interval + 1


def test_a_burst_then_one_at_a_time() -> None:
    rate = Rate(10, 3)
    assert [rate.wait_ns(0) for _ in range(4)] == [0, 0, 0, SECOND // 10]
    assert rate.wait_ns(SECOND // 10) == 0
    assert rate.wait_ns(SECOND // 10) == SECOND // 10
