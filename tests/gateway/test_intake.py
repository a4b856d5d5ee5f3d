"""The intake log on a real RocksDB."""

import shutil
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from lockstep.gateway import intake_mark
from lockstep.gateway.disconnects import Watch
from lockstep.gateway.intake import IntakeLog
from lockstep.runtime.process import EnvironmentFault
from lockstep.stream.records import COMMAND


@pytest.fixture
def reopen(tmp_path):
    logs: list[IntakeLog] = []

    def make(now_s=100):
        if logs:
            logs.pop().close()
        logs.append(IntakeLog(tmp_path / "intake", cluster="c", gateway=1, now_s=now_s))
        return logs[0]

    yield make
    logs.pop().close()


def commands(*numbers):
    records = np.zeros(len(numbers), dtype=COMMAND)
    records["session_no"] = numbers
    return records


def held(log):
    return [(key, records["session_no"].tolist()) for key, records in log.unanswered()]


def test_entries_survive_a_restart_in_order(reopen):
    reopen().write([(1, commands(1, 2)), (2, commands(3))])
    assert held(reopen()) == [(1, [1, 2]), (2, [3])]


def test_answered_entries_are_dropped_with_the_next_write(reopen):
    log = reopen()
    log.write([(1, commands(1)), (2, commands(2))])
    log.write([(3, commands(3))], forget_through=2)
    log = reopen()
    assert held(log) == [(3, [3])]
    log.write([], forget_through=3)
    assert held(reopen()) == []


def test_incarnation_rises_with_every_life_also_if_the_clock_stands(reopen):
    assert [reopen(100).incarnation, reopen(100).incarnation, reopen(50).incarnation, reopen(200).incarnation] == [
        100,
        101,
        102,
        200,
    ]


def test_log_in_use_is_refused_with_a_remedy(reopen, tmp_path):
    reopen()
    with pytest.raises(EnvironmentFault, match="in use by another process: stop that gateway"):
        IntakeLog(tmp_path / "intake", cluster="c", gateway=1, now_s=1)


def test_watched_sessions_survive_a_restart_until_they_are_forgotten(reopen):
    log = reopen()
    far = Watch(2**63 + 5, 3_600_000, 2**64 - 1)
    log.write([(1, commands(1))], watched=[Watch(7, 500, 1), far])
    log.write([], watched=[Watch(9, 1, 2), Watch(7, 700, 3)])
    log = reopen()
    assert held(log) == [(1, [1])]
    assert log.watched() == [Watch(7, 700, 3), Watch(9, 1, 2), far]
    log.write([], watched=[Watch(9, 0, 2), Watch(7, 0, 3)])
    assert reopen().watched() == [far]


def killed(log, tmp_path):
    """The directory as a kill leaves it."""
    copy = tmp_path / "killed"
    shutil.copytree(log.directory, copy)
    return copy


