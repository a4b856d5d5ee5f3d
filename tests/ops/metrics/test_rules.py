"""The shipped rules: promtool accepts them, each alert fires in the case it is for, and none while all is well."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Promtool = Callable[..., subprocess.CompletedProcess[str]]
Series = dict[str, str]

C = 'cluster="x"'
SEQUENCER = f'{C}, kind="sequencer", member="sequencer-1", job="lockstep"'
ENGINE = f'{C}, kind="engine", member="engine-1", job="lockstep"'
GATEWAY = f'{C}, kind="gateway", member="gateway-1", job="lockstep"'
ETCD = f'{C}, kind="etcd", member="etcd-1", job="lockstep"'
RECONCILER = f'{C}, kind="reconciler", member="reconciler-1", job="lockstep"'
ALERTS = f'{C}, kind="alerts", member="alerts", job="lockstep"'
CLOCK = f'{C}, kind="clocks", member="clocks", job="lockstep"'
DAY = f'{C}, kind="day", member="day", job="lockstep"'
SNAPSHOTTER = f'{C}, kind="snapshotter", member="snapshotter-1", job="lockstep"'

HEALTHY: Series = {
    **{f"up{{{labels}}}": "1x90" for labels in (SEQUENCER, ENGINE, GATEWAY, ETCD, RECONCILER, SNAPSHOTTER)},
    **{f"process_start_time_seconds{{{labels}}}": "5x90" for labels in (SEQUENCER, ENGINE, GATEWAY)},
    **{f"lockstep_driver_up{{{labels}}}": "1x90" for labels in (SEQUENCER, ENGINE, GATEWAY)},
    f'lockstep_sequencer_epochs_total{{{SEQUENCER}, cause="primary_lost"}}': "0x90",
    f'lockstep_sequencer_epochs_total{{{SEQUENCER}, cause="switchover"}}': "0x40 1x50",
    f"lockstep_sequencer_leads{{{SEQUENCER}}}": "1x90",
    # Samples are taken each 6 s from Unix time 0 on.
    f"lockstep_sequencer_stamp_time_seconds{{{SEQUENCER}}}": "0.9+6x90",
    f"lockstep_sequencer_clock_ahead_seconds{{{SEQUENCER}}}": "-0.4x90",
    f"lockstep_sequencer_in_sync_engines{{{SEQUENCER}}}": "2x90",
    f"lockstep_sequencer_configured_engines{{{SEQUENCER}}}": "2x90",
    f"lockstep_digests_equal{{{SEQUENCER}}}": "1x90",
    f"lockstep_etcd_up{{{SEQUENCER}}}": "1x90",
    f"lockstep_etcd_config_usable{{{SEQUENCER}}}": "1x90",
    f"lockstep_engine_promise_usable{{{ENGINE}}}": "1x90",
    f"lockstep_engine_stored_damaged{{{ENGINE}}}": "0x90",
    f'lockstep_sequencer_engine_lag{{{SEQUENCER}, engine="engine-1"}}': "500x90",
    f'lockstep_sequencer_engine_in_sync{{{SEQUENCER}, engine="engine-1"}}': "1x90",
    f"lockstep_sequencer_link_drops_total{{{SEQUENCER}}}": "0x90",
    f"lockstep_sequencer_bad_frames_total{{{SEQUENCER}}}": "0x90",
    f"lockstep_sequencer_commands_total{{{SEQUENCER}}}": "0+1000x90",
    f'lockstep_refusals_total{{{ENGINE}, code="unknown_order"}}': "0+100x90",
    f"lockstep_role{{{ENGINE}}}": "6x90",
    f"lockstep_engine_diverged{{{ENGINE}}}": "0x90",
    f"lockstep_engine_release_waiting_seconds{{{ENGINE}}}": "0.002x90",
    f"lockstep_engine_committed_seq{{{ENGINE}}}": "0+1000x90",
    f"lockstep_gateway_release_silence_seconds{{{GATEWAY}}}": "0.01x90",
    f"lockstep_gateway_serving{{{GATEWAY}}}": "1x90",
    f'lockstep_gateway_refusals_total{{{GATEWAY}, code="busy"}}': "0x90",
    f"lockstep_gateway_epoch_gap_seconds_count{{{GATEWAY}}}": "0x40 1x50",
    f'lockstep_gateway_epoch_gap_seconds_bucket{{{GATEWAY}, le="0.3"}}': "0x40 1x50",
    f'lockstep_gateway_submit_to_report_seconds_bucket{{{GATEWAY}, le="0.005"}}': "0+1000x90",
    f'lockstep_gateway_submit_to_report_seconds_bucket{{{GATEWAY}, le="+Inf"}}': "0+1000x90",
    # Nearly as little as there may be.
    f'lockstep_disk_free_bytes{{{ENGINE}, place="data"}}': "21e8x90",
    f'lockstep_disk_size_bytes{{{ENGINE}, place="data"}}': "41e9x90",
    f'lockstep_disk_free_bytes{{{GATEWAY}, place="shared_memory"}}': "9e8x90",
    f'lockstep_disk_size_bytes{{{GATEWAY}, place="shared_memory"}}': "16e8x90",
    f'lockstep_reconcile_breaks_open{{{RECONCILER}, rule="orphan"}}': "0x90",
    # A receiver is away for four minutes.
    f"lockstep_alerts_webhooks_failing{{{ALERTS}}}": "0x40 2x40 0x10",
    # A clock that is nearly as far away as it may be.
    f"lockstep_clock_divergence_seconds{{{CLOCK}}}": "0.00009x90",
    f"lockstep_clock_allowed_seconds{{{CLOCK}}}": "0.0001x90",
    f"lockstep_clock_traceable{{{CLOCK}}}": "1x90",
    f"lockstep_clock_measured_timestamp_seconds{{{CLOCK}}}": "0+6x90",
    # Each change is a little late.
    f"lockstep_day_late_seconds{{{DAY}}}": "0x40 1 0x49",
    f"lockstep_reconcile_verified_seq{{{RECONCILER}}}": "0+1000x90",
    f"lockstep_reconcile_lag_seconds{{{RECONCILER}}}": "100x90",
    # One that took nearly as long as it may.
    f"lockstep_snapshotter_overdue_seconds{{{SNAPSHOTTER}}}": "346+6x89 0",
}
"""Ten samples a minute for nine minutes (one each 6 s)."""

PLANTED: dict[str, Series] = {
    "LockstepFailover": {f'lockstep_sequencer_epochs_total{{{SEQUENCER}, cause="primary_lost"}}': "0x70 1x20"},
    "LockstepNoLeader": {f"lockstep_sequencer_leads{{{SEQUENCER}}}": "1x70 0x20"},
    "LockstepTwoLeaders": {f'lockstep_sequencer_leads{{{C}, kind="sequencer", member="sequencer-2"}}': "1x90"},
    "LockstepNoPrimary": {f"lockstep_role{{{ENGINE}}}": "6x70 5x20"},
    "LockstepProcessDown": {f"up{{{GATEWAY}}}": "1x70 0x20"},
    "LockstepEngineLost": {f"lockstep_sequencer_in_sync_engines{{{SEQUENCER}}}": "2x70 1x20"},
    "LockstepNoRedundancy": {f"lockstep_sequencer_in_sync_engines{{{SEQUENCER}}}": "2x70 1x20"},
    "LockstepDigestsDiffer": {f"lockstep_digests_equal{{{SEQUENCER}}}": "1x85 0x5"},
    "LockstepReleaseStalled": {f"lockstep_engine_release_waiting_seconds{{{ENGINE}}}": "0x80 0+6x10"},
    "LockstepGatewaySilent": {f"lockstep_gateway_release_silence_seconds{{{GATEWAY}}}": "0x80 0+6x10"},
    "LockstepGatewayNotServing": {f"lockstep_gateway_serving{{{GATEWAY}}}": "1x80 0x10"},
    "LockstepEngineLag": {
        f'lockstep_sequencer_engine_lag{{{SEQUENCER}, engine="engine-1"}}': "0x70 30000x20",
    },
    "LockstepStampedTimeWrong": {f"lockstep_sequencer_stamp_time_seconds{{{SEQUENCER}}}": "3600+6x90"},
    "LockstepClockWrong": {f"lockstep_sequencer_clock_ahead_seconds{{{SEQUENCER}}}": "0x70 -3600x20"},
    "LockstepClockDiverges": {f"lockstep_clock_divergence_seconds{{{CLOCK}}}": "0.00009x70 0.00011x20"},
    "LockstepEtcdDown": {f"lockstep_etcd_up{{{SEQUENCER}}}": "1x70 0x20"},
    "LockstepEtcdMemberDown": {f"up{{{ETCD}}}": "1x70 0x20"},
    "LockstepConfigUnusable": {f"lockstep_etcd_config_usable{{{SEQUENCER}}}": "1x70 0x20"},
    "LockstepPromiseAbsurd": {f"lockstep_engine_promise_usable{{{ENGINE}}}": "1x70 0x20"},
    "LockstepStoredDamage": {f"lockstep_engine_stored_damaged{{{ENGINE}}}": "0x70 1x20"},
    "LockstepDriverDown": {f"lockstep_driver_up{{{ENGINE}}}": "1x70 0x20"},
    "LockstepRefusalsHigh": {f'lockstep_refusals_total{{{ENGINE}, code="unknown_order"}}': "0+400x90"},
    "LockstepPushback": {f'lockstep_gateway_refusals_total{{{GATEWAY}, code="busy"}}': "0+60x90"},
    "LockstepGapOverBudget": {f"lockstep_gateway_epoch_gap_seconds_count{{{GATEWAY}}}": "0x40 1x30 2x20"},
    "LockstepLatencyOverBudget": {
        f'lockstep_gateway_submit_to_report_seconds_bucket{{{GATEWAY}, le="0.005"}}': "0+900x90",
        f'lockstep_gateway_submit_to_report_seconds_bucket{{{GATEWAY}, le="0.05"}}': "0+1000x90",
    },
    "LockstepFramesDropped": {f"lockstep_sequencer_link_drops_total{{{SEQUENCER}}}": "0x70 9x20"},
    "LockstepRestarting": {f"process_start_time_seconds{{{GATEWAY}}}": "5x50 6x5 7x5 8x5 9x5 10x20"},
    "LockstepSnapshotOverdue": {f"lockstep_snapshotter_overdue_seconds{{{SNAPSHOTTER}}}": "400+6x90"},
    "LockstepDiskLow": {f'lockstep_disk_free_bytes{{{GATEWAY}, place="shared_memory"}}': "9e8x20 9e7x70"},
    "LockstepDayLate": {f"lockstep_day_late_seconds{{{DAY}}}": "0x80 0+6x10"},
    "LockstepWebhooksFailing": {f"lockstep_alerts_webhooks_failing{{{ALERTS}}}": "0x20 1x70"},
    "LockstepReconcileBreaks": {f'lockstep_reconcile_breaks_open{{{RECONCILER}, rule="orphan"}}': "0x80 1x10"},
    "LockstepReconcileBehind": {f"lockstep_reconcile_verified_seq{{{RECONCILER}}}": "0+1000x20 20000x70"},
}
"""For each alert, what is otherwise than in HEALTHY."""


def alert_names(deploy: Path) -> list[str]:
    return re.findall(r"- alert: (\w+)", (deploy / "rules.yml").read_text())


FIRING = 'count by (alertname) (ALERTS{alertstate="firing"})'


def case(name: str, series: Series, expression: str, samples: object) -> dict[str, object]:
    """One case of promtool's: behind nine minutes of these series the expression gives these samples."""
    return {
        "name": name,
        "interval": "6s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [{"expr": expression, "eval_time": "9m", "exp_samples": samples}],
    }


