"""Whoever can write into an archive's database and directory: what is gone, added or said otherwise is named."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click import ClickException
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lockstep.ops.cli.main import cli
from lockstep.posttrade.archive.archive import Archive
from lockstep.posttrade.archive.checking import check_archive
from lockstep.posttrade.archive.faults import ArchiveFault
from lockstep.posttrade.archive.moves import MovePlan, Mover
from lockstep.posttrade.archive.parquet import lines_in, written
from lockstep.posttrade.archive.questions import Question, plan_of
from lockstep.posttrade.archive.seqs import Seqs
from lockstep.posttrade.archive.signed import beyond
from lockstep.posttrade.audit import manifest
from tests.posttrade import test_archive as base
from tests.posttrade.test_archive import DAYS, KEY, a_part, all_of
from tests.seeds import one_in

trail, loaded, archive, bucket, tiered, records = (
    base.trail, base.loaded, base.archive, base.bucket, base.tiered, base.records,
)  # fmt: skip


@pytest.fixture(scope="module")
def settled(loaded, tmp_path_factory) -> Path:
    """Warm and hot days."""
    directory = tmp_path_factory.mktemp("archive") / "settled"
    shutil.copytree(loaded, directory)
    with closing(Archive(directory)) as found:
        Mover(found, KEY).run(MovePlan(hot_days=2))
    return directory


@pytest.fixture
def warm(settled, tmp_path) -> Iterator[Archive]:
    shutil.copytree(settled, tmp_path / "warm")
    with closing(Archive(tmp_path / "warm")) as found:
        yield found


def sql(archive: Archive, *statements: str) -> None:
    with archive.catalogue.writing() as work:
        for one in statements:
            assert work.exec_driver_sql(one).rowcount, one


def a_day(archive: Archive, tier: str) -> str:
    return next(day for day, of in archive.catalogue.tiers().items() if of == tier)


def lockstep(*words: object) -> str:
    """What a command that ends with exit code 1 says."""
    done = CliRunner().invoke(cli, ["audit", *map(str, words)], standalone_mode=False)
    if done.exception is None:
        assert done.return_value == 1, done.output
        return done.output
    assert isinstance(done.exception, ClickException), done.exc_info
    assert done.exception.exit_code == 1
    return done.exception.message


def whats(archive: Archive, **more: Any) -> dict[str, str]:
    return {one.place: one.what for one in check_archive(archive, **more).findings}


def texts(archive: Archive) -> str:
    return "\n".join(f"{one.place}: {one.what}: {one.text}" for one in check_archive(archive).findings)


# ---- gone from the catalogue -------------------------------------------------------------------------------------


@pytest.mark.parametrize("tier", one_in(2, ["warm", "cold"]))
def test_a_signed_file_that_the_catalogue_lacks_is_named_and_no_answer_leaves_it_out(tiered, tier):
    part = a_part(tiered, tier)
    sql(tiered, f"DELETE FROM archive_parts WHERE part = {part.part}")
    if tier == "warm":
        tiered.path(part).unlink()
    assert whats(tiered)[part.file] == "dropped"
    with pytest.raises(ArchiveFault, match="which was signed"):
        all_of(tiered)
    with pytest.raises(ArchiveFault, match="which was signed"):
        all_of(tiered, Question(instrument=part.instrument))
    other = next(one.instrument for one, _ in tiered.catalogue.parts() if one.instrument != part.instrument)
    assert all_of(tiered, Question(instrument=other)), "it is whole without"


@pytest.mark.parametrize("tier", one_in(2, ["warm", "cold"]))
def test_a_signed_day_that_the_catalogue_lacks_is_named(tiered, tier):
    day = a_day(tiered, tier)
    files = [part.file for part, _ in tiered.catalogue.parts((day, day))]
    for table in ("days", "parts", "summaries", "refusals"):
        with tiered.catalogue.writing() as work:
            work.exec_driver_sql(f"DELETE FROM archive_{table} WHERE day = '{day}'")
    shutil.rmtree(tiered.directory / "warm" / f"date={day}", ignore_errors=True)
    found = whats(tiered)
    assert found[day] == "dropped"
    assert all(found[file] == "dropped" for file in files)
    with pytest.raises(ArchiveFault, match="which was signed"):
        all_of(tiered)
    for chosen in (Question(("f" * 32,)), Question(words="unknown account")):
        with pytest.raises(ArchiveFault, match="which was signed"):
            all_of(tiered, chosen)
    assert f"{day}: dropped" in lockstep("verify-archive", tiered.directory)
    assert "which was signed" in lockstep("query", tiered.directory)


def test_the_end_of_the_moves_can_not_be_cut_off_by_the_catalogue(warm):
    number, _ = warm.catalogue.moved()
    day = json.loads(warm.manifest_path(number).read_bytes())["body"]["day"]
    previous = manifest.read(warm.manifest_path(number).read_bytes())[0]["previous"]
    sql(
        warm,
        f"UPDATE archive_settings SET value = '{json.dumps([number - 1, previous])}' WHERE name = 'moved'",
        f"DELETE FROM archive_parts WHERE day = '{day}'",
        f"DELETE FROM archive_days WHERE day = '{day}'",
    )
    assert whats(warm)[warm.manifest_path(number).name] == "dropped"
    (warm.manifest_path(1)).rename(warm.directory / "days" / "move-1.json")
    found = beyond(warm.directory / "days", number)
    assert found == [("move-1.json", None)]


@pytest.mark.slow
def test_a_move_that_was_killed_before_the_catalogue_knew_is_no_finding(archive):
    class Killed(Exception):
        pass

    def step(what: str) -> None:
        if what == "switch":
            raise Killed

    with pytest.raises(Killed):
        Mover(archive, KEY, step).run(MovePlan(hot_days=2))
    assert archive.manifest_path(1).exists()
    assert {one.what for one in check_archive(archive).findings} == {"added"}, "files that nobody has signed, named"
    Mover(archive, KEY).run(MovePlan(hot_days=2))
    assert check_archive(archive).findings == []


def test_what_is_missing_of_hot_days_is_named_as_far_as_the_rest_shows_it(archive, trail):
    part = [one for one, _ in archive.catalogue.parts() if one.instrument][2]
    table = f"archive_hot_{part.day.replace('-', '')}"
    sql(archive, f"DELETE FROM archive_parts WHERE part = {part.part}")
    found = whats(archive)
    assert found[table] == found[f"{table}_of"] == "added"
    assert found[f"{part.day} instrument {part.instrument}"] == "added", "a summary of nothing"
    with pytest.raises(ArchiveFault, match="other records than the catalogue"):
        Mover(archive, KEY).run(MovePlan(hot_days=1))
    assert archive.catalogue.moved()[0] == 0 or archive.catalogue.tiers()[part.day] == "hot", "it is not lost for good"
    for where in (table, f"{table}_of", "archive_holders", "archive_mentions"):
        with archive.catalogue.writing() as work:
            work.exec_driver_sql(f"DELETE FROM {where} WHERE part = {part.part}")
    key = f"day = '{part.day}' AND instrument = {part.instrument}"
    with archive.catalogue.writing() as work:
        work.exec_driver_sql(f"DELETE FROM archive_summaries WHERE {key}")
        work.exec_driver_sql(f"DELETE FROM archive_refusals WHERE {key}")
    assert set(whats(archive)) == {"records"}, "seqs are missing between those that are there"
    assert whats(archive, trail=trail)[f"{part.day} instrument {part.instrument}"] == "dropped"


def test_a_whole_hot_day_that_is_gone_leaves_a_hole_and_the_trail_names_it(archive, trail):
    day = list(archive.catalogue.tiers())[2]
    tables = [f"archive_hot_{day.replace('-', '')}{end}" for end in ("", "_of")]
    with archive.catalogue.writing() as work:
        parts = ", ".join(str(part.part) for part, _ in archive.catalogue.parts((day, day)))
        for one in ("holders", "mentions"):
            work.exec_driver_sql(f"DELETE FROM archive_{one} WHERE part IN ({parts})")
        for one in ("days", "parts", "summaries", "refusals"):
            work.exec_driver_sql(f"DELETE FROM archive_{one} WHERE day = '{day}'")
        for one in tables:
            work.exec_driver_sql(f"DROP TABLE {one}")
    assert "nothing is there of seq" in texts(archive)
    assert {place[:10] for place, what in whats(archive, trail=trail).items() if what == "dropped"} >= {day}


def test_seqs_that_are_missing_are_said():
    seqs = Seqs()
    seqs.take([(3, 0), (3, 1), (5, 0), (4, 0)])
    seqs.take([(8, 0), (9, 1), (9, 0), (9, 3)])
    seqs.take([(1, 0), (1, 0)])
    assert list(seqs.holes()) == [
        "nothing is there of seq 2", "nothing is there of seq 6 to 7",
        "of seq 9 a record is missing, or is there twice", "of seq 1 a record is missing, or is there twice",
    ]  # fmt: skip
    assert list(Seqs().holes()) == []


# ---- said otherwise ----------------------------------------------------------------------------------------------


def forged(archive: Archive) -> Any:
    """A warm file with other records, and the catalogue agrees with it."""
    part = a_part(archive, "warm")
    rows = [json.loads(line) for line in lines_in(archive.path(part).read_bytes())]
    rows[3]["epoch"] = 77
    content = written(rows)
    archive.path(part).write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    values = f"sha256 = '{sha256}', file_bytes = {len(content)}"
    sql(archive, f"UPDATE archive_parts SET {values} WHERE part = {part.part}")
    return part


def test_a_forged_file_does_not_become_a_locked_object(tiered):
    part = forged(tiered)
    with pytest.raises(ArchiveFault, match="is not what was signed"):
        Mover(tiered, KEY).run(MovePlan(hot_days=1, warm_days=1, cold=True, lock_days=9_999))
    assert tiered.catalogue.tiers()[part.day] == "warm"


def test_of_a_file_that_the_catalogue_was_made_to_agree_with_nothing_is_answered(warm):
    part = forged(warm)
    with pytest.raises(ArchiveFault, match="is not what was signed"):
        all_of(warm)
    assert whats(warm)[part.file] == "changed"
    number = next(n for n in range(1, 99) if part.day.encode() in warm.manifest_path(n).read_bytes()[:64])
    path = warm.manifest_path(number)
    raw = path.read_bytes()
    body, _ = manifest.read(raw)
    for entry in body["files"]:
        if entry["instrument"] == part.instrument:
            entry["sha256"] = hashlib.sha256(warm.path(part).read_bytes()).hexdigest()
    wrong = Ed25519PrivateKey.from_private_bytes(bytes(32))
    other = warm.manifest_path(number % warm.catalogue.moved()[0] + 1).read_bytes()
    for content, why in (
        (None, "can't be read"), (b"{}", "no manifest of a move"), (raw[:200], "no manifest"),
        (manifest.sign(body, wrong), "another key|not what was|signed with another"),
        (raw.replace(b"sha256", b"sha257", 1), "signature is wrong"), (other, "signed|another manifest|not what"),
    ):  # fmt: skip
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
        with closing(Archive(warm.directory)) as again, pytest.raises(ArchiveFault, match=why):
            all_of(again)


@pytest.mark.parametrize("value", one_in(3, ["hot", "warm", "cold", "lukewarm"]))
def test_a_tier_that_is_not_the_signed_one_is_a_finding_and_the_check_goes_on(warm, value):
    for was in {"warm", "hot"} - {value}:
        day, *others = (one for one, of in warm.catalogue.tiers().items() if of == was)
        part = next(part for part, _ in warm.catalogue.parts((others[-1], others[-1])))
        sql(
            warm,
            f"UPDATE archive_days SET tier = '{value}' WHERE day = '{day}'",
            f"UPDATE archive_summaries SET volume = volume + 1 WHERE day = '{part.day}'",
        )
        assert whats(warm)[day] == "changed"
        assert "daily summary" in texts(warm), "it goes on behind"
        with pytest.raises(ArchiveFault):
            all_of(warm)
        assert f"{day}: changed" in lockstep("verify-archive", warm.directory)
        sql(
            warm,
            f"UPDATE archive_days SET tier = '{was}' WHERE day = '{day}'",
            f"UPDATE archive_summaries SET volume = volume - 1 WHERE day = '{part.day}'",
        )
    assert check_archive(warm).findings == []
    day = a_day(warm, "warm")
    sql(warm, f"DELETE FROM archive_days WHERE day = '{day}'")
    assert whats(warm)[day] == "dropped"
    with pytest.raises(ArchiveFault):
        plan_of(warm, Question())
    assert "which there is not" in lockstep("summary", warm.directory)


def test_a_hot_day_without_its_table_is_a_finding_and_an_answer_says_so(archive):
    day = a_day(archive, "hot")
    with archive.catalogue.writing() as work:
        work.exec_driver_sql(f"DROP TABLE archive_hot_{day.replace('-', '')}_of")
    assert whats(archive)[f"{day} (hot)"] == "dropped"
    with pytest.raises(ArchiveFault, match="lacks a table"):
        all_of(archive, Question(("f" * 32, *subjects(archive))))


def subjects(archive: Archive) -> list[str]:
    with archive.catalogue.reading() as look:
        return list(look.exec_driver_sql("SELECT name FROM archive_subjects").scalars())


def test_a_file_that_nobody_has_signed_is_named(warm):
    part = a_part(warm, "warm")
    beside = warm.path(part).with_name("part-1.parquet")
    beside.write_bytes(warm.path(part).read_bytes())
    (warm.directory / "warm" / "link.parquet").symlink_to(beside)
    found = whats(warm)
    assert found == {beside.relative_to(warm.directory / "warm").as_posix(): "added", "link.parquet": "added"}


@pytest.mark.parametrize("what", one_in(2, ["link", "pipe", "directory"]))
def test_what_stands_for_a_signed_file_and_is_none_is_named_and_not_read(warm, tmp_path, what):
    """A link's bytes are the signed ones today, and others as soon as somebody likes."""
    path = warm.path(a_part(warm, "warm"))
    name = path.relative_to(warm.directory / "warm").as_posix()
    aside = path.rename(tmp_path / "aside.parquet")
    {"link": lambda: path.symlink_to(aside), "pipe": lambda: os.mkfifo(path), "directory": path.mkdir}[what]()
    assert whats(warm) == {name: "dropped"}
    assert "no regular file" in lockstep("verify-archive", warm.directory)
    with pytest.raises(ArchiveFault, match="no regular file"):
        all_of(warm)


