"""schemathesis, which knows nothing but the OpenAPI document, finds nothing. `make rest-schemathesis` asks for more."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.edge.rest.conftest import OPERATOR, base_of

HERE = Path(__file__).parent
EXAMPLES = int(os.environ.get("LOCKSTEP_SCHEMATHESIS_EXAMPLES", "0"))
PHASES = "examples,coverage,fuzzing,stateful" if EXAMPLES else "fuzzing"
"""The others have as many cases as the document gives, whatever is asked for: some thousand."""
PINNED = """
[parameters]
"path.account" = 1
"path.instrument" = "ACME"
"""
"""Nearly all numbers and names that are drawn are of nobody: with these the requests go further."""


@pytest.mark.slow
@pytest.mark.parametrize("pinned", [pytest.param(False, id="drawn"), pytest.param(True, id="pinned")])
def test_schemathesis_finds_nothing(cluster, tmp_path, pinned):
    config = tmp_path / "schemathesis.toml"
    config.write_text((HERE / "schemathesis.toml").read_text() + (PINNED if pinned else ""))
    command = [
        Path(sys.executable).with_name("schemathesis"), "--config-file", config, "run",
        f"{base_of(cluster)}/openapi.json", "--checks", "all", "--max-examples", str(EXAMPLES or 3), "--phases", PHASES,
        "--header", f"Authorization: Bearer {OPERATOR}",
        "--generation-database", "none", "--seed", "7", "--no-color", "--suppress-health-check", "all",
    ]  # fmt: skip
    limit_s = 300 + 60 * EXAMPLES
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=limit_s, check=False)
    print(done.stdout[-3_000:])
    assert done.returncode == 0, done.stdout[-8_000:] + done.stderr[-2_000:]
    assert "Test cases:" in done.stdout
