"""Snapshot files, the folder that holds them, and starting from one."""

import contextlib
import dataclasses
import subprocess
import sys
import types
from typing import Any

import pytest

from lockstep.engine.native import NativeEngine
from lockstep.engine.reference import ReferenceEngine
from lockstep.replica import snapshotter
from lockstep.replica.divergence import EpochEntry
from lockstep.replica.effects import JournalWrite, Notice
from lockstep.replica.housekeeping import Housekeeping
from lockstep.replica.journal import Journal, journal_path
from lockstep.replica.replayer import Replayer
from lockstep.replica.restore import restore
from lockstep.replica.retention import plan_cut, plan_retirement
from lockstep.replica.rocks import JournalFault
from lockstep.replica.settings import Base, BrokenInvariant, ReplicaOptions
from lockstep.replica.snapshot_file import SnapshotDamaged, decode_head, decode_snapshot_file, encode_snapshot_file
from lockstep.replica.snapshots import SnapshotFault, SnapshotStore, check_file, usable
from lockstep.replica.snapshotter import SnapshotTaker
from lockstep.replica.snapshotter_figures import SnapshotterFigures
from lockstep.runtime.priority import Courtesy
from lockstep.runtime.process_log import open_log
from lockstep.runtime.stop_request import StopRequest
from lockstep.runtime.topology import Member, ProcessKind, Snapshots, Topology
from lockstep.stream.digest import Digest

BASE = Base(7, Digest(b"d" * 16), 5_000, (EpochEntry(1, 1), EpochEntry(3, 6)), 0b110, 2, 1, 4)
EAGER = Snapshots(every_commands=1, every_s=0, keep=2)


def filled(data_dir, sequencer, batches=5):
    """A journal of an EPOCH_START and some batches of four, all of them committed, with events and digests."""
    journal = Journal(data_dir, 1)
    stamped = (sequencer.epoch_start(1, primary=1), *(sequencer.commands(4) for _ in range(batches)))
    frames = [made.batch for made in stamped]
    journal.write(JournalWrite((frames[0],), (EpochEntry(1, 1),), (1, 1), "uuid-1", 0, joined=True), sync=True)
    for made in frames[1:]:
        journal.write(JournalWrite((made,), committed_seq=made.first_seq - 1), sync=True)
    journal.note_committed(frames[-1].last_seq)
    started(journal, None)
    return journal


def started(journal, store, engine=ReferenceEngine):
    return restore(journal, ReplicaOptions(1, (1, 2)), engine, lambda: None, store)


def taker_of(data_dir, plan=EAGER, engine=ReferenceEngine):
    return SnapshotTaker(data_dir, 1, SnapshotStore(data_dir), engine, plan, lambda: None, SnapshotterFigures())


def test_file_says_what_was_written():
    raw = encode_snapshot_file("uuid-1", BASE, b"state")
    head, state = decode_snapshot_file(raw)
    assert (head.cluster_uuid, head.base, state) == ("uuid-1", BASE, b"state")
    assert (head.seq, head.epoch, head.file_bytes) == (7, 3, len(raw))


@pytest.mark.parametrize("at", [0, 9, 20, 60, 100, -1])
def test_any_damaged_byte_is_noticed(at):
    raw = bytearray(encode_snapshot_file("uuid-1", BASE, b"state"))
    raw[at] ^= 0x10
    with pytest.raises(SnapshotDamaged):
        decode_snapshot_file(bytes(raw))


def test_cut_short_file_is_noticed():
    raw = encode_snapshot_file("uuid-1", BASE, b"state")
    for length in (0, 10, 40, len(raw) - 1):
        with pytest.raises(SnapshotDamaged):
            decode_snapshot_file(raw[:length])


def test_epoch_table_that_does_not_lead_to_the_seq_is_refused():
    for epochs in ((EpochEntry(1, 1), EpochEntry(3, 8)),):
        with pytest.raises(SnapshotDamaged, match="epoch table"):
            decode_head(encode_snapshot_file("u", dataclasses.replace(BASE, epochs=epochs), b""))


def test_only_snapshots_of_the_journals_own_history_are_usable():
    head = decode_head(encode_snapshot_file("u", BASE, b""))
    history: dict[str, Any] = {
        "cluster_uuid": "u",
        "epochs": (*BASE.epochs, EpochEntry(4, 9)),
        "tip_seq": 12,
        "base_seq": 0,
    }
    assert usable([head], **history) == (head,)
    assert usable([head], **history | {"cluster_uuid": ""}) == (head,)
    assert not usable([head], **history | {"cluster_uuid": "other"})
    assert not usable([head], **history | {"tip_seq": 6})
    assert not usable([head], **history | {"base_seq": 8})
    assert not usable([head], **history | {"epochs": (EpochEntry(1, 1), EpochEntry(4, 9))})
    assert not usable([head], **history | {"epochs": (EpochEntry(1, 1), EpochEntry(2, 6))})


