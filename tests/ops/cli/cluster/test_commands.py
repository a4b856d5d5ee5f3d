"""The operator's commands, in the order of a day, on a real cluster of three engines."""

import json
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from lockstep import Client
from lockstep.errors import Refused
from lockstep.ops.cli.cluster import COMMANDS
from lockstep.ops.local.cluster import LocalCluster

from .conftest import Operate


@pytest.fixture(scope="module")
def market(cluster: LocalCluster) -> LocalCluster:
    """One instrument, one account, one resting order."""
    with Client(cluster.gateway_addresses) as client, client.session() as session:
        session.define_instrument(id=1, symbol="ACME", tick="0.01").result(10)
        session.define_account(account=1, name="A", unlimited_cash=True, unlimited_positions=True).result(10)
        session.place(account=1, instrument="ACME", side="buy", quantity_lots=5, price="1.00").result(10)
    return cluster


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(bare: Operate, name: str) -> None:
    done = bare(name, "--help")
    assert done.code == 0
    assert done.out.startswith("Usage:")
    assert len(done.out.splitlines()) > 6


def test_exit_codes_are_in_the_help(bare: Operate) -> None:
    text = bare("--help").text
    for part in ("0 done", "1 failed", "2 the command line", "3 refused", "4 not known"):
        assert part in text


def test_status_shows_topology_roles_and_policy(operate: Operate) -> None:
    done = operate("status")
    assert done.code == 0, done.text
    for part in ("engine-3", "in sync 1, 2, 3", "ack policy synced", "automatic failover on", "leader sequencer-"):
        assert part in done.text
    result = done.result
    assert (result["primary"], result["in_sync"], result["paused"]) == ("engine-1", [1, 2, 3], False)
    assert result["digests_equal"]
    assert all(row["lag"] < 10 for row in result["members"] if row["name"].startswith("engine"))


