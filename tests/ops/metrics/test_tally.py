"""Histograms and passages count what went through them."""

from lockstep.runtime.metrics.tally import BOUNDS_NS, Latencies, Passage


def test_a_duration_on_a_bound_belongs_to_the_bucket_below_it() -> None:
    latencies = Latencies()
    latencies.add(10_000_000)
    latencies.add(10_000_001)
    within = BOUNDS_NS.index(10_000_000)
    assert latencies.counts[within] == 1
    assert latencies.counts[within + 1] == 1


def test_a_duration_beyond_all_bounds_is_counted_in_the_last_bucket() -> None:
    latencies = Latencies()
    latencies.add(60_000_000_000, times=3)
    assert latencies.counts[-1] == 3
    assert latencies.sum_ns == 180_000_000_000


def test_the_budgets_are_bounds_of_buckets() -> None:
    assert {2_000_000, 10_000_000, 30_000_000, 50_000_000, 100_000_000, 300_000_000} <= set(BOUNDS_NS)
    assert list(BOUNDS_NS) == sorted(set(BOUNDS_NS))


def test_a_passage_times_every_batch_that_a_position_covers() -> None:
    passage = Passage()
    passage.enter(10, 1_000_000, 10)
    passage.enter(15, 3_000_000, 5)
    passage.enter(20, 4_000_000, 5)
    passage.leave(15, 5_000_000)
    assert sum(passage.latencies.counts) == 15
    assert passage.latencies.sum_ns == 10 * 4_000_000 + 5 * 2_000_000
    assert passage.oldest_ns(6_000_000) == 2_000_000
    passage.leave(20, 6_000_000)
    assert passage.oldest_ns(7_000_000) == 0


def test_a_passage_forgets_the_oldest_beyond_its_limit() -> None:
    passage = Passage(limit=2)
    for position in (1, 2, 3):
        passage.enter(position, 0, 1)
    passage.leave(3, 1)
    assert sum(passage.latencies.counts) == 2


def test_a_passage_that_is_cleared_counts_nothing_of_it() -> None:
    passage = Passage()
    passage.enter(1, 0, 1)
    passage.clear()
    passage.leave(1, 1)
    assert sum(passage.latencies.counts) == 0
