"""A real Prometheus on a live cluster under load: every panel and every alert is asked, and failures are planted."""

import asyncio
import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lockstep.ops.dashboards.generate import DASHBOARDS
from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.plan import ClusterPlan
from lockstep.ops.metrics_targets import scrape_targets
from lockstep.reconciler.case_file import BreakState, CaseFile
from lockstep.replica.effects import JournalWrite
from lockstep.replica.journal import Journal
from lockstep.replica.rocks import JournalFault
from lockstep.replica.snapshots import SnapshotStore
from lockstep.runtime.etcd import CasWon, EtcdOptions, EtcdStore
from lockstep.runtime.topology import Snapshots
from lockstep.sequencer.config_record import config_key
from tests.calm import CALM
from tests.frozen import freeze

LOAD_S = 600
RATE = 60
# Enough for rates over a minute to stand on many samples.
DATA_S = 12
# On a busy machine everything takes its time; nothing here is about speed.
PATIENCE_S = 150


@dataclass(frozen=True, slots=True)
class Watched:
    """A cluster under load, and the Prometheus that watches it."""

    cluster: LocalCluster
    prometheus: Any


def queries(*, after_failover: bool) -> list[tuple[str, str]]:
    """(panel, expression) with the variables filled in."""
    return [
        (
            f"{dashboard.title}: {panel.title}",
            query.expression.replace("$cluster", "local").replace("$__rate_interval", "20s"),
        )
        for dashboard in DASHBOARDS
        for panel in dashboard.panels
        for query in panel.queries
        if query.after_failover is after_failover
    ]


def without_data(watched: Watched, asked: list[tuple[str, str]]) -> list[str]:
    return [f"{panel}: {expression}" for panel, expression in asked if not watched.prometheus.values(expression)]


def wait_until_whole(cluster: LocalCluster) -> None:
    if not cluster.wait_until_whole(PATIENCE_S):
        lacks = cluster.status().lacks(cluster.topology)
        logs = {path.name: path.read_text()[-3000:] for path in (cluster.data_dir / "logs").glob("*.log")}
        pytest.fail(f"{lacks}; {cluster.incidents}; {json.dumps(logs, indent=1)}")


@pytest.fixture(scope="module")
def watched(start_prometheus: Callable[[str], Any]) -> Iterator[Watched]:
    with contextlib.ExitStack() as stack:
        plan = ClusterPlan(restart=False, reconcile=True, snapshots=Snapshots(every_commands=500), timing=CALM)
        cluster = LocalCluster(plan)
        cluster.start(timeout_s=PATIENCE_S)
        stack.callback(cluster.stop)
        prometheus = start_prometheus(scrape_targets(cluster.topology))
        command = [sys.executable, "-m", "lockstep.ops.cli.main", "bench", "cluster", "--mode", "single"]
        command += ["--rate", str(RATE), "--duration", str(LOAD_S), "--address", cluster.gateway_addresses[0]]
        load = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)
        try:
            prometheus.wait_for("trades", lambda: any(prometheus.values("lockstep:trades:rate1m > 0")))
            time.sleep(DATA_S)
            yield Watched(cluster, prometheus)
        finally:
            # The load generator is a process of its own below it.
            os.killpg(load.pid, signal.SIGKILL)
            load.wait()


def test_every_target_is_scraped(watched: Watched) -> None:
    names = {"sequencer-1", "sequencer-2", "engine-1", "engine-2", "gateway-1", "etcd-1", "reconciler"}
    names |= {"snapshotter-1", "snapshotter-2"}

    def up() -> dict[str, str]:
        return {sample["metric"]["member"]: sample["value"][1] for sample in watched.prometheus.query("up")}

    # Snapshotters give way to everybody, also while they start.
    watched.prometheus.wait_for("targets", lambda: up() == dict.fromkeys(names, "1"))


def test_every_panel_shows_data(watched: Watched, capsys: pytest.CaptureFixture[str]) -> None:
    asked = queries(after_failover=False)
    empty = without_data(watched, asked)
    panels = sum(len(dashboard.panels) for dashboard in DASHBOARDS)
    later = len(queries(after_failover=True))
    with capsys.disabled():
        print(
            f"\n{len(DASHBOARDS)} dashboards, {panels} panels, {len(asked) + later} queries: "
            f"{len(asked) - len(empty)} of {len(asked)} have data under load, {later} are asked after the failover"
        )
    assert not empty, "\n".join(empty)


def test_every_rule_evaluates_and_recorded_ones_have_data(watched: Watched) -> None:
    rules = watched.prometheus.rules()
    assert {rule["name"]: rule.get("lastError", "") for rule in rules if rule["health"] != "ok"} == {}
    recorded = [rule["name"] for rule in rules if rule["type"] == "recording"]
    assert recorded
    assert [name for name in recorded if not watched.prometheus.values(name)] == []
    for rule in rules:
        if rule["type"] == "alerting":
            watched.prometheus.query(rule["query"])


_NOT_HERE = ("lockstep_day_", "lockstep_alerts_", "lockstep_clock_")
"""How the figures begin of processes that do not run in this cluster."""


