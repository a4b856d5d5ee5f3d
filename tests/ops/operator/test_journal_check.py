"""A journal is judged by executing it again."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lockstep.engine.native import NativeEngine
from lockstep.engine.reference import ReferenceEngine
from lockstep.ops.operator.cold import ColdJournal, NoJournal
from lockstep.ops.operator.journal_check import Verdict, verify
from lockstep.replica.divergence import EpochEntry
from lockstep.replica.effects import JournalWrite
from lockstep.replica.journal import Journal
from lockstep.runtime.process import EnvironmentFault
from lockstep.sequencer.window import control_record
from lockstep.stream.batch import stamp_batch
from lockstep.stream.records import CommandKind
from tests.restamped import restamped

MakeJournal = Callable[..., Path]
LAST = 23
"""1 epoch start, 2 definitions, 20 orders."""


def judge(directory: Path, engine: type = ReferenceEngine) -> Verdict:
    with ColdJournal(directory) as journal:
        return verify(journal, engine())


def assert_fault(verdict: Verdict, seq: int, part: str) -> None:
    assert not verdict.sound
    assert part in verdict.fault
    assert verdict.fault_seq == seq
    assert verdict.seq < seq


@pytest.mark.parametrize("engine", [ReferenceEngine, NativeEngine])
def test_a_journal_as_it_was_written_is_sound(make_journal: MakeJournal, engine: type) -> None:
    verdict = judge(make_journal("engine-1"), engine)
    assert verdict.sound, verdict.fault
    assert (verdict.from_seq, verdict.seq, verdict.commands, verdict.batches) == (1, LAST, LAST, 7)
    assert verdict.digests_compared == 7
    assert [begun.cause for begun in verdict.epochs] == ["bootstrap"]


def test_a_changed_quantity_is_found_by_its_outcome(make_journal: MakeJournal) -> None:
    def forge(seq: int, made):
        if seq != 8:
            return made
        records = made.records.copy()
        records["quantity_lots"][1] += 1
        return restamped(made, records=records)

    assert_fault(judge(make_journal("engine-1", forge=forge)), 8, "executes to digest")


def test_a_changed_byte_is_found_by_its_crc(make_journal: MakeJournal) -> None:
    directory = make_journal("engine-1")
    journal = Journal(directory, 1)
    entry = bytearray(next(journal.raw_batches(12)))
    entry[100] ^= 1
    journal._commands.put((12).to_bytes(8, "big"), bytes(entry))
    journal.close()
    assert_fault(judge(directory), 12, "CRC32C")


def test_a_missing_batch_is_found(make_journal: MakeJournal) -> None:
    made = make_journal("engine-1", forge=lambda seq, made: None if seq == 8 else made)
    assert_fault(judge(made), 8, "seq 8 is missing")


def test_a_lost_end_is_found_by_what_the_engine_had_executed(make_journal: MakeJournal) -> None:
    made = make_journal("engine-1", forge=lambda seq, made: None if seq == 20 else made)
    verdict = judge(made)
    assert_fault(verdict, 20, "its end is lost")
    assert verdict.seq == 19


def test_a_stamp_that_falls_is_found(make_journal: MakeJournal) -> None:
    made = make_journal("engine-1", forge=lambda seq, made: restamped(made, timestamp_ns=5) if seq == 8 else made)
    assert_fault(judge(made), 8, "stamp falls")


def test_an_epoch_that_its_table_does_not_list_is_found(make_journal: MakeJournal) -> None:
    directory = make_journal("engine-1")
    append_epoch(directory, listed=LAST + 2)
    assert_fault(judge(directory), LAST + 1, "the epoch table says 1")


def test_an_epoch_without_its_start_is_found(make_journal: MakeJournal) -> None:
    directory = make_journal("engine-1")
    append_epoch(directory, kind=CommandKind.GROW)
    assert_fault(judge(directory), LAST + 1, "without its EPOCH_START")


def append_epoch(directory: Path, *, kind: CommandKind = CommandKind.EPOCH_START, listed: int = LAST + 1) -> None:
    record = control_record(kind, epoch=2, in_sync_bits=2, primary=1, sequencer=1)
    made = stamp_batch(record, epoch=2, first_seq=LAST + 1, timestamp_ns=2 * 10**9)
    journal = Journal(directory, 1)
    journal.write(JournalWrite((made,), (EpochEntry(2, listed),)), sync=True)
    journal.close()


def test_a_directory_without_a_journal_is_named(tmp_path: Path) -> None:
    with pytest.raises(NoJournal, match="holds no journal; name an engine's data directory"):
        ColdJournal(tmp_path)


def test_a_journal_without_kept_digests_is_still_executed(make_journal: MakeJournal) -> None:
    directory = make_journal("engine-1")
    for file in (directory / "derived").iterdir():
        file.unlink()
    verdict = judge(directory)
    assert verdict.sound
    assert (verdict.seq, verdict.digests_compared) == (LAST, 0)


def test_reading_leaves_a_journal_as_it_was(make_journal: MakeJournal) -> None:
    directory = make_journal("engine-1")
    assert judge(directory) == judge(directory)
    with ColdJournal(directory) as journal:
        entries = list(journal.raw_batches())
    reopened = Journal(directory, 1)
    assert [kept.raw for kept in reopened.batches(1)] == entries
    assert reopened.incarnation == 2
    with pytest.raises(EnvironmentFault, match=r"in use by process"):
        _open_elsewhere(directory)
    reopened.close()


def _open_elsewhere(directory: Path) -> None:
    """Open it from another process: a process's own file locks do not hinder itself."""
    script = (
        "import sys; from pathlib import Path\n"
        "from lockstep.ops.operator.cold import ColdJournal\n"
        "from lockstep.runtime.process import EnvironmentFault\n"
        "try: ColdJournal(Path(sys.argv[1]))\n"
        "except EnvironmentFault as fault: print(fault)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(directory)], capture_output=True, text=True, check=True)
    if done.stdout:
        raise EnvironmentFault(done.stdout)