def test_a_link_in_place_of_a_signed_manifest_is_named(warm, tmp_path):
    path = warm.manifest_path(1)
    path.symlink_to(path.rename(tmp_path / "aside.json"))
    assert "it is a link, and no regular file" in lockstep("verify-archive", warm.directory)


# ---- indexes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    one_in(
        3,
        [
            "DELETE FROM archive_holders WHERE subject = 2",
            "UPDATE archive_holders SET records = records + 1 WHERE subject = 2",
            "UPDATE archive_holders SET part = part + 77777 WHERE subject = 2",
            "UPDATE archive_subjects SET name = 'ffffffffffffffffffffffffffffffff' WHERE subject = 2",
            "DELETE FROM archive_subjects WHERE subject = 2",
            "DELETE FROM archive_mentions WHERE text = 1",
            "UPDATE archive_mentions SET records = 99 WHERE text = 1",
            "UPDATE archive_texts SET words = 'nothing' WHERE text = 1",
            "DELETE FROM archive_texts WHERE text = 1",
            "INSERT INTO archive_words (archive_words) VALUES ('delete-all')",
            "DELETE FROM {hot}_of WHERE subject = (SELECT min(subject) FROM {hot}_of)",
            "UPDATE {hot}_of SET number = number + 50 WHERE subject = (SELECT min(subject) FROM {hot}_of)",
            "DELETE FROM archive_summaries WHERE day = '{day}'",
            "UPDATE archive_summaries SET refusals = refusals + 1 WHERE day = '{day}'",
        ],
    ),
)
def test_an_index_that_is_not_that_of_the_records_is_named(warm, statement):
    day = a_day(warm, "hot")
    with warm.catalogue.writing() as work:
        work.exec_driver_sql(statement.format(hot=f"archive_hot_{day.replace('-', '')}", day=day))
    assert set(whats(warm).values()) & {"index", "changed"}
    lockstep("verify-archive", warm.directory)