def test_status_watch_tells_of_changes_until_it_is_interrupted(cluster: LocalCluster) -> None:
    arguments = ["cluster", "status", "--watch", "0.2", "--config", str(cluster.config_path)]
    # A shell's background job ignores Ctrl-C, and so would everything that the tests start in one.
    command = ["env", "--default-signal=INT", sys.executable, "-m", "lockstep.ops.cli.main", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        try:
            assert "primary engine-1" in watching.stdout.readline()
            time.sleep(0.5)
            watching.send_signal(signal.SIGINT)
            assert watching.wait(60) == 0
            assert watching.stdout.read() == ""
        finally:
            watching.kill()


def test_is_primary_answers_by_exit_code(operate: Operate, bare: Operate, cluster: LocalCluster) -> None:
    def asked(*engine: str) -> Any:
        return bare("is-primary", *engine, "--config", cluster.config_path)

    assert (asked("1").code, asked("engine-1").out) == (0, "yes\n")
    assert (asked("2").code, asked("2").out) == (1, "no: it is standby\n")
    assert asked("-q", "1").out == ""
    assert asked("9").code == 2
    assert asked("gateway-1").code == 2


def test_switchover_explains_itself_and_changes_nothing_when_dry(operate: Operate) -> None:
    explained = operate("switchover", "--explain")
    assert [row["eligible"] for row in explained.result["engines"]] == [False, True, True]
    assert "would choose engine-2" in explained.text
    planned = operate("switchover", "--dry-run", "--candidate", "engine-3")
    assert "primary engine-3" in planned.text
    assert planned.result["changed"] is False
    assert operate("status").result["primary"] == "engine-1"


def test_switchover_shows_the_topology_before_and_after(operate: Operate) -> None:
    done = operate("switchover", "--candidate", 3, "--at", "+1s")
    assert done.code == 0, done.text
    assert "waiting until" in done.text
    assert done.text.index("before: epoch") < done.text.index("after: epoch")
    assert (done.result["before"], done.result["after"]) == ("engine-1", "engine-3")
    assert operate("status").result["primary"] == "engine-3"


def test_switchover_to_the_primary_is_refused_with_the_reason_of_each_engine(operate: Operate) -> None:
    done = operate("switchover", "--candidate", 3)
    assert done.code == 3
    assert "engine-3 is the primary already. Nothing was changed. What to do:" in done.text
    assert [row["eligible"] for row in done.result["engines"]] == [True, True, False]
    absent = operate("switchover", "--candidate", 9)
    assert absent.code == 2
    assert "no engine-9; use one of: engine-1, engine-2, engine-3" in absent.text
    assert operate("switchover", "--at", "yesterday").code == 2


def test_history_tells_every_epoch_with_its_cause(operate: Operate) -> None:
    done = operate("history")
    assert done.code == 0, done.text
    assert [epoch["cause"] for epoch in done.result["epochs"][:2]] == ["bootstrap", "switchover"]
    assert [epoch["primary"] for epoch in done.result["epochs"][:2]] == [1, 3]
    later = operate("history", "--from-epoch", 2)
    assert [epoch["epoch"] for epoch in later.result["epochs"]] == [2]


def test_failover_of_a_healthy_cluster_is_refused(operate: Operate) -> None:
    done = operate("failover", "--force")
    assert done.code == 3
    assert "healthy" in done.text
    assert "lockstep cluster switchover" in done.text


def test_halt_stops_an_instrument_and_resume_trading_opens_it(operate: Operate, market: LocalCluster) -> None:
    halted = operate("halt", "ACME")
    assert (halted.code, halted.result["before"], halted.result["after"]) == (0, "continuous", "halt")
    with Client(market.gateway_addresses) as client, pytest.raises(Refused, match="WRONG_PHASE"):
        client.place(account=1, instrument="ACME", side="buy", quantity_lots=5, price="1.00").raise_for_refusal()
    resumed = operate("resume-trading", 1)
    assert (resumed.result["before"], resumed.result["after"]) == ("halt", "continuous")
    assert operate("halt", "NOPE").code == 2


def test_kill_switch_cancels_and_blocks_until_it_is_lifted(operate: Operate, market: LocalCluster) -> None:
    done = operate("kill-switch", 1)
    assert (done.code, done.result["orders_before"], done.result["orders_after"]) == (0, 1, 0)
    with Client(market.gateway_addresses) as client:
        with pytest.raises(Refused, match="ACCOUNT_KILLED"):
            client.place(account=1, instrument="ACME", side="buy", quantity_lots=5, price="1.00").raise_for_refusal()
        lifted = operate("kill-switch", 1, "--lift")
        assert "killed -> active" in lifted.text
        client.place(account=1, instrument="ACME", side="buy", quantity_lots=5, price="1.00").raise_for_refusal()
    unknown = operate("kill-switch", 77)
    assert (unknown.code, "UNKNOWN_ACCOUNT" in unknown.text) == (3, True)


def test_doctor_finds_nothing_that_stops_a_fresh_cluster(operate: Operate) -> None:
    done = operate("doctor")
    assert done.result["faults"] == 0, done.text
    areas = {finding["area"] for finding in done.result["findings"]}
    assert areas == {"cluster", "etcd", "driver", "clocks", "disk", "ports", "versions"}
    assert done.code == 0


def test_the_journal_of_a_running_engine_is_refused(bare: Operate, cluster: LocalCluster) -> None:
    done = bare("journal", "verify", cluster.data_dir / "engine-1")
    assert done.code == 1
    assert f"in use by process {cluster.pids()['engine-1']}" in done.text


def test_a_lost_engine_is_reported_and_its_cold_journal_is_sound(
    operate: Operate, bare: Operate, cluster: LocalCluster
) -> None:
    cluster.kill("engine-2")
    deadline = time.monotonic() + 20
    while operate("status").result["in_sync"] != [1, 3]:
        assert time.monotonic() < deadline
    status = operate("status")
    assert status.code == 1
    assert "down: engine-2" in status.text
    gone = bare("is-primary", "2", "--config", cluster.config_path)
    assert (gone.code, "not reachable" in gone.text) == (4, True)
    refused = operate("switchover", "--candidate", 2, "--wait", 0)
    assert (refused.code, "does not answer" in refused.text) == (3, True)
    faults = [f["subject"] for f in operate("doctor").result["findings"] if f["grade"] == "fault"]
    assert len(faults) == 2
    assert all("engine-2" in subject for subject in faults)
    cold = cluster.data_dir / "engine-2"
    for engine in ("native", "reference"):
        assert "sound" in bare("journal", "verify", cold, "--engine", engine).text
    dumped = bare("journal", "dump", cold, "--limit", 1000, "--json", "-")
    assert dumped.code == 0
    reported = json.loads(dumped.out)
    assert (reported["member"], reported["epochs"][0]["cause"]) == (2, "bootstrap")
    assert any("SET_PHASE instrument=1" in row["command"] for row in reported["commands"])
