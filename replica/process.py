"""An engine replica as a process: opens what the shell needs, replays the journal, runs the loop, ends in order."""

import gc
import os
import time
from collections.abc import Callable
from enum import Enum, auto
from typing import cast

from lockstep.engine.implementations import UnknownImplementation, implementation
from lockstep.replica.administration import EngineAdministration
from lockstep.replica.archive import archive_all
from lockstep.replica.background_sync import BackgroundSync
from lockstep.replica.derived import note_doubt
from lockstep.replica.effects import Notice, Role
from lockstep.replica.fetches import Fetches
from lockstep.replica.housekeeping import Housekeeping
from lockstep.replica.journal import Journal
from lockstep.replica.machine import ReplicaMachine
from lockstep.replica.marks import note_damage
from lockstep.replica.mend import mend
from lockstep.replica.rescue import advice, find_holder
from lockstep.replica.restore import restore
from lockstep.replica.rocks import DerivedDamaged, JournalDamaged
from lockstep.replica.scrub import Damage, Scrubber
from lockstep.replica.service import CutOrder, ReplicationService, register
from lockstep.replica.settings import ReplicaOptions
from lockstep.replica.shell import ReplicaShell
from lockstep.replica.snapshots import SnapshotStore
from lockstep.replica.starting import Starting
from lockstep.replica.turnstile import Turnstile
from lockstep.replica.view import ReplicaView
from lockstep.runtime.access.entering import enter
from lockstep.runtime.ending import run_to_end
from lockstep.runtime.metrics.server import serve as serve_metrics
from lockstep.runtime.private import make_private
from lockstep.runtime.process import (
    EnvironmentFault,
    ProcessLog,
    StopRequest,
    open_doorbell,
    open_log,
    start_grpc_server,
)
from lockstep.runtime.realtime import RealTime
from lockstep.runtime.topology import Member, Topology
from lockstep.runtime.transport import DriverState, DriverUnavailable, Transport, wait_for_driver
from lockstep.runtime.watch import WatchServer
from lockstep.stream.records import bits_to_members
from lockstep.v1 import cluster_pb2

_DRIVER_WAIT_S = 15.0
_REBUILD_NS = 100_000_000
_DAMAGE_NS = 1_000_000_000
_ACK_POLICIES = ("synced", "replicated")
_LOUD = (
    "snapshot_rejected", "snapshot_damaged", "snapshots_not_kept", "diverged", "tail_divergent", "tail_archived",
    "left_stream", "journal_unsynced", "witness_damaged", "derived_renewed", "scrub_found",
)  # fmt: skip


def run(topology: Topology, member: Member) -> int:
    """Run engine `member` until it is asked to stop.

    Returns the exit code: 0 orderly, 1 environment, 3 broken invariant, 4 the journal is damaged and no peer has it.
    """
    logger = open_log(member.name)
    stop = StopRequest.install()

    def follow() -> None:
        then, mended = _Then.BEGIN_ANEW, False
        while then is not _Then.END and not stop.requested:
            # What is damaged again after it was mended is for a person: it is the disk, or the program.
            then = _run_once(topology, member, stop, logger, may_mend=not mended)
            mended |= then is _Then.BEGIN_MENDED
        logger.info("stopped", reason=stop.reason)

    return run_to_end(member.name, logger, follow)


class _Then(Enum):
    """What comes after a run."""

    END = auto()
    BEGIN_ANEW = auto()
    BEGIN_MENDED = auto()


def _run_once(topology: Topology, member: Member, stop: StopRequest, logger: ProcessLog, *, may_mend: bool) -> _Then:
    """From opening to closing.

    Raises:
        JournalDamaged: no peer is known to hold what the journal did; the text says what to do.
    """
    process = _Process(topology, member, stop, logger)
    journal_damage: JournalDamaged | None = None
    try:
        with process:
            process.loop()
    except DerivedDamaged as damage:
        logger.error("derived_damaged", text=str(damage))
        note_doubt(member.data_dir, damage.why)
        return _Then.BEGIN_ANEW
    except JournalDamaged as found:
        journal_damage = found.apart()
    # What an error came through may still have the journal open, and nobody else collects that in this process.
    gc.unfreeze()
    gc.collect()
    if journal_damage is not None:
        return _after_damage(topology, member, journal_damage, stop, logger, may_mend=may_mend, spared=process.spared)
    if process.reinit:
        logger.warning("reinit", archive=str(archive_all(member.data_dir)))
    return _Then.BEGIN_ANEW if process.reinit or process.reopen else _Then.END


