"""The soak's own busy loops: as many as asked for, each with a session of its own, and gone afterwards."""

import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lockstep.bench.soak import SoakResult, busy_loops, stops


def lives(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_loops_compute_in_sessions_of_their_own_and_end_with_the_soak() -> None:
    with busy_loops(2) as pids:
        assert len({os.getsid(pid) for pid in pids} | {os.getsid(0)}) == 3
    assert not any(lives(pid) for pid in pids)


def test_loops_end_when_the_soak_fails() -> None:
    seen: list[int] = []

    def fail() -> None:
        with busy_loops(1) as pids:
            seen.extend(pids)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [lives(pid) for pid in seen] == [False]


def test_every_process_that_is_stopped_goes_on_again() -> None:
    reported: list[tuple[str, Any]] = []
    members = {"sequencers": (SimpleNamespace(name="sequencer-1"),), "engines": (SimpleNamespace(name="engine-1"),)}
    cluster: Any = SimpleNamespace(
        topology=SimpleNamespace(**members), signal=lambda name, sig: reported.append((name, sig))
    )
    with stops(cluster, 6000):
        time.sleep(0.3)
    assert reported
    assert [sig for _, sig in reported] == [signal.SIGSTOP, signal.SIGCONT] * (len(reported) // 2)
    assert all(reported[i][0] == reported[i + 1][0] for i in range(0, len(reported), 2))


def test_result_says_what_it_leaves_out() -> None:
    result = SoakResult(1.0, 20.0, 0, {}, 10, 0, 5.0, 0, ())
    assert "other hosts" in str(result.to_json()["left_out"])
