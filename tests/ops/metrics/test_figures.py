"""What the processes' figures count, and what they leave out."""

import time
from pathlib import Path

import numpy as np
import pytest

from lockstep.gateway.figures import GatewayFigures
from lockstep.gateway.sessions import Admission, Refused, Session, SessionTable
from lockstep.replica.effects import AppliedBatch, Role
from lockstep.replica.figures import EngineFigures
from lockstep.runtime import config
from lockstep.sequencer.events import EpochCause
from lockstep.sequencer.figures import SequencerFigures
from lockstep.sequencer.machine import SequencerMachine
from lockstep.sequencer.settings import settings_of
from lockstep.sequencer.window import control_record
from lockstep.stream.batch import stamp_batch
from lockstep.stream.codes import Code
from lockstep.stream.digest import Digest
from lockstep.stream.messages import Release, Stream, Submit
from lockstep.stream.records import COMMAND, EVENT, CommandKind, Commands, no_events

EXAMPLE = Path(config.__file__).resolve().parent / "cluster.example.toml"


def stream(first_seq: int, count: int, *, epoch: int = 1, leader_epoch: int = 1) -> Stream:
    records = np.zeros(count, COMMAND)
    return Stream(1, leader_epoch, 0, stamp_batch(records, epoch=epoch, first_seq=first_seq, timestamp_ns=0))


def commands(session: int, first: int, count: int) -> Commands:
    made = np.zeros(count, COMMAND)
    made["session_id"] = session
    made["session_no"] = np.arange(first, first + count)
    return made


def release(epoch: int) -> Release:
    return Release(1, epoch, 0, 1, 0, 0, no_events())


def test_frames_sent_again_and_those_of_former_reigns_are_not_counted_as_stamped() -> None:
    figures = SequencerFigures()
    for sent in (stream(1, 10), stream(11, 5), stream(1, 10), stream(16, 4, epoch=1, leader_epoch=2)):
        figures.on_stream(sent)
    assert (figures.batches, figures.commands) == (2, 15)


@pytest.mark.parametrize("cause", EpochCause)
def test_the_first_record_of_an_epoch_tells_its_cause(cause: EpochCause) -> None:
    figures = SequencerFigures()
    start = control_record(CommandKind.EPOCH_START, epoch=3, in_sync_bits=6, primary=1, sequencer=1, cause=int(cause))
    figures.on_stream(Stream(1, 3, 0, stamp_batch(start, epoch=3, first_seq=1, timestamp_ns=0)))
    figures.on_stream(stream(2, 5, epoch=3, leader_epoch=3))
    assert figures.epochs == {other.name.lower(): int(other is cause) for other in EpochCause}


def test_commands_that_come_while_it_does_not_lead_do_not_age() -> None:
    settings = settings_of(config.load(EXAMPLE), 1, identity="a", fresh_uuid="b", jitter_ns=(1,))
    figures = SequencerFigures()
    figures.on_submit(Submit(1, 1, 1, 1, 1, False, commands(7, 1, 1)))
    figures.on_turn(SequencerMachine(settings, 1, 1))
    figures.on_stream(stream(1, 1))
    assert sum(figures.stamp.counts) == 0


def submit(received_ns: int, count: int = 3) -> Submit:
    records = commands(7, 1, count)
    records["received_ns"] = received_ns
    return Submit(1, 1, 1, 1, 1, False, records)


def test_the_way_from_the_gateway_is_timed_by_command_and_not_for_what_has_no_time() -> None:
    figures = SequencerFigures()
    figures.on_submit(submit(time.time_ns() - 2_000_000))
    figures.on_submit(submit(0))
    figures.on_submit(submit(0, count=0))
    assert sum(figures.way.counts) == 3
    assert figures.way.sum_ns >= 3 * 2_000_000


def test_a_clock_that_is_behind_makes_no_time_below_zero() -> None:
    figures = SequencerFigures()
    figures.on_submit(submit(time.time_ns() + 10**12))
    assert figures.way.sum_ns == 0