@pytest.mark.parametrize(
    ("keep", "startable", "gone"),
    [
        (1, 0, (7, 17, 27)),  # nothing was ever started from: the journal is whole
        (1, 37, (7, 17, 27)),
        (1, 30, (7, 17)),  # the newest one was taken of an engine that was down
        (1, 17, (7, 27)),
        (2, 17, (7,)),
        (3, 7, ()),
        (0, 37, ()),
    ],
)
def test_newest_snapshot_that_flushed_events_reach_always_stays(keep, startable, gone):
    assert plan_retirement((7, 17, 27, 37), keep=keep, startable_seq=startable) == gone


def test_what_is_startable_is_written_down_and_ends_with_the_history_it_is_of(tmp_path):
    store = SnapshotStore(tmp_path)
    assert store.startable_seq == 0
    for seq in (7, 17, 27):
        raw = encode_snapshot_file("u", dataclasses.replace(BASE, seq=seq), b"state")
        store.write(raw, seq, verified=True)
    store.note_startable(17)
    assert SnapshotStore(tmp_path).startable_seq == 17
    assert store.retire(1) == (7,)
    store.remove_after(12)
    assert store.startable_seq == 12
    assert store.verified_seqs() == ()


def test_store_keeps_the_newest_verified_ones(tmp_path):
    store = SnapshotStore(tmp_path)
    for seq in (7, 17, 27):
        raw = encode_snapshot_file("u", dataclasses.replace(BASE, seq=seq), b"state")
        store.write(raw, seq, verified=seq != 17)
    store.write(b"damaged", 37, verified=True)
    assert [(stored.seq, stored.verified) for stored in store.stored()] == [(7, True), (17, False), (27, True)]
    assert store.retire(2) == (7, 17)
    assert store.verified_seqs() == (27, 37)
    store.remove_after(30)
    assert [head.seq for head in store.heads()] == [27]
    assert check_file(store.path(27)).seq == 27
    store.path(27).write_bytes(b"x")
    with pytest.raises(SnapshotFault, match="delete it"):
        check_file(store.path(27))


def test_only_one_snapshotter_works_beside_an_engine(tmp_path):
    store = SnapshotStore(tmp_path)
    assert not store.tended()
    with store.tend():
        assert store.tended()
        with pytest.raises(SnapshotFault, match="another snapshotter"), SnapshotStore(tmp_path).tend():
            pass
    assert not store.tended()


def test_both_engines_take_the_same_snapshot_while_the_journal_is_open_and_growing(tmp_path, sequencer):
    journal = filled(tmp_path / "data", sequencer)
    taker = taker_of(tmp_path / "data")
    assert taker.turn(1).seq == 21
    first = SnapshotStore(tmp_path / "data").read(21)
    assert taker.turn(2) is None
    journal.write(JournalWrite((sequencer.commands(4).batch,), committed_seq=21), sync=False)
    assert taker.turn(3) is None  # what is not known to be committed is not taken
    journal.note_committed(25)
    assert taker.turn(4).seq == 25
    native = Replayer(NativeEngine)
    for journaled in journal.batches(1):
        if journaled.last_seq <= 21:
            native.run(journaled)
    assert native.snapshot("uuid-1") == first
    journal.close()


def test_asking_again_while_a_snapshot_is_taken_does_not_take_two(tmp_path, sequencer):
    journal = filled(tmp_path / "data", sequencer)
    store = SnapshotStore(tmp_path / "data")
    plan = Snapshots(every_commands=0, every_s=0)
    # `alive` is called in the middle of the work: there the operator's call asks once more.
    taker = SnapshotTaker(tmp_path / "data", 1, store, ReferenceEngine, plan, store.ask, SnapshotterFigures())
    store.ask()
    taken = taker.turn(1)
    assert taken is not None
    assert taken.seq == 21
    journal.write(JournalWrite((sequencer.commands(4).batch,), committed_seq=21), sync=True)
    journal.note_committed(25)
    assert taker.turn(2) is None
    journal.close()


