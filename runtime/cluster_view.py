"""What the processes of a cluster say about themselves, asked over gRPC, all at once and with a deadline."""

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Final, Self

import grpc

from lockstep.runtime.access.dialing import introduce, open_channel
from lockstep.runtime.channel_options import CHANNEL_OPTIONS
from lockstep.runtime.topology import Topology
from lockstep.stream.values import frozen
from lockstep.v1 import cluster_pb2, cluster_pb2_grpc

ROLES: Final[Mapping[int, str]] = {
    number: name.removeprefix("ROLE_").lower().replace("_", " ") for name, number in cluster_pb2.Role.items()
}


@frozen
class MemberStatus:
    """One process and its answer."""

    name: str
    address: str
    reply: cluster_pb2.GetStatusReply | None
    """None: it did not answer."""
    error: str = ""

    @property
    def role(self) -> str:
        """Its role in a word; `down` if it did not answer."""
        return ROLES.get(self.reply.role, "?") if self.reply is not None else "down"

    def to_json(self) -> dict[str, object]:
        """All that was answered, for `--json`."""
        row: dict[str, object] = {"name": self.name, "address": self.address, "role": self.role}
        if self.reply is None:
            return {**row, "error": self.error}
        reply = self.reply
        return {
            **row,
            "epoch": reply.epoch,
            "seq": reply.seq,
            "committed_seq": reply.committed_seq,
            "digest": reply.digest.hex(),
            "primary": reply.primary,
            "in_sync": list(reply.in_sync),
            "learners": list(reply.learners),
            "incarnation": reply.incarnation,
            "pid": reply.pid,
            "cluster_uuid": reply.cluster_uuid,
            "counters": dict(reply.counters),
            "why": reply.why,
            "clock_ns": reply.clock_ns,
            "no_failover": reply.no_failover,
            "key_epoch": reply.link_keys.sending,
            "key_epochs": list(reply.link_keys.believed),
            "replayed_seq": reply.journal.replayed_seq,
            "replay_to_seq": reply.journal.replay_to_seq,
            "restore_bytes": reply.journal.restore_bytes,
            "restore_total_bytes": reply.journal.restore_total_bytes,
        }


@frozen
class ClusterStatus:
    """The answers of all processes, in the order of the topology."""

    members: tuple[MemberStatus, ...]
    asked_ns: int = 0
    """When they were asked, by this host's wall clock; 0: not known."""
    answered_ns: int = 0
    """When all had answered or missed the deadline."""

    def leader(self) -> MemberStatus | None:
        """The leading sequencer: of several that claim it, the one of the highest epoch."""
        leading = [m for m in self.members if m.reply is not None and m.reply.role == cluster_pb2.ROLE_LEADER]
        return max(leading, key=lambda m: m.reply.epoch if m.reply is not None else 0, default=None)

    def primary(self) -> MemberStatus | None:
        """The primary engine: of several that claim it, the one of the highest epoch."""
        claiming = [m for m in self.members if m.reply is not None and m.reply.role == cluster_pb2.ROLE_PRIMARY]
        return max(claiming, key=lambda m: m.reply.epoch if m.reply is not None else 0, default=None)

    def in_sync(self) -> tuple[int, ...]:
        """Engines in sync, as the leader says."""
        leader = self.leader()
        return tuple(leader.reply.in_sync) if leader is not None and leader.reply is not None else ()

    def serving_gateways(self) -> int:
        """How many gateways take orders."""
        return self._serving(feeds=False)

    def serving_feeds(self) -> int:
        """How many feeds have caught up, and take readers."""
        return self._serving(feeds=True)

    def _serving(self, *, feeds: bool) -> int:
        replies = (member.reply for member in self.members if member.reply is not None)
        serving = (reply for reply in replies if reply.role == cluster_pb2.ROLE_SERVING)
        return sum((reply.kind == cluster_pb2.PROCESS_KIND_FEED) is feeds for reply in serving)

    def waits_for_a_person(self) -> str:
        """In the words of a sequencer that takes over: what it does not decide itself; empty: nothing."""
        taking_over = (m.reply for m in self.members if m.reply and m.reply.role == cluster_pb2.ROLE_TAKING_OVER)
        return next((reply.why for reply in taking_over if "accept the loss" in reply.why), "")

    def lacks(self, topology: Topology) -> tuple[str, ...]:
        """What is missing for all processes to answer, a leader, all engines in sync and all gateways serving."""
        found = [f"{member.name} does not answer ({member.error})" for member in self.members if member.reply is None]
        if self.leader() is None:
            found.append("no sequencer leads")
        if self.primary() is None:
            found.append("no engine is primary")
        wanted = sorted(engine.id for engine in topology.engines)
        if list(self.in_sync()) != wanted:
            shown = ", ".join(map(str, self.in_sync())) or "none"
            found.append(f"engines in sync: {shown} of {', '.join(map(str, wanted))}")
        for member in self.members:
            if member.reply is not None and member.reply.why:
                found.append(f"{member.name}: {member.reply.why}")
        if self.serving_gateways() != len(topology.gateways):
            found.append(f"{self.serving_gateways()} of {len(topology.gateways)} gateways serve")
        if self.serving_feeds() != len(topology.feeds):
            found.append(f"{self.serving_feeds()} of {len(topology.feeds)} feeds serve")
        return tuple(found)

    def is_whole(self, topology: Topology) -> bool:
        """Whether every process answers, a sequencer leads, every engine is in sync, every gateway and feed serves."""
        return (
            all(member.reply is not None for member in self.members)
            and self.in_sync() == tuple(sorted(engine.id for engine in topology.engines))
            and self.primary() is not None
            and self.serving_gateways() == len(topology.gateways)
            and self.serving_feeds() == len(topology.feeds)
        )


