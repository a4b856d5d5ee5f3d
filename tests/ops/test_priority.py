"""A process that gives way."""

import subprocess
import sys
from pathlib import Path

import pytest

AUTOGROUP = Path("/proc/self/autogroup")


def _run(*, session_of_its_own: bool) -> list[str]:
    code = (
        "import os; from pathlib import Path; from lockstep.ops.priority import give_way; give_way(7); "
        "print(os.nice(0)); print(Path('/proc/self/autogroup').read_text().split()[-1])"
    )
    command = [sys.executable, "-c", code]
    made = subprocess.run(command, start_new_session=session_of_its_own, capture_output=True, text=True, check=True)
    return made.stdout.split()


@pytest.mark.skipif(not AUTOGROUP.exists(), reason="this kernel has no groups of sessions")
def test_giving_way_lowers_the_session_where_it_is_the_process_own() -> None:
    assert _run(session_of_its_own=True) == ["7", "7"]


@pytest.mark.skipif(not AUTOGROUP.exists(), reason="this kernel has no groups of sessions")
def test_giving_way_leaves_a_session_of_others_alone() -> None:
    others = AUTOGROUP.read_text().split()[-1]
    assert _run(session_of_its_own=False) == ["7", others]
