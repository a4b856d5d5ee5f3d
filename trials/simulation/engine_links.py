"""What comes to a simulated engine and what it sends: frames on links, calls, heartbeats."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from lockstep.replica.effects import AskDigest, FetchLog, FetchSnapshot, SequencerSaid
from lockstep.replica.peers import FromPeer
from lockstep.replica.service import FenceCall, QueryCall
from lockstep.stream.messages import Ack, Stream
from lockstep.trials.simulation.engine_peers import PeerCalls
from lockstep.trials.simulation.engine_storage import StoringHost
from lockstep.trials.simulation.host import hears
from lockstep.trials.simulation.world import World


class LinkedHost(StoringHost):
    """See the module. What has come waits in the inbox until the driver takes it."""

    def __init__(self, world: World, id: int) -> None:
        super().__init__(world, id)
        self._peers = PeerCalls(self)
        self._delivered: dict[int, int] = {}  # by sequencer: the epoch that its heartbeats said

    def hear_anew(self) -> None:
        """What sequencers say is news again."""
        self._delivered.clear()

    def _come(self, wanted: Callable[[Any], bool]) -> list[Any]:
        found = [item for item in self.inbox if wanted(item)]
        self.inbox = [item for item in self.inbox if not wanted(item)]
        return found

    def streams(self) -> Sequence[Stream]:
        """See `Ports`."""
        return self._come(lambda item: isinstance(item, Stream))

    def acks(self) -> Sequence[Ack]:
        """See `Ports`."""
        return self._come(lambda item: isinstance(item, Ack))

    def calls(self) -> Sequence[FenceCall | QueryCall | FromPeer]:
        """See `Ports`."""
        return self._come(lambda item: not isinstance(item, Stream | Ack))

    def heard(self) -> Iterator[SequencerSaid]:
        """See `Ports`."""
        for sequencer in self.world.of_kind("sequencer"):
            epoch = sequencer.status_epoch() if hears(self, sequencer) else 0
            if epoch and epoch != self._delivered.get(sequencer.id, 0):
                self._delivered[sequencer.id] = epoch
                yield SequencerSaid(sequencer.id, epoch)

    def send_ack(self, ack: Ack, primary: int) -> None:
        """See `Ports`."""
        del primary
        self.world.judge.on_ack(self.id, ack)
        others = [host for host in self.world.of_kind("engine") if host is not self]
        self.world.network.send(self, [*others, *self.world.of_kind("sequencer")], ack)

    def send_rewind(self, sequencer: int, frame: Ack) -> None:
        """See `Ports`."""
        target = self.world.hosts.get(f"sequencer-{sequencer}")
        if target is not None:
            self.world.network.send(self, [target], frame)

    def fetch_log(self, order: FetchLog, cluster_uuid: str) -> None:
        """See `Ports`."""
        self._peers.fetch_log(order, cluster_uuid)

    def ask_digest(self, order: AskDigest, cluster_uuid: str) -> None:
        """See `Ports`."""
        self._peers.ask_digest(order, cluster_uuid)

    def fetch_snapshot(self, order: FetchSnapshot) -> None:
        """See `Ports`."""
        self._peers.fetch_snapshot(order)