class StatusProbe:
    """Connections to every process of a cluster, kept open, to ask them for their status again and again."""

    def __init__(self, members: tuple[tuple[str, str], ...]) -> None:
        """`members`: (name, gRPC address) of each process; an empty name is asked from the process."""
        self._members = members
        self._channels = {address: open_channel(address, CHANNEL_OPTIONS) for _, address in members}
        self._stubs = {address: cluster_pb2_grpc.ClusterStub(channel) for address, channel in self._channels.items()}

    @classmethod
    def of(cls, topology: Topology) -> Self:
        """A probe of all members of a topology."""
        introduce(topology)
        return cls(tuple((m.name, m.grpc_address) for m in topology.all_members()))

    def ask(self, *, timeout_s: float = 1.0) -> ClusterStatus:
        """Ask all of them at once; blocks up to the timeout."""
        request = cluster_pb2.GetStatusRequest()
        asked_ns = time.time_ns()
        calls = [self._stubs[address].GetStatus.future(request, timeout=timeout_s) for _, address in self._members]
        rows = []
        for (name, address), call in zip(self._members, calls, strict=True):
            try:
                reply = call.result()
                rows.append(MemberStatus(name or _name_of(reply), address, reply))
            except grpc.RpcError as error:
                rows.append(MemberStatus(name or address, address, None, rpc_text(error)))
        return ClusterStatus(tuple(rows), asked_ns, time.time_ns())

    def switch_primary(self, address: str, to: int, *, timeout_s: float = 5.0) -> cluster_pb2.SwitchPrimaryReply:
        """Ask the sequencer at an address to hand the primary role over (`to` 0: it chooses).

        Raises:
            grpc.RpcError: it refuses (the details say why) or does not answer.
        """
        request = cluster_pb2.SwitchPrimaryRequest(to=to)
        reply: cluster_pb2.SwitchPrimaryReply = self._stubs[address].SwitchPrimary(request, timeout=timeout_s)
        return reply

    def close(self) -> None:
        """Close the connections."""
        for channel in self._channels.values():
            channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Interrupted in the middle of a call's beginning, grpcio 1.85 waits for ever for the call when it closes.
        if kind is None or not issubclass(kind, KeyboardInterrupt):
            self.close()


def _name_of(reply: cluster_pb2.GetStatusReply) -> str:
    kind = cluster_pb2.ProcessKind.Name(reply.kind).removeprefix("PROCESS_KIND_").lower()
    return f"{kind}-{reply.member}"


def rpc_text(error: grpc.RpcError) -> str:
    """What a failed call says, in one line."""
    if not isinstance(error, grpc.Call):
        return "no answer"
    if error.code() == grpc.StatusCode.UNAVAILABLE:
        return "not reachable"
    if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
        return "no answer in time"
    return str(error.details() or error.code().name.lower())