def test_figures_follow_what_the_taker_does(tmp_path, sequencer):
    journal = filled(tmp_path / "data", sequencer)
    figures = SnapshotterFigures()
    store = SnapshotStore(tmp_path / "data")
    taker = SnapshotTaker(tmp_path / "data", 1, store, ReferenceEngine, EAGER, lambda: None, figures)
    head = taker.turn(1)
    assert head is not None
    assert (figures.following, figures.tip_seq, figures.replayed_seq) == (True, 21, 21)
    (stored,) = store.stored()
    assert (figures.seq, figures.size_bytes, figures.taken_ns) == (21, head.file_bytes, stored.taken_ns)
    # Another process begins with what is there.
    figures = SnapshotterFigures()
    assert SnapshotTaker(tmp_path / "data", 1, store, ReferenceEngine, EAGER, lambda: None, figures).turn(2) is None
    assert (figures.seq, figures.taken_ns) == (21, stored.taken_ns)
    journal.close()


@pytest.mark.slow
def test_a_log_file_that_still_holds_what_it_held_before_is_read_to_its_end(tmp_path, sequencer):
    """RocksDB uses log files again. A secondary reads such a one for ever; it took all the snapshotter's time."""
    journal = filled(tmp_path / "data", sequencer)
    for _ in range(20):
        made = [sequencer.commands(2048).batch for _ in range(16)]
        journal.write(JournalWrite(tuple(made), committed_seq=made[0].first_seq - 1), sync=False)
    # Log files are used again once all that is in them lies in tables, the small entries, too.
    for _ in range(60_000):
        journal.note_committed(made[-1].last_seq)
    # An orderly stop of the engine goes on to the next log file and writes nothing into it.
    journal.close()
    assert log_used_again(journal_path(tmp_path / "data"))
    taken = subprocess.run(
        [sys.executable, "-c", TAKE, str(tmp_path / "data")], timeout=60, check=True, capture_output=True, text=True
    )
    assert int(taken.stdout) == made[-1].last_seq


TAKE = """
import sys
from pathlib import Path
from lockstep.engine.native import NativeEngine
from lockstep.replica.snapshots import SnapshotStore
from lockstep.replica.snapshotter import SnapshotTaker
from lockstep.replica.snapshotter_figures import SnapshotterFigures
from lockstep.runtime.topology import Snapshots
where, plan = Path(sys.argv[1]), Snapshots(every_commands=1, every_s=0)
print(SnapshotTaker(where, 1, SnapshotStore(where), NativeEngine, plan, lambda: None, SnapshotterFigures()).turn(1).seq)
"""


def log_used_again(database):
    """Whether the first record of some log file is of the log that the file was before."""
    for path in database.glob("*.log"):
        # Checksum, length, type; behind the head of a record in a log that is used again stands the log's number.
        record = path.open("rb").read(11)
        if len(record) == 11 and int.from_bytes(record[7:11], "little") != int(path.stem):
            return True
    return False


def test_snapshots_come_when_due_or_asked_for(tmp_path, sequencer):
    journal = filled(tmp_path / "data", sequencer)
    store = SnapshotStore(tmp_path / "data")
    taker = taker_of(tmp_path / "data", Snapshots(every_commands=100, every_s=10, keep=1))
    assert taker.turn(0) is None
    store.ask()
    assert taker.turn(1).seq == 21
    journal.write(JournalWrite((sequencer.commands(4).batch,), committed_seq=21), sync=True)
    journal.note_committed(25)
    assert taker.turn(9_000_000_000) is None
    assert taker.turn(10_000_000_001).seq == 25
    assert store.verified_seqs() == (25,)
    journal.close()


def test_snapshot_that_is_not_reproduced_is_rejected_loudly(tmp_path, sequencer, monkeypatch):
    journal = filled(tmp_path / "data", sequencer)
    taker = taker_of(tmp_path / "data")
    calls = []

    def snapshot(self, uuid):
        calls.append(1)
        return real(self, uuid) + b"!" * len(calls)

    real = Replayer.snapshot
    monkeypatch.setattr(Replayer, "snapshot", snapshot)
    with pytest.raises(BrokenInvariant, match="not reproduced"):
        taker.turn(1)
    assert not SnapshotStore(tmp_path / "data").verified_seqs()
    assert [path.suffix for path in (tmp_path / "data" / "snapshots").iterdir()] == [".rejected"]
    journal.close()