def test_an_engine_times_what_was_stamped_by_the_leader_that_sends_it() -> None:
    figures = EngineFigures()
    figures.on_received((stream(1, 0), stream(1, 5, epoch=1, leader_epoch=2)))
    assert sum(figures.receive.counts) == 0
    figures.on_received((stream(1, 5), stream(6, 5)))
    assert sum(figures.receive.counts) == 1


def test_released_events_are_timed_from_their_stamp_and_until_they_are_delivered() -> None:
    figures, sessions = GatewayFigures(), SessionTable(credit=100)
    figures.on_delivered(1, sessions)
    assert sum(figures.delivery.counts) == 0, "what a resume delivers came in no release"
    full = Release(1, 1, 0, 1, 3, 0, np.zeros(3, EVENT))
    figures.on_frames((full, release(1), full))
    figures.on_delivered(6, sessions)
    assert (sum(figures.stamp.counts), sum(figures.delivery.counts)) == (1, 1)


def applied(first_seq: int, last_seq: int) -> AppliedBatch:
    return AppliedBatch(1, first_seq, last_seq, np.zeros(last_seq - first_seq + 1, EVENT), Digest(bytes(16)))


def test_the_primary_times_each_command_until_its_release() -> None:
    figures = EngineFigures()
    figures.on_acked((applied(1, 3), applied(4, 8)), Role.PRIMARY)
    rows = np.zeros(3, EVENT)
    figures.on_released((Release(1, 1, 0, 1, 7, 0, rows),))
    assert sum(figures.release.latencies.counts) == 0
    figures.on_released((Release(1, 1, 0, 8, 8, 0, rows),))
    assert sum(figures.release.latencies.counts) == 8
    assert (figures.commands, figures.batches) == (8, 2)


def test_an_engine_that_is_not_primary_waits_for_no_release() -> None:
    figures = EngineFigures()
    figures.on_acked((applied(1, 1),), Role.PRIMARY)
    figures.on_acked((applied(2, 2),), Role.STANDBY)
    assert figures.release.oldest_ns(10**18) == 0


def test_an_empty_release_times_nothing() -> None:
    figures = EngineFigures()
    figures.on_released((Release(1, 1, 0, 1, 0, 0, no_events()),))
    assert sum(figures.stamp_to_release.counts) == 0


def open_session(table: SessionTable, number: int) -> Session:
    session = table.ensure(number, "desk", 1)
    assert isinstance(session, Session)
    return session


def test_a_burst_is_timed_once_its_last_command_is_answered() -> None:
    sessions, figures = SessionTable(credit=100), GatewayFigures()
    session = open_session(sessions, 7)
    figures.on_submit(Admission(taken=4))
    figures.on_stored(((1, commands(7, 1, 4)),))
    assert sum(figures.store.counts) == 4
    session.answered = 3
    figures.on_delivered(3, sessions)
    assert sum(figures.report.counts) == 0
    session.answered = 4
    figures.on_delivered(1, sessions)
    assert sum(figures.report.counts) == 4
    assert figures.events == 4


def test_commands_of_a_session_that_is_gone_hold_nothing_up() -> None:
    sessions, figures = SessionTable(credit=100), GatewayFigures()
    open_session(sessions, 8).answered = 2
    figures.on_stored(((1, commands(7, 1, 4)), (2, commands(8, 1, 2))))
    figures.on_delivered(1, sessions)
    assert sum(figures.report.counts) == 2


def test_a_message_that_is_refused_whole_starts_no_clock() -> None:
    figures = GatewayFigures()
    figures.on_submit(Admission(refused=Refused(1, Code.BUSY)))
    figures.on_stored(((1, commands(7, 1, 1)),))
    assert figures.refusals["busy"] == 1
    assert figures.store.sum_ns == 0


def test_the_gap_is_counted_at_a_new_epoch_only() -> None:
    figures = GatewayFigures()
    figures.on_frames((release(1), release(1)))
    assert sum(figures.gap.counts) == 0
    figures.on_frames((release(2),))
    figures.on_frames((release(1), release(2)))
    assert sum(figures.gap.counts) == 1
    assert figures.last_gap_ns == figures.gap.sum_ns > 0
