"""Whether a cluster that starts comes any further: what its processes say, look by look. Pure.

A start may take as long as it likes while an engine replays, fetches a snapshot or catches up, and no longer than a
fixed time without any of that.
"""

from lockstep.runtime.cluster_view import ClusterStatus, MemberStatus
from lockstep.runtime.topology import Topology
from lockstep.v1 import cluster_pb2


class Readiness:
    """Remembers the best that was seen, so that the same step is no progress twice."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._stages: set[tuple[str, str]] = set()
        self._best: dict[tuple[str, str], int] = {}

    def look(self, status: ClusterStatus) -> bool:
        """Whether anything is further than it ever was."""
        leader = status.leader()
        tip = leader.reply.seq if leader is not None and leader.reply is not None else 0
        in_sync = status.in_sync()
        # It waits as long as that person needs.
        further = bool(status.waits_for_a_person())
        for member in status.members:
            if member.reply is None:
                continue
            stage = (member.name, member.role)
            further |= stage not in self._stages
            self._stages.add(stage)
            for what, amount in _work(member.reply, tip, in_sync):
                key = (member.name, what)
                if key not in self._best or amount > self._best[key]:
                    self._best[key] = amount
                    further = True
        return further

    def text(self, status: ClusterStatus) -> str:
        """In one line, what is waited for: what engines are busy with, else whatever is missing."""
        busy = [f"{member.name}: {member.reply.why}" for member in status.members if _is_busy(member) and member.reply]
        absent = [member.name for member in status.members if member.reply is None]
        if waits := status.waits_for_a_person():
            return waits
        missing = (f"not up yet: {', '.join(absent)}",) if absent else status.lacks(self._topology)
        return "; ".join(busy or missing)


def _work(reply: cluster_pb2.GetStatusReply, tip: int, in_sync: tuple[int, ...]) -> list[tuple[str, int]]:
    """Amounts that rise while an engine comes nearer, and that come to an end. Ticks let no seq of these rise."""
    if reply.kind != cluster_pb2.PROCESS_KIND_ENGINE:
        return []
    if reply.journal.replay_to_seq:
        return [("replayed", reply.journal.replayed_seq)]
    if reply.journal.restore_total_bytes:
        return [("fetched", reply.journal.restore_bytes)]
    if tip and in_sync and reply.member not in in_sync:
        return [("lag", min(0, reply.seq - tip))]
    return []


def _is_busy(member: MemberStatus) -> bool:
    reply = member.reply
    return reply is not None and bool(reply.journal.replay_to_seq or reply.journal.restore_total_bytes)
