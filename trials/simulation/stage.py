"""Where an aimed act is played: a cluster that has converged, and what is done to it and looked at."""

from collections.abc import Callable
from random import Random
from typing import Final

from lockstep.sequencer.clock import TOLERANCE_NS
from lockstep.sequencer.config_record import ConfigRecord
from lockstep.trials.simulation.cluster import Cluster
from lockstep.trials.simulation.engine_host import EngineHost
from lockstep.trials.simulation.host import Host
from lockstep.trials.simulation.kernel import MS, Kernel
from lockstep.trials.simulation.sequencer_host import SequencerHost
from lockstep.trials.simulation.world import Violation

FOLLOWED_MS: Final = 1_500
"""A clock that is set is followed by then."""
_PATIENCE_NS: Final = 3_000 * MS
_STAMPED_EVERY_NS: Final = 1_200 * MS


class Stage:
    """A cluster that has converged, as an act needs it."""

    def __init__(self, kernel: Kernel, cluster: Cluster, salt: int = 0xA17ED) -> None:
        """`salt`: of its dice."""
        self.kernel, self.cluster = kernel, cluster
        self.dice = Random(kernel.seed ^ salt)  # noqa: S311 - repeatable on purpose

    @property
    def config(self) -> ConfigRecord:
        """The present one."""
        record = self.cluster.store.record
        if record is None:
            raise Violation("a cluster that has converged has no config")
        return record

    @property
    def leader(self) -> SequencerHost:
        """The sequencer that the config names."""
        return self.cluster.sequencers[self.config.sequencer - 1]

    def an_engine(self) -> EngineHost:
        """Any; all are in sync."""
        return self.dice.choice(self.cluster.engines)

    @property
    def stamped_ns(self) -> int:
        """The newest committed stamp."""
        return self.cluster.judge.log[-1].timestamp_ns

    @property
    def clocks(self) -> list[Host]:
        """Those that have one that counts."""
        return [*self.cluster.sequencers, *self.cluster.engines]

    def agree_on_time(self) -> int:
        """All clocks are set to where stamped time is, which stands then only for what happens later; their skew."""
        base_ns = max(self.stamped_ns - self.kernel.now_ns, *(host.clock_skew_ns for host in self.clocks))
        for host in self.clocks:
            host.set_clock(base_ns)
        self.wait(FOLLOWED_MS)
        return base_ns

    def check_date(self) -> None:
        """Stamped time is what most of the clocks say. One that is idle stamps the time once in a second."""
        clocks = sorted(host.wall_ns() for host in self.clocks if host.alive)
        low_ns, high_ns = clocks[(len(clocks) - 1) // 2], clocks[len(clocks) // 2]
        if not low_ns - TOLERANCE_NS - _STAMPED_EVERY_NS <= self.stamped_ns <= high_ns + TOLERANCE_NS:
            off_ms = (self.stamped_ns - low_ns) // MS
            raise Violation(f"stamped time is {off_ms} ms beside what most clocks say")

    def wait(self, ms: int) -> None:
        """Let so much time pass."""
        self.kernel.run(self.kernel.now_ns + ms * MS, lambda: False)

    def wait_until(self, condition: Callable[[], bool], patience_ns: int = _PATIENCE_NS) -> None:
        """Let time pass until something has come, but no longer than for some seconds."""
        self.kernel.run(self.kernel.now_ns + patience_ns, condition)

    def cut(self, one: Host, others: list[str]) -> Callable[[], None]:
        """Cut one off from others; the remedy."""
        pairs = [pair for other in others for pair in ((one.name, other), (other, one.name))]
        self.cluster.network.cut(pairs)
        return lambda: self.cluster.network.mend(pairs)
