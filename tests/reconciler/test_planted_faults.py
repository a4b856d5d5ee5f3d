"""Each planted fault is found, by the rule that should, in the real files of a real run; without a fault none is."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from rocksdict import Options, Rdict

from lockstep.client_log import ROW, BlockKind, ClientLog, ClientLogReader, Reported, Sent
from lockstep.columns import CommandColumns
from lockstep.gateway.intake import IntakeLog
from lockstep.reconciler.downstream import dump
from lockstep.replica.effects import AppliedBatch, JournalWrite
from lockstep.replica.journal import Journal
from lockstep.session_events import Checkpoint, Parcel
from lockstep.stream.batch import Batch
from lockstep.stream.digest import Digest
from lockstep.stream.records import COMMAND, CommandKind


def downstream_change(files, statement: str) -> None:
    with closing(sqlite3.connect(files.downstream)) as db, db:
        assert db.execute(statement).rowcount == 1


def rewrite(data_dir: Path, change: Batch, member: int) -> None:
    """Put a batch in another one's place, with a right CRC."""
    journal = Journal(data_dir, member)
    journal.write(JournalWrite(batches=(change,)), sync=True)
    journal.close()


def only(breaks, rule: str):
    found = [row for row in breaks if row.rule == rule]
    assert len(found) == 1, breaks
    return found[0]


def test_run_without_a_fault_is_clean_and_looks_so_again(clean) -> None:
    result, breaks, certificate = clean.reconcile()
    assert (breaks, certificate) == ([], "")
    assert result.verified_seq == result.target_seq > 800


def test_reference_engine_finds_it_clean_as_well(files) -> None:
    assert files.reconcile(engine="reference")[1] == []


def test_downstream_copy_rebuilt_from_the_journals_has_the_same_rows(clean) -> None:
    before = dump(clean.downstream)
    clean.downstream.unlink()
    assert clean.reconcile()[1] == []
    assert dump(clean.downstream) == before
    assert len(before) > 100


def test_doubled_fill_is_found_by_r7(clean) -> None:
    downstream_change(
        clean,
        "INSERT INTO fills SELECT seq, event_index + 7, instrument, side, price_ticks, quantity_lots, account, "
        "order_id, taker_fee_micros, maker_account, maker_order_id, maker_fee_micros, timestamp_ns FROM fills LIMIT 1",
    )
    _result, breaks, certificate = clean.reconcile()
    assert "doubled" in only(breaks, "R7").detail
    assert {row.rule for row in breaks} == {"R7"}
    assert not certificate


def test_fill_that_nothing_caused_is_found_by_r7_behind_the_end_too(clean) -> None:
    downstream_change(clean, "INSERT INTO fills VALUES (999999999, 0, 1, 1, 5, 5, 1, 5, 0, 2, 6, 0, 0)")
    assert clean.broken_rules() == {"R7"}


def test_missing_fill_is_found_by_r5(clean) -> None:
    downstream_change(clean, "DELETE FROM fills WHERE seq = (SELECT MIN(seq) FROM fills)")
    assert clean.broken_rules() == {"R5"}


def test_altered_fill_is_found_by_r6(clean) -> None:
    last = "(SELECT seq, event_index FROM fills ORDER BY seq DESC LIMIT 1)"
    downstream_change(clean, f"UPDATE fills SET price_ticks = price_ticks + 1 WHERE (seq, event_index) = {last}")
    row = only(clean.reconcile()[1], "R6")
    assert "price_ticks" in row.detail


def test_altered_balance_is_found_by_r8(clean) -> None:
    downstream_change(clean, "UPDATE balances SET amount = amount + 1 WHERE account = 2 AND instrument = 0")
    row = only(clean.reconcile()[1], "R8")
    assert row.subject == "downstream account 2 cash"
    assert "(+1)" in row.detail


