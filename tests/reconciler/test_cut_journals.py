"""Journals of a real cluster that were cut behind snapshots, over epochs, ack policies and a disk that was lost."""

import asyncio
import shutil
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from lockstep.aio import AsyncClient
from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.plan import ClusterPlan
from lockstep.reconciler.auditor import Auditor
from lockstep.reconciler.case_file import CaseFile
from lockstep.reconciler.certificate import Certificate, read_certificate
from lockstep.reconciler.process import setup_of
from lockstep.reconciler.setup import AuditSetup
from lockstep.reconciler.sources import ColdJournal, SourceCut
from lockstep.reconciler.verify import verify_journal
from lockstep.replica.effects import JournalWrite
from lockstep.replica.journal import Journal
from lockstep.replica.snapshots import SnapshotStore
from lockstep.runtime.process import EnvironmentFault
from lockstep.runtime.topology import Snapshots
from tests.calm import CALM

pytestmark = pytest.mark.slow

PATIENCE_S = 120
SMALL = Snapshots(every_commands=100, every_s=0, keep=3, journal_keep_commands=50)
ENGINES = ("engine-1", "engine-2")


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come within {PATIENCE_S} s"
        time.sleep(0.1)


@dataclass(frozen=True, slots=True)
class Cut:
    """What a stopped cluster left, and two certificates that were issued while it ran."""

    root: Path
    first: str
    """Of a range whose beginning is cut, and whose end is behind a snapshot of each engine."""
    second: str
    """Of the range behind it, which is still there."""

    def setup(self, own: Path, *engines: str, engine: str = "native") -> AuditSetup:
        replicas = tuple(ColdJournal(self.root / name) for name in engines or ENGINES)
        return AuditSetup(data_dir=own, cluster="local", replicas=replicas, engine=engine)

    def verify(self, text: str, name: str, engine: str = "native"):
        return verify_journal(read_certificate(text), self.root / name, engine)


class Operator:
    """What is done to the cluster between two pieces of trading; each waits until it is done."""

    def __init__(self, cluster: LocalCluster, run_here) -> None:
        self._cluster = cluster
        self._run_cli = run_here

    def operate(self, *words: object) -> None:
        done = self._run_cli("cluster", *words, "--config", self._cluster.config_path)
        assert done.returncode == 0, done.stdout + done.stderr

    def lose_a_disk(self) -> None:
        cluster = self._cluster
        standby = cluster.find("standby")
        cluster.kill_and_hold(standby)
        until(lambda: len(cluster.status().in_sync()) == 1, "a cluster without its standby")
        # Its snapshotter may write there until it has noticed.
        while (cluster.data_dir / standby).exists():
            shutil.rmtree(cluster.data_dir / standby, ignore_errors=True)
        cluster.restart(standby)
        assert cluster.wait_until_whole(PATIENCE_S)

    def cut_beyond(self, seq: int) -> bool:
        members = self._cluster.status().members
        first = [m.reply.journal.first_seq for m in members if m.name in ENGINES and m.reply is not None]
        return len(first) == 2 and min(first) > seq

    def reconcile(self, *, certify: bool = False) -> str:
        own = self._cluster.topology.reconciler.data_dir
        with closing(CaseFile(own, create=True)) as case:
            with closing(Auditor(setup_of(self._cluster.topology), case)) as auditor:
                result = auditor.run_pass(everything=True)
                assert result.caught_up
                certificate = auditor.certify(result) if certify else ""
            assert case.breaks(all_states=False) == []
        return certificate


