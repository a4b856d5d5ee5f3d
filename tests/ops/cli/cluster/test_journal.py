"""`lockstep cluster journal` on cold directories."""

import json
import shutil
import struct
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from lockstep import Client
from lockstep.engine.implementations import implementation
from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.plan import ClusterPlan
from lockstep.ops.operator.record_json import batch_from_json, command_from_json, event_from_json
from lockstep.replica.journal import Journal
from lockstep.stream.batch import Batch, decode_batch, stamp_batch
from lockstep.stream.digest import GENESIS, next_digest
from lockstep.stream.records import COMMAND, CommandKind
from tests.calm import CALM
from tests.restamped import restamped

from .conftest import Operate


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of a cluster that has traded and stopped."""
    data_dir = tmp_path_factory.mktemp("cold") / "data"
    plan = ClusterPlan(implementations=("native", "reference"), data_dir=data_dir, timing=CALM)
    with LocalCluster(plan) as cluster, Client(cluster.gateway_addresses) as client, client.session() as session:
        session.define_instrument(id=1, symbol="ACME", tick="0.01").result(10)
        session.define_account(account=1, name="A", unlimited_cash=True, unlimited_positions=True).result(10)
        for side in ("buy", "sell") * 5:
            session.place(account=1, instrument="ACME", side=side, quantity_lots=5, price="1.00").result(10)
    return data_dir


@pytest.fixture
def copies(stopped: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Copies of both engines' directories, to be spoilt."""
    for name in ("engine-1", "engine-2"):
        shutil.copytree(stopped / name, tmp_path / name)
    return tmp_path / "engine-1", tmp_path / "engine-2"


def forge(directory: Path) -> int:
    """Change an order's quantity in the journal, with a correct CRC; its seq."""
    journal = Journal(directory, 0)
    batch = next(made for made in map(decode_batch, journal.raw_batches(4)) if (made.records["kind"] == 1).any())
    records = batch.records.copy()
    records["quantity_lots"] += 1
    changed = restamped(batch, records=records).raw
    journal._commands.put(batch.first_seq.to_bytes(8, "big"), changed)
    journal.close()
    return batch.first_seq


def test_sound_journals_of_two_engines_are_proved_and_equal_as_far_as_both_go(bare: Operate, stopped: Path) -> None:
    for name, engine in (("engine-1", "reference"), ("engine-2", "native")):
        done = bare("journal", "verify", stopped / name, "--engine", engine)
        assert (done.code, done.text.endswith("sound")) == (0, True), done.text
    done = bare("journal", "diff", stopped / "engine-1", stopped / "engine-2")
    assert done.code == 0, done.text
    assert "equal from seq 1" in done.text


def test_a_forged_command_is_found_by_verify_and_by_diff(
    bare: Operate, copies: tuple[Path, Path], tmp_path: Path
) -> None:
    seq = forge(copies[0])
    verified = bare("journal", "verify", copies[0])
    assert verified.code == 1
    assert f"FAULT at seq {seq}" in verified.text
    assert "executes to digest" in verified.text
    compared = bare("journal", "diff", *copies)
    assert compared.code == 1
    assert f"first difference at seq {seq}: other command" in compared.text
    assert "quantity_lots=6" in compared.text
    assert "quantity_lots=5" in compared.text


def test_a_journal_that_was_cut_is_not_called_sound(bare: Operate, copies: tuple[Path, Path]) -> None:
    directory, _ = copies
    shutil.rmtree(directory / "derived")
    journal = Journal(directory, 0)
    tip = journal.summary().tip_seq
    last = list(map(decode_batch, journal.raw_batches(1)))[-1]
    journal._commands.delete(last.first_seq.to_bytes(8, "big"))
    journal.close()
    done = bare("journal", "verify", directory)
    assert done.code == 1, done.text
    assert f"it held seq {tip} of epoch" in done.text


def test_dump_lists_commands_from_a_seq_on(bare: Operate, stopped: Path) -> None:
    done = bare("journal", "dump", stopped / "engine-1", "--from", 1, "--limit", 50)
    assert done.code == 0
    for part in ("tip seq", "digest", "bootstrap", "EPOCH_START", "DEFINE_INSTRUMENT", "name=ACME"):
        assert part in done.text
    short = bare("journal", "dump", stopped / "engine-1", "--from", 1, "--limit", 1)
    assert "NEW_ORDER" in done.text
    assert "NEW_ORDER" not in short.text


def test_directories_that_hold_no_journal_or_another_clusters_are_named(
    bare: Operate, copies: tuple[Path, Path], tmp_path: Path
) -> None:
    done = bare("journal", "dump", tmp_path)
    assert (done.code, "holds no journal; name an engine's data directory" in done.text) == (2, True)
    assert bare("journal", "dump", tmp_path / "none").code == 2
    journal = Journal(copies[1], 0)
    journal._meta.put(b"cluster_uuid", b"another")
    journal.close()
    done = bare("journal", "diff", *copies)
    assert (done.code, "are of different clusters" in done.text) == (2, True)


