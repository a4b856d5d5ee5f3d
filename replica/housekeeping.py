"""What an engine does about its snapshots while it serves: a slow thread beside the main loop.

It compares each new snapshot with the digest that the engine itself computed, has events and digests up to it flushed
(so that a start from it needs nothing before it), and finds out how far every engine's journal may be cut.
"""

import threading
from collections.abc import Callable
from typing import Final

import grpc

from lockstep.replica.effects import Notice
from lockstep.replica.journal import Journal
from lockstep.replica.retention import plan_cut
from lockstep.replica.rocks import JournalFault
from lockstep.replica.snapshot_file import SnapshotDamaged, check_snapshot_file
from lockstep.replica.snapshots import REJECTED, VERIFIED, SnapshotFault, SnapshotStore
from lockstep.replica.view import ReplicaView
from lockstep.runtime.access.dialing import open_channel
from lockstep.runtime.process import CHANNEL_OPTIONS
from lockstep.runtime.topology import Member, Topology
from lockstep.v1 import cluster_pb2, cluster_pb2_grpc

_INTERVAL_S: Final = 1.0
_ASK_EVERY: Final = 5
_ASK_TIMEOUT_S: Final = 1.0


class Housekeeping:
    """See the module. `cut` is called from its thread with a seq up to which the journal may be cut."""

    def __init__(
        self,
        topology: Topology,
        member: Member,
        *,
        journal: Journal,
        store: SnapshotStore,
        view: Callable[[], ReplicaView],
        cut: Callable[[int], None],
        on_notice: Callable[[Notice], None],
    ) -> None:
        self._member = member
        self._engines = tuple(engine.id for engine in topology.engines)
        self._keep_commands = topology.snapshots.journal_keep_commands
        self._journal = journal
        self._store = store
        self._view = view
        self._cut = cut
        self._on_notice = on_notice
        self._peers = {
            engine.id: open_channel(engine.grpc_address, CHANNEL_OPTIONS)
            for engine in topology.engines
            if engine != member
        }
        self._known: frozenset[int] = frozenset()
        self.verified: tuple[int, ...] = ()
        """Seqs of the snapshots that may be relied on, ascending."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="snapshots", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the thread."""
        self._stop.set()
        for channel in self._peers.values():
            channel.close()
        self._thread.join()

    def _run(self) -> None:
        turns = 0
        while not self._stop.wait(_INTERVAL_S if turns else 0):
            try:
                self._look()
                if turns % _ASK_EVERY == 0 and self._keep_commands:
                    self._plan_cut()
            except (JournalFault, SnapshotFault) as fault:
                if not self._stop.is_set():
                    self._on_notice(Notice("snapshots_not_kept", str(fault)))
            turns += 1

    def _look(self) -> None:
        seqs = self._store.verified_seqs()
        news = [seq for seq in seqs if seq not in self._known]
        good = []
        for seq in news:
            if self._is_ours(seq):
                good.append(seq)
        if good:
            # Also for digests that were not there to compare with: of a snapshot that came from a peer.
            self._journal.derived.flush()
            self._store.note_startable(max(good))
            self._on_notice(Notice("snapshot", f"snapshots at seq {', '.join(map(str, good))} can be started from"))
        self._known = frozenset(self._store.verified_seqs())
        self.verified = tuple(sorted(self._known))

    def _is_ours(self, seq: int) -> bool:
        own = self._journal.derived.digest(seq)
        try:
            theirs = check_snapshot_file(self._store.read(seq)).base.digest
        except SnapshotDamaged as damage:
            self._set_aside(seq, damage)
            return False
        if own is None or own == theirs:
            return True
        self._store.mark(seq, VERIFIED, REJECTED)
        text = f"the snapshot at seq {seq} has digest {theirs.hex()}, this engine computed {own.hex()}: not used"
        self._on_notice(Notice("snapshot_rejected", text))
        return False

    def _set_aside(self, seq: int, damage: SnapshotDamaged) -> None:
        if not self._store.path(seq).exists():
            return
        self._store.mark(seq, VERIFIED, REJECTED)
        self._on_notice(Notice("snapshot_damaged", f"the snapshot at seq {seq} is damaged ({damage}): not used"))

    def _can_be_started_from(self) -> bool:
        """Whether every snapshot is still what was written: what is cut from the journal is in them alone."""
        whole = True
        for seq in self._store.verified_seqs():
            try:
                check_snapshot_file(self._store.read(seq))
            except SnapshotDamaged as damage:
                self._set_aside(seq, damage)
                whole = False
        return whole

    def _plan_cut(self) -> None:
        oldest = {self._member.id: min(self.verified, default=0)}
        for engine, channel in self._peers.items():
            try:
                status = cluster_pb2_grpc.ClusterStub(channel).GetStatus(
                    cluster_pb2.GetStatusRequest(), timeout=_ASK_TIMEOUT_S
                )
            except (grpc.RpcError, ValueError):  # down, or the channel was closed
                return
            oldest[engine] = status.journal.oldest_snapshot_seq
        seq = plan_cut(
            oldest,
            engines=self._engines,
            committed_seq=self._view().committed_seq,
            keep_commands=self._keep_commands,
        )
        if seq > self._journal.base_seq and self._can_be_started_from():
            self._cut(seq)