def _after_damage(
    topology: Topology,
    member: Member,
    damage: JournalDamaged,
    stop: StopRequest,
    logger: ProcessLog,
    *,
    may_mend: bool,
    spared: bool,
) -> _Then:
    """`spared`: other engines go on without it, so it takes everything from them, older history too."""
    logger.error("journal_damaged", text=str(damage))
    # Else before any peer is asked: the cluster may count on this very journal, and a new one would be nobody's.
    if may_mend and not spared and _mend(member, damage, logger):
        return _Then.BEGIN_MENDED
    holder, said = find_holder(topology, member, damage, waiting=lambda: not stop.requested)
    if holder is not None:
        logger.error("journal_given_up", holder=str(holder), archive=str(archive_all(member.data_dir, "damaged")))
        return _Then.BEGIN_ANEW
    if may_mend and spared and _mend(member, damage, logger):
        return _Then.BEGIN_MENDED
    text = advice(member.data_dir, member.id, damage, said)
    raise JournalDamaged(damage.path, text, damage.needed, damage.cluster_uuid) from damage


def _mend(member: Member, damage: JournalDamaged, logger: ProcessLog) -> bool:
    mended = mend(member.data_dir, member.id, damage)
    if mended is not None:
        logger.error(
            "journal_mended",
            text=f"it begins behind seq {mended.base_seq} from now on, with the snapshot there; what was acknowledged "
            f"is all there, up to {mended.tip}, only older history is not: {damage.why}",
            archive=str(mended.archive),
        )
    return mended is not None


