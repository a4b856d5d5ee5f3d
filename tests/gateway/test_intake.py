"""The intake log on a real RocksDB."""

import shutil

import numpy as np
import pytest

from lockstep.gateway import intake_mark
from lockstep.gateway.disconnects import Watch
from lockstep.gateway.intake import IntakeLog
from lockstep.ops.process import EnvironmentFault
from lockstep.stream.records import COMMAND


@pytest.fixture
def reopen(tmp_path):
    logs = []

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
    with pytest.raises(EnvironmentFault, match="another gateway running on it"):
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
