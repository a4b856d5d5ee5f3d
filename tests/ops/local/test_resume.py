"""Continuing a data directory: what is concluded from the journals of stopped engines, and what is refused."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from lockstep.ops.local.resume import Found, examine
from lockstep.ops.operator.salvage import salvage
from lockstep.replica.divergence import EpochEntry
from lockstep.replica.effects import JournalWrite
from lockstep.replica.journal import Journal
from lockstep.runtime import config
from lockstep.runtime.delivery_mark_file import DeliveryMarkFile
from lockstep.runtime.process import EnvironmentFault
from lockstep.stream.batch import stamp_batch
from lockstep.stream.delivery_mark import DeliveryMark
from lockstep.stream.records import COMMAND

EXAMPLE = Path(config.__file__).resolve().parent / "cluster.example.toml"


def make_engine(
    data_dir: Path,
    member: int,
    *,
    uuid: str = "u-1",
    epoch: int = 3,
    count: int = 5,
    promise: int = 3,
    joined: bool = True,
) -> None:
    journal = Journal(data_dir / f"engine-{member}", member)
    records = np.zeros(count, COMMAND)
    stamped = stamp_batch(records, epoch=epoch, first_seq=1, timestamp_ns=1)
    write = JournalWrite((stamped,), (EpochEntry(epoch, 1),), (promise, 1), uuid, joined=joined)
    journal.write(write, sync=True)
    journal.close()


def test_empty_directory_has_nothing_to_continue(tmp_path: Path) -> None:
    assert examine(tmp_path, engines=2) is None


def test_engine_with_the_longest_log_of_the_last_epoch_is_chosen(tmp_path: Path) -> None:
    make_engine(tmp_path, 1, epoch=3, count=9)
    make_engine(tmp_path, 2, epoch=4, count=2, promise=7)
    assert examine(tmp_path, engines=2) == Found("u-1", 7, 2, (1, 2), known_seq=2)


def test_journal_that_was_never_taken_in_is_not_chosen(tmp_path: Path) -> None:
    make_engine(tmp_path, 1, epoch=3, count=9)
    make_engine(tmp_path, 2, epoch=4, count=9, joined=False)
    found = examine(tmp_path, engines=2)
    assert found is not None
    assert found.primary == 1


def test_new_engine_beside_the_known_ones_becomes_a_learner(tmp_path: Path) -> None:
    make_engine(tmp_path, 1)
    found = examine(tmp_path, engines=2)
    assert found is not None
    assert (found.primary, found.engines) == (1, (1, 2))


def test_data_directory_of_another_cluster_is_refused(tmp_path: Path) -> None:
    make_engine(tmp_path, 1, uuid="u-1")
    make_engine(tmp_path, 2, uuid="u-2")
    with pytest.raises(EnvironmentFault, match=r"engine 1 and engine 2 .* data directory of another cluster"):
        examine(tmp_path, engines=2)


def test_directories_that_changed_places_are_refused(tmp_path: Path) -> None:
    make_engine(tmp_path, 1)
    (tmp_path / "engine-1").rename(tmp_path / "engine-2")
    with pytest.raises(EnvironmentFault, match="holds the journal of engine 1"):
        examine(tmp_path, engines=2)


def test_fewer_engines_than_journals_are_refused(tmp_path: Path) -> None:
    make_engine(tmp_path, 1)
    make_engine(tmp_path, 2)
    with pytest.raises(EnvironmentFault, match="use --engines 2 or more"):
        examine(tmp_path, engines=1)


def test_missing_journal_is_refused_because_it_may_be_the_longest(tmp_path: Path) -> None:
    make_engine(tmp_path, 1)
    (tmp_path / "cluster.toml").write_text(EXAMPLE.read_text())
    with pytest.raises(EnvironmentFault, match="lacks the journal of engine 2"):
        examine(tmp_path, engines=2)


def cut(data_dir: Path, member: int) -> Path:
    """Remove the logs of an engine's journal."""
    directory = data_dir / f"engine-{member}"
    for log in (directory / "journal").glob("*.log"):
        log.unlink()
    return directory


