"""The intake log on a real RocksDB."""

import numpy as np
import pytest

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
