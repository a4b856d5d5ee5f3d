"""`bench reads`: what it says of a kind of read, and that every kind is really read."""

import pytest

from lockstep.bench.reads import ALONE, READS, Moved, ReadPhase, ReadsPlan, moved, run_reads_bench


def phase(name: str, p99_us: float) -> ReadPhase:
    return ReadPhase(name, {"p99": p99_us}, 0)


def test_each_kind_is_compared_with_the_load_alone_of_its_own_rounds() -> None:
    pairs = [(100, 150), (900, 100), (200, 210)]
    phases = [one for alone, beside in pairs for one in (phase(ALONE, alone), phase("status", beside))]
    assert moved(phases) == [Moved("status", 200, 150)]
    assert moved(phases)[0].ratio == pytest.approx(0.75)


def test_every_kind_is_answered() -> None:
    plan = ReadsPlan(
        ("native",), orders=300, accounts=50, instruments=20, rate=50, duration_s=0.4, rounds=1, reader_gives_way=False
    )
    phases = run_reads_bench(plan, lambda _text: None)
    assert [one.name for one in phases[1::2]] == list(READS)
    for one in phases:
        assert one.unanswered == 0
        assert one.name == ALONE or one.read["reads"], one
    rows = {one.name: one.read["rows"] for one in phases[1::2]}
    assert rows["open_orders"] == 300
    assert rows["instruments"] == 20
    assert rows["events"] > 300
    assert rows["status"] == 2
