"""Building blocks of the panels' expressions."""

from typing import Final

from lockstep.ops.dashboards.model import Query

CLUSTER: Final = 'cluster="$cluster"'
RATE: Final = "$__rate_interval"


def quantiles(metric: str, *, by: str = "", after_failover: bool = False, window: str = RATE) -> tuple[Query, ...]:
    """Median, 99th and 99.9th percentile of a histogram, over all processes or `by` a label."""
    labels = f"le, {by}" if by else "le"
    legend = f"{{{{{by}}}}} " if by else ""
    return tuple(
        Query(
            f"histogram_quantile({quantile}, sum by ({labels}) (rate({metric}_bucket{{{CLUSTER}}}[{window}])))",
            f"{legend}{name}",
            after_failover,
        )
        for quantile, name in ((0.5, "p50"), (0.99, "p99"), (0.999, "p99.9"))
    )


def rate(metric: str, *, by: str = "", legend: str = "", where: str = "") -> Query:
    """What a counter gains a second, summed over all processes or `by` a label."""
    grouping = f" by ({by})" if by else ""
    selector = f"{CLUSTER}, {where}" if where else CLUSTER
    return Query(f"sum{grouping} (rate({metric}{{{selector}}}[{RATE}]))", legend or (f"{{{{{by}}}}}" if by else metric))


def value(metric: str, legend: str = "{{member}}", *, where: str = "") -> Query:
    """A gauge as each process says it."""
    selector = f"{CLUSTER}, {where}" if where else CLUSTER
    return Query(f"{metric}{{{selector}}}", legend)