class _Process:
    """Everything that the process holds, closed in the reverse order of opening."""

    def __init__(self, topology: Topology, member: Member, stop: StopRequest, logger: ProcessLog) -> None:
        self._topology = topology
        self._member = member
        self._stop = stop
        self._logger = logger
        self._realtime = RealTime(topology.timing.realtime_priority, logger)
        self._closers: list[Callable[[], object]] = []
        self.reinit = False
        """An operator has asked to begin anew."""
        self.reopen = False
        """What is stored has to be looked at anew."""
        self.spared = False
        """Its journal was found damaged while other engines were in sync."""
        self._next_rebuild_ns = 0
        self._next_damage_ns = 0
        self._damage_said = False
        self._driver_lost = False

    def __enter__(self) -> "_Process":
        try:
            self._open()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def loop(self) -> None:
        """Turns until the stop is requested."""
        self._realtime.take()
        bell, stop, shell, now = self._bell, self._stop, self._shell, time.monotonic_ns
        while not (stop.requested or self.reinit or self.reopen):
            now_ns = now()
            work = shell.turn(now_ns)
            bell.idle(work, drained=shell.drained)
            self._mind_driver(now_ns)
            if self._background.fault is not None:
                raise self._background.fault
            if self._scrubber.found is not None and now_ns >= self._next_damage_ns:
                self._next_damage_ns = now_ns + _DAMAGE_NS
                self._on_damage(self._scrubber.found)

    def _open(self) -> None:
        topology, member = self._topology, self._member
        if topology.ack_policy not in _ACK_POLICIES:
            raise EnvironmentFault(
                f"unknown ack_policy {topology.ack_policy!r}; known are {' and '.join(map(repr, _ACK_POLICIES))}"
            )
        self._entrance = enter(topology, member.name, self._logger, member)
        self._closers.append(self._entrance.follow())
        started_ns = time.monotonic_ns()
        with Starting(
            member, self._logger, self._entrance.guard(), self._entrance.credentials(mutual=True)
        ) as starting:
            self._journal = Journal(member.data_dir, member.id)
            if make_private(member.data_dir):
                self._logger.warning("made_private", directory=str(member.data_dir))
            self._closers.append(self._journal.close)
            self._snapshots = SnapshotStore(member.data_dir)
            for event, text in self._journal.notices:
                self._on_notice(Notice(event, text))
            for path, why in self._snapshots.unreadable():
                self._on_notice(Notice("snapshot_damaged", f"{path} is not used: {why}"))
            machine = self._restore(starting.on_replayed)
        self._logger.info(
            "replayed",
            seq=machine.replica_state.applied_seq,
            ms=(time.monotonic_ns() - started_ns) // 1_000_000,
            promised=machine.replica_state.promised,
            incarnation=self._journal.incarnation,
        )
        self._background = BackgroundSync(self._journal)
        self._closers.append(self._background.close)
        wait_for_driver(topology.aeron_dir, _DRIVER_WAIT_S)
        self._transport = Transport(topology.aeron_dir, seals=self._entrance.seals, on_attached=self._realtime.take)
        self._closers.append(self._transport.close)
        self._open_shell(machine)

    def _open_shell(self, machine: ReplicaMachine) -> None:
        topology, member = self._topology, self._member
        try:
            seals = self._entrance.seals
            watch = WatchServer(member.host, member.watch_port, member.id, self._journal.incarnation, seals=seals)
        except OSError as error:
            raise EnvironmentFault(f"{error.strerror}; stop what uses it or change `watch_port`") from error
        self._closers.append(watch.close)
        self._bell = bell = open_doorbell(topology, member)
        self._closers.append(bell.close)
        self._shell = shell = ReplicaShell(
            topology,
            member,
            journal=self._journal,
            store=self._snapshots,
            machine=machine,
            rebuild=self._restore,
            transport=self._transport,
            watch=watch,
            ring=bell.ring,
            on_notice=self._on_notice,
            seals=seals,
        )
        self._closers.append(shell.close)
        fetches = Fetches(member.id, self._journal, shell.events, lambda: shell.view, self._snapshots)
        turnstile = Turnstile(calm=lambda: shell.calm)
        self._closers.append(turnstile.close)
        service = ReplicationService(member.id, fetches, turnstile, lambda: shell.view, shell.post)
        self._housekeeping = Housekeeping(
            topology,
            member,
            journal=self._journal,
            store=self._snapshots,
            view=lambda: shell.view,
            cut=lambda seq: shell.post(CutOrder(seq)),
            on_notice=self._on_notice,
        )
        self._closers.append(self._housekeeping.close)
        self._scrubber = Scrubber(self._journal, lambda: shell.view.committed_seq)
        self._closers.append(self._scrubber.close)
        self._serve(shell, service)
        # What exists now lives as long as the process; the rest is collected when the loop has nothing to do.
        gc.collect()
        gc.freeze()
        gc.disable()

    def _serve(self, shell: ReplicaShell, service: ReplicationService) -> None:
        topology, member = self._topology, self._member
        administration = EngineAdministration(self._snapshots, lambda: shell.view, self._ask_reinit)
        server = start_grpc_server(
            member.grpc_address,
            register(service),
            ["lockstep.v1.Replication"],
            self._own_status,
            access=self._entrance.guard(),
            credentials=self._entrance.credentials(mutual=True),
            seals=self._entrance.seals,
            operations=administration.operations(),
        )
        self._closers.append(lambda: server.stop(0.2))
        self._closers.append(
            serve_metrics(
                topology,
                member,
                lambda: (
                    *shell.figures.families(shell.view, self._transport, self._known_damage()),
                    *self._entrance.families(),
                ),
                self._entrance.refuse_scrape,
                self._entrance.ssl_context(),
            )
        )

    def _own_status(self) -> cluster_pb2.GetStatusReply:
        return self._status(self._shell.view)

    def _ask_reinit(self) -> None:
        self.reinit = True
        self._bell.ring()

    def _restore(self, progress: Callable[[int, int], None] = lambda _seq, _to_seq: None) -> ReplicaMachine:
        timing = self._topology.timing
        options = ReplicaOptions(
            self._member.id,
            tuple(engine.id for engine in self._topology.engines),
            rewind_ns=timing.rewind_ms * 1_000_000,
            repeat_ns=timing.receipt_ms * 1_000_000,
        )
        try:
            make = implementation(self._member.engine)
        except UnknownImplementation as error:
            raise EnvironmentFault(f"{self._member.name}: {error}") from error
        alive, say = self._give_up_if_stopped, self._on_notice
        return restore(self._journal, options, make, alive, self._snapshots, say, progress)

    def _give_up_if_stopped(self) -> None:
        if self._stop.requested:
            raise EnvironmentFault(f"asked to stop ({self._stop.reason}) while the journal was replayed")

    def _on_damage(self, damage: Damage) -> None:
        """What is in memory is right. It is looked at anew where another engine can go on meanwhile.

        Raises:
            JournalDamaged: of the journal itself.
        """
        view, member = self._shell.view, self._member
        if not self._damage_said:
            self._damage_said = True
            what = "stored results" if damage.derived else "the journal"
            text = f"{what} of {member.data_dir}: {damage.why}; mended as soon as another engine can go on without it"
            self._on_notice(Notice("scrub_found", text))
            if damage.derived:
                note_doubt(member.data_dir, damage.why)
            else:
                note_damage(member.data_dir, damage.why)
        # A primary waits for an operator's switchover; the last in-sync engine for another one.
        if view.role is Role.PRIMARY or view.in_sync_bits in (0, 1 << member.id):
            return
        self.reopen = damage.derived
        if not damage.derived:
            self.spared = True
            raise JournalDamaged(self._journal.path, damage.why, self._journal.marks.tip, view.cluster_uuid)

    def _mind_driver(self, now_ns: int) -> None:
        state = self._transport.check(now_ns)
        if state in (DriverState.LIVE, DriverState.HUNG) or now_ns < self._next_rebuild_ns:
            return
        self._next_rebuild_ns = now_ns + _REBUILD_NS
        if not self._driver_lost:
            self._driver_lost = True
            self._logger.warning("media_driver_lost", state=state.value, directory=str(self._topology.aeron_dir))
        try:
            self._transport.rebuild()
        except DriverUnavailable:
            return
        self._driver_lost = False
        self._logger.info("media_driver_back")

    def _on_notice(self, notice: Notice) -> None:
        log = self._logger.error if notice.event in _LOUD else self._logger.info
        log(notice.event, detail=notice.detail)

    def _status(self, view: ReplicaView) -> cluster_pb2.GetStatusReply:
        engines = tuple(engine.id for engine in self._topology.engines)
        in_sync = bits_to_members(view.in_sync_bits)
        return cluster_pb2.GetStatusReply(
            kind=cluster_pb2.ProcessKind.PROCESS_KIND_ENGINE,
            member=self._member.id,
            role=cast("cluster_pb2.Role", int(view.role)),
            epoch=view.epoch,
            seq=view.applied_seq,
            committed_seq=view.committed_seq,
            digest=view.digest,
            primary=view.primary,
            in_sync=in_sync,
            learners=[engine for engine in engines if engine not in in_sync],
            incarnation=self._journal.incarnation,
            pid=os.getpid(),
            cluster_uuid=view.cluster_uuid,
            why=self._why(view),
            counters=dict(view.counters),
            ack_policy=cast("cluster_pb2.AckPolicy", view.policy),
            journal=self._journal_state(view),
        )

    def _why(self, view: ReplicaView) -> str:
        """Why it does not serve, with how far the transfer is that may take longest of all."""
        done, total = self._shell.restore_progress
        if not total:
            return view.why
        return f"{view.why}; a peer's snapshot: {done / 1e6:.1f} of {total / 1e6:.1f} MB ({100 * done // total} %)"

    def _journal_state(self, view: ReplicaView) -> cluster_pb2.JournalState:
        verified = self._housekeeping.verified
        done, total = self._shell.restore_progress
        return cluster_pb2.JournalState(
            first_seq=self._journal.base_seq + 1,
            snapshot_seq=max(verified, default=0),
            oldest_snapshot_seq=min(verified, default=0),
            restore_bytes=done,
            restore_total_bytes=total,
            blank=not view.joined,
            damage=self._known_damage(),
        )

    def _known_damage(self) -> str:
        """What is known to be damaged of what is stored, in words; empty: nothing."""
        found = self._scrubber.found
        if found is None:
            return ""
        return f"{'stored results are' if found.derived else 'the stored journal is'} damaged: {found.why}"

    def _close(self) -> None:
        while self._closers:
            self._closers.pop()()
