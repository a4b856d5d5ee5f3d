"""A process that gives way."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lockstep.runtime import priority

_GIVE_WAY = """
import os
from pathlib import Path
from lockstep.runtime.priority import give_way

give_way(7)
group = Path("/proc/self/autogroup")
print(os.nice(0), "|", group.read_text().strip() if group.exists() else "")
"""


def _given_way(*, session_of_its_own: bool) -> tuple[int, str]:
    """The niceness of a process that gave way by 7, and what /proc says of the group of its session.

    The text is empty where the kernel groups no sessions, and for a process of a session that it leaves ungrouped
    (one that began before the grouping, or in a CPU control group of its own).
    """
    command = [sys.executable, "-c", _GIVE_WAY]
    made = subprocess.run(command, start_new_session=session_of_its_own, capture_output=True, text=True, check=True)
    nice, _, group = made.stdout.partition("|")
    return int(nice), group.strip()


def test_giving_way_lowers_the_session_where_it_is_the_process_own() -> None:
    nice, group = _given_way(session_of_its_own=True)
    assert nice == os.nice(0) + 7
    assert group == "" or group.endswith("nice 7")


def test_giving_way_leaves_a_session_of_others_alone() -> None:
    file = Path("/proc/self/autogroup")
    before = file.read_text().strip() if file.exists() else ""
    assert _given_way(session_of_its_own=False) == (os.nice(0) + 7, before)


class _Busy:
    """The file of the session's group, which takes a change only after it has refused some."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals
        self.said = ""

    def open(self, _mode: str) -> "_Busy":
        return self

    def __enter__(self) -> "_Busy":
        return self

    def __exit__(self, *_error: object) -> None:
        return None

    def write(self, text: str) -> None:
        if self.refusals:
            self.refusals -= 1
            raise BlockingIOError
        self.said = text


def test_a_change_that_the_kernel_refuses_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    group = _Busy(2)
    monkeypatch.setattr(priority, "_GROUP", group)
    monkeypatch.setattr(os, "getsid", lambda _pid: os.getpid())
    courtesy = priority.Courtesy(0)
    courtesy.give()
    assert group.said == ""
    for _ in range(2):
        courtesy.give()
    assert group.said == "0"
    group.said = "untouched"
    courtesy.give()
    assert group.said == "untouched", "what was taken is not said again"


_BACK = """
import ctypes, os, time
from pathlib import Path
from lockstep.runtime.priority import Courtesy

group = Path("/proc/self/autogroup")
if {user}:
    os.setuid({user})
    # As after an exec: what is said of it in /proc is its own again.
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
courtesy = Courtesy(7)
for step, wanted in ((courtesy.give, "7"), (courtesy.take_back, "0"), (courtesy.give, "7")):
    # The kernel takes one change in a tenth of a second, of all processes of the machine together.
    until = time.monotonic() + 10
    said = None
    while said is None or (said not in (wanted, "") and time.monotonic() < until):
        step()
        said = group.read_text().strip().rpartition(" ")[2] if group.exists() else ""
        time.sleep(0.02)
    print(os.nice(0), "|", said)
"""


def _there_and_back(user: int) -> tuple[list[int], list[str]]:
    made = subprocess.run(
        [sys.executable, "-c", _BACK.format(user=user)],
        start_new_session=True, capture_output=True, text=True, check=True,
    )  # fmt: skip
    rows = [line.partition("|") for line in made.stdout.splitlines()]
    return [int(nice) for nice, _, _ in rows], [group.strip() for _, _, group in rows]


@pytest.mark.skipif(os.geteuid() != 0, reason="raising a priority needs a privilege")
def test_what_was_given_can_be_taken_back() -> None:
    nice, groups = _there_and_back(0)
    assert nice == [os.nice(0) + 7, os.nice(0), os.nice(0) + 7]
    assert groups in (["7", "0", "7"], [""] * 3)


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs a privilege")
def test_without_a_privilege_a_process_is_nice_a_little_and_its_session_as_asked() -> None:
    nice, groups = _there_and_back(65534)
    assert nice == [os.nice(0) + 3] * 3
    assert groups in (["7", "0", "7"], [""] * 3)
