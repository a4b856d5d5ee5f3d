"""Three tiers: each record in one of them, whatever is killed; answers over all; tampering found."""

import json
import os
import shutil
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import duckdb
import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from moto import mock_aws

from lockstep.ops.cli.main import cli
from lockstep.posttrade.archive.archive import Archive
from lockstep.posttrade.archive.checking import check_archive
from lockstep.posttrade.archive.faults import ArchiveFault
from lockstep.posttrade.archive.moves import Moved, MovePlan, Mover, due
from lockstep.posttrade.archive.parquet import lines_in, written
from lockstep.posttrade.archive.questions import Question, answer, costs_of, mentions, plan_of
from lockstep.posttrade.archive.rows import line_of, number_of, row_of, subjects_of, text_of
from lockstep.posttrade.audit.keystore import KeyStore
from lockstep.posttrade.audit.pseudonyms import Pseudonyms
from lockstep.posttrade.audit.records import encode
from lockstep.posttrade.audit.sealed import sealed_records
from lockstep.posttrade.audit.subjects import Subject
from lockstep.posttrade.audit.trail import AuditTrail
from lockstep.runtime.faults import EnvironmentFault
from tests.posttrade.flows import History

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
DAY_NS = 86_400 * 10**9
DAYS = 6
BUCKET = "s3://evidence/lockstep"
PLAN = MovePlan(hot_days=2, warm_days=4, cold=True, lock_days=9_999)
ROOT = Path(__file__).resolve().parents[2]
MASTER = bytes(range(1, 33))


def over_days(days: int, bursts: int) -> History:
    """A history with as many bursts each day, hours apart."""
    made = History(31)
    for _ in range(days):
        for _ in made.go_on(bursts):
            made._now_ns += DAY_NS // (2 * bursts)
        made._now_ns += DAY_NS // 2
    return made


