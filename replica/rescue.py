"""What becomes of an engine whose journal is damaged: it begins anew from a peer, or it stops and says what to do.

Nothing is deleted. Where a peer holds all that the journal is known to have held, the journal is moved into the archive
and the engine begins with a new, blank one: to the cluster that is a lost disk, and its answer counts for nothing until
it has been admitted again. Where no peer does, the damaged journal may be the only trace of what was acknowledged: it
stays where it is, untouched, and a person decides.
"""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import grpc

from lockstep.replica.evidence import Tip
from lockstep.replica.rocks import JournalDamaged
from lockstep.runtime.access.dialing import open_channel
from lockstep.runtime.process import CHANNEL_OPTIONS
from lockstep.runtime.topology import Member, Topology
from lockstep.stream.values import frozen
from lockstep.v1 import cluster_pb2, cluster_pb2_grpc

_PATIENCE_S: Final = 12.0
"""After a restart of everything the peers are replaying their journals themselves."""
_PAUSE_S: Final = 0.25
_TIMEOUT_S: Final = 1.0


@frozen
class PeerSays:
    """What a peer answered. `tip` is None if it did not."""

    member: int
    tip: Tip | None = None
    cluster_uuid: str = ""
    blank: bool = False
    error: str = ""

    def holds(self, damage: JournalDamaged) -> bool:
        """Whether it has a joined journal of the same cluster that reaches as far as the damaged one did.

        A record of a higher epoch is behind all that was committed before that epoch.
        """
        if self.tip is None or self.blank or not self.tip.seq:
            return False
        if damage.cluster_uuid and damage.cluster_uuid != self.cluster_uuid:
            return False
        return self.tip.epoch >= damage.needed.epoch and self.tip.seq >= damage.needed.seq

    def __str__(self) -> str:
        name = f"engine-{self.member}"
        if self.tip is None:
            return f"{name} does not answer ({self.error})"
        return f"{name} {'has a new journal that ends' if self.blank else 'ends'} at {self.tip}"


def find_holder(
    topology: Topology, member: Member, damage: JournalDamaged, *, waiting: Callable[[], bool]
) -> tuple[PeerSays | None, tuple[PeerSays, ...]]:
    """A peer that holds what the damaged journal did, and what all of them said last.

    Waits for peers that are not up yet, as long as `waiting()` and no longer than some seconds.
    """
    peers = tuple(engine for engine in topology.engines if engine != member)
    channels = {peer.id: open_channel(peer.grpc_address, CHANNEL_OPTIONS) for peer in peers}
    deadline = time.monotonic() + _PATIENCE_S
    try:
        while True:
            said = tuple(_ask(peer, channel) for peer, channel in channels.items())
            holder = next((one for one in said if one.holds(damage)), None)
            if holder is not None or not said or time.monotonic() > deadline or not waiting():
                return holder, said
            time.sleep(_PAUSE_S)
    finally:
        for channel in channels.values():
            channel.close()


def _ask(peer: int, channel: grpc.Channel) -> PeerSays:
    try:
        reply = cluster_pb2_grpc.ClusterStub(channel).GetStatus(cluster_pb2.GetStatusRequest(), timeout=_TIMEOUT_S)
    except grpc.RpcError as error:
        return PeerSays(peer, error=error.code().name if isinstance(error, grpc.Call) else str(error))
    return PeerSays(peer, Tip(reply.epoch, reply.seq), reply.cluster_uuid, reply.journal.blank)


def advice(data_dir: Path, member: int, damage: JournalDamaged, said: Iterable[PeerSays]) -> str:
    """What to do where no peer is known to hold it: what, where, and the remedies from the best to the last."""
    peers = "; ".join(map(str, said)) or "there is no other engine"
    needed = f"; it held {damage.needed}" if damage.needed.seq and str(damage.needed) not in damage.why else ""
    return (
        f"{damage.why}{needed}. No peer is known to hold what it did: {peers}. This engine stops, and nothing was "
        f"changed; it may be the only one that has what clients received, so do not delete {data_dir}. "
        "(1) Start an engine that has it: this one then begins anew from there by itself. "
        "(2) Put back a copy of the whole data directory that is not older than the damage. "
        f"(3) To go on with what can be read, and lose the rest: `lockstep cluster journal salvage {data_dir}`, "
        f"start the engine, then `lockstep cluster failover --candidate engine-{member} --force --accept-data-loss`"
    )