@pytest.mark.parametrize("engine", [ReferenceEngine, NativeEngine])
def test_start_from_a_snapshot_and_the_tail_is_the_start_from_the_journal(tmp_path, sequencer, monkeypatch, engine):
    journal = filled(tmp_path / "data", sequencer, batches=3)
    taker = taker_of(tmp_path / "data")
    taker.turn(1)
    for _ in range(2):
        journal.write(JournalWrite((sequencer.commands(4).batch,)), sync=True)
    whole = started(journal, None, engine).replica_state
    store = SnapshotStore(tmp_path / "data")
    replayed: list[int] = []
    batches = journal.batches

    def noted(from_seq):
        replayed.append(from_seq)
        return batches(from_seq)

    monkeypatch.setattr(journal, "batches", noted)
    quick = started(journal, store, engine).replica_state
    assert replayed[-1] == 14
    assert (quick.applied_seq, quick.digest, quick.head.epochs) == (21, whole.digest, whole.head.epochs)
    assert (quick.primary, quick.in_sync_bits, quick.joined) == (1, 2, True)
    assert quick.execution.engine.state_digest() == whole.execution.engine.state_digest()
    journal.close()


def test_damaged_snapshot_is_passed_over_and_one_of_another_history_stops_the_start(tmp_path, sequencer):
    journal = filled(tmp_path / "data", sequencer)
    store = SnapshotStore(tmp_path / "data")
    taker = taker_of(tmp_path / "data")
    taker.turn(1)
    raw = store.read(21)
    store.path(21).write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    assert started(journal, store).replica_state.applied_seq == 21
    head, state = decode_snapshot_file(raw)
    other = dataclasses.replace(head.base, digest=Digest(b"x" * 16))
    store.write(encode_snapshot_file("uuid-1", other, state), 21, verified=True)
    with pytest.raises(BrokenInvariant, match="seq 21"):
        started(journal, store)
    journal.close()


def test_snapshots_under_each_others_names_are_not_used(tmp_path, sequencer):
    journal = filled(tmp_path / "data", sequencer)
    store = SnapshotStore(tmp_path / "data")
    taker = taker_of(tmp_path / "data")
    taker.turn(1)
    raw = store.read(21)
    store.path(21).rename(store.path(17))
    assert store.heads() == ()
    assert [path.name for path, _ in store.unreadable()] == [store.path(17).name]
    # Whoever looks only at the names finds out when the content is read.
    store.path(21).write_bytes(raw)
    with_both = Replayer(ReferenceEngine)
    for made in journal.batches(1):
        if made.last_seq <= 17:
            with_both.run(made)
    said: list[Notice] = []
    store.path(17).write_bytes(with_both.snapshot("uuid-1"))
    heads = store.heads()
    store.path(21).write_bytes(store.read(17))
    source = Misnamed(store, heads)
    machine = restore(journal, ReplicaOptions(1, (1, 2)), ReferenceEngine, lambda: None, source, said.append)
    assert machine.replica_state.applied_seq == 21
    assert [notice.event for notice in said] == ["snapshot_damaged"]
    assert "seq 21 is another snapshot" in said[0].detail
    journal.close()


@dataclasses.dataclass
class Misnamed:
    """Heads that were read before the files changed."""

    store: SnapshotStore
    found: tuple

    def heads(self):
        return self.found

    def verified_seqs(self):
        return self.store.verified_seqs()

    def read(self, seq):
        return self.store.read(seq)

    def open(self, seq):
        return self.store.open(seq)


def test_damaged_snapshot_is_set_aside_and_nothing_is_cut_at_it(tmp_path, sequencer):
    journal = filled(tmp_path / "data", sequencer)
    store = SnapshotStore(tmp_path / "data")
    taker = taker_of(tmp_path / "data")
    taker.turn(1)
    member = Member(ProcessKind.ENGINE, 1, "127.0.0.1", 0, 0, data_dir=tmp_path / "data")
    topology = Topology("t", (), tmp_path, (), (member,), (), snapshots=Snapshots(journal_keep_commands=1))
    said: list[Notice] = []
    cuts: list[int] = []
    view: Any = types.SimpleNamespace(committed_seq=100)
    keeper = Housekeeping(
        topology, member, journal=journal, store=store, view=lambda: view, cut=cuts.append, on_notice=said.append
    )
    keeper.close()
    assert cuts == [21]
    raw = store.read(21)
    store.path(21).write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    cuts.clear()
    keeper._plan_cut()
    keeper._look()
    assert cuts == []
    assert "snapshot_damaged" in [notice.event for notice in said]
    assert store.verified_seqs() == ()
    journal.close()