# ---- what can't be read ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", one_in(3, ["x", "7", "[]", '[1, "ab"]', '["1", null]', '{"a": 1}', "[" * 9_000, "[0, 5]"])
)
@pytest.mark.parametrize("name", ["moved", "loaded"])
def test_a_setting_that_can_not_be_read_is_a_finding_and_no_traceback(warm, trail, name, value):
    with warm.catalogue.writing() as work:
        work.exec_driver_sql("UPDATE archive_settings SET value = ? WHERE name = ?", (value, name))
    assert whats(warm, trail=trail)["catalogue"] == "changed"
    assert f"the setting '{name}'" in lockstep("verify-archive", warm.directory)
    if name == "moved":
        with pytest.raises(ArchiveFault, match="number and hash of a manifest"):
            all_of(warm)
    else:
        with pytest.raises(ArchiveFault, match="number and hash of a manifest"):
            warm.load(trail)


@pytest.mark.parametrize("line", one_in(3, ["", "x", "[]", "{}", "7", '{"seq": "1"}', "[" * 9_000, "ä", "\0"]))
def test_a_hot_record_that_is_none_is_a_finding_and_no_traceback(archive, line):
    day = a_day(archive, "hot")
    with archive.catalogue.writing() as work:
        work.exec_driver_sql(f"UPDATE archive_hot_{day.replace('-', '')} SET line = ? WHERE number = 0", (line,))
    assert any(day in one.place and one.what == "changed" for one in check_archive(archive).findings)
    with pytest.raises(ArchiveFault, match="verify-archive"):
        all_of(archive)


