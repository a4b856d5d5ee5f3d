"""`lockstep bench feed`: many readers of market data."""

import click

from lockstep.bench.feed import FeedBenchPlan, FeedBenchResult, run_feed_bench
from lockstep.bench.feed_crowd import CrowdPlan, run_crowd_bench
from lockstep.marketdata.feed_subscriptions import INTERVALS_MS
from lockstep.ops.cli.options import (
    IMPLEMENTATIONS,
    Real,
    engine_option,
    expected_errors,
    json_option,
    make_console,
    write_json,
)
from lockstep.runtime.output import Output


@click.command("feed")
@json_option
@engine_option("native")
@click.option("--subscribers", type=click.IntRange(1, 9_000), default=100, show_default=True, help="WebSockets.")
@click.option(
    "--instruments", type=click.IntRange(1, 1_000), default=10, show_default=True, help="Each reader follows them all."
)
@click.option("--rate", type=click.IntRange(10, 100_000), default=1_000, show_default=True, help="Orders a second.")
@click.option(
    "--interval",
    "interval_ms",
    type=click.Choice([str(interval) for interval in INTERVALS_MS]),
    default="100",
    show_default=True,
    help="Milliseconds in which changes are gathered; 0: every command is told.",
)
@click.option(
    "--duration", "duration_s", type=Real(1, 600), default=10.0, show_default=True, help="Seconds that are measured."
)
@expected_errors
def feed(
    json_file: Output | None,
    engine: str,
    subscribers: int,
    instruments: int,
    rate: int,
    interval_ms: str,
    duration_s: float,
) -> int:
    """Measure how old market data is when many readers get it, and what that costs the feed.

    A local cluster with one feed, the load of `bench cluster` in batches, and readers over WebSockets, each following
    every instrument ten levels deep. The delay is from the sequencer's stamp to the reader's process, the interval
    included; of two processes of readers the worse counts. Then a plain server on the library websockets broadcasts
    frames of the same size to as many readers, and its CPU is measured the same way (with the extra `peers`).

    Exit code 1 if a book was wrong, a message missing, or a connection ended.
    """
    console = make_console(json_file)
    plan = FeedBenchPlan(IMPLEMENTATIONS[engine], subscribers, instruments, rate, int(interval_ms), duration_s)
    result = run_feed_bench(plan, lambda text: console.print(text, highlight=False))
    delay = result.delay_ms
    console.print(
        f"{result.subscribers} readers: {result.delivered_per_s} frames/s, delay p50 {delay['p50']:.1f}, "
        f"p99 {delay['p99']:.1f}, max {delay['max']:.1f} ms; the feed takes {result.feed_cores:g} cores, "
        f"{result.cpu_us_per_frame:g} us for each frame\n"
        f"between the first reader of a frame and the last p50 {result.spread_ms['p50']:.2f}, "
        f"p99 {result.spread_ms['p99']:.2f} ms; mean delay of the reader served best "
        f"{result.reader_mean_ms['best']:.1f}, "
        f"worst {result.reader_mean_ms['worst']:.1f} ms\n"
        + _peer_text(result)
        + f"{result.checksum_errors} wrong checksums, {result.gaps} gaps; {result.orders_per_s} orders/s"
        + "".join(f"\na connection ended: {why}" for why in result.closed),
        highlight=False,
    )
    write_json(json_file, result.to_json())
    return 1 if result.checksum_errors or result.gaps or result.closed else 0


def _peer_text(result: FeedBenchResult) -> str:
    peer = result.peer
    if peer is None:
        return ""
    return (
        f"websockets.broadcast with frames of {result.frame_bytes} bytes: {peer['cpu_us_per_frame']:g} us for each "
        f"frame, {peer['times_as_much']:g} times as much; {peer['delivered_per_s']:.0f} frames/s\n"
    )


@click.command("feed-crowd")
@json_option
@engine_option("native")
@click.option("--subscribers", type=click.IntRange(1, 9_000), default=1_000, show_default=True, help="WebSockets.")
@click.option(
    "--instruments", type=click.IntRange(1, 1_000), default=10, show_default=True, help="Each reader follows them all."
)
@click.option(
    "--rate",
    type=click.IntRange(10, 100_000),
    default=10_000,
    show_default=True,
    help="Orders a second, but where as many are given as are taken.",
)
@click.option("--phase", "phase_s", type=Real(1, 120), default=5.0, show_default=True, help="Seconds of each phase.")
@click.option("--rounds", type=click.IntRange(1, 50), default=3, show_default=True, help="Of each question.")
@expected_errors
def feed_crowd(
    json_file: Output | None,
    engine: str,
    subscribers: int,
    instruments: int,
    rate: int,
    phase_s: float,
    rounds: int,
) -> int:
    """Measure what a crowd of readers does to others.

    A local cluster with one feed, and readers over WebSockets at 100 ms, each following every instrument ten levels
    deep. Asked in turn, with and without: how much later the others get theirs when one reader stops reading; how many
    orders are taken beside the readers, of as many as the cluster takes without them; and how long it takes until the
    last reader has its books again when all lose their connection at one moment.

    Exit code 1 if a book was wrong, a message missing, or a connection ended.
    """
    console = make_console(json_file)
    plan = CrowdPlan(IMPLEMENTATIONS[engine], subscribers, instruments, rate, phase_s=phase_s, rounds=rounds)
    result = run_crowd_bench(plan, lambda text: console.print(text, highlight=False))
    console.print(
        f"one reader that stops moves the others' p99 by {result.stalled_moves:g}; beside {subscribers} readers "
        f"{result.orders_kept:.0%} of the orders are taken; after the loss of all connections the last reader is live "
        f"after {max(result.reconnect_s):g} s, {result.turned_away} handshakes were turned away\n"
        f"{result.checksum_errors} wrong checksums, {result.gaps} gaps"
        + "".join(f"\na connection ended: {why}" for why in result.closed),
        highlight=False,
    )
    write_json(json_file, result.to_json())
    return 1 if result.checksum_errors or result.gaps or result.closed else 0
