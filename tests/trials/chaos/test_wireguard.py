"""What runs in a WireGuard tunnel between two hosts arrives, and is not to be read on the cable."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


def test_a_link_in_a_tunnel_works_and_shows_nothing_on_the_cable() -> None:
    script = Path(__file__).with_name("wireguard_tunnel.py")
    done = subprocess.run([sys.executable, script, "measure"], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    if "impossible" in found:
        pytest.skip(f"no tunnel on this machine: {found['impossible']}")
    assert found["outside"] == {"came": 200, "in the clear": 200}
    assert found["inside"] == {"came": 200, "in the clear": 0}
