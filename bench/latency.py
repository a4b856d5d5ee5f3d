"""Latency as HDR histograms: microseconds, three significant digits, filled from arrays.

The histogram of the package records one value a call; a batch of latencies has few distinct microseconds, so that
recording distinct values with their counts costs a fraction.
"""

from typing import Any, Final

import numpy as np
from hdrh.histogram import HdrHistogram
from numpy.typing import NDArray

LONGEST_US: Final = 60_000_000
_DIGITS: Final = 3
PERCENTILES: Final = (50.0, 90.0, 99.0, 99.9)


def new_histogram() -> HdrHistogram:
    """An empty histogram of 1 us to one minute."""
    return HdrHistogram(1, LONGEST_US, _DIGITS)


def record_us(histogram: HdrHistogram, values_us: NDArray[Any]) -> None:
    """Add latencies; those beyond the ends count as the ends."""
    distinct, counts = np.unique(np.clip(values_us, 1, LONGEST_US - 1).astype(np.int64), return_counts=True)
    for value, count in zip(distinct.tolist(), counts.tolist(), strict=True):
        histogram.record_value(value, count)


def percentiles_us(histogram: HdrHistogram) -> dict[str, float]:
    """p50, p90, p99, p99.9 and max; empty without values."""
    if not histogram.get_total_count():
        return {}
    rows = {f"p{percent:g}": float(histogram.get_value_at_percentile(percent)) for percent in PERCENTILES}
    rows["max"] = float(histogram.get_max_value())
    return rows
