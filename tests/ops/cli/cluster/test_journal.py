"""`lockstep cluster journal` on cold directories."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lockstep import Client
from lockstep.ops.local.cluster import ClusterPlan, LocalCluster
from lockstep.replica.journal import Journal
from lockstep.stream.frames import decode_frame, encode_frame

Operate = Callable[..., object]


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of a cluster that has traded and stopped."""
    data_dir = tmp_path_factory.mktemp("cold") / "data"
    plan = ClusterPlan(implementations=("native", "reference"), data_dir=data_dir)
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
    batch = next(made for made in map(decode_frame, journal.raw_frames(4)) if (made.records["kind"] == 1).any())
    records = batch.records.copy()
    records["quantity_lots"] += 1
    changed = encode_frame(
        type(batch)(batch.type, batch.sender, batch.epoch, batch.first_seq, records, batch.timestamp_ns)
    )
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


def test_dump_lists_commands_from_a_seq_on(bare: Operate, stopped: Path) -> None:
    done = bare("journal", "dump", stopped / "engine-1", "--from", 1, "--limit", 2)
    assert done.code == 0
    for part in ("tip seq", "digest", "bootstrap", "EPOCH_START", "DEFINE_INSTRUMENT", "name=ACME"):
        assert part in done.text
    assert "NEW_ORDER" not in done.text


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
