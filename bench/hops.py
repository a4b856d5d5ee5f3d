"""Where the time of an order goes: each hop as the cluster's processes measure it, over one phase.

The processes count durations in buckets all the time (`/metrics`); two looks, one before and one after a phase, give
those of the phase. Percentiles stand between the bounds of their bucket, in proportion, as Prometheus computes them.
Hops from one process to the other compare their wall clocks, so they need one host, or clocks in step.
"""

import urllib.request
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from lockstep.runtime.access.dialing import headers_for

HOPS: Final[Mapping[str, str]] = {
    "gateway: message to intake log": "lockstep_gateway_receive_to_intake_seconds",
    "gateway: message, to the leader": "lockstep_sequencer_receive_to_intake_seconds",
    "leader: intake to stamp": "lockstep_sequencer_intake_to_stamp_seconds",
    "leader: stamp, to the engines": "lockstep_engine_stamp_to_receive_seconds",
    "engines: journal write, synced": "lockstep_engine_journal_write_seconds",
    "engines: apply": "lockstep_engine_apply_seconds",
    "primary: own ack to release": "lockstep_engine_ack_to_release_seconds",
    "stamp to release": "lockstep_engine_stamp_to_release_seconds",
    "stamp to release, at the gateway": "lockstep_gateway_stamp_to_receive_seconds",
    "gateway: release to the streams": "lockstep_gateway_receive_to_delivery_seconds",
    "gateway: message to report": "lockstep_gateway_submit_to_report_seconds",
}
"""Name of the hop -> histogram, in the order of the way. Each begins where its name says; they overlap."""

_PATIENCE_S: Final = 5.0
Buckets = Mapping[float, float]
"""Upper bound in seconds -> observations up to it."""


class Look:
    """What the processes have counted up to one moment."""

    def __init__(self, addresses: Sequence[str]) -> None:
        """`addresses`: host:port of the processes' metrics. Those that don't answer are left out."""
        with ThreadPoolExecutor(max(1, len(addresses))) as pool:
            self.pages = tuple(pool.map(_page, addresses))

    def since(self, before: "Look") -> dict[str, dict[str, float]]:
        """Hop -> p50, p99, mean, in microseconds, of what was counted after `before`. Hops without any are left out.

        The pages are read here and not before: that takes a core for a while, which the orders of a phase would notice.
        """
        return hops_between(Counts(before.pages), Counts(self.pages))


class Counts:
    """The histograms of some pages, added up by name."""

    def __init__(self, pages: Iterable[str]) -> None:
        self.buckets: dict[str, dict[float, float]] = {name: defaultdict(float) for name in HOPS.values()}
        self.sums: dict[str, float] = defaultdict(float)
        for text in pages:
            self._add(text)

    def _add(self, text: str) -> None:
        for family in text_string_to_metric_families(text):
            if family.name not in self.buckets:
                continue
            for sample in family.samples:
                if sample.name.endswith("_bucket"):
                    self.buckets[family.name][float(sample.labels["le"])] += sample.value
                elif sample.name.endswith("_sum"):
                    self.sums[family.name] += sample.value


def hops_between(before: Counts, after: Counts) -> dict[str, dict[str, float]]:
    """Hop -> p50, p99, mean, in microseconds."""
    hops = {}
    for hop, name in HOPS.items():
        counted = {le: count - before.buckets[name].get(le, 0.0) for le, count in after.buckets[name].items()}
        total = max(counted.values(), default=0.0)
        if total:
            figures = {"p50": quantile(counted, 0.5), "p99": quantile(counted, 0.99)}
            figures["mean"] = (after.sums[name] - before.sums[name]) / total
            hops[hop] = {key: round(seconds * 1e6, 1) for key, seconds in figures.items()}
    return hops


def quantile(buckets: Buckets, share: float) -> float:
    """Seconds within which that share was over: between the bounds of its bucket; the highest bound if it is above."""
    bounds = sorted(buckets)
    wanted = buckets[bounds[-1]] * share
    below_s = below = 0.0
    for bound in bounds:
        if buckets[bound] >= wanted:
            within = buckets[bound] - below
            return below_s if bound == float("inf") else below_s + (bound - below_s) * (wanted - below) / within
        below_s, below = bound, buckets[bound]
    return below_s


def _page(address: str) -> str:
    try:
        asked = urllib.request.Request(f"http://{address}/metrics", headers=headers_for(address))
        with urllib.request.urlopen(asked, timeout=_PATIENCE_S) as reply:  # noqa: S310 - http alone
            text: str = reply.read().decode()
            return text
    except OSError:
        return ""


def in_lines(hops: Mapping[str, Mapping[str, float]]) -> Iterable[str]:
    """A table for people, in milliseconds."""
    yield f"{'hop':<36}{'p50 ms':>9}{'p99 ms':>9}{'mean ms':>9}"
    for hop, figures in hops.items():
        yield f"{hop:<36}" + "".join(f"{figures[key] / 1000:>9.2f}" for key in ("p50", "p99", "mean"))
