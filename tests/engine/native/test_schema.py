"""A compiled core is used only with the layouts that it was compiled from."""

import subprocess
import sys

SCRIPT = """
from lockstep.stream import layouts
layouts.SCHEMA ^= {change}
import lockstep.engine.native
"""


def _imported(change: int) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", SCRIPT.format(change=change)], capture_output=True, text=True, check=False
    )


def test_core_of_this_schema_is_imported() -> None:
    assert _imported(0).returncode == 0


def test_core_of_another_schema_is_refused() -> None:
    refused = _imported(1)
    assert refused.returncode == 1
    assert "ImportError: the compiled core is of another version of proto/records.toml" in refused.stderr
