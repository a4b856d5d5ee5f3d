"""Hops are what the processes counted between two looks."""

from collections.abc import Iterator

import pytest

from lockstep.bench.cluster import BenchPlan, run_bench
from lockstep.bench.hops import HOPS, Look, in_lines, quantile
from lockstep.runtime.metrics.families import Families, histogram
from lockstep.runtime.metrics.server import MetricsServer
from lockstep.runtime.metrics.tally import Latencies
from tests.everybody import any_reader

APPLY, REPORT = HOPS["engines: apply"], HOPS["gateway: message to report"]


class Process:
    """Something that counts durations, and reports them."""

    def __init__(self) -> None:
        self.counted = Latencies()
        self._server = MetricsServer("127.0.0.1", 0, self._families, any_reader)
        self.address = f"127.0.0.1:{self._server.port}"
        self._open = True

    def _families(self) -> Families:
        yield histogram(APPLY, "Applying.", self.counted)
        yield histogram(REPORT, "Reporting.", Latencies())

    def close(self) -> None:
        if self._open:
            self._open = False
            self._server.close()


@pytest.fixture
def engines() -> Iterator[list[Process]]:
    started = [Process(), Process()]
    yield started
    for one in started:
        one.close()


def test_hops_are_those_of_all_processes_between_two_looks(engines: list[Process]) -> None:
    addresses = [one.address for one in engines]
    for one in engines:
        one.counted.add(9_000_000, 1000)
    before = Look(addresses)
    engines[0].counted.add(40_000, 60)
    engines[1].counted.add(900_000, 40)
    hops = Look(addresses).since(before)
    assert list(hops) == ["engines: apply"], "what was not counted is left out"
    figures = hops["engines: apply"]
    assert figures["mean"] == pytest.approx((60 * 40 + 40 * 900) / 100)
    assert 20 < figures["p50"] < 50
    assert 750 < figures["p99"] < 1_000


def test_process_that_does_not_answer_is_left_out(engines: list[Process]) -> None:
    gone = engines[1].address
    engines[1].close()
    before = Look([engines[0].address, gone])
    engines[0].counted.add(40_000)
    assert "engines: apply" in Look([engines[0].address, gone]).since(before)


@pytest.mark.parametrize(
    ("share", "seconds"),
    [(0.25, 0.5), (0.5, 1.0), (0.75, 1.5), (1.0, 2.0)],
)
def test_quantile_stands_in_its_bucket_in_proportion(share: float, seconds: float) -> None:
    assert quantile({1.0: 50.0, 2.0: 100.0, float("inf"): 100.0}, share) == pytest.approx(seconds)


def test_quantile_above_all_bounds_is_the_highest_of_them() -> None:
    assert quantile({1.0: 1.0, float("inf"): 100.0}, 0.99) == 1.0


@pytest.mark.slow
def test_bench_of_a_cluster_tells_every_hop_and_whose_cpu_it_was() -> None:
    (phase,) = run_bench(BenchPlan(rate=200, duration_s=1, modes=("single",)), lambda _text: None).phases
    assert phase.unanswered == 0
    assert list(phase.hops_us) == list(HOPS)
    assert all(figures["p50"] <= figures["p99"] for figures in phase.hops_us.values())
    parts = {name: cpu for name, cpu in phase.cpu_us_per_order.items() if name != "total"}
    assert phase.cpu_us_per_order["total"] == pytest.approx(sum(parts.values()), abs=0.1)
    assert {"gateway-1", "engine-1", "sequencer-1", "load generator"} <= set(parts)
    assert len(list(in_lines(phase.hops_us))) == 1 + len(HOPS)