@pytest.fixture(scope="module")
def trail(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("archive") / "trail"
    store = KeyStore(str(directory) + ".keys.db", MASTER, make=True)
    made = AuditTrail(directory, KEY, segment_commands=60, names=Pseudonyms(store, "one"))
    for chunk in over_days(DAYS, 9).chunks(7):
        made.apply(chunk)
    if made._file is not None:
        made._seal()
    made.close()
    return directory


@pytest.fixture(scope="module")
def records(trail) -> list[dict]:
    return list(sealed_records(trail))


@pytest.fixture(scope="module")
def loaded(trail, tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("archive") / "archive"
    with closing(Archive(directory, make=True)) as made:
        made.load(trail)
    return directory


@pytest.fixture
def archive(loaded, tmp_path):
    shutil.copytree(loaded, tmp_path / "archive")
    with closing(Archive(tmp_path / "archive")) as found:
        yield found


@pytest.fixture
def bucket(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket="evidence", ObjectLockEnabledForBucket=True)
        yield client


@pytest.fixture
def tiered(archive, bucket) -> Archive:
    archive.use_cold(BUCKET, None)
    Mover(archive, KEY).run(PLAN)
    assert set(archive.catalogue.tiers().values()) == {"hot", "warm", "cold"}
    return archive


def all_of(archive: Archive, question: Question | None = None) -> list[bytes]:
    return [encode(record) for record in answer(archive, question or Question())]


def in_order(records: list[dict]) -> list[bytes]:
    return [encode(one) for one in sorted(records, key=lambda one: (one["seq"], number_of(one)))]


# ---- rows and files --------------------------------------------------------------------------------------------------


def test_every_record_comes_back_from_columns_to_the_byte(records):
    for record in records:
        row = row_of(record)
        assert line_of(row) == encode(record)
        assert "id" not in row, "it follows from the rest"
    lines = [encode(record) for record in records]
    assert lines_in(written(records)) == lines


@pytest.mark.parametrize(
    "odd",
    [{"id": "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"}, {"quantity": 2**64 - 1}, {"symbol": 7}, {"more": {"a": [1]}}],
)
def test_what_fits_no_column_comes_back_as_well(records, odd):
    strange = [records[40] | odd, records[41], records[42] | {"rest_of": "x"}]
    assert lines_in(written(strange)) == [encode(one) for one in strange]


def test_another_reader_of_parquet_sees_the_same(tiered, records):
    """DuckDB, which knows nothing of us, counts and adds up as the daily summaries do."""
    glob = str(tiered.directory / "warm" / "**" / "*.parquet")
    sql = (
        "SELECT CAST(date AS VARCHAR), instrument, count(*) FILTER (what = 'command' AND kind = 'NEW_ORDER'), "
        "count(*) FILTER (kind = 'TRADE'), coalesce(sum(quantity) FILTER (kind = 'TRADE'), 0) "
        f"FROM read_parquet('{glob}', union_by_name = true, hive_partitioning = true) GROUP BY ALL ORDER BY ALL"
    )
    found = [tuple(map(str, row)) for row in duckdb.connect().execute(sql).fetchall()]
    warm = [day for day, tier in tiered.catalogue.tiers().items() if tier == "warm"]
    said = tiered.catalogue.summaries((warm[0], warm[-1]), None)
    names = ("day", "instrument", "orders", "trades", "volume")
    assert found == [tuple(str(one[name]) for name in names) for one in said]
    assert sum(int(row[2]) for row in found) > 10


# ---- loading and answers -----------------------------------------------------------------------------------------


def test_loaded_twice_nothing_is_there_twice_and_another_trail_is_refused(archive, trail, records, tmp_path):
    assert archive.load(trail) == 0
    assert all_of(archive) == in_order(records)
    other = AuditTrail(tmp_path / "other", KEY, segment_commands=60)
    for chunk in over_days(3, 7).chunks(7):
        other.apply(chunk)
    other.close()
    with pytest.raises(EnvironmentFault, match="an archive is of one trail"):
        archive.load(tmp_path / "other")


def test_over_three_tiers_each_record_is_there_once(tiered, trail, records):
    assert all_of(tiered) == in_order(records)
    found = check_archive(tiered, trail=trail)
    assert found.findings == []
    assert found.records.total() == len(records)
    assert {tier for tier, files in found.files.items() if files} == {"warm", "cold"}


def test_a_clients_years_come_from_the_files_that_have_him(tiered, trail, records):
    with closing(KeyStore(str(trail) + ".keys.db", MASTER)) as store:
        ((named),) = store.pseudonyms_of(Subject("account", 2))
    name = named.pseudonym
    question = Question((name,))
    assert all_of(tiered, question) == in_order([one for one in records if name in subjects_of(one)])
    plan = plan_of(tiered, question)
    assert {tier for *_, tier in plan} == {"hot", "warm", "cold"}
    costs = costs_of(plan)
    assert sum(one.records for one in costs) == len(all_of(tiered, question))
    assert {one.tier: one.requests for one in costs if one.requests} == {"cold": sum(t == "cold" for *_, t in plan)}
    before = tiered.cold().requests
    list(answer(tiered, question))
    assert tiered.cold().requests - before == sum(one.requests for one in costs), "it costs what was said"
    begin = int(datetime.fromisoformat(records[150]["processed"]).timestamp()) * 10**9
    bounded = Question((name,), begin, begin + 3 * DAY_NS, 7)
    late = [one for one in records if name in subjects_of(one) and one.get("instrument") == 7]
    from_, to = (datetime.fromtimestamp(at // 10**9, UTC) for at in (begin, begin + 3 * DAY_NS))
    late = [one for one in late if from_ <= datetime.fromisoformat(one["processed"]) < to]
    assert all_of(tiered, bounded) == in_order(late)
    assert sum(one.bytes for one in costs_of(plan_of(tiered, bounded))) < sum(one.bytes for one in costs)


def test_refusals_are_found_by_their_words_over_all_tiers(tiered, records):
    refused = [one for one in records if one.get("outcome") == "refused"]
    code = max({one["code"] for one in refused}, key=[one["code"] for one in refused].count)
    words = code.replace("_", " ").lower()
    expected = [one for one in records if set(words.upper().split()) <= set(text_of(one).replace("_", " ").split())]
    assert len(expected) >= len([one for one in refused if one["code"] == code]) > 3
    assert sum(one["records"] for one in mentions(tiered, Question(words=words))) == len(expected)
    assert all_of(tiered, Question(words=words)) == in_order(expected)
    assert mentions(tiered, Question(words='no"such* word')) == []


def test_daily_summaries_are_what_the_records_add_up_to(tiered, records):
    for one in tiered.catalogue.summaries(("", ""), None):
        day = [r for r in records if r["processed"][:10] == one["day"] and r.get("instrument", 0) == one["instrument"]]
        assert one["orders"] == sum(r["what"] == "command" and r["kind"] == "NEW_ORDER" for r in day)
        assert one["volume"] == sum(r.get("quantity", 0) for r in day if r["kind"] == "TRADE")
        codes = [r["code"] for r in day if r.get("outcome") == "refused"]
        assert one["by_code"] == {code: codes.count(code) for code in sorted(set(codes))}


# ---- moves -------------------------------------------------------------------------------------------------------


def test_what_is_due_goes_one_tier_at_a_time_and_the_newest_day_stays():
    tiers = {f"2026-01-{day:02d}": "hot" for day in range(1, 11)}
    moves = due(tiers, MovePlan(hot_days=3, warm_days=8, cold=True))
    assert moves == [(f"2026-01-{day:02d}", "warm") for day in range(1, 8)] + [
        ("2026-01-01", "cold"), ("2026-01-02", "cold"),
    ]  # fmt: skip
    assert due(tiers, MovePlan(hot_days=3, warm_days=8)) == moves[:7]
    assert "2026-01-10" not in {day for day, _ in due(tiers, MovePlan(hot_days=1, warm_days=1, cold=True))}
    assert due({}, MovePlan()) == []


class Killed(Exception):
    pass


def test_stopped_at_any_step_every_record_is_in_one_tier_and_in_no_answer_twice(archive, bucket, records):
    """Each step of a move is the last one of some run; the end is that of a run that was left alone."""
    expected = in_order(records)
    archive.use_cold(BUCKET, None)
    steps: list[str] = []
    plan = MovePlan(hot_days=DAYS - 2, warm_days=DAYS - 2, cold=True, lock_days=9_999)
    for stop in range(1, 200):
        left = stop

        def step(what: str) -> None:
            nonlocal left
            left -= 1
            if not left:
                steps.append(what)
                raise Killed

        try:
            Mover(archive, KEY, step).run(plan)
            break
        except Killed:
            assert all_of(archive) == expected
    assert set(steps) == {"write", "read", "sign", "switch", "switched", "put", "get", "drop"}
    assert all_of(archive) == expected
    assert check_archive(archive).findings == []
    tiers = archive.catalogue.tiers()
    assert not any((archive.directory / "warm" / f"date={day}").exists() for day in tiers if tiers[day] == "cold")


@pytest.mark.slow
def test_killed_by_a_signal_in_the_middle_it_goes_on(loaded, tmp_path, records):
    directory = tmp_path / "archive"
    shutil.copytree(loaded, directory)
    program = (
        "import os, signal, sys; from pathlib import Path; from tests.posttrade.test_archive import *\n"
        "left = int(sys.argv[2])\n"
        "def step(what):\n"
        "    global left; left -= 1\n"
        "    if not left: os.kill(os.getpid(), signal.SIGKILL)\n"
        "Mover(Archive(Path(sys.argv[1])), KEY, step).run(MovePlan(hot_days=2))\n"
    )
    for kill_at in (5, 12):
        done = subprocess.run(
            [sys.executable, "-c", program, str(directory), str(kill_at)], cwd=ROOT, timeout=120, check=False,
            env=os.environ,
        )  # fmt: skip
        assert done.returncode == -9
        with closing(Archive(directory)) as found:
            assert all_of(found) == in_order(records)
    with closing(Archive(directory)) as found:
        Mover(found, KEY).run(MovePlan(hot_days=2))
        assert all_of(found) == in_order(records)
        assert check_archive(found).findings == []


def test_a_file_that_does_not_give_back_what_was_written_is_not_moved_to(archive, monkeypatch, records):
    monkeypatch.setattr("lockstep.posttrade.archive.moves.written", lambda rows: written(rows[:-1]))
    with pytest.raises(ArchiveFault, match="it was not moved"):
        Mover(archive, KEY).run(MovePlan(hot_days=2))
    assert set(archive.catalogue.tiers().values()) == {"hot"}
    assert all_of(archive) == in_order(records)


# ---- tampering ---------------------------------------------------------------------------------------------------


def a_part(archive: Archive, tier: str):
    tiers = archive.catalogue.tiers()
    return next(part for part, _ in archive.catalogue.parts() if tiers[part.day] == tier and part.records > 5)


def test_a_changed_warm_file_is_found_and_nothing_of_it_is_answered(tiered):
    part = a_part(tiered, "warm")
    records = [json.loads(line) for line in lines_in(tiered.path(part).read_bytes())]
    records[3]["epoch"] = 77
    tiered.path(part).write_bytes(written(records))
    found = check_archive(tiered).findings
    assert [(one.place, one.what) for one in found] == [(part.file, "changed")]
    with pytest.raises(ArchiveFault, match="is not what was signed"):
        all_of(tiered)
    tiered.path(part).unlink()
    assert [one.what for one in check_archive(tiered).findings] == ["dropped"]


def test_a_changed_cold_object_is_found_and_the_signed_version_is_still_there(tiered, bucket, records):
    part = a_part(tiered, "cold")
    key = f"lockstep/{part.file}"
    bucket.put_object(Bucket="evidence", Key=key, Body=b"other")
    assert check_archive(tiered).findings == [], "the manifest names the version"
    with pytest.raises(bucket.exceptions.ClientError, match="AccessDenied"):
        bucket.delete_object(Bucket="evidence", Key=key, VersionId=part.version_id)
    # Who can change what the store has behind its interface, is found by the hash.
    from moto.s3.models import s3_backends

    versions = s3_backends["123456789012"]["aws"].buckets["evidence"].keys.getlist(key)
    next(one for one in versions if one.version_id == part.version_id).value = b"other"
    assert [(one.place, one.what) for one in check_archive(tiered).findings] == [(part.file, "changed")]
    with pytest.raises(ArchiveFault, match="is not what was signed"):
        all_of(tiered)


def test_objects_are_locked_as_long_as_was_said(tiered, bucket):
    part = a_part(tiered, "cold")
    until = datetime.fromisoformat(part.day).replace(tzinfo=UTC) + timedelta(PLAN.lock_days)
    assert tiered.cold().locked_until(part.file, part.version_id) == until


def test_a_bucket_without_object_lock_is_refused(archive, bucket):
    bucket.create_bucket(Bucket="plain")
    with pytest.raises(EnvironmentFault, match="no object lock"):
        archive.use_cold("s3://plain", None)
    with pytest.raises(EnvironmentFault, match="s3://BUCKET"):
        Archive(archive.directory).use_cold("plain", None)


def test_a_catalogue_or_a_manifest_that_says_something_else_is_found(tiered):
    part = a_part(tiered, "warm")
    with tiered.catalogue.writing() as work:
        work.exec_driver_sql("UPDATE archive_summaries SET volume = volume + 1 WHERE day = ?", (part.day,))
        work.exec_driver_sql("UPDATE archive_parts SET sha256 = 'aa' WHERE part = ?", (part.part,))
    whats = {one.text for one in check_archive(tiered).findings}
    assert "the catalogue says something else of it than the signed manifest" in whats
    assert "the daily summary is not what its records add up to" in whats
    path = tiered.manifest_path(1)
    path.write_bytes(path.read_bytes().replace(b'"records":', b'"records":1', 1))
    assert "its signature is wrong" in check_archive(tiered).findings[0].text


def test_hot_records_that_were_changed_are_found_where_the_trail_is_at_hand(archive, trail):
    (day, *_) = archive.catalogue.tiers()
    with archive.catalogue.writing() as work:
        table = f"archive_hot_{day.replace('-', '')}"
        work.exec_driver_sql(f"UPDATE {table} SET line = replace(line, 'epoch', 'epocH')")
    assert "changed" in {one.what for one in check_archive(archive, trail=trail).findings}


# ---- PostgreSQL and commands ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_catalogue_and_hot_tier_in_postgresql(postgres, trail, tmp_path, records):
    with closing(Archive(tmp_path / "archive", postgres.url, make=True)) as archive:
        archive.load(trail)
        moved: list[Moved] = Mover(archive, KEY).run(MovePlan(hot_days=2))
        assert len(moved) == len(archive.catalogue.tiers()) - 2
        assert all_of(archive) == in_order(records)
        assert check_archive(archive, trail=trail).findings == []
        name = max(subjects_of(records[200]))
        assert all_of(archive, Question((name,))) == in_order([one for one in records if name in subjects_of(one)])
        refused = next(one["code"] for one in records if one.get("outcome") == "refused")
        assert mentions(archive, Question(words=refused.replace("_", " ")))


def lockstep(*words: object, code: int = 0) -> str:
    done = CliRunner().invoke(cli, ["audit", *map(str, words)])
    assert done.exit_code == code, done.output
    return done.stdout


def test_by_commands_from_a_trail_to_an_answer(trail, tmp_path, records, bucket):
    archive, keys = tmp_path / "archive", str(trail) + ".keys.db"
    Path(str(trail) + ".master.key").write_text(MASTER.hex())
    assert f"{len(records)} records taken" in lockstep("load", trail, archive)
    days = ("--hot-days", 2, "--warm-days", 4, "--lock-days", 9999)
    moved = json.loads(lockstep("move", archive, *days, "--bucket", BUCKET, "--json", "-"))["moves"]
    assert {one["tier"] for one in moved} == {"warm", "cold"}
    said = lockstep("query", archive, "--account", 2, "--keys", keys, "--estimate")
    assert [line.split(":")[0] for line in said.splitlines()] == ["cold", "warm", "hot"]
    lines = lockstep("query", archive, "--account", 2, "--keys", keys, "--from", "2023-11-16").splitlines()
    assert len(lines) > 20
    assert all(json.loads(line)["processed"] >= "2023-11-16" for line in lines)
    assert "no tier has anything" in lockstep("query", archive, "--pseudonym", "f" * 32, "--estimate")
    assert json.loads(lockstep("search", archive, "unknown account", "--json", "-"))["texts"][0]["records"]
    assert "refusals (" in lockstep("summary", archive, "--instrument", 7)
    assert "no findings" in lockstep("verify-archive", archive, "--trail", trail)
    for none in ("", " ", "!", "_"):
        for words in (("query", str(archive), "--words", none), ("search", str(archive), none)):
            done = CliRunner().invoke(cli, ["audit", *words])
            assert (done.exit_code, done.stdout) == (2, ""), f"{none!r} is no filter"
    assert "there is no archive" in CliRunner().invoke(cli, ["audit", "summary", str(tmp_path / "none")]).output
    path = next((archive / "warm").rglob("*.parquet"))
    path.write_bytes(path.read_bytes()[:-9] + b"tampering")
    assert "its bytes are not those that were signed" in lockstep("verify-archive", archive)
