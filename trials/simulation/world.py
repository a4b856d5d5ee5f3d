"""What the simulated processes share: time, the network, etcd, liveness links, and the judge."""

from typing import TYPE_CHECKING

from lockstep.trials.simulation.kernel import Kernel

if TYPE_CHECKING:
    from lockstep.runtime.topology import Topology
    from lockstep.trials.simulation.host import Host
    from lockstep.trials.simulation.judge import Judge
    from lockstep.trials.simulation.network import Network
    from lockstep.trials.simulation.store import Store
    from lockstep.trials.simulation.watching import Watching


class Violation(Exception):
    """A rule of the protocol was broken. The text says which, and by whom."""


class World:
    """Filled in by `cluster.Cluster`."""

    kernel: Kernel
    topology: "Topology"
    network: "Network"
    store: "Store"
    watching: "Watching"
    judge: "Judge"
    hosts: "dict[str, Host]"

    def host(self, kind: str, id: int) -> "Host":
        """A process by kind and id."""
        return self.hosts[f"{kind}-{id}"]

    def of_kind(self, kind: str) -> "list[Host]":
        """All processes of a kind, by id."""
        return [host for host in self.hosts.values() if host.kind == kind]

    def on_change(self, host: "Host") -> None:
        """A process started, died, paused or went on."""
        self.network.on_change(host)
        self.watching.on_change(host)
        self.store.on_change(host)