def test_edited_journal_byte_is_found_by_r9(files) -> None:
    tables = (files.root / "engine-2" / "journal").glob("*.sst")
    table = max(tables, key=lambda path: path.stat().st_size)
    raw = bytearray(table.read_bytes())
    raw[len(raw) // 2] ^= 1
    table.write_bytes(raw)
    row = only(files.reconcile()[1], "R9")
    assert row.subject.startswith("engine-2 ")


def test_journal_that_ends_too_early_is_found_by_r9(files, tamper) -> None:
    frames = tamper.frames_of(files.root / "engine-2")
    journal = Journal(files.root / "engine-2", 2)
    journal.truncate(frames[len(frames) // 2].last_seq)
    journal.close()
    row = only(files.reconcile()[1], "R9")
    assert row.subject == "engine-2 end"


def test_entry_that_is_no_batch_is_found_by_r9(files, tamper) -> None:
    frame, _place = tamper.an_order(tamper.frames_of(files.root / "engine-1"))
    raw = bytearray(frame.raw)
    raw[100] ^= 1
    directory = str(files.root / "engine-1" / "journal")
    families = {name: Options(raw_mode=True) for name in ("commands", "meta")}
    database = Rdict(directory, Options(raw_mode=True), families)
    commands = database.get_column_family("commands")
    commands[frame.first_seq.to_bytes(8, "big")] = bytes(raw)
    commands.close()
    database.close()
    row = only(files.reconcile()[1], "R9")
    assert row.subject.startswith("engine-1")
    assert "CRC32C" in row.detail


def test_command_edited_with_its_crc_is_found_by_r10_at_that_command_and_in_the_right_replica(files, tamper) -> None:
    frame, place = tamper.an_order(tamper.frames_of(files.root / "engine-1"))
    rewrite(files.root / "engine-1", tamper.altered(frame, place), 1)
    result, breaks, certificate = files.reconcile()
    row = only(breaks, "R10")
    assert row.subject == f"engine-1 seq {frame.first_seq + place}"
    assert {each.rule for each in breaks} == {"R10"}
    assert result.verified_seq == result.target_seq
    assert not certificate


def test_edited_command_of_a_lone_journal_is_found_by_r10_and_nothing_behind_it_is_believed(files, tamper) -> None:
    frame, place = tamper.an_order(tamper.frames_of(files.root / "engine-1"))
    rewrite(files.root / "engine-1", tamper.altered(frame, place), 1)
    result, breaks, _certificate = files.reconcile("engine-1")
    assert only(breaks, "R10").seq == frame.first_seq
    assert result.halted
    assert not result.caught_up


def test_diverged_replica_is_found_by_r10_at_the_first_divergent_command(files, tamper) -> None:
    seq = tamper.own_way(files.root / "engine-2", 2)
    assert only(files.reconcile()[1], "R10").subject == f"engine-2 seq {seq}"


def test_replica_that_computed_something_else_is_found_by_r11(files, tamper) -> None:
    journal = Journal(files.root / "engine-2", 2)
    middle = tamper.frames_of(files.root / "engine-1")[-20]
    wrong = Digest(b"\1" * 16)
    database = journal.derived
    events = next(raw for first, raw in database.events_from(middle.first_seq) if first == middle.first_seq)
    forged = np.frombuffer(events, dtype=files.setup("engine-1").replicas[0].events(1, 1).dtype).copy()
    forged["quantity_lots"][-1] += 1
    database.keep((AppliedBatch(middle.epoch, middle.first_seq, middle.last_seq, forged, wrong),))
    journal.close()
    breaks = files.reconcile()[1]
    assert {row.rule for row in breaks} == {"R11"}
    assert any(row.subject.startswith("engine-2 ") for row in breaks)


def last_number(path: Path) -> tuple[int, int]:
    reader = ClientLogReader(path)
    sent = [block for block in reader.blocks() if isinstance(block, Sent)]
    return reader.session_id, max(block.first_no + block.count - 1 for block in sent)


def test_command_that_a_gateway_holds_and_nobody_stamped_is_found_by_r1(clean) -> None:
    session, last = last_number(clean.client_log())
    intake = IntakeLog(clean.gateway, cluster="local", gateway=1, now_s=1)
    command = np.zeros(1, COMMAND)
    command["kind"], command["session_id"], command["session_no"] = CommandKind.NEW_ORDER, session, last + 1
    command["received_ns"] = time.time_ns() - 60 * 10**9
    intake.write([(1_000_000, command)])
    intake.close()
    row = only(clean.reconcile()[1], "R1")
    assert row.subject == f"gateway-1 session {session} number {last + 1}"


def test_orphan_that_is_gone_is_resolved_by_itself(clean) -> None:
    test_command_that_a_gateway_holds_and_nobody_stamped_is_found_by_r1(clean)
    intake = IntakeLog(clean.gateway, cluster="local", gateway=1, now_s=1)
    intake.write((), forget_through=1_000_000)
    intake.close()
    assert clean.broken_rules() == set()


def test_intake_entry_that_was_dropped_is_found_by_r2(clean, monkeypatch) -> None:
    session, last = last_number(clean.client_log())
    long_ago = time.time_ns() - 60 * 10**9
    with monkeypatch.context() as clock:
        clock.setattr("lockstep.client_log.time.time_ns", lambda: long_ago)
        with ClientLog(clean.root / "client-logs", Checkpoint(session), resumed=False) as log:
            log.sent((Parcel(last + 1, CommandColumns(count=2, kind=1, account=1)),))
    row = only(clean.reconcile()[1], "R2")
    assert row.subject == f"session {session} number {last + 1}"
    assert "and 1 after it" in row.detail


def rewrite_client_log(path: Path, change) -> None:
    """Write a client log again with its report rows changed: `change` gets all of them at once."""
    reader = ClientLogReader(path)
    rows = np.concatenate([block.rows for block in reader.blocks() if isinstance(block, Reported)])
    path.unlink()
    with ClientLog(path.parent, Checkpoint(reader.session_id), resumed=False) as log:
        log._write(BlockKind.REPORTS, change(rows.copy()).astype(ROW).tobytes())


def alter(rows):
    rows["price_ticks"][50] += 1
    return rows


def invent(rows):
    last = int(np.flatnonzero(rows["seq"] == rows["seq"][50])[-1])
    row = rows[last : last + 1].copy()
    row["index"] += 100
    return np.insert(rows, last + 1, row)


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("R13", lambda rows: np.delete(rows, 50)),
        ("R14", lambda rows: np.insert(rows, 51, rows[50:51])),
        ("R12", alter),
        ("R12", invent),
    ],
    ids=["lost report", "repeated report", "altered report", "invented report"],
)
def test_fault_in_what_a_client_was_told_is_found(files, rule, change) -> None:
    rewrite_client_log(files.client_log(), change)
    breaks = files.reconcile()[1]
    assert [row.rule for row in breaks] == [rule]
    assert breaks[0].subject.startswith(f"session {ClientLogReader(files.client_log()).session_id} report ")
