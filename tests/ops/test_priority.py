"""A process that gives way."""

import os
import subprocess
import sys
from pathlib import Path

_GIVE_WAY = """
import os
from pathlib import Path
from lockstep.ops.priority import give_way

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