def fires(alert: str, planted: Series) -> dict[str, object]:
    """The case in which the healthy cluster with what is planted lets the alert fire."""
    expression = f'count by (alertname) (ALERTS{{alertname="{alert}", alertstate="firing"}})'
    fired = [{"labels": f'{{alertname="{alert}"}}', "value": 1}]
    return case(f"{alert} {planted}", HEALTHY | planted, expression, fired)


def run_cases(promtool: Promtool, deploy: Path, tmp_path: Path, *cases: dict[str, object]) -> None:
    """All by one promtool, which names those that fail."""
    path = tmp_path / "cases.json"
    rules = [str(deploy / "rules.yml")]
    path.write_text(json.dumps({"rule_files": rules, "evaluation_interval": "6s", "tests": cases}))
    done = promtool("test", "rules", path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_accepts_configuration_and_rules(promtool: Promtool, deploy: Path, tmp_path: Path) -> None:
    for name in ("prometheus.yml", "rules.yml"):
        (tmp_path / name).write_text((deploy / name).read_text())
    (tmp_path / "targets.json").write_text("[]")
    done = promtool("check", "config", tmp_path / "prometheus.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rules found" in done.stdout


def test_no_alert_fires_in_a_healthy_cluster(promtool: Promtool, deploy: Path, tmp_path: Path) -> None:
    run_cases(promtool, deploy, tmp_path, case("healthy", HEALTHY, FIRING, []))


def test_every_alert_has_a_planted_case(deploy: Path) -> None:
    assert sorted(PLANTED) == sorted(alert_names(deploy))


@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.slow)])
def test_each_alert_fires_in_the_case_it_is_for(promtool: Promtool, deploy: Path, tmp_path: Path, every: int) -> None:
    """Each fourth of them in `make test`: promtool takes a third of a second for one."""
    planted = list(PLANTED.items())[::every]
    run_cases(promtool, deploy, tmp_path, *[fires(alert, series) for alert, series in planted])


