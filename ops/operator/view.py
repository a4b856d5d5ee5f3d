"""The cluster as an operator sees it: one value, made of what every process said, that the plans decide on.

Pure. Status replies are accounts of single processes at slightly different times; this is where they become one
picture, by fixed rules: the leader of the highest epoch speaks for the cluster; where none leads, the config record in
etcd does (if the caller read it), and else the engine of the highest epoch.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lockstep.runtime.cluster_view import ClusterStatus, MemberStatus
from lockstep.runtime.topology import Member, Topology
from lockstep.v1 import cluster_pb2

if TYPE_CHECKING:
    from lockstep.sequencer.config_record import ConfigRecord

ACK_POLICIES = ("synced", "replicated")
"""Names by `lockstep.v1.AckPolicy`."""

_SERVING_ROLES = (cluster_pb2.ROLE_PRIMARY, cluster_pb2.ROLE_STANDBY)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSeen:
    """One engine: what it says itself, and what the leader says of it."""

    member: int
    address: str
    up: bool
    """It answered."""
    role: str = "down"
    error: str = ""
    """Why it did not answer."""
    epoch: int = 0
    seq: int = 0
    """Last seq applied."""
    committed_seq: int = 0
    digest: bytes = b""
    why: str = ""
    """In its own words, why it does not serve."""
    in_sync: bool = False
    blank: bool = False
    """Its journal is a new one: what it held, if the config lists it as in sync, is not there any more."""
    fenced: bool = False
    lag: int = 0
    """Commands behind the leader's last stamped seq, or behind the foremost engine where none leads; >= 0."""
    digest_equal: bool = True
    """False: it contradicts another engine at the same seq, or the leader says so."""
    damage: str = ""
    """In its own words, what is damaged of what it has stored; empty: nothing is known to be."""
    leader_objects: str = ""
    """In the leader's words, why it can't become primary."""

    @property
    def holds(self) -> bool:
        """It answers, is in sync, and has the journal that makes it so."""
        return self.up and self.in_sync and not self.blank

    @property
    def name(self) -> str:
        """As in the status table."""
        return f"engine-{self.member}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterView:
    """Everything that a plan may look at."""

    name: str
    leader: int = 0
    """Member id of the leading sequencer; 0: none."""
    leader_address: str = ""
    sequencers: tuple[tuple[int, str, bool], ...] = ()
    """(member id, address, whether it answered) of each sequencer."""
    epoch: int = 0
    seq: int = 0
    """Last seq stamped, as far as anybody knows."""
    committed_seq: int = 0
    """Highest seq that any process knows to be committed."""
    primary: int = 0
    """Engine that is primary by the config; 0: unknown."""
    in_sync: tuple[int, ...] = ()
    fenced: tuple[int, ...] = ()
    paused: bool = False
    ack_policy: str = ACK_POLICIES[0]
    why: str = ""
    """Why nothing is committed, in the leader's words; empty if all is well."""
    waits: str = ""
    """Where none leads: what a sequencer waits for a person to decide, in its words."""
    no_failover: str = ""
    """Why a loss would not be answered by a reconfiguration although that is not switched off; empty if it would."""
    time_why: str = ""
    """In the leader's words, what is wrong with the time that it stamps; empty if nothing is known to be."""
    stamped_ns: int = 0
    """What the leader would stamp, Unix ns; 0: unknown."""
    engines: tuple[EngineSeen, ...] = ()
    serving_gateways: int = 0

    def engine(self, member: int) -> EngineSeen | None:
        """An engine by its id; None if the cluster has none such."""
        return next((engine for engine in self.engines if engine.member == member), None)

    @property
    def candidates(self) -> tuple[int, ...]:
        """Engines other than the primary."""
        return tuple(engine.member for engine in self.engines if engine.member != self.primary)


def view_of(status: ClusterStatus, topology: Topology, record: "ConfigRecord | None" = None) -> ClusterView:
    """One picture of all answers. `record`: the config in etcd, for where no sequencer leads."""
    rows = {row.name: row for row in status.members}
    leader = status.leader()
    voice = _voice(status, leader)
    in_sync, primary = _authority(voice, leader, record)
    engine_rows = [(engine, rows.get(engine.name)) for engine in topology.engines]
    seqs = [row.reply.seq for _, row in engine_rows if row is not None and row.reply is not None]
    seq = leader.reply.seq if leader is not None and leader.reply is not None else max(seqs, default=0)
    fenced = tuple(voice.fenced) if voice is not None else ()
    return ClusterView(
        name=topology.name,
        leader=leader.reply.member if leader is not None and leader.reply is not None else 0,
        leader_address=leader.address if leader is not None else "",
        sequencers=tuple((m.id, m.grpc_address, _answered(rows.get(m.name))) for m in topology.sequencers),
        epoch=max((voice.epoch if voice is not None else 0), record.epoch if record is not None else 0),
        seq=seq,
        committed_seq=max((m.reply.committed_seq for m in status.members if m.reply is not None), default=0),
        primary=primary,
        in_sync=in_sync,
        fenced=fenced,
        paused=voice.paused if voice is not None else False,
        ack_policy=ACK_POLICIES[voice.ack_policy] if voice is not None else ACK_POLICIES[0],
        why=leader.reply.why if leader is not None and leader.reply is not None else "",
        waits="" if leader is not None else status.waits_for_a_person(),
        no_failover=_no_failover(status, leader),
        time_why=leader.reply.stamped_time.why if leader is not None and leader.reply is not None else "",
        stamped_ns=leader.reply.stamped_time.next_ns if leader is not None and leader.reply is not None else 0,
        engines=_engines(engine_rows, leader, in_sync=in_sync, fenced=fenced, seq=seq),
        serving_gateways=status.serving_gateways(),
    )


