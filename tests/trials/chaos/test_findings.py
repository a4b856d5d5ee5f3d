"""What is made of a run's records: silences, healing, JSON and the page."""

import json
from typing import Any

import numpy as np
import pytest

from lockstep.trials.chaos.findings import ChaosResult, count_answers, describe_faults
from lockstep.trials.chaos.inject import Done
from lockstep.trials.chaos.monitor import Sample, healthy_after_ms, was_whole
from lockstep.trials.chaos.report import render_report
from lockstep.trials.chaos.schedule import Fault, Kind
from lockstep.trials.checker.history import SEEN, SENT, SessionHistory
from lockstep.trials.checker.promises import Promise, Violation
from lockstep.trials.checker.verdict import Verdict

MS = 1_000_000
START = 5_000 * MS


def history(heard_ms: list[int]) -> SessionHistory:
    """A session that heard an answer at each of these times after the start."""
    seen = np.zeros(len(heard_ms), SEEN)
    seen["heard_ns"] = [START + ms * MS for ms in heard_ms]
    seen["session_no"] = np.arange(1, len(heard_ms) + 1)
    return SessionHistory(1, 1, np.zeros(0, SENT), seen)


def done(kind: Kind, at_ms: int, lasted_ms: int = 0, left_out: str = "") -> Done:
    """A fault that was done."""
    began = START + at_ms * MS
    return Done(Fault(1, kind, at_ms, lasted_ms, 0), "engine-1", began, began + lasted_ms * MS, left_out)


@pytest.fixture
def result() -> ChaosResult:
    """A run with two faults, of which one was noticed."""
    histories = [history([*range(0, 1000, 10), *range(1080, 4000, 10)])]
    samples = [Sample(START + ms * MS, not 1000 <= ms < 2000) for ms in range(0, 4000, 250)]
    faults = [done(Kind.PAUSE_GATEWAY, 2800, 100), done(Kind.KILL_PRIMARY, 995)]
    return ChaosResult(
        seed=9,
        replicas=3,
        duration_s=4.0,
        faults=describe_faults(faults, histories, samples, START),
        left_out=(done(Kind.WIPED_DISK, 3000, left_out="nobody was <standby>"),),
        not_run={Kind.LATENCY: "no netem"},
        verdict=Verdict(400, 399, 100, ()),
        problems=(),
        health={"cluster_healed": True},
        per_bucket=count_answers(histories, START),
    )


def test_each_fault_has_its_silence_and_its_healing(result: ChaosResult) -> None:
    kill, pause = result.faults
    assert (kill.at_ms, kill.gap_ms, kill.healthy_before, kill.healthy_after_ms) == (995, 90.0, True, 1005)
    assert (pause.at_ms, pause.gap_ms, pause.lasted_ms, pause.healthy_after_ms) == (2800, 10.0, 100, 100)
    assert result.gaps_ms() == {"p50": 90.0, "p99": 90.0, "max": 90.0}


def test_answers_are_counted_by_tenths_of_a_second(result: ChaosResult) -> None:
    assert result.per_bucket[:12] == (10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 2, 10)


def test_the_json_has_the_agreed_keys(result: ChaosResult) -> None:
    written: dict[str, Any] = json.loads(json.dumps(result.to_json()))
    assert written["faults"] == {"kill_primary": 1, "pause_gateway": 1}
    assert (written["commands"], written["acknowledged"]) == (400, 399)
    assert (written["lost"], written["duplicated"], written["reordered"], written["divergences"]) == (0, 0, 0, 0)
    assert set(written["gaps_ms"]) == {"p50", "p99", "max"}
    assert set(written["validators"]) == {promise.value for promise in Promise} | {"cluster_healed"}
    assert (written["seed"], written["replicas"]) == (9, 3)
    assert written["not_run"] == {"latency": "no netem"}
    assert result.held


def test_what_could_not_be_checked_did_not_hold(result: ChaosResult) -> None:
    unread = ChaosResult(**{**{name: getattr(result, name) for name in result.__slots__}, "verdict": None})
    assert not unread.held
    assert not any(unread.validators[promise.value] for promise in Promise)
    assert unread.to_json()["lost"] is None


def test_a_violation_is_told_everywhere(result: ChaosResult) -> None:
    verdict = Verdict(4, 4, 1, (Violation(Promise.NO_ORDER_LOST, 2, "number 1 & 2"),))
    broken = ChaosResult(**{**{name: getattr(result, name) for name in result.__slots__}, "verdict": verdict})
    assert not broken.held
    assert broken.to_json()["lost"] == 2
    assert "number 1 &amp; 2" in render_report(broken)


def test_the_page_stands_alone(result: ChaosResult) -> None:
    page = render_report(result)
    assert page.startswith("<!doctype html>")
    assert "<svg" in page
    assert "nobody was &lt;standby&gt;" in page
    for outside in ("http://", "https://", "<script", "<link", "<img"):
        assert outside not in page


def test_health_is_read_off_the_samples() -> None:
    samples = [Sample(10 * MS, True), Sample(20 * MS, False), Sample(30 * MS, True)]
    assert not was_whole(samples, 5 * MS)
    assert was_whole(samples, 15 * MS)
    assert not was_whole(samples, 25 * MS)
    assert healthy_after_ms(samples, 15 * MS) == 15
    assert healthy_after_ms(samples, 31 * MS) is None