@pytest.mark.parametrize("case_of", ["LockstepNoPrimary", "LockstepDiskLow"])
def test_a_case_that_is_none_of_an_alert_is_said(
    promtool: Promtool, deploy: Path, tmp_path: Path, case_of: str
) -> None:
    cases = [fires("LockstepNoPrimary", PLANTED["LockstepNoPrimary"]), fires("LockstepDayLate", PLANTED[case_of])]
    with pytest.raises(AssertionError, match="LockstepDayLate"):
        run_cases(promtool, deploy, tmp_path, *cases)


def test_stamped_time_that_is_ahead_behind_or_stands_fires(promtool: Promtool, deploy: Path, tmp_path: Path) -> None:
    name = f"lockstep_sequencer_stamp_time_seconds{{{SEQUENCER}}}"
    stamps = ("3600+6x90", "0+6x20 66+6x70", "0+6x50 300x40")
    run_cases(promtool, deploy, tmp_path, *[fires("LockstepStampedTimeWrong", {name: one}) for one in stamps])


def test_a_reconciler_that_gets_on_and_falls_behind_all_the_same_fires(
    promtool: Promtool, deploy: Path, tmp_path: Path
) -> None:
    planted = {f"lockstep_reconcile_lag_seconds{{{RECONCILER}}}": "1+3x90"}
    run_cases(promtool, deploy, tmp_path, fires("LockstepReconcileBehind", planted))


def test_every_alert_has_a_runbook_and_every_runbook_an_alert(deploy: Path) -> None:
    runbooks = deploy.parents[2] / "docs" / "runbooks"
    assert {path.stem for path in runbooks.glob("*.md")} == set(alert_names(deploy))
    for path in runbooks.glob("*.md"):
        text = path.read_text()
        assert text.startswith(f"# {path.stem}\n")
        assert all(f"## {part}\n" in text for part in ("What it means", "Look at", "Do"))
        for link in re.findall(r"\]\((\w+\.md)\)", text):
            assert (runbooks / link).exists(), f"{path.name} links to {link}"
    named = re.findall(r"runbook: docs/runbooks/(\w+)\.md", (deploy / "rules.yml").read_text())
    assert named == alert_names(deploy)
