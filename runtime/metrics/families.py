"""Prometheus families from plain numbers. Every family in the project is made by one of these functions."""

from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from lockstep.runtime.metrics.tally import BOUNDS_NS, Latencies

Families = Iterable[Metric]

_BOUNDS: Final = (*(str(bound / 1e9) for bound in BOUNDS_NS), "+Inf")


def gauge(name: str, text: str, value: float) -> Metric:
    """One value that rises and falls."""
    return GaugeMetricFamily(name, text, value=value)


def gauges(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    """One value for each value of a label."""
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def counter(name: str, text: str, value: float) -> Metric:
    """One count; `name` ends in `_total`."""
    return CounterMetricFamily(name.removesuffix("_total"), text, value=value)


def counters(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    """A count for each value of a label; `name` ends in `_total`."""
    family = CounterMetricFamily(name.removesuffix("_total"), text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def histogram(name: str, text: str, latencies: Latencies) -> Metric:
    """Durations, in seconds as Prometheus wants them; `name` ends in `_seconds`."""
    cumulative = zip(_BOUNDS, map(float, accumulate(latencies.counts)), strict=True)
    return HistogramMetricFamily(name, text, buckets=list(cumulative), sum_value=latencies.sum_ns / 1e9)