def test_what_alerts_compare_exists(watched: Watched) -> None:
    """An alert on a metric that nobody serves would be silent for ever."""
    served = {
        sample["metric"]["__name__"] for sample in watched.prometheus.query('{__name__=~"lockstep.*|up|process.*"}')
    }
    rules = watched.prometheus.rules()
    named = {name for rule in rules for name in _metrics(rule["query"])}
    elsewhere = {name for name in named - served if name.startswith(_NOT_HERE)}
    assert named - served == elsewhere
    # The reference names every metric of every process, and a test holds it to the sources.
    reference = (Path(__file__).parents[3] / "docs" / "operations" / "reference.md").read_text(encoding="utf-8")
    assert {name for name in elsewhere if f"`{name}`" not in reference} == set()


def _metrics(expression: str) -> set[str]:
    return set(re.findall(r"\b(?:lockstep[_:][\w:]+|process_\w+|up)\b", expression))


def test_the_figures_agree_with_each_other(watched: Watched) -> None:
    """The same commands, counted by three processes on their own."""
    prometheus = watched.prometheus
    counters = (
        "lockstep_gateway_commands_total",
        "lockstep_sequencer_commands_total",
        'lockstep_engine_commands_total{member="engine-1"}',
    )

    def agree() -> bool:
        rates = [sum(prometheus.values(f"rate({counter}[20s])")) for counter in counters]
        return min(rates) > RATE / 20 and max(rates) < 1.2 * min(rates)

    prometheus.wait_for("agreement", agree)


def test_the_figures_of_a_snapshotter_are_those_of_its_files(watched: Watched) -> None:
    prometheus = watched.prometheus
    store = SnapshotStore(watched.cluster.topology.engines[0].data_dir)
    of_one = '{member="snapshotter-1"}'

    def agree() -> bool:
        newest = store.stored()[-1:]
        seen = [
            prometheus.values(f"lockstep_snapshotter_{name}{of_one}")
            for name in ("snapshot_seq", "snapshot_bytes", "snapshot_time_seconds")
        ]
        return [[float(s.seq), float(s.head.file_bytes), s.taken_ns / 1e9] for s in newest] == [
            [value for values in seen for value in values[:1]]
        ]

    prometheus.wait_for("the newest snapshot", agree)
    assert prometheus.values(f"lockstep_snapshotter_snapshots_total{of_one}")[0] >= 1
    assert prometheus.values(f"lockstep_snapshotter_following{of_one}") == [1]


@pytest.mark.slow
def test_killing_the_primary_fires_the_failover_alerts(watched: Watched, capsys: pytest.CaptureFixture[str]) -> None:
    prometheus, cluster = watched.prometheus, watched.cluster
    lost = 'sum (lockstep_sequencer_epochs_total{cause="primary_lost"})'
    alert = 'ALERTS{alertname="LockstepFailover", cause="primary_lost", alertstate="firing"}'
    # A busy machine may just have put an engine out of the in-sync set; the last one has no successor.
    wait_until_whole(cluster)
    before = prometheus.values(lost)
    primary = cluster.find("primary")
    began = time.monotonic()
    cluster.kill(primary)
    prometheus.wait_for("failover alert", lambda: prometheus.values(lost) > before and bool(prometheus.query(alert)))
    after_s = time.monotonic() - began
    others = {"LockstepProcessDown", "LockstepEngineLost", "LockstepNoRedundancy"}
    prometheus.wait_for("alerts of the lost engine", lambda: others <= prometheus.firing())
    gaps = prometheus.values("lockstep_gateway_last_gap_seconds")
    assert 0 < gaps[0] < 60
    with capsys.disabled():
        print(
            f"\nLockstepFailover fired {after_s:.1f} s after the kill of {primary} (scrapes each second), gap "
            f"{gaps[0] * 1000:.0f} ms; then {', '.join(sorted(others))}"
        )
    cluster.restart(primary)
    wait_until_whole(cluster)
    prometheus.wait_for("end of the alerts", lambda: not others & prometheus.firing())


@pytest.mark.slow
def test_killing_the_leader_fires_the_alert_with_its_cause_and_fills_the_last_panels(watched: Watched) -> None:
    wait_until_whole(watched.cluster)
    leader = watched.cluster.find("sequencer")
    watched.cluster.kill(leader)
    cause = 'ALERTS{alertname="LockstepFailover", cause="sequencer_lost", alertstate="firing"}'
    watched.prometheus.wait_for("failover alert", lambda: bool(watched.prometheus.query(cause)))
    asked = queries(after_failover=True)
    watched.prometheus.wait_for("data of failovers", lambda: not without_data(watched, asked), 20)
    watched.cluster.restart(leader)
    wait_until_whole(watched.cluster)


