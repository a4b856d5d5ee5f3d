"""What years of an audit trail take: sealed, loaded, moved through three tiers, asked.

The years are made of orders that meet: a maker, and a taker of another account, each day, in every instrument; one of a
hundred orders is refused. One account trades on one of thirty days: a query for it shows what the index saves.
Everything follows from the seed; the native engine executes it, the real trail seals it.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lockstep.posttrade.archive.archive import Archive
from lockstep.posttrade.archive.checking import check_archive
from lockstep.posttrade.archive.moves import HOT_DAYS, WARM_DAYS, MovePlan, Mover
from lockstep.posttrade.archive.questions import Question, answer, costs_of, mentions, plan_of
from lockstep.posttrade.audit.keystore import KeyStore
from lockstep.posttrade.audit.pseudonyms import Pseudonyms
from lockstep.posttrade.audit.subjects import Subject
from lockstep.posttrade.audit.trail import AuditTrail
from lockstep.posttrade.reading import executed
from lockstep.stream.batch import Batch, stamp_batch
from lockstep.stream.records import (
    ADMIN,
    COMMAND,
    CONTROL,
    AccountFlag,
    CommandKind,
    Commands,
    OrderType,
    Side,
    TimeInForce,
    join_records,
)

_DAY_NS: Final = 86_400 * 10**9
_BEGIN_NS: Final = 1_704_067_200 * 10**9
"""2024-01-01."""
_OPEN_NS: Final = 9 * 3_600 * 10**9
RARE: Final = 1
"""The account that trades on one of thirty days of trading."""
_RARE_EVERY: Final = 30
_STRANGER: Final = 4_000_000_000
_SESSION: Final = 7 << 32 | 1


@dataclass(frozen=True, slots=True)
class ArchivePlan:
    """What to measure."""

    days: int = 1_095
    every: int = 1
    """Days from one day of trading to the next: 7 makes as many years of weekly ones."""
    orders_a_day: int = 400
    instruments: int = 5
    accounts: int = 1_000
    seed: int = 1
    bucket: str = ""
    """`s3://...`; empty: moto, in this process."""
    endpoint: str | None = None
    directory: Path = Path("archive-bench")


def run_archive_bench(plan: ArchivePlan, say: Callable[[str], None]) -> dict[str, Any]:
    """Make the years, and ask. The directory is removed at the end."""
    shutil.rmtree(plan.directory, ignore_errors=True)
    plan.directory.mkdir(parents=True)
    try:
        with _bucket(plan):
            return _measure(plan, say)
    finally:
        shutil.rmtree(plan.directory, ignore_errors=True)


def _measure(plan: ArchivePlan, say: Callable[[str], None]) -> dict[str, Any]:
    figures: dict[str, Any] = {"days": plan.days}
    trail, key = plan.directory / "trail", Ed25519PrivateKey.from_private_bytes(bytes(32))
    with closing(KeyStore(str(plan.directory / "trail.keys.db"), bytes(32), make=True)) as store:
        sink = AuditTrail(trail, key, names=Pseudonyms(store, "bench"))
        begin = time.perf_counter()
        for chunk in executed(_batches(plan)):
            sink.apply(chunk)
        _note(figures, say, "sealed", begin, sink.rows)
        pseudonyms = {
            name: store.pseudonyms_of(Subject("account", number))[0].pseudonym
            for name, number in (("rare", RARE), ("busy", 2))
        }
        sink.close()
    with closing(Archive(plan.directory / "archive", make=True)) as archive:
        begin = time.perf_counter()
        records = archive.load(trail)
        _note(figures, say, "loaded", begin, records)
        _bytes_of(figures, archive, trail, records)
        archive.use_cold(plan.bucket or "s3://bench", plan.endpoint)
        begin = time.perf_counter()
        hot, warm_days = (min(most, plan.days // share + 1) for most, share in ((HOT_DAYS, 12), (WARM_DAYS, 3)))
        moved = Mover(archive, key).run(MovePlan(hot, warm_days, cold=True, lock_days=10_000))
        _note(figures, say, "moved", begin, sum(one.records for one in moved))
        warm = [one for one in moved if one.tier == "warm"]
        figures["parquet_bytes_a_record"] = round(sum(o.bytes for o in warm) / sum(o.records for o in warm), 2)
        figures["files"] = sum(one.files for one in warm)
        _ask(figures, say, archive, pseudonyms)
        begin = time.perf_counter()
        found = check_archive(archive)
        assert not found.findings, found.findings
        _note(figures, say, "verified", begin, found.records.total())
    return figures


def _note(figures: dict[str, Any], say: Callable[[str], None], what: str, begin: float, records: int) -> None:
    seconds = time.perf_counter() - begin
    figures[what] = {"records": records, "seconds": round(seconds, 2), "records_a_second": int(records / seconds)}
    say(f"{what}: {records} records in {seconds:.1f} s, {records / seconds:.0f} a second")


def _bytes_of(figures: dict[str, Any], archive: Archive, trail: Path, records: int) -> None:
    parts = [part for part, _ in archive.catalogue.parts()]
    figures["json_bytes_a_record"] = round(sum(part.line_bytes for part in parts) / records, 1)
    figures["trail_bytes_a_record"] = round(sum(path.stat().st_size for path in trail.iterdir()) / records, 1)
    files = archive.directory.glob("archive.db*")
    figures["hot_bytes_a_record"] = round(sum(path.stat().st_size for path in files) / records, 1)
    with archive.catalogue.reading() as look:
        figures["index_entries"] = int(look.exec_driver_sql("SELECT count(*) FROM archive_holders").scalar_one())


def _ask(figures: dict[str, Any], say: Callable[[str], None], archive: Archive, names: dict[str, str]) -> None:
    questions = {
        "a rare client, all years": Question((names["rare"],)),
        "a busy client, all years": Question((names["busy"],)),
        "a busy client, all years, one instrument": Question((names["busy"],), instrument=1),
        "all of one instrument, the first thirty days": Question(
            from_ns=_BEGIN_NS, to_ns=_BEGIN_NS + 30 * _DAY_NS, instrument=1
        ),
    }
    figures["queries"] = {}
    for what, question in questions.items():
        begin = time.perf_counter()
        costs = costs_of(plan_of(archive, question))
        planned = time.perf_counter() - begin
        found = sum(1 for _ in answer(archive, question))
        seconds = time.perf_counter() - begin - planned
        figures["queries"][what] = {
            "estimate_s": round(planned, 3), "answer_s": round(seconds, 3), "records": found,
            "tiers": {one.tier: {"files": one.files, "bytes": one.bytes, "requests": one.requests} for one in costs},
        }  # fmt: skip
        tiers = ", ".join(f"{one.tier} {one.files} files {one.bytes} bytes" for one in costs)
        say(f"{what}: {found} records in {seconds:.2f} s, estimated in {planned:.3f} s; {tiers}")
    begin = time.perf_counter()
    texts = mentions(archive, Question(words="unknown account"))
    figures["search_s"] = round(time.perf_counter() - begin, 4)
    begin = time.perf_counter()
    figures["summaries"] = len(archive.catalogue.summaries(("", ""), None))
    figures["summaries_s"] = round(time.perf_counter() - begin, 4)
    say(f"search: {sum(one['records'] for one in texts)} records in {figures['search_s']} s")


def _batches(plan: ArchivePlan) -> Iterator[Batch]:
    draw = np.random.default_rng(plan.seed)
    seq, number = 1, 1
    for day in range(0, plan.days, plan.every):
        parts = [_opening(plan)] if not day else []
        commands, number = _day(plan, draw, day, number)
        for part in (*parts, commands):
            now_ns = _BEGIN_NS + day * _DAY_NS + _OPEN_NS + (part is commands) * 10**9
            yield stamp_batch(part, epoch=1, first_seq=seq, timestamp_ns=now_ns)
            seq += len(part)


def _opening(plan: ArchivePlan) -> Commands:
    epoch = np.zeros(1, CONTROL)
    epoch["kind"], epoch["epoch"], epoch["primary"], epoch["in_sync"], epoch["sequencer"] = (
        CommandKind.EPOCH_START, 1, 1, 0b110, 1,
    )  # fmt: skip
    instruments = np.zeros(plan.instruments, ADMIN)
    instruments["kind"], instruments["tick_micros"] = CommandKind.DEFINE_INSTRUMENT, 10_000
    instruments["instrument"], instruments["lot_units"] = np.arange(1, plan.instruments + 1), 1
    instruments["name"] = [f"I{number}".encode() for number in range(1, plan.instruments + 1)]
    accounts = np.zeros(plan.accounts, ADMIN)
    accounts["kind"], accounts["account"] = CommandKind.DEFINE_ACCOUNT, np.arange(1, plan.accounts + 1)
    accounts["name"] = [f"a{number}".encode() for number in range(1, plan.accounts + 1)]
    accounts["flags"] = AccountFlag.UNLIMITED_CASH | AccountFlag.UNLIMITED_POSITIONS
    return join_records([epoch, instruments, accounts])


def _day(plan: ArchivePlan, draw: np.random.Generator, day: int, number: int) -> tuple[Commands, int]:
    """Makers and takers in turn; takers take all, so that nothing is left over night."""
    pairs = plan.orders_a_day // 2
    rows = np.zeros(2 * pairs, COMMAND)
    rows["kind"], rows["order_type"] = CommandKind.NEW_ORDER, OrderType.LIMIT
    rows["session_id"], rows["gateway"] = _SESSION, 1
    rows["session_no"] = np.arange(number, number + len(rows))
    rows["client_order_id"] = rows["session_no"]
    rows["instrument"] = np.repeat(draw.integers(1, plan.instruments + 1, pairs), 2)
    rows["price_ticks"] = np.repeat(10_000 + draw.integers(-50, 51, pairs), 2)
    rows["quantity_lots"] = np.repeat(draw.integers(1, 500, pairs), 2)
    # Few accounts do most of the trading.
    popular = 2 + (draw.pareto(0.8, 2 * pairs)).astype(np.int64) % (plan.accounts - 1)
    rows["account"] = popular
    sides = draw.integers(0, 2, pairs)
    rows["side"] = np.stack([Side.BUY + sides, Side.SELL - sides], axis=1).ravel()
    rows["tif"] = np.tile([TimeInForce.GTC, TimeInForce.IOC], pairs)
    if day // plan.every % _RARE_EVERY == 0:
        rows["account"][0] = RARE
    rows["account"][1::2][draw.random(pairs) < 0.02] = _STRANGER
    received = _BEGIN_NS + day * _DAY_NS + _OPEN_NS + np.sort(draw.integers(0, 10**9, len(rows)))
    rows["received_ns"] = received
    return rows, number + len(rows)


def _bucket(plan: ArchivePlan) -> AbstractContextManager[Any]:
    if plan.bucket:
        return nullcontext()
    import boto3
    from moto import mock_aws

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        os.environ.setdefault(name, "bench")
    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
    mocked = mock_aws()
    mocked.start()
    boto3.client("s3").create_bucket(Bucket="bench", ObjectLockEnabledForBucket=True)
    return _Stopped(mocked)


class _Stopped(AbstractContextManager[None]):
    def __init__(self, mocked: Any) -> None:
        self._mocked = mocked

    def __exit__(self, *_error: object) -> None:
        self._mocked.stop()