@pytest.mark.parametrize(
    "bend",
    one_in(
        3,
        [
            lambda body: body.pop("files"),
            lambda body: body.update(files=[7]),
            lambda body: body["files"][0].update(instrument="7"),
            lambda body: body.update(day="yesterday"),
            lambda body: body.update(tier="lukewarm"),
            lambda body: body.update(trail=None),
            lambda body: body.update(tier="cold"),
            lambda body: body.update(tier="cold", locked_until="2026-01-01"),
            lambda body: body.update(number=None),
            lambda body: body.pop("previous"),
        ],
    ),
)
def test_a_manifest_of_no_shape_is_a_finding_also_where_it_is_signed(archive, bend: Callable[[Any], Any]):
    Mover(archive, KEY).run(MovePlan(hot_days=DAYS))
    assert archive.catalogue.moved()[0] == 1
    body, _ = manifest.read(archive.manifest_path(1).read_bytes())
    bend(body)
    raw = manifest.sign(body, KEY)
    archive.manifest_path(1).write_bytes(raw)
    moved = json.dumps([1, manifest.hash_of(raw)])
    sql(archive, f"UPDATE archive_settings SET value = '{moved}' WHERE name = 'moved'")
    found = check_archive(archive).findings
    assert found[0].what == "manifest"
    with closing(Archive(archive.directory)) as again, pytest.raises(ArchiveFault, match=r"move-0000000001\.json"):
        all_of(again)