async def live(cluster: LocalCluster, operator: Operator, flow) -> tuple[str, str]:
    """Trade over a switchover, two ack policies and a lost disk until all that is cut; then a little more."""
    fund, trade, hear_out = flow
    async with AsyncClient(cluster.gateway_addresses, timeout_s=60.0) as client:
        await fund(client)
        seller, buyer = [await client.session(timeout_s=30.0) for _ in range(2)]
        for step in (
            lambda: operator.operate("ack-policy", "replicated"),
            lambda: operator.operate("switchover"),
            lambda: operator.operate("ack-policy", "synced"),
            operator.lose_a_disk,
        ):
            await trade(seller, buyer, 8)
            await asyncio.to_thread(step)
            await asyncio.to_thread(operator.reconcile)
        # No more at once than the kept snapshots are apart: what is cut has to be verified before.
        give_up = time.monotonic() + PATIENCE_S
        while not await asyncio.to_thread(operator.cut_beyond, 300):
            assert time.monotonic() < give_up, f"the journals were not cut within {PATIENCE_S} s"
            await trade(seller, buyer, 2)
            await asyncio.to_thread(operator.reconcile)
            await asyncio.sleep(0.5)
        await trade(seller, buyer, 2)
        first = await asyncio.to_thread(operator.reconcile, certify=True)
        await trade(seller, buyer, 2)
        await hear_out(seller, buyer)
        second = await asyncio.to_thread(operator.reconcile, certify=True)
        await seller.close()
        await buyer.close()
    return first, second


@pytest.fixture(scope="module")
def cut(tmp_path_factory, flow, running, run_here) -> Cut:
    """See `live`; the cluster is stopped."""
    root = tmp_path_factory.mktemp("cut") / "cluster"
    plan = ClusterPlan(
        implementations=("native", "reference"), data_dir=root, snapshots=SMALL, restart=False, timing=CALM
    )
    with running(plan) as cluster:
        first, second = asyncio.run(live(cluster, Operator(cluster, run_here), flow))
    return Cut(root, first, second)


@pytest.fixture
def copy(cut: Cut, tmp_path: Path) -> Cut:
    """A copy of the engines' files for one test."""
    for name in ENGINES:
        shutil.copytree(cut.root / name, tmp_path / name)
    return replace(cut, root=tmp_path)


def reconcile(setup: AuditSetup):
    """One pass over everything: its result, the breaks, the certificate."""
    with closing(CaseFile(setup.data_dir, create=True)) as case, closing(Auditor(setup, case)) as auditor:
        result = auditor.run_pass(everything=True)
        return result, case.breaks(), auditor.certify(result)


def figures_of(text: str) -> dict:
    return read_certificate(text).body


@pytest.mark.parametrize("engine", ["native", pytest.param("reference", marks=pytest.mark.slow)])
def test_range_behind_a_snapshot_is_borne_out_by_cut_journals(cut: Cut, engine: str) -> None:
    for name in ENGINES:
        verdict = cut.verify(cut.second, name, engine)
        assert verdict.bears_out, verdict
        assert 0 < verdict.after_seq < figures_of(cut.second)["from_seq"]


def test_of_a_range_that_was_cut_only_its_end_is_borne_out_and_that_is_said(cut: Cut, run_here, tmp_path) -> None:
    file = tmp_path / "certificate.json"
    file.write_text(cut.first)
    done = run_here("reconcile", "verify", file, *(part for n in ENGINES for part in ("--journal", cut.root / n)))
    assert done.returncode == 1
    assert done.stdout.count("bears its end out") == 2
    assert "its journal was cut, so counts and fills were not computed again" in done.stdout


def test_certificate_with_another_end_is_not_borne_out_by_a_cut_journal(cut: Cut) -> None:
    body = {**figures_of(cut.first), "state_digest": "00" * 16}
    verdict = verify_journal(Certificate(body, ""), cut.root / "engine-1", "native")
    assert [text.split(":")[0] for text in verdict.differs] == ["state_digest"]


def test_range_of_which_nothing_is_left_is_neither_borne_out_nor_refuted(cut: Cut) -> None:
    verdict = verify_journal(Certificate({"from_seq": 1, "to_seq": 10}, ""), cut.root / "engine-1", "native")
    assert (verdict.bears_out, verdict.differs, verdict.commands) == (False, (), 0)
    assert "no snapshot of the range is left" in verdict.lacks