def test_journal_whose_head_was_cut_starts_from_a_snapshot_and_not_without(tmp_path, sequencer):
    journal = filled(tmp_path / "data", sequencer)
    store = SnapshotStore(tmp_path / "data")
    taker = taker_of(tmp_path / "data")
    taker.turn(1)
    with pytest.raises(JournalFault, match="lies across"):
        journal.drop_through(7)
    journal.drop_through(9)
    assert [kept.first_seq for kept in journal.batches(1)] == [10, 14, 18]
    assert journal.derived.first_seq == 10
    journal.close()
    again = Journal(tmp_path / "data", 1)
    assert (again.base_seq, again.derived.first_seq, again.summary().tip_seq) == (9, 10, 21)
    assert started(again, store).replica_state.applied_seq == 21
    with pytest.raises(JournalFault, match="begins after seq 9"):
        started(again, None)
    again.close()


def test_journal_begins_anew_after_a_peers_snapshot(tmp_path, sequencer):
    journal = filled(tmp_path / "data", sequencer)
    taker = taker_of(tmp_path / "data")
    head = taker.turn(1)
    raw = SnapshotStore(tmp_path / "data").read(21)
    journal.close()
    blank = Journal(tmp_path / "other", 2)
    assert not blank.summary().joined
    assert blank.identity != journal.identity
    store = SnapshotStore(tmp_path / "other")
    store.write(raw, 21, verified=True)
    blank.begin_after(head.base, "uuid-1", 0)
    summary = blank.summary()
    assert (summary.tip_seq, summary.base_seq, summary.cluster_uuid, summary.joined) == (21, 21, "uuid-1", False)
    assert (summary.epochs, summary.tip_epoch) == (head.base.epochs, 1)
    assert (summary.promised, summary.promised_to) == (1, 1)
    machine = restore(blank, ReplicaOptions(2, (1, 2)), ReferenceEngine, lambda: None, store)
    assert (machine.replica_state.applied_seq, machine.replica_state.committed_seq, machine.replica_state.digest) == (
        21,
        21,
        head.base.digest,
    )
    assert not machine.replica_state.joined
    blank.close()


def test_head_is_cut_only_behind_what_every_engine_can_be_restored_from():
    engines = (1, 2, 3)
    assert plan_cut({1: 50, 2: 40, 3: 60}, engines=engines, committed_seq=100, keep_commands=10) == 40
    assert plan_cut({1: 50, 2: 40, 3: 60}, engines=engines, committed_seq=100, keep_commands=61) == 0
    assert plan_cut({1: 50, 2: 40, 3: 0}, engines=engines, committed_seq=100, keep_commands=10) == 0
    assert plan_cut({1: 50, 2: 40}, engines=engines, committed_seq=100, keep_commands=10) == 0
    assert plan_cut({1: 50, 2: 40, 3: 60}, engines=engines, committed_seq=100, keep_commands=0) == 0


@pytest.mark.parametrize("replaced", [True, False])
def test_journal_that_is_replaced_in_the_middle_of_a_replay_breaks_nothing(tmp_path, monkeypatch, replaced):
    member = Member(ProcessKind.ENGINE, 1, "127.0.0.1", 0, 0, data_dir=tmp_path)
    Journal(tmp_path, 1).close()
    identity = journal_path(tmp_path) / "IDENTITY"

    def turn(_taker, _now_ns):
        if replaced:
            identity.write_text("another")
        raise BrokenInvariant("batch 9 of epoch 2 does not follow seq 5 of epoch 1")

    monkeypatch.setattr(SnapshotTaker, "turn", turn)
    topology = Topology("t", ("e",), tmp_path, (), (member,), ())
    broken = contextlib.nullcontext() if replaced else pytest.raises(BrokenInvariant)
    with broken:
        snapshotter._follow(
            topology,
            member,
            ReferenceEngine,
            SnapshotterFigures(),
            StopRequest(),
            open_log("snapshotter-1"),
            Courtesy(0),
        )


def test_snapshot_that_is_a_directory_is_passed_over_and_named(tmp_path, sequencer):
    """By its name alone it would be the newest, and nothing newer would be taken."""
    journal = filled(tmp_path / "data", sequencer)
    store = SnapshotStore(tmp_path / "data")
    taker = taker_of(tmp_path / "data")
    assert taker.turn(1) is not None
    (good,) = store.verified_seqs()
    store.path(good + 1).mkdir()
    assert store.verified_seqs() == (good,)
    assert [head.seq for head in store.heads()] == [good]
    ((path, why),) = store.unreadable()
    assert (path.name, why) == (store.path(good + 1).name, "it can't be read: Is a directory")
    assert store.retire(1) == ()
    assert started(journal, store).replica_state.applied_seq == 21
    journal.close()
