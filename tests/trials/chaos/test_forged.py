"""A cluster over two hosts trades on, and believes nothing of somebody on the network between them."""

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest

from lockstep.stream.sealing import Drop

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def found() -> Mapping[str, Any]:
    command = (sys.executable, "-m", "lockstep.trials.chaos.forged_run", "--rounds", "6")
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if "impossible" in measured:
        pytest.skip(f"no hosts on this machine: {measured['impossible']}")
    return measured


def test_every_frame_and_heartbeat_of_the_attacker_is_counted_and_dropped(found: Mapping[str, Any]) -> None:
    sent, dropped = found["sent"], {Drop(why): count for why, count in found["dropped"].items()}
    assert sum(dropped.values()) == sum(sent.values())
    assert dropped[Drop.UNSEALED] == sent["unsealed"] > 0
    assert dropped[Drop.FOREIGN] == sent["cross-cluster"] > 0
    assert dropped[Drop.TRUNCATED] == sent["truncated"] > 0
    assert dropped[Drop.MISDIRECTED] == sent["reflected"] > 0
    # What was sealed before the rotation, or says so, has a key that is known no more.
    assert 0 < dropped[Drop.REPLAYED] <= sent["replayed"] + sent["replayed heartbeat"]
    assert 0 < dropped[Drop.FORGED] <= sent["forged"] + sent["changed"] + sent["forged heartbeat"]
    assert dropped[Drop.FORMER_LIFE] == 0


def test_trading_goes_on_nobody_ends_and_nobody_takes_over(found: Mapping[str, Any]) -> None:
    assert list(found["answers"]) == ["accepted"]
    assert found["answers"]["accepted"] > 60
    assert found["ended"] == []
    before, after = found["cluster epochs"]
    assert before == after


def test_keys_are_rotated_meanwhile(found: Mapping[str, Any]) -> None:
    assert found["key epochs"] == [[1], [2]]
    assert len(found["rotation"]) >= 3
