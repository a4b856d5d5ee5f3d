"""What the sequencers say of themselves: the liveness links of engines and gateways to them.

A frame or a fence speaks in a sequencer's name; here the sequencer itself does. Evidence for the machine, nothing more.
"""

from lockstep.runtime.seals import Seals
from lockstep.runtime.topology import Topology
from lockstep.runtime.watch import PeerStatus, PeerWatch
from lockstep.runtime.watch_set import WatchSet
from lockstep.v1 import cluster_pb2


class SequencerWatches:
    """Polled by the main loop. `identity`: what this process says of itself; `seals`: of its links, if there are.

    Raises:
        OSError: a sequencer's host has no address.
    """

    def __init__(self, topology: Topology, identity: PeerStatus, seals: Seals | None = None) -> None:
        self._set = WatchSet()
        self._names = {peer.name: peer.id for peer in topology.sequencers}
        self._reported: dict[str, tuple[int, int]] = {}
        for peer in topology.sequencers:
            seal = seals.watching(peer) if seals is not None else None
            self._set.add(PeerWatch(peer.name, peer.host, peer.watch_port, identity=identity, seal=seal))

    def heard(self, now_ns: int) -> list[tuple[int, int, bool]]:
        """News since the last call: (sequencer, epoch that it says it is in, whether it says that it leads)."""
        self._set.poll(now_ns)
        news = []
        for name, sequencer in self._names.items():
            status = self._set[name].status
            if status is None or status.member != sequencer:
                continue
            if (status.epoch, status.role) != self._reported.get(name, (0, 0)):
                self._reported[name] = (status.epoch, status.role)
                news.append((sequencer, status.epoch, status.role == cluster_pb2.ROLE_LEADER))
        return news

    @property
    def accepted_epoch(self) -> int:
        """Epoch of the newest forced failover with accepted data loss, by what they say; 0: they know of none."""
        said = (self._set[name].status for name in self._names)
        epochs = [(status.accepted_epoch, status.epoch) for status in said if status is not None]
        return max((accepted for accepted, epoch in epochs if accepted <= epoch), default=0)

    def forget(self) -> None:
        """The machine is a new one: it hears everything again."""
        self._reported.clear()

    def close(self) -> None:
        """End all links."""
        self._set.close()
