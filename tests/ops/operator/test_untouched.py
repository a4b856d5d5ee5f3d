"""A stopped journal is looked at without a trace, also on a disk that takes nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lockstep.ops.operator.cold import ColdJournal
from lockstep.replica.journal import Journal


def traces(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Every file and folder, and what changes when somebody writes."""
    found = {}
    for path in sorted([folder, *folder.rglob("*")]):
        facts = path.stat()
        found[str(path)] = (facts.st_ino, facts.st_size, facts.st_mtime_ns)
    return found


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    Journal(tmp_path / "engine-1", 1).close()
    return tmp_path / "engine-1"


def test_reading_a_journal_leaves_every_file_as_it_was(data_dir: Path) -> None:
    before = traces(data_dir)
    for _ in range(2):
        with ColdJournal(data_dir) as journal:
            assert journal.summary.member == 1
            assert list(journal.raw_batches()) == []
            assert journal.last_digest_seq == 0
    assert traces(data_dir) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs a privilege")
@pytest.mark.parametrize("command", ["verify", "dump"])
def test_journal_on_a_read_only_disk_is_judged_like_any_other(data_dir: Path, command: str) -> None:
    script = f"""
import os, subprocess, sys
try:
    os.unshare(os.CLONE_NEWNS)
    subprocess.run(["mount", "--make-rprivate", "/"], check=True, capture_output=True)
    subprocess.run(["mount", "--bind", {str(data_dir)!r}, {str(data_dir)!r}], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", {str(data_dir)!r}], check=True)
except (OSError, subprocess.CalledProcessError):
    sys.exit(77)
from lockstep.ops.cli.main import run
sys.exit(run(["cluster", "journal", {command!r}, {str(data_dir)!r}]))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    if done.returncode == 77:
        pytest.skip("mounts of our own are not possible here")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs a privilege")
def test_engine_with_a_read_only_disk_says_so_with_the_place(data_dir: Path) -> None:
    script = f"""
import os, subprocess, sys
from pathlib import Path
try:
    os.unshare(os.CLONE_NEWNS)
    subprocess.run(["mount", "--make-rprivate", "/"], check=True, capture_output=True)
    subprocess.run(["mount", "--bind", {str(data_dir)!r}, {str(data_dir)!r}], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", {str(data_dir)!r}], check=True)
except (OSError, subprocess.CalledProcessError):
    sys.exit(77)
from lockstep.replica.journal import Journal
from lockstep.replica.rocks import JournalFault
try:
    Journal(Path({str(data_dir)!r}), 1)
except JournalFault as fault:
    print(fault)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    if done.returncode == 77:
        pytest.skip("mounts of our own are not possible here")
    assert "Traceback" not in done.stderr, done.stderr
    assert str(data_dir) in done.stdout
    assert "mounted read-only" in done.stdout
