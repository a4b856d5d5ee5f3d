"""What a sequencer says of itself and of the cluster: the GetStatus reply, and lines of history on the wire."""

from collections.abc import Iterable
from typing import Final

from lockstep.sequencer.events import EpochOpened
from lockstep.sequencer.machine import SequencerMachine
from lockstep.sequencer.operator_requests import why_not_eligible
from lockstep.sequencer.reign import Reign
from lockstep.sequencer.states import State
from lockstep.v1 import cluster_pb2

ROLES: Final = {
    State.CANDIDATE: cluster_pb2.ROLE_CANDIDATE,
    State.LEADER: cluster_pb2.ROLE_LEADER,
    State.HALTED: cluster_pb2.ROLE_DIVERGED,
}


def role_of(machine: SequencerMachine) -> cluster_pb2.Role:
    """Its role in the wire's words."""
    return ROLES.get(machine.state, cluster_pb2.ROLE_TAKING_OVER)


def fill_status(
    reply: cluster_pb2.GetStatusReply, machine: SequencerMachine, counters: dict[str, int], *, etcd_reachable: bool
) -> None:
    """Add everything that the machine knows."""
    reply.no_failover = _why_no_failover(machine, etcd_reachable=etcd_reachable)
    reply.role = role_of(machine)
    reply.epoch = machine.epoch
    reply.why = machine.why
    stamped_ns = 0 if machine.reign is None else machine.reign.window.time_ns
    time, clock, now_ns = reply.stamped_time, machine.clock, machine.now_ns
    time.clock_ahead_ns = clock.apart_ns
    time.why = clock.why(now_ns, stamped_ns)
    if machine.reign is not None:
        time.last_ns = stamped_ns
        time.next_ns = max(stamped_ns, clock.at(now_ns))
    config, reign = machine.config_store.config, machine.reign
    if config is not None:
        reply.primary = config.primary
        reply.in_sync.extend(config.in_sync)
        reply.learners.extend(config.learners)
        reply.cluster_uuid = config.uuid
        reply.ack_policy = cluster_pb2.AckPolicy.Name(config.ack_policy)  # type: ignore[assignment]  # mypy-protobuf
        reply.paused = config.paused
        reply.fenced.extend(config.fenced)
    if reign is not None:
        reply.seq = reign.window.tip
        reply.committed_seq = reign.agreement.committed
        reply.why = reign.why or reign.doubt
        reply.engines.extend(_views(machine, reign))
        counters = counters | {
            "credit": reign.credit,
            "patience_ms": machine.peers.patience.extra_ns(now_ns) // 1_000_000,
            "failovers_in_vain": machine.peers.patience.without_effect,
            "queued": reign.intake.queued,
            "resent_frames": reign.resent,
            "submit_drops": reign.intake.dropped,
            "submit_duplicates": reign.intake.duplicates,
            "submit_gaps": reign.intake.gaps,
        }
    for name, value in counters.items():
        reply.counters[name] = value


def _why_no_failover(machine: SequencerMachine, *, etcd_reachable: bool) -> str:
    """Changes of the config need an etcd that answers and is the one of before. (Switched off is another matter.)"""
    return machine.config_store.fault or ("" if etcd_reachable else "etcd unreachable")


def _views(machine: SequencerMachine, reign: Reign) -> Iterable[cluster_pb2.EngineView]:
    agreement, config = reign.agreement, reign.config
    for member, peer in machine.peers.engines.items():
        required = member in config.in_sync
        agreed_at = agreement.confirmed.get(member, 0) if required else agreement.learner_at(member)
        behind = reign.window.tip - agreed_at if agreed_at else None
        yield cluster_pb2.EngineView(
            member=member,
            up=peer.up,
            acked_seq=agreement.acked.get(member, 0) if required else agreement.claimed(member),
            digest_equal=bool(agreed_at) and member not in agreement.contradicting,
            why_not_eligible=why_not_eligible(config, machine.peers, member, behind=behind),
            silent_ns=max(0, machine.now_ns - agreement.heard_ns.get(member, machine.now_ns)),
        )


def history_entry(line: EpochOpened) -> cluster_pb2.HistoryEntry:
    """One epoch on the wire."""
    return cluster_pb2.HistoryEntry(
        epoch=line.epoch,
        first_seq=line.first_seq,
        timestamp_ns=line.timestamp_ns,
        cause=line.cause.name,
        sequencer=line.sequencer,
        primary=line.primary,
        in_sync=line.in_sync,
        gap_ns=line.gap_ns,
    )