def spoil_log(directory, percent):
    """Flip a bit in the log, so far behind its beginning; 100: cut it in half instead."""
    path = max(directory.glob("*.log"))
    raw = bytearray(path.read_bytes().rstrip(b"\0"))
    if percent == 100:
        del raw[len(raw) // 2 :]
    else:
        raw[len(raw) * percent // 100] ^= 1
    path.write_bytes(raw)


def opened(directory):
    return IntakeLog(directory, cluster="c", gateway=1, now_s=100)


@pytest.mark.parametrize("percent", [55, 70, 85, 99, 100])
def test_log_that_lost_writes_says_how_many_and_what_may_be_missing(reopen, tmp_path, percent):
    log = reopen()
    for number in range(1, 40):
        log.write([(number, commands(number))])
    directory = killed(log, tmp_path)
    spoil_log(directory, percent)
    spoilt = opened(directory)
    lost = 39 - len(held(spoilt))
    assert lost > 0
    assert f"has lost its last {lost} writes" in spoilt.damage
    assert "sessions with cancel on disconnect" in spoilt.damage
    # It is said once: what comes now is counted from there.
    spoilt.write([(50, commands(50))])
    spoilt.close()
    again = opened(directory)
    assert again.damage == ""
    again.close()


def test_log_that_is_whole_or_that_the_host_took_with_it_says_nothing(reopen, tmp_path, monkeypatch):
    log = reopen()
    for number in range(1, 10):
        log.write([(number, commands(number))])
    directory = killed(log, tmp_path)
    whole = opened(directory)
    assert (whole.damage, len(held(whole))) == ("", 9)
    whole.close()
    shutil.rmtree(directory)
    spoil_log(killed(log, tmp_path), 70)
    monkeypatch.setattr(intake_mark, "boot_id", lambda: b"another boot....")
    after = opened(directory)
    assert after.damage == ""  # not synced: it is meant to survive the process only
    after.close()


def test_log_whose_database_is_gone_says_what_was_lost(reopen, tmp_path):
    log = reopen()
    log.write([(1, commands(1))])
    directory = killed(log, tmp_path)
    (directory / "CURRENT").unlink()
    with pytest.raises(EnvironmentFault, match="is damaged"):
        opened(directory)
    for path in directory.iterdir():
        if path.name != "mark":
            path.unlink()
    fresh = opened(directory)
    assert "has lost its last 1 writes" in fresh.damage
    fresh.close()


def test_table_that_cannot_be_read_is_no_empty_log(reopen, tmp_path):
    log = reopen()
    for number in range(1, 200):
        log.write([(number, commands(number))])
    log._db.flush()
    directory = killed(log, tmp_path)
    table = max(directory.glob("*.sst"))
    raw = bytearray(table.read_bytes())
    raw[len(raw) // 4] ^= 1
    table.write_bytes(raw)
    with pytest.raises(EnvironmentFault, match=r"is damaged .*clients that live send again"):
        opened(directory).unanswered()


class FullDisk:
    """A database whose disk has become full: every write fails, in RocksDB's words, and so does the end."""

    def __init__(self, db):
        self._db = db

    def write(self, *_):
        raise Exception("IO error: No space left on device: While appending to file: /d/000004.log")

    def close(self):
        self._db.close()
        raise Exception("IO error: Writer has previous error.")


def test_full_disk_is_told_once_with_place_and_remedy_and_stays_told(tmp_path):
    log = IntakeLog(tmp_path / "intake", cluster="c", gateway=1, now_s=1)
    full: Any = FullDisk(log._db)
    log._db = full
    with pytest.raises(EnvironmentFault) as first:
        log.write([(1, commands(1))])
    said = str(first.value)
    assert str(tmp_path / "intake") in said
    assert "No space left" in said
    assert "free room" in said
    with pytest.raises(EnvironmentFault) as second:
        log.write([(2, commands(2))])
    assert second.value is first.value
    log.close()


@pytest.mark.parametrize("state", ["full", "read-only"])
def test_disk_that_takes_nothing_is_told_when_the_log_is_opened(tmp_path, state):
    """A real file system of its own, in a mount namespace of a process of its own."""
    script = f"""
import os, subprocess, sys
from pathlib import Path
from lockstep.gateway.intake import IntakeLog
from lockstep.runtime.process import EnvironmentFault
try:
    os.unshare(os.CLONE_NEWNS)
    subprocess.run(["mount", "--make-rprivate", "/"], check=True, capture_output=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", {str(tmp_path)!r}], check=True)
except (OSError, subprocess.CalledProcessError):
    sys.exit(77)
where = Path({str(tmp_path)!r})
IntakeLog(where / "intake", cluster="c", gateway=1, now_s=1).close()
if {state == "full"}:
    with (where / "ballast").open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass
else:
    subprocess.run(["mount", "-o", "remount,ro", {str(tmp_path)!r}], check=True)
try:
    IntakeLog(where / "intake", cluster="c", gateway=1, now_s=2)
except EnvironmentFault as fault:
    print(fault)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    if done.returncode == 77:
        pytest.skip("mounting needs a privilege")
    assert "Traceback" not in done.stderr, done.stderr
    assert f"the intake log {tmp_path / 'intake'}" in done.stdout
    assert ("the disk is full: free room" if state == "full" else "mounted read-only") in done.stdout
