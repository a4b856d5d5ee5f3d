"""Threads that carry orders run before all others, where the host permits that."""

import os
import subprocess
import sys

import pytest

from lockstep.runtime import realtime
from lockstep.runtime.faults import EnvironmentFault
from lockstep.runtime.process_log import open_log
from tests.realtime import permitted

_THREADS = """
import os, threading
from lockstep.runtime.realtime import take_realtime

end = threading.Event()
there = [threading.Thread(target=end.wait, name=name) for name in ("loop", "operation_0", "read-orders_0")]
for thread in there:
    thread.start()
print(take_realtime(3) or "taken")
there.append(threading.Thread(target=end.wait, name="later"))
there[-1].start()
for thread in (threading.main_thread(), *there):
    policy = os.sched_getscheduler(thread.native_id) & ~os.SCHED_RESET_ON_FORK
    priority = os.sched_getparam(thread.native_id).sched_priority
    print(thread.name, "first" if policy == os.SCHED_RR else "as ever", priority)
end.set()
"""


def test_what_carries_orders_runs_first_and_what_may_wait_does_not() -> None:
    made = subprocess.run([sys.executable, "-c", _THREADS], capture_output=True, text=True, check=True, timeout=60)
    said, *threads = made.stdout.splitlines()
    if permitted():
        assert said == "taken"
        assert threads == [
            "MainThread first 3",
            "loop first 3",
            "operation_0 as ever 0",
            "read-orders_0 as ever 0",
            "later as ever 0",
        ]
    else:
        assert said == os.strerror(1)
        assert all(thread.endswith("as ever 0") for thread in threads)


def _refuse(_task: int, _policy: int, _parameters: object) -> None:
    raise PermissionError(1, "Operation not permitted")


def test_a_refusal_is_said_once_with_its_remedy_and_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "sched_setscheduler", _refuse)
    mine = realtime.RealTime(1, open_log("engine-1"))
    mine.take()
    mine.take()
    lines = [line for line in capfd.readouterr().err.splitlines() if "realtime_refused" in line]
    assert len(lines) == 1
    assert "Operation not permitted" in lines[0]
    assert "LimitRTPRIO" in lines[0]


def test_who_asks_for_nothing_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(os, "sched_setscheduler", lambda *arguments: asked.append(arguments))
    realtime.RealTime(0, open_log("engine-1")).take()
    assert asked == []


def test_another_process_is_given_it_with_what_it_starts_later() -> None:
    program = (
        "import sys, threading; sys.stdin.read(1); e = threading.Event(); "
        "t = threading.Thread(target=e.wait); t.start(); print(t.native_id, flush=True); sys.stdin.read(1); e.set()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=0
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        refused = realtime.give_realtime(child.pid, 2)
        child.stdin.write("x")
        later = int(child.stdout.readline())
        policies = [os.sched_getscheduler(task) for task in (child.pid, later)]
        child.stdin.write("x")
    assert (refused == "") is permitted()
    assert policies == [os.SCHED_RR if permitted() else os.SCHED_OTHER] * 2


def test_who_has_ended_meanwhile_is_no_error() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        pass
    assert realtime.give_realtime(child.pid, 1) == ""


def test_what_is_worth_nothing_without_it_does_not_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_setscheduler", _refuse)
    with pytest.raises(EnvironmentFault, match=r"real time \(Operation not permitted\): give the process .* or leave"):
        realtime.require_realtime(1)


@pytest.mark.skipif(not permitted(), reason="this machine does not permit it")
def test_looking_whether_a_host_permits_it_changes_nothing() -> None:
    realtime.require_realtime(1)
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
