"""What an error means for a process, and that every process asks the same place."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lockstep.engine.contract import StreamGap
from lockstep.replica.rocks import JournalDamaged, JournalFault
from lockstep.replica.settings import BrokenInvariant
from lockstep.replica.snapshots import SnapshotFault
from lockstep.runtime.ending import exit_code, run_to_end
from lockstep.runtime.faults import BadInput, EnvironmentFault
from lockstep.runtime.process_log import open_log
from lockstep.runtime.transport import DriverUnavailable
from lockstep.sequencer.machine import BrokenInvariant as BrokenReign

CODES = [
    (EnvironmentFault("a port"), 1),
    (JournalFault("a disk"), 1),
    (SnapshotFault("a disk"), 1),
    (DriverUnavailable("no driver"), 1),
    (OSError(errno.ENOSPC, "No space left on device"), 1),
    (PermissionError(errno.EACCES, "Permission denied"), 1),
    (MemoryError(), 1),
    (BadInput("a key"), 2),
    (BrokenInvariant("wrong"), 3),
    (BrokenReign("wrong"), 3),
    (StreamGap("wrong"), 3),
    (AssertionError("wrong"), 3),
    (KeyError("nobody expected it"), 3),
    (ValueError("nobody expected it"), 3),
    (OSError(errno.EBADF, "Bad file descriptor"), 3),
    (JournalDamaged(Path("j"), "bits"), 4),
]


@pytest.mark.parametrize(("error", "code"), CODES, ids=[f"{type(error).__name__}-{code}" for error, code in CODES])
def test_error_ends_a_process_with_the_code_of_its_kind(
    error: Exception, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def work() -> None:
        raise error

    assert exit_code(error) == code
    assert run_to_end("engine-1", open_log("engine-1"), work) == code
    said = capsys.readouterr().err
    assert str(getattr(error, "strerror", None) or error) in said
    # What nobody expected comes with the place; what an operator can mend without.
    assert ("Traceback" in said) == (code == 3)


def test_work_that_returns_is_an_orderly_end(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_to_end("engine-1", open_log("engine-1"), lambda: None) == 0
    assert capsys.readouterr().err == ""


def test_request_to_stop_is_no_error() -> None:
    with pytest.raises(KeyboardInterrupt):
        run_to_end("engine-1", open_log("engine-1"), _interrupted)


def _interrupted() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("how", ["-O", "PYTHONOPTIMIZE"])
def test_nothing_runs_without_the_checks_of_its_invariants(how: str) -> None:
    command = [
        sys.executable,
        *(["-O"] if how == "-O" else []),
        "-m",
        "lockstep.ops.cli.main",
        "engine",
        "--member",
        "1",
    ]
    environment = {**os.environ, **({"PYTHONOPTIMIZE": "1"} if how != "-O" else {})}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "removes the checks of its own invariants: start it without" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_unexpected_error_of_a_running_engine_leaves_it_down(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from lockstep.replica import process; "
        "from lockstep.runtime.config import load\n"
        "def broken(*_, **__):\n    raise LookupError('nobody thought of this')\n"
        "process._run_once = broken\n"
        "topology = load(Path(sys.argv[1])); sys.exit(process.run(topology, topology.engines[0]))"
    )
    example = Path(__file__).resolve().parents[2] / "runtime" / "cluster.example.toml"
    ended = subprocess.run(
        [sys.executable, "-c", program, str(example)], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 3
    (line,) = ended.stderr.strip().splitlines()
    said = json.loads(line)
    assert (said["event"], said["level"]) == ("broken_invariant", "critical")
    assert "nobody thought of this" in said["exception"]
