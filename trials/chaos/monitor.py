"""The cluster's health through a run, as its processes report it to anybody who asks."""

import threading
import time
from dataclasses import dataclass, field
from typing import Final

from lockstep.runtime.cluster_view import StatusProbe
from lockstep.runtime.topology import Topology

_INTERVAL_S: Final = 0.25
_ASK_S: Final = 0.4


@dataclass(frozen=True, slots=True)
class Sample:
    """One look."""

    at_ns: int
    """Of the monotonic clock."""
    whole: bool
    """Every process answered, a sequencer led, all engines were in sync, all gateways served."""


@dataclass(slots=True)
class HealthMonitor:
    """Looks at the cluster four times a second, from a thread of its own."""

    topology: Topology
    samples: list[Sample] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin."""
        self._thread = threading.Thread(target=self._run, name="health", daemon=True)
        self._thread.start()

    def wait_until_whole(self, timeout_s: float) -> None:
        """Wait for a look that finds everything well, but not for longer."""
        deadline = time.monotonic() + timeout_s
        while (not self.samples or not self.samples[-1].whole) and time.monotonic() < deadline:
            time.sleep(_INTERVAL_S / 5)

    def stop(self) -> None:
        """End; may be called again."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        with StatusProbe.of(self.topology) as probe:
            while not self._stop.wait(_INTERVAL_S):
                at_ns = time.monotonic_ns()
                status = probe.ask(timeout_s=_ASK_S)
                self.samples.append(Sample(at_ns, status.is_whole(self.topology)))


def was_whole(samples: list[Sample], at_ns: int) -> bool:
    """Whether the last look before a time found everything well."""
    before = [sample for sample in samples if sample.at_ns <= at_ns]
    return bool(before) and before[-1].whole


def healthy_after_ms(samples: list[Sample], ended_ns: int) -> int | None:
    """Milliseconds until a look found everything well; None if none did."""
    for sample in samples:
        if sample.at_ns >= ended_ns and sample.whole:
            return (sample.at_ns - ended_ns) // 1_000_000
    return None
