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


ROWS = {"open_orders": 300, "instruments": 20, "status": 2}


@pytest.mark.slow
@pytest.mark.parametrize("reads", [("open_orders", "events", "journal"), READS])
def test_every_kind_is_answered(reads: tuple[str, ...]) -> None:
    plan = ReadsPlan(
        ("native",), reads, orders=300, accounts=50, instruments=20, rate=50, duration_s=0.4, rounds=1,
        reader_gives_way=False,
    )  # fmt: skip
    phases = run_reads_bench(plan, lambda _text: None)
    assert [one.name for one in phases[1::2]] == list(reads)
    for one in phases:
        assert one.unanswered == 0
        assert one.name == ALONE or one.read["reads"], one
    rows = {one.name: one.read["rows"] for one in phases[1::2]}
    assert rows["events"] > 300
    assert {name: count for name, count in ROWS.items() if name in reads}.items() <= rows.items()