def _no_failover(status: ClusterStatus, leader: MemberStatus | None) -> str:
    """A lost engine is replaced by the leader, a lost leader by another one: both need etcd."""
    sequencers = [
        (m, m.reply.no_failover)
        for m in status.members
        if m.reply is not None and m.reply.kind == cluster_pb2.PROCESS_KIND_SEQUENCER
    ]
    if sequencers and all(why for _, why in sequencers):
        return next(why for m, why in sequencers if leader is None or m.name == leader.name)
    if leader is not None and leader.reply is not None and leader.reply.no_failover:
        return f"{leader.reply.no_failover} for {leader.name}, which leads"
    return ""


def _answered(row: MemberStatus | None) -> bool:
    return row is not None and row.reply is not None


def _voice(status: ClusterStatus, leader: MemberStatus | None) -> cluster_pb2.GetStatusReply | None:
    """Who speaks for the cluster: its leader, else the sequencer, else the engine, of the highest epoch."""
    if leader is not None:
        return leader.reply
    for kind in (cluster_pb2.PROCESS_KIND_SEQUENCER, cluster_pb2.PROCESS_KIND_ENGINE):
        replies = [m.reply for m in status.members if m.reply is not None and m.reply.kind == kind and m.reply.in_sync]
        if replies:
            return max(replies, key=lambda reply: (reply.epoch, reply.seq))
    return None


def _authority(
    voice: cluster_pb2.GetStatusReply | None, leader: MemberStatus | None, record: "ConfigRecord | None"
) -> tuple[tuple[int, ...], int]:
    if leader is None and record is not None:
        return record.in_sync, record.primary
    return (tuple(voice.in_sync), voice.primary) if voice is not None else ((), 0)


def _engines(
    rows: list[tuple[Member, MemberStatus | None]],
    leader: MemberStatus | None,
    *,
    in_sync: tuple[int, ...],
    fenced: tuple[int, ...],
    seq: int,
) -> tuple[EngineSeen, ...]:
    seen_by_leader = (
        {row.member: row for row in leader.reply.engines} if leader is not None and leader.reply is not None else {}
    )
    digests = {
        (row.reply.seq, member.id): row.reply.digest
        for member, row in rows
        if row is not None and row.reply is not None and row.reply.role in _SERVING_ROLES
    }
    found = []
    for member, row in rows:
        seen = EngineSeen(
            member=member.id,
            address=member.grpc_address,
            up=False,
            error=row.error if row is not None else "not asked",
            in_sync=member.id in in_sync,
            fenced=member.id in fenced,
        )
        if row is not None and row.reply is not None:
            seen = _answer(seen, row.role, row.reply, seen_by_leader.get(member.id), digests, seq)
        found.append(seen)
    return tuple(found)


def _answer(
    seen: EngineSeen,
    role: str,
    reply: cluster_pb2.GetStatusReply,
    reported: cluster_pb2.EngineView | None,
    digests: dict[tuple[int, int], bytes],
    seq: int,
) -> EngineSeen:
    # Of a learner the leader only says that it was not compared yet.
    leader_agrees = reported is None or reported.digest_equal or not (seen.in_sync and reported.acked_seq)
    return replace(
        seen,
        up=True,
        error="",
        role=role,
        blank=reply.journal.blank,
        damage=reply.journal.damage,
        epoch=reply.epoch,
        seq=reply.seq,
        committed_seq=reply.committed_seq,
        digest=reply.digest,
        why=reply.why,
        lag=max(0, seq - reply.seq),
        digest_equal=leader_agrees and _digest_equal(reply, seen.member, digests),
        leader_objects=reported.why_not_eligible if reported is not None else "",
    )


def _digest_equal(reply: cluster_pb2.GetStatusReply, member: int, digests: dict[tuple[int, int], bytes]) -> bool:
    """Whether nobody at the same seq has another digest. Learners may still hold a tail that was never committed."""
    if reply.role == cluster_pb2.ROLE_DIVERGED:
        return False
    if reply.role not in _SERVING_ROLES:
        return True
    return all(
        digest == reply.digest for (seq, other), digest in digests.items() if seq == reply.seq and other != member
    )
