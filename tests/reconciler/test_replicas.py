"""Replicas that were away, that differ before anything is released, and journals that begin late."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from rocksdict import Rdict

from lockstep.engine.native import NativeEngine
from lockstep.reconciler.auditor import Auditor
from lockstep.reconciler.case_file import CaseFile
from lockstep.reconciler.replicas import Panel, Peer
from lockstep.reconciler.sources import ColdJournal, SourceCut, Tip
from lockstep.reconciler.twin import Start, Twin
from lockstep.replica.journal import journal_path
from lockstep.replica.rocks import MEMTABLE_BYTES, database_options, family_options
from lockstep.runtime.process import EnvironmentFault


class Running(ColdJournal):
    """A journal at rest that is asked as a running engine is: of what is not committed yet, too."""

    live = True

    def __init__(self, data_dir: Path, committed_seq: int) -> None:
        super().__init__(data_dir)
        self._committed_seq = committed_seq

    def tip(self) -> Tip:
        return replace(super().tip(), committed_seq=self._committed_seq)


@pytest.fixture
def panel_of():
    panels = []

    def make(*sources: ColdJournal) -> Panel:
        panels.append(Panel([Peer(source) for source in sources]))
        panels[-1].refresh()
        return panels[-1]

    yield make
    for panel in panels:
        for peer in panel.peers:
            peer.source.close()


def follow(panel: Panel, to_seq: int) -> Twin:
    twin = Twin(NativeEngine, Start())
    while (chunk := panel.next_chunk(twin, to_seq)) is not None:
        assert panel.judge(chunk, [twin.execute(batch) for batch in chunk.batches])
    return twin


def test_replica_that_was_away_is_compared_from_where_it_was_left(files, panel_of) -> None:
    panel = panel_of(ColdJournal(files.root / "engine-1"), ColdJournal(files.root / "engine-2"))
    away, tip = panel.peers[1], panel.peers[1].tip
    away.tip = None
    twin = follow(panel, tip.applied_seq)
    assert away.checked_seq == 0
    away.tip = tip
    panel.follow_up(twin.seq)
    assert away.checked_seq == twin.seq
    assert panel.take_breaks() == []


def test_replica_that_went_its_own_way_while_it_was_away_is_found_by_r10(files, panel_of, tamper) -> None:
    seq = tamper.own_way(files.root / "engine-2", 2)
    panel = panel_of(ColdJournal(files.root / "engine-1"), ColdJournal(files.root / "engine-2"))
    away, tip = panel.peers[1], panel.peers[1].tip
    away.tip = None
    twin = follow(panel, tip.applied_seq)
    away.tip = tip
    panel.follow_up(twin.seq)
    assert [(found.rule, found.subject) for found in panel.take_breaks()] == [("R10", f"engine-2 seq {seq}")]


def test_results_that_differ_and_were_not_released_are_found_by_r11_at_their_batch(files, panel_of, tamper) -> None:
    frames = tamper.frames_of(files.root / "engine-2")
    wrong = frames[len(frames) // 2]
    tamper.execute(files.root / "engine-2", 2, frames, wrong_from=wrong.first_seq)
    panel = panel_of(*(Running(files.root / name, wrong.first_seq - 1) for name in ("engine-1", "engine-2")))
    twin = follow(panel, panel.target())
    panel.compare_uncommitted(twin)
    (found,) = panel.take_breaks()
    assert (found.rule, found.seq) == ("R11", wrong.first_seq)
    assert found.subject == f"engine-2 seq {wrong.first_seq}"
    assert "than engine-1, and than the own execution" in found.detail


def test_different_commands_that_are_not_committed_are_no_break(files, panel_of, tamper) -> None:
    seq = tamper.own_way(files.root / "engine-2", 2)
    frames = tamper.frames_of(files.root / "engine-2")
    before = max(frame.last_seq for frame in frames if frame.last_seq < seq)
    panel = panel_of(*(Running(files.root / name, before) for name in ("engine-1", "engine-2")))
    twin = follow(panel, panel.target())
    panel.compare_uncommitted(twin)
    assert twin.seq == before
    assert panel.take_breaks() == []


class Truncated(Running):
    """A journal without its beginning, of an engine that reports its state as of then."""

    def __init__(self, data_dir: Path, committed_seq: int, state: Start | None) -> None:
        super().__init__(data_dir, committed_seq)
        self._state = state

    def tip(self) -> Tip:
        return replace(super().tip(), first_seq=self._state.seq + 1 if self._state is not None else 1)

    def snapshot(self) -> Start | None:
        return self._state

    def raw_batches(self, from_seq: int, to_seq: int) -> list[bytes]:
        if self._state is not None and from_seq <= self._state.seq:
            raise SourceCut(f"{self.name}: begins behind seq {self._state.seq}")
        return super().raw_batches(from_seq, to_seq)


def cut_beginning(data_dir: Path, before_seq: int) -> None:
    families = {"commands": family_options(MEMTABLE_BYTES), "meta": family_options(1 << 20)}
    database = Rdict(str(journal_path(data_dir)), database_options(recycle_logs=0), families)
    commands = database.get_column_family("commands")
    for key in list(commands.keys()):
        assert isinstance(key, bytes)
        if int.from_bytes(key, "big") < before_seq:
            del commands[key]
    commands.close()
    database.close()


def test_where_journals_begin_late_the_certificate_begins_behind_a_replicas_state(files, tamper) -> None:
    frames = tamper.frames_of(files.root / "engine-1")
    twin = Twin(NativeEngine, Start())
    for frame in frames[: len(frames) // 2]:
        twin.execute(frame)
    for name in ("engine-1", "engine-2"):
        cut_beginning(files.root / name, twin.seq + 1)
    setup = files.setup("engine-1")
    setup.replicas[0].close()
    sources = (Truncated(files.root / "engine-1", frames[-1].last_seq, twin.position()),)
    setup = replace(setup, replicas=sources, client_logs=())
    with closing(CaseFile(files.own, create=True)) as case, closing(Auditor(setup, case)) as auditor:
        result = auditor.run_pass(everything=True)
        assert result.caught_up
        assert case.breaks() == []
        assert f'"from_seq": {twin.seq + 1}' in auditor.certify(result)


def test_history_that_was_cut_before_it_was_verified_halts_the_reconciler(files, tamper) -> None:
    frames = tamper.frames_of(files.root / "engine-1")
    twin = Twin(NativeEngine, Start())
    done = [twin.execute(frame) for frame in frames[: len(frames) // 2]]
    files.setup("engine-1").replicas[0].close()
    first = replace(
        files.setup("engine-2"), replicas=(Running(files.root / "engine-2", done[10].batch.last_seq),), client_logs=()
    )
    with closing(CaseFile(files.own, create=True)) as case:
        with closing(Auditor(first, case)) as auditor:
            assert auditor.run_pass().verified_seq == done[10].batch.last_seq
        cut = Truncated(files.root / "engine-1", frames[-1].last_seq, twin.position())
        with closing(Auditor(replace(first, replicas=(cut,)), case)) as auditor:
            result = auditor.run_pass()
            assert "was cut before it was verified" in result.halted
            assert not auditor.certify(result)


def test_replica_whose_journal_was_cut_is_compared_by_its_chain(files, panel_of) -> None:
    twin = Twin(NativeEngine, Start())
    whole = ColdJournal(files.root / "engine-1")
    seq = whole.tip().applied_seq
    cut = Truncated(files.root / "engine-2", seq, Start(seq=seq))
    panel = panel_of(whole, cut)
    twin = follow(panel, seq)
    assert panel.peers[1].checked_seq == 0
    panel.follow_up(twin.seq)
    assert panel.peers[1].checked_seq == seq
    assert panel.take_breaks() == []


@pytest.mark.parametrize("before_the_cut", [True, False])
def test_replica_that_went_its_own_way_is_found_by_r10_though_its_journal_was_cut(
    files, panel_of, tamper, before_the_cut
) -> None:
    seq = tamper.own_way(files.root / "engine-2", 2)
    last = [frame.last_seq for frame in tamper.frames_of(files.root / "engine-2")]
    base = min(end for end in last if end > seq) if before_the_cut else max(end for end in last if end < seq - 20)
    whole = ColdJournal(files.root / "engine-1")
    panel = panel_of(whole, Truncated(files.root / "engine-2", whole.tip().applied_seq, Start(seq=base)))
    twin = follow(panel, whole.tip().applied_seq)
    panel.follow_up(twin.seq)
    (found,) = panel.take_breaks()
    assert found.rule == "R10"
    assert found.subject == ("engine-2 seq 1" if before_the_cut else f"engine-2 seq {seq}")


def test_late_beginning_without_a_state_is_said_with_the_remedy(files, tamper) -> None:
    cut_beginning(files.root / "engine-1", tamper.frames_of(files.root / "engine-1")[10].first_seq)
    with pytest.raises(EnvironmentFault, match="no state to start from"):
        files.reconcile("engine-1")


def test_work_that_a_crash_interrupted_is_done_again_without_false_breaks(files) -> None:
    with closing(CaseFile(files.own, create=True)) as case:
        crashed = Auditor(files.setup(), case)
        crashed.run_pass(everything=True)
        # What a process that dies leaves: an open transaction, which SQLite rolls back.
        crashed._work._db.close()
        crashed._downstream.close()
        for peer in crashed._panel.peers:
            peer.source.close()
    _result, breaks, certificate = files.reconcile()
    assert breaks == []
    assert '"from_seq": 1,' in certificate


def test_bounded_passes_reach_the_same_end(files) -> None:
    setup = replace(files.setup(), pass_commands=100, checkpoint_commands=150)
    with closing(CaseFile(files.own, create=True)) as case, closing(Auditor(setup, case)) as auditor:
        passes = 0
        while not (result := auditor.run_pass()).caught_up:
            passes += 1
        assert passes > 3
        assert case.breaks() == []
        assert auditor.certify(result)


def test_wrong_results_of_the_first_replica_are_told_from_right_ones_by_the_own_execution(
    files, panel_of, tamper
) -> None:
    frames = tamper.frames_of(files.root / "engine-1")
    wrong = frames[len(frames) // 2]
    tamper.execute(files.root / "engine-1", 1, frames, wrong_from=wrong.first_seq)
    # As two engines are that found their digests different: neither is in sync any more, nothing behind is committed.
    panel = panel_of(
        *(Running(files.root / name, frames[len(frames) // 3].last_seq) for name in ("engine-1", "engine-2"))
    )
    twin = follow(panel, panel.target())
    for peer in panel.peers:
        peer.tip = replace(peer.tip, in_sync=False)
    assert twin.seq < wrong.first_seq - 1
    for _pass in range(2):
        panel.compare_uncommitted(twin)
        (found,) = panel.take_breaks()
        assert (found.rule, found.subject) == ("R11", f"engine-1 seq {wrong.first_seq}")
        assert "not in sync" in found.detail
