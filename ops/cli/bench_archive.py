"""`lockstep bench archive`: what years of an audit trail take, in three tiers."""

from pathlib import Path

import click

from lockstep.ops.cli.options import Failure, expected_errors, json_option, make_console, write_json
from lockstep.runtime.output import Output


@click.command("archive")
@json_option
@click.option(
    "--days", type=click.IntRange(2, 10_000), default=1_095, show_default=True, help="Days, from the first to the last."
)
@click.option("--every", type=click.IntRange(1, 1_000), default=1, show_default=True, help="Trade each so many days.")
@click.option("--orders", type=click.IntRange(2, 1_000_000), default=400, show_default=True, help="Orders a day.")
@click.option("--instruments", type=click.IntRange(1, 10_000), default=5, show_default=True, help="Instruments.")
@click.option("--bucket", default="", metavar="s3://BUCKET", help="Cold tier. Default: moto, in this process.")
@click.option("--endpoint-url", help="Of an S3 that is not Amazon's.")
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("archive-bench"),
    show_default=True,
    help="Where trail and archive are; removed at the end.",
)
@expected_errors
def archive(
    json_file: Output | None, days: int, every: int, orders: int, instruments: int, bucket: str,
    endpoint_url: str | None, directory: Path,
) -> int:  # fmt: skip
    """Measure years of an audit trail: sealed, loaded, moved through three tiers, asked, verified.

    Orders are made from a seed and executed by the native engine. It says bytes of a record in each tier.
    """
    try:
        from lockstep.bench.archive import ArchivePlan, run_archive_bench
    except ModuleNotFoundError as missing:
        raise Failure(f"this needs {missing.name}: install lockstep-cluster[archive]") from missing

    console = make_console(json_file)
    plan = ArchivePlan(
        days=days, every=every, orders_a_day=orders, instruments=instruments, bucket=bucket, endpoint=endpoint_url,
        directory=directory,
    )  # fmt: skip
    made = run_archive_bench(plan, lambda text: console.print(text, highlight=False))
    console.print(
        f"bytes of a record: {made['json_bytes_a_record']} as JSON, {made['trail_bytes_a_record']} in the trail, "
        f"{made['hot_bytes_a_record']} hot with its indexes, {made['parquet_bytes_a_record']} warm and cold",
        highlight=False,
    )
    write_json(json_file, made)
    return 0
