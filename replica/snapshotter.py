"""Takes snapshots beside a live engine: a process of its own that executes the engine's journal once more.

It reads the journal as it is at a moment, without a trace, so the engine neither pauses nor knows. The witness beside
the journal says how far that has come; the journal is opened only when a snapshot is due, and at a low priority until
that is late. It goes no further than what the journal says is committed. A snapshot counts once it is verified: the one
before, restored from its file into another engine, and the commands since then give the same bytes.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Final

from lockstep.engine.contract import EngineType, StreamGap
from lockstep.engine.implementations import implementation
from lockstep.replica.haste import hurries
from lockstep.replica.marks import journal_path
from lockstep.replica.replayer import Replayer
from lockstep.replica.rocks import JournalFault
from lockstep.replica.settings import BrokenInvariant
from lockstep.replica.snapshot_file import SnapshotDamaged, SnapshotHead, decode_head
from lockstep.replica.snapshots import REJECTED, UNVERIFIED, VERIFIED, SnapshotFault, SnapshotStore, usable
from lockstep.replica.snapshotter_figures import SnapshotterFigures
from lockstep.replica.stored_journal import StoredJournal
from lockstep.replica.witness import read_witness, witness_path
from lockstep.runtime.ending import run_to_end
from lockstep.runtime.metrics.server import MetricsServer
from lockstep.runtime.priority import Courtesy
from lockstep.runtime.process_log import ProcessLog, open_log
from lockstep.runtime.stop_request import StopRequest
from lockstep.runtime.topology import Member, Snapshots, Topology

_POLL_S: Final = 0.5
_NICE: Final = 10
_SECOND_NS: Final = 1_000_000_000


class Stopped(Exception):
    """The process was asked to stop in the middle of a replay."""


class SnapshotTaker:
    """Takes, verifies and retires the snapshots of one journal. One thread.

    `alive` is called now and then in a long replay and may raise.
    """

    def __init__(
        self,
        data_dir: Path,
        member: int,
        store: SnapshotStore,
        make: EngineType,
        plan: Snapshots,
        alive: Callable[[], None],
        figures: SnapshotterFigures,
    ) -> None:
        self._data_dir = data_dir
        self._member = member
        self._store = store
        self._make = make
        self._plan = plan
        self._alive = alive
        self._figures = figures
        self._known_newest = -1
        self._replayer: Replayer | None = None
        self._identity = 0
        self._taken_at_ns: int | None = None
        self._asked = False

    def turn(self, now_ns: int) -> SnapshotHead | None:
        """Take a snapshot if one is due; what was taken. `now_ns` is a monotonic clock.

        Raises:
            BrokenInvariant: the snapshot was not reproduced by executing the same commands again.
            JournalFault, SnapshotFault: a file can't be read or written.
        """
        mark = read_witness(witness_path(self._data_dir)).mark
        tip = 0 if mark is None else mark.written.seq
        if self._taken_at_ns is None:
            self._taken_at_ns = now_ns
        newest = max(self._store.verified_seqs(), default=0)
        self._note_newest(newest)
        self._asked |= self._store.asked()
        if not self._wanted(tip, newest, now_ns):
            self._figures.on_looked(tip, wanted=False, now_ns=now_ns)
            return None
        with closing(StoredJournal(self._data_dir, self._member)) as journal:
            # Commands that are not committed yet are not missing in a snapshot.
            wanted = bool(journal.cluster_uuid) and self._wanted(journal.committed_hint, newest, now_ns)
            self._figures.on_looked(tip, wanted=wanted, now_ns=now_ns)
            return self._turn(journal, newest, now_ns) if wanted else None

    def _wanted(self, seq: int, newest: int, now_ns: int) -> bool:
        """Whether there is to be a snapshot, if it can be of this seq."""
        return seq > newest and (self._asked or self._due(seq - newest, now_ns))

    def _turn(self, journal: StoredJournal, newest: int, now_ns: int) -> SnapshotHead | None:
        replayer = self._current_replayer(journal)
        if replayer is None:
            return None
        self._run(journal, replayer, journal.committed_hint)
        if replayer.seq <= newest:
            return None
        self._taken_at_ns = now_ns
        return self._take(journal, replayer)

    def _note_newest(self, seq: int) -> None:
        if seq == self._known_newest:
            return
        self._known_newest = seq
        stored = {found.seq: found for found in self._store.stored() if found.verified}
        if seq in stored:
            self._figures.on_newest(seq, stored[seq].taken_ns, stored[seq].head.file_bytes)

    def _due(self, commands: int, now_ns: int) -> bool:
        plan = self._plan
        by_count = plan.every_commands > 0 and commands >= plan.every_commands
        since_ns = now_ns - (self._taken_at_ns or 0)
        return by_count or (plan.every_s > 0 and since_ns >= plan.every_s * _SECOND_NS)

    def _current_replayer(self, journal: StoredJournal) -> Replayer | None:
        """The engine of before, if the journal is still the same one and still leads on from it."""
        replayer = self._replayer
        if replayer is not None and (journal.identity != self._identity or replayer.seq < journal.base_seq):
            replayer = None
        if replayer is None:
            self._identity = journal.identity
            start = self._older_snapshot(journal, journal.committed_hint)
            if start is None and journal.base_seq:
                return None  # the engine is fetching the snapshot that its journal begins with
            replayer = Replayer(self._make, b"" if start is None else self._store.read(start.seq))
        self._replayer = replayer
        return replayer

    def _older_snapshot(self, journal: StoredJournal, below_seq: int) -> SnapshotHead | None:
        found = usable(
            self._store.heads(),
            cluster_uuid=journal.cluster_uuid,
            epochs=journal.epochs(),
            tip_seq=below_seq,
            base_seq=journal.base_seq,
        )
        return found[0] if found else None

    def _run(self, journal: StoredJournal, replayer: Replayer, through_seq: int) -> None:
        for journaled in journal.batches(replayer.seq + 1):
            if journaled.last_seq > through_seq:
                return
            replayer.run(journaled)
            self._figures.replayed_seq = replayer.seq
            self._alive()

    def _take(self, journal: StoredJournal, replayer: Replayer) -> SnapshotHead:
        uuid = journal.cluster_uuid
        older = self._older_snapshot(journal, replayer.seq - 1)
        raw = replayer.snapshot(uuid)
        self._alive()
        seq = replayer.seq
        self._store.write(raw, seq, verified=False)
        self._alive()
        again = Replayer(self._make, b"" if older is None else self._store.read(older.seq))
        self._run(journal, again, seq)
        self._alive()
        if again.seq != seq or again.snapshot(uuid) != raw:
            self._store.mark(seq, UNVERIFIED, REJECTED)
            start = 0 if older is None else older.seq
            raise BrokenInvariant(
                f"the snapshot at seq {seq} was not reproduced by executing the journal from seq {start} once more: "
                f"the digests are {replayer.digest.hex()} and {again.digest.hex()}; both files and the journal are kept"
            )
        self._store.mark(seq, UNVERIFIED, VERIFIED)
        self._store.retire(self._plan.keep)
        # Who asks goes on asking until a snapshot is far enough: what was asked meanwhile this one may have answered.
        self._store.asked()
        self._asked = False
        self._note_newest(seq)
        return decode_head(raw)


def run(topology: Topology, member: Member) -> int:
    """Take snapshots beside engine `member` until asked to stop; the exit code, as of an engine."""
    name = f"snapshotter-{member.id}"
    logger = open_log(name)
    # Files appear whole or not at all, the journal is only read, and the kernel gives the lock back. In the middle of a
    # snapshot, and with the little CPU that it is given on a starved host, an orderly end would take many seconds.
    stop = StopRequest.install(at_once=True)
    courtesy = Courtesy(_NICE)
    courtesy.give()
    figures = SnapshotterFigures()

    def cut() -> None:
        with suppress(Stopped), _served(topology, member, figures, logger):
            make = implementation(member.engine)
            while not stop.requested:
                _follow(topology, member, make, figures, stop, logger, courtesy)
                stop.wait(_POLL_S)
        logger.info("stopped", reason=stop.reason)

    return run_to_end(name, logger, cut)


@contextmanager
def _served(topology: Topology, member: Member, figures: SnapshotterFigures, logger: ProcessLog) -> Iterator[None]:
    """While its figures can be read, if they can."""
    with ExitStack() as stack:
        if member.snapshotter_metrics_port:
            _serve(topology, member, figures, logger, stack)
        yield


def _serve(
    topology: Topology, member: Member, figures: SnapshotterFigures, logger: ProcessLog, stack: ExitStack
) -> None:
    # Who may read figures is asked of etcd, by gRPC, which takes as long to load as all the rest of this process.
    from lockstep.runtime.access.entering import enter

    entrance = enter(topology, f"snapshotter-{member.id}", logger)
    stack.callback(entrance.follow())
    port, tls = member.snapshotter_metrics_port, entrance.ssl_context()
    stack.enter_context(closing(MetricsServer(member.host, port, figures.families, entrance.refuse_scrape, tls)))


def _follow(
    topology: Topology,
    member: Member,
    make: EngineType,
    figures: SnapshotterFigures,
    stop: StopRequest,
    logger: ProcessLog,
    courtesy: Courtesy,
) -> None:
    """Follow one journal until it is gone (a new disk, a reinit), or the stop."""
    database = _database(member)
    if not database:
        return
    store = SnapshotStore(member.data_dir)

    def alive() -> None:
        if stop.requested:
            raise Stopped
        hold_to(courtesy, topology.snapshots, figures, logger)

    try:
        with store.tend():
            taker = SnapshotTaker(member.data_dir, member.id, store, make, topology.snapshots, alive, figures)
            while not stop.requested and _database(member) == database:
                started_ns = time.monotonic_ns()
                head = taker.turn(started_ns)
                if head is not None:
                    took_ns = time.monotonic_ns() - started_ns
                    figures.on_taken(took_ns)
                    took_ms = took_ns // 1_000_000
                    logger.info("snapshot", seq=head.seq, epoch=head.epoch, bytes=head.file_bytes, ms=took_ms)
                hold_to(courtesy, topology.snapshots, figures, logger)
                stop.wait(_POLL_S)
    except (JournalFault, SnapshotDamaged, SnapshotFault, BrokenInvariant, StreamGap) as fault:
        if not isinstance(fault, JournalFault | SnapshotDamaged) and _database(member) == database:
            raise
        # The engine has moved the journal away, or writes it for the first time, or the disk was replaced in the middle
        # of a replay, so that half of it was one journal's and half another's: look again.
        figures.on_fault(time.monotonic_ns())
        logger.warning("journal_not_followed", text=str(fault))


def hold_to(courtesy: Courtesy, plan: Snapshots, figures: SnapshotterFigures, logger: ProcessLog) -> None:
    """Give way, unless a snapshot is late."""
    waiting_ns = figures.waiting_ns(time.monotonic_ns())
    figures.hurries = hurries(plan, waiting_ns)
    if not figures.hurries:
        courtesy.give()
        return
    if courtesy.gives:
        logger.warning("snapshot_late", waiting_s=waiting_ns // _SECOND_NS, text="it no longer gives way")
    courtesy.take_back()


def _database(member: Member) -> bytes:
    """What RocksDB calls the journal that is there now, unique to it; empty: there is none.

    A new disk may be filled before anybody has seen that the old journal was gone.
    """
    path = journal_path(member.data_dir)
    try:
        return (path / "IDENTITY").read_bytes() if (path / "CURRENT").exists() else b""
    except FileNotFoundError:
        return b""
