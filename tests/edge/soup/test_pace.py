"""How often something may happen."""

from hypothesis import given
from hypothesis import strategies as st

from lockstep.edge.soup.pace import Pace

BURST, PER_S = 10_000, 50_000
SECOND_NS = 1_000_000_000


def test_a_burst_is_free_and_what_is_beyond_waits_for_its_time():
    pace = Pace(PER_S, BURST)
    assert pace.take(BURST, 0) == 0
    assert pace.take(1, 0) == SECOND_NS // PER_S
    assert pace.wait_ns(SECOND_NS // PER_S) == 0
    assert pace.take(BURST, 10 * SECOND_NS) == 0, "silence pays for a burst, and no more"
    assert pace.take(10, 10 * SECOND_NS) == 10 * SECOND_NS // PER_S


@given(st.lists(st.tuples(st.integers(0, SECOND_NS), st.integers(1, 5000)), max_size=60))
def test_no_time_sees_more_than_the_rate_a_burst_and_one_read(reads):
    pace, now_ns, taken = Pace(PER_S, BURST), 0, []
    for pause_ns, packets in reads:
        now_ns += pause_ns
        if pace.wait_ns(now_ns) == 0:
            pace.take(packets, now_ns)
            taken.append((now_ns, packets))
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            span_ns = taken[last][0] - taken[first][0]
            total = sum(packets for _, packets in taken[first : last + 1])
            assert total <= BURST + span_ns * PER_S // SECOND_NS + taken[last][1] + 1