def grow(data_dir: Path, member: int, *, to: int) -> None:
    """More batches in a log of their own."""
    journal = Journal(data_dir / f"engine-{member}", member)
    for seq in range(journal.summary().tip_seq + 1, to + 1):
        records = np.zeros(1, COMMAND)
        one = stamp_batch(records, epoch=3, first_seq=seq, timestamp_ns=seq)
        journal.write(JournalWrite((one,)), sync=True)
    # As a kill leaves it: not closed in order.
    shutil.copytree(data_dir / f"engine-{member}", data_dir / "copy")
    journal.close()
    shutil.rmtree(data_dir / f"engine-{member}")
    (data_dir / "copy").rename(data_dir / f"engine-{member}")


def test_damaged_journal_that_may_have_held_the_newest_orders_stops_the_start(tmp_path: Path) -> None:
    make_engine(tmp_path, 1)
    make_engine(tmp_path, 2, count=7)
    grow(tmp_path, 1, to=40)
    directory = cut(tmp_path, 1)
    with pytest.raises(EnvironmentFault) as refused:
        examine(tmp_path, engines=2)
    text = str(refused.value)
    assert "it held seq 40 of epoch 3" in text
    assert "engine-2 ends at seq 7 of epoch 3" in text
    assert f"do not delete {directory}" in text


def test_damaged_journal_is_left_to_its_engine_where_another_one_holds_all_that_it_did(tmp_path: Path) -> None:
    make_engine(tmp_path, 1)
    make_engine(tmp_path, 2, count=50)
    grow(tmp_path, 1, to=40)
    cut(tmp_path, 1)
    found = examine(tmp_path, engines=2)
    assert found is not None
    assert (found.primary, found.known_seq) == (2, 50)


def test_cluster_whose_only_journal_is_damaged_is_not_begun_anew(tmp_path: Path) -> None:
    make_engine(tmp_path, 1)
    grow(tmp_path, 1, to=40)
    cut(tmp_path, 1)
    with pytest.raises(EnvironmentFault, match="there is no other whole journal"):
        examine(tmp_path, engines=1)
    shutil.rmtree(tmp_path / "engine-1" / "journal")
    with pytest.raises(EnvironmentFault, match="it is gone; it held seq 40"):
        examine(tmp_path, engines=1)


def test_what_was_salvaged_is_waited_for_before_a_shorter_log(tmp_path: Path) -> None:
    make_engine(tmp_path, 1)
    make_engine(tmp_path, 2, count=7)
    grow(tmp_path, 1, to=40)
    log = max((tmp_path / "engine-1" / "journal").glob("*.log"))
    raw = bytearray(log.read_bytes().rstrip(b"\0"))
    raw[len(raw) * 8 // 10] ^= 1
    log.write_bytes(raw)
    kept = salvage(tmp_path / "engine-1").tip.seq
    assert 7 < kept < 40
    found = examine(tmp_path, engines=2)
    assert found is not None
    # Its journal is not joined, so that the cluster waits for an operator's word.
    assert (found.primary, found.known_seq) == (1, kept)


@pytest.mark.parametrize("absurd", [2**48, 2**63, 2**64 - 1])
def test_a_promise_that_no_cluster_can_reach_keeps_nothing_from_starting(tmp_path: Path, absurd: int) -> None:
    make_engine(tmp_path, 1, epoch=3, promise=absurd)
    make_engine(tmp_path, 2, epoch=3, promise=absurd)
    found = examine(tmp_path, engines=2)
    assert found is not None
    assert found.epoch == 3


@pytest.mark.parametrize(
    ("uuid", "delivered", "known"),
    [
        ("u-1", DeliveryMark(3, 9), 9),
        ("u-1", DeliveryMark(3, 7), 7),
        ("u-1", DeliveryMark(2, 9), 7),
        ("u-2", DeliveryMark(3, 9), 7),
    ],
    ids=["delivered more", "all is there", "a higher epoch is behind it", "another cluster's"],
)
def test_cluster_waits_where_a_gateway_told_of_more_than_the_longest_log_holds(
    tmp_path: Path, uuid: str, delivered: DeliveryMark, known: int
) -> None:
    make_engine(tmp_path, 1, count=5)
    make_engine(tmp_path, 2, count=7)
    (tmp_path / "gateway-1").mkdir()
    mark = DeliveryMarkFile(tmp_path / "gateway-1")
    mark.begin(uuid, delivered)
    mark.close()
    found = examine(tmp_path, engines=2)
    assert found is not None
    # A leader opens on no log that ends before that.
    assert (found.primary, found.known_seq) == (2, known)