@pytest.mark.slow
def test_a_hung_etcd_fires_its_alerts_while_trading_goes_on(watched: Watched) -> None:
    etcd = watched.cluster.pids()["etcd"]
    freeze(etcd)
    try:
        wanted = {"LockstepEtcdDown", "LockstepEtcdMemberDown"}
        watched.prometheus.wait_for("etcd alerts", lambda: wanted <= watched.prometheus.firing())
        assert sum(watched.prometheus.values("rate(lockstep_sequencer_commands_total[10s])")) > 0
    finally:
        os.kill(etcd, signal.SIGCONT)
    watched.prometheus.wait_for("end of the etcd alert", lambda: "LockstepEtcdDown" not in watched.prometheus.firing())


@pytest.mark.slow
def test_garbage_in_the_config_key_fires_its_alert_while_trading_goes_on(watched: Watched) -> None:
    cluster, prometheus = watched.cluster, watched.prometheus
    wait_until_whole(cluster)

    async def overwrite() -> None:
        async with EtcdStore(EtcdOptions(endpoints=cluster.topology.etcd_endpoints)) as store:
            key = config_key(cluster.topology.name)
            found = await store.get(key)
            assert found is not None
            assert isinstance(await store.compare_and_swap(key, found.mod_revision, b"\x00garbage"), CasWon)

    asyncio.run(overwrite())
    prometheus.wait_for("config alert", lambda: "LockstepConfigUnusable" in prometheus.firing())
    assert sum(prometheus.values("rate(lockstep_sequencer_commands_total[10s])")) > 0
    command = [sys.executable, "-m", "lockstep.ops.cli.main", "cluster", "repair-config"]
    command += ["--config", str(cluster.config_path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    prometheus.wait_for("end of the alert", lambda: "LockstepConfigUnusable" not in prometheus.firing())
    wait_until_whole(cluster)


@pytest.mark.slow
def test_an_absurd_promise_on_a_disk_fires_its_alert_until_it_is_repaired(watched: Watched) -> None:
    cluster, prometheus = watched.cluster, watched.prometheus
    wait_until_whole(cluster)
    standby = cluster.find("standby")
    number = int(standby.rpartition("-")[2])
    directory = next(engine.data_dir for engine in cluster.topology.engines if engine.id == number)
    cluster.kill(standby)
    journal = unlocked_journal(directory, number)
    journal.write(JournalWrite(promise=(2**64 - 1, 1)), sync=True, applied=(0, b""))
    journal.close()
    cluster.restart(standby)
    prometheus.wait_for("promise alert", lambda: "LockstepPromiseAbsurd" in prometheus.firing())
    cluster.kill(standby)
    unlocked_journal(directory, number).close()
    command = [sys.executable, "-m", "lockstep.ops.cli.main", "cluster", "repair-promise", str(number)]
    command += ["--config", str(cluster.config_path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    cluster.restart(standby)
    prometheus.wait_for("end of the alert", lambda: "LockstepPromiseAbsurd" not in prometheus.firing())
    wait_until_whole(cluster)


def unlocked_journal(directory: Path, member: int) -> Journal:
    """The journal of a process that is killed, once the kernel has taken its lock away."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return Journal(directory, member)
        except JournalFault:
            assert time.monotonic() < deadline
            time.sleep(0.1)


@pytest.mark.slow
def test_a_hung_media_driver_fires_its_alert(watched: Watched) -> None:
    watched.cluster.signal("driver", signal.SIGSTOP)
    try:
        watched.prometheus.wait_for("driver alert", lambda: "LockstepDriverDown" in watched.prometheus.firing())
    finally:
        watched.cluster.signal("driver", signal.SIGCONT)


@pytest.mark.slow
def test_a_doubled_fill_downstream_fires_the_alert_of_its_rule(watched: Watched) -> None:
    """The reconciler finds it while it runs, and says so to Prometheus; resolved, the alert ends."""
    downstream = watched.cluster.topology.reconciler.data_dir / "downstream.db"
    with contextlib.closing(sqlite3.connect(downstream, timeout=60)) as db, db:
        seq, index = db.execute("SELECT seq, event_index FROM fills ORDER BY seq LIMIT 1").fetchone()
        db.execute(
            "INSERT INTO fills SELECT seq, event_index + 1000, instrument, side, price_ticks, quantity_lots, account, "
            "order_id, taker_fee_micros, maker_account, maker_order_id, maker_fee_micros, timestamp_ns FROM fills "
            "WHERE seq = ? AND event_index = ?",
            (seq, index),
        )
    alert = 'ALERTS{alertname="LockstepReconcileBreaks", rule="R7", alertstate="firing"}'
    watched.prometheus.wait_for("break alert", lambda: bool(watched.prometheus.query(alert)))
    assert watched.prometheus.values('lockstep_reconcile_breaks_open{rule="R7"}') == [1]
    with contextlib.closing(sqlite3.connect(downstream, timeout=60)) as db, db:
        db.execute("DELETE FROM fills WHERE seq = ? AND event_index = ?", (seq, index + 1000))
    with contextlib.closing(CaseFile(downstream.parent)) as case:
        for row in case.breaks():
            case.change(row.id, BreakState.RESOLVED, "the row was deleted")
    watched.prometheus.wait_for("end of the alert", lambda: not watched.prometheus.query(alert))