def test_cut_journals_are_reconciled_from_their_oldest_snapshot_on(cut: Cut, tmp_path) -> None:
    result, breaks, certificate = reconcile(cut.setup(tmp_path / "own"))
    assert breaks == []
    assert result.caught_up
    body = figures_of(certificate)
    oldest = min(SnapshotStore(cut.root / name).verified_seqs()[0] for name in ENGINES)
    assert body["from_seq"] == oldest + 1
    assert body["compared"]["replicas"] == list(ENGINES)
    assert body["to_seq"] >= figures_of(cut.second)["to_seq"]
    # The engine that lost its disk begins later; up to there the chain of its digests speaks for it.
    verdicts = [cut.verify(certificate, name) for name in ENGINES]
    assert not any(verdict.differs for verdict in verdicts)
    assert any(verdict.bears_out for verdict in verdicts)


def test_certificates_tell_the_epochs_of_switchover_and_ack_policies(cut: Cut) -> None:
    first, second = figures_of(cut.first), figures_of(cut.second)
    # The first, two ack policies, a switchover, and the loss of a disk.
    assert len(first["epochs"]) >= 5
    assert second["from_seq"] == first["to_seq"] + 1
    assert second["start_digest"] == first["end_digest"]
    assert first["compared"]["replicas"] == list(ENGINES)


def test_damaged_snapshot_is_passed_over(copy: Cut, tmp_path) -> None:
    # The other one lost its disk and may have one snapshot only.
    name = max(ENGINES, key=lambda each: len(SnapshotStore(copy.root / each).verified_seqs()))
    store = SnapshotStore(copy.root / name)
    oldest, following = store.verified_seqs()[:2]
    raw = bytearray(store.path(oldest).read_bytes())
    raw[-1] ^= 1
    store.path(oldest).write_bytes(raw)
    _result, breaks, certificate = reconcile(copy.setup(tmp_path / "own", name))
    assert breaks == []
    assert figures_of(certificate)["from_seq"] == following + 1


def test_without_a_snapshot_a_cut_journal_is_refused_with_the_remedy(copy: Cut, tmp_path) -> None:
    shutil.rmtree(SnapshotStore(copy.root / "engine-1").folder)
    with pytest.raises(EnvironmentFault, match="no state to start from"):
        reconcile(copy.setup(tmp_path / "own", "engine-1"))


def test_edited_command_behind_the_cut_is_found_by_r10(copy: Cut, tmp_path, tamper) -> None:
    # What is older than the snapshot that it begins with is not looked at: which one that is depends on what was kept.
    *_, before = reconcile(copy.setup(tmp_path / "before"))
    begins = figures_of(before)["from_seq"]
    frames = [one for one in tamper.frames_of(copy.root / "engine-2") if one.first_seq >= begins]
    frame, place = tamper.an_order(frames)
    journal = Journal(copy.root / "engine-2", 2)
    journal.write(JournalWrite(batches=(tamper.altered(frame, place),)), sync=True)
    journal.close()
    _result, breaks, certificate = reconcile(copy.setup(tmp_path / "own"))
    assert [(row.rule, row.subject) for row in breaks] == [("R10", f"engine-2 seq {frame.first_seq + place}")]
    assert not certificate


def test_what_was_cut_is_asked_for_in_vain_and_said_to_be_cut(cut: Cut) -> None:
    with closing(ColdJournal(cut.root / "engine-1")) as source:
        with pytest.raises(SourceCut, match="was cut after seq"):
            source.raw_batches(source.base_seq, 2**63)
        assert source.raw_batches(source.base_seq + 1, 2**63)


def test_journal_that_the_cluster_has_not_taken_in_is_not_believed(copy: Cut, tmp_path, tamper) -> None:
    """The engine was started on an empty disk and stopped before it had caught up: what it holds proves nothing."""
    frames = tamper.frames_of(copy.root / "engine-2")
    shutil.rmtree(copy.root / "engine-2")
    blank = Journal(copy.root / "engine-2", 2)
    blank.write(JournalWrite(batches=tuple(tamper.altered(f, 0) for f in frames), cluster_uuid="other"), sync=True)
    blank.close()
    result, breaks, certificate = reconcile(copy.setup(tmp_path / "own"))
    assert result.caught_up
    assert figures_of(certificate)["compared"]["replicas"] == ["engine-1"]
    assert breaks == []