def rebuilt(reported: dict) -> list[Batch]:
    """The batches that a dump shows, from its JSON alone."""
    records = {row["seq"]: command_from_json(row["fields"]) for row in reported["commands"]}
    frames = []
    for batch in reported["batches"]:
        seqs = range(batch["first_seq"], batch["first_seq"] + batch["count"])
        frames.append(batch_from_json(batch, np.frombuffer(b"".join(records[seq] for seq in seqs), COMMAND)))
    return frames


def test_a_dump_as_json_is_the_whole_journal_and_what_the_engine_made_of_it(
    bare: Operate, copies: tuple[Path, Path]
) -> None:
    done = bare("journal", "dump", copies[0], "--from", 1, "--limit", 100_000, "--events", "--json", "-")
    assert done.code == 0
    reported = json.loads(done.out, parse_int=lambda digits: int(float(digits)))
    frames = rebuilt(reported)
    with closing(Journal(copies[0], 0)) as journal:
        assert [made.raw for made in frames] == list(journal.raw_batches(1))
    # Somebody else executes it, and comes to the same events and digests.
    events = {row["seq"]: [event_from_json(event["fields"]) for event in row["events"]] for row in reported["commands"]}
    engine, digest = implementation("reference")(), GENESIS
    compared = 0
    for batch, made in zip(reported["batches"], frames, strict=True):
        found = engine.apply(made.records, first_seq=made.first_seq, timestamp_ns=made.timestamp_ns)
        listed = [event for seq in range(made.first_seq, made.last_seq + 1) for event in events[seq]]
        assert [event.tobytes() for event in found] == listed
        digest = next_digest(digest, made.raw, found.tobytes())
        if batch["digest"] is not None:
            assert digest.hex() == batch["digest"]
            compared += 1
    assert compared > 5
    assert "ACCEPTED" in {event["fields"]["kind"] for row in reported["commands"] for event in row["events"]}


def test_a_dump_of_an_archived_tail_holds_every_kind_of_command_byte_for_byte(bare: Operate, tmp_path: Path) -> None:
    chance = np.random.default_rng(7)
    records = np.frombuffer(chance.bytes(128 * len(CommandKind) * 3), COMMAND).copy()
    records["kind"] = [int(kind) for kind in CommandKind] * 3
    made = [
        stamp_batch(records[at : at + 20], epoch=4, first_seq=10 + at, timestamp_ns=at)
        for at in range(0, len(records), 20)
    ]
    path = tmp_path / "3-9.batches"
    path.write_bytes(b"".join(struct.pack("<I", len(one.raw)) + one.raw for one in made))
    out = tmp_path / "dump.json"
    assert bare("journal", "dump", path, "--limit", 10_000, "--json", out).code == 0
    reported = json.loads(out.read_text())
    assert [one.raw for one in rebuilt(reported)] == [one.raw for one in made]
    assert reported["count"] == len(records)
    assert {row["kind"] for row in reported["commands"]} == {kind.name for kind in CommandKind}
    # The archive itself is an input.
    again = bare("journal", "dump", path, "--json", path)
    assert (again.code, "is the directory, which is read" in again.text) == (2, True)


def test_a_dump_of_some_commands_names_the_batches_that_they_are_of(bare: Operate, stopped: Path) -> None:
    whole = json.loads(bare("journal", "dump", stopped / "engine-1", "--from", 1, "--limit", 999, "--json", "-").out)
    some = json.loads(bare("journal", "dump", stopped / "engine-1", "--from", 4, "--limit", 3, "--json", "-").out)
    last = json.loads(bare("journal", "dump", stopped / "engine-1", "--limit", 0, "--json", "-").out)
    assert some["commands"] == whole["commands"][3:6]
    assert [batch for batch in whole["batches"] if batch in some["batches"]] == some["batches"]
    assert "events" not in some["commands"][0]
    assert (last["commands"], last["batches"]) == ([], [])
    shown = bare("journal", "dump", stopped / "engine-1", "--from", 1, "--limit", 1, "--events")
    assert "-> EPOCH_STARTED" in shown.text


def test_an_engine_is_named_as_in_the_configuration(bare: Operate, stopped: Path, tmp_path: Path) -> None:
    config = ("--config", stopped / "cluster.toml")
    out = tmp_path / "out.json"
    dumped = bare("journal", "dump", "engine-2", *config, "--json", out)
    assert (dumped.code, json.loads(out.read_text())["member"]) == (0, 2)
    assert bare("journal", "verify", "engine-1", *config).code == 0
    assert bare("journal", "diff", "engine-1", stopped / "engine-2", *config).code == 0
    assert bare("snapshot", "verify", "engine-1", *config).code == 0
    unknown = bare("journal", "verify", "engine-7", *config)
    assert (unknown.code, "has no engine-7; use one of: engine-1, engine-2" in unknown.text) == (2, True)
    nowhere = bare("journal", "verify", "engine-1", "--config", tmp_path / "none.toml")
    assert (nowhere.code, "no such file" in nowhere.text) == (2, True)
    missing = bare("journal", "verify", tmp_path / "none", *config)
    assert (missing.code, "does not exist; name an engine's data directory" in missing.text) == (2, True)
    # What the configuration calls its data is no place for a result either.
    inside = bare("journal", "dump", "engine-2", *config, "--json", stopped / "engine-1" / "dump.json")
    assert (inside.code, "whose files are not to be touched" in inside.text) == (2, True)
