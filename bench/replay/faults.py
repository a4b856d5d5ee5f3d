"""Killing processes of a local cluster by role, and only when another one is there to take over."""

import time
from typing import Final

from lockstep.ops.local.cluster import LocalCluster
from lockstep.runtime.process import EnvironmentFault

TARGETS: Final = ("primary", "sequencer", "gateway")
_WAIT_S: Final = 30.0


class LocalExecutioner:
    """Kills in a `LocalCluster`."""

    def __init__(self, cluster: LocalCluster) -> None:
        self._cluster = cluster

    def execute(self, target: str) -> dict[str, object]:
        """Kill the process in that role.

        A second kill waits until the cluster has recovered from the first: with no standby in sync a killed primary
        could only be waited for.

        Raises:
            EnvironmentFault: the cluster is not whole in time.
        """
        waiting = time.monotonic()
        if not self._cluster.wait_until_whole(_WAIT_S):
            raise EnvironmentFault(
                f"the cluster has not recovered from the last fault after {_WAIT_S:g} s: "
                + "; ".join(self._cluster.status().lacks(self._cluster.topology))
            )
        name = self._cluster.find(target)
        waited_ms = round((time.monotonic() - waiting) * 1000)
        return {"process": name, "pid": self._cluster.kill(name), "waited_ms": waited_ms}
