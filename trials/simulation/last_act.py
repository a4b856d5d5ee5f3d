"""One more act after the storm, in one run of eight: a single fault in a healthy cluster, and what must come of it.

The schedule of `faults` shows that nothing is lost whatever happens; how soon somebody leads can only be said where
nothing else is wrong. Two hosts, one sequencer and one engine on each, at least:

* the leader's host loses its media driver: another sequencer, on a host with a live one, has opened before long;
* the hosts don't reach each other, but etcd: few epochs are begun, however long that lasts.

And in every other run with cancel on disconnect: a gateway says late that a client is there, which has left.
"""

from typing import Final

from lockstep.sequencer.states import State
from lockstep.trials.simulation.client_host import ClientHost
from lockstep.trials.simulation.cluster import Cluster
from lockstep.trials.simulation.kernel import MS, SECOND, Kernel
from lockstep.trials.simulation.world import Violation

EVERY: Final = 8
_LENGTH_NS: Final = 3 * SECOND
_MUTE_NS: Final = 1_500 * MS
_MOVE_NS: Final = 100 * MS
"""A client has found another gateway by then."""
_MOST_EPOCHS: Final = 15
"""A takeover, its shrink, and some that come to nothing in a symmetric split; a duel makes twenty in a second."""


def play(kernel: Kernel, cluster: Cluster, seed: int) -> None:
    """Raises Violation. The cluster has converged before; it is healed afterwards."""
    config = cluster.store.record
    if config is None:
        raise Violation("a cluster that has converged has no config")
    epoch = config.epoch
    if seed // EVERY % 2:
        _lose_driver(kernel, cluster, config.sequencer)
    else:
        _split_hosts(kernel, cluster)
    config = cluster.store.record
    if config is not None and config.epoch - epoch > _MOST_EPOCHS:
        raise Violation(f"{config.epoch - epoch} epochs within {_LENGTH_NS // SECOND} s of one lasting fault")


def _lose_driver(kernel: Kernel, cluster: Cluster, leader: int) -> None:
    kernel.note(f"last act: the driver of host {leader} is lost")
    cluster.network.mute = {f"sequencer-{leader}": True, f"engine-{leader}": True}
    kernel.run(kernel.now_ns + _MUTE_NS, lambda: False)
    leaders = [host.id for host in cluster.sequencers if host.alive and host.machine.state is State.LEADER]
    if all(member == leader for member in leaders):
        raise Violation(f"{_MUTE_NS // MS} ms after its driver was lost sequencer {leader} is not replaced: {leaders}")
    kernel.run(kernel.now_ns + _LENGTH_NS - _MUTE_NS, lambda: False)
    cluster.network.mute = {}


def _split_hosts(kernel: Kernel, cluster: Cluster) -> None:
    kernel.note("last act: the hosts don't reach each other")
    inner = [*cluster.sequencers, *cluster.engines]
    pairs = [(a.name, b.name) for a in inner for b in inner if a.id != b.id]
    cluster.network.cut(pairs)
    kernel.run(kernel.now_ns + _LENGTH_NS, lambda: False)
    cluster.network.mend(pairs)


def say_late(kernel: Kernel, cluster: Cluster, client: ClientHost) -> None:
    """A client's gateway can't send, is killed, and says when it is back what it had to say of the client before.

    The client has gone to another one meanwhile. What must come of it is the audit's matter: it keeps its orders while
    it is there, and loses them when it is not.
    """
    gateway = client.gateway
    if gateway is None or len(cluster.gateways) < 2:
        return
    kernel.note(f"last act: {gateway.name} speaks of {client.name} late")
    pairs = [(gateway.name, sequencer.name) for sequencer in cluster.sequencers]
    cluster.network.cut(pairs)
    for _ in cluster.gateways:
        # Once around all of them, and back.
        cluster.network.break_streams(client)
        kernel.run(kernel.now_ns + _MOVE_NS, lambda: False)
    gateway.crash()
    cluster.network.mend(pairs)
    kernel.run(kernel.now_ns + _MOVE_NS, lambda: False)
    gateway.start()
    kernel.run(kernel.now_ns + client.grace_ms * MS + _MUTE_NS, lambda: False)
