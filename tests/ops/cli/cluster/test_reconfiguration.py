"""Commands that change who is in, on a real cluster of three engines that leaves dead processes dead."""

import time
from typing import Any

import pytest

from lockstep.ops.local.cluster import LocalCluster

from .conftest import Operate


def wait_in_sync(operate: Operate, *engines: int) -> dict[str, Any]:
    deadline = time.monotonic() + 90
    while True:
        result = operate("status").result
        if result["in_sync"] == list(engines) and result["leader"]:
            return result
        assert time.monotonic() < deadline, result
        time.sleep(0.1)


def test_ack_policy_changes_from_a_seq_on(operate: Operate) -> None:
    assert operate("ack-policy").out == "synced\n"
    dry = operate("ack-policy", "replicated", "--dry-run")
    assert "nothing was changed" in dry.text
    done = operate("ack-policy", "replicated")
    assert done.code == 0, done.text
    assert "hold its command in memory" in done.text
    assert "the ack policy is replicated from seq" in done.text
    again = operate("ack-policy", "replicated")
    assert (again.code, again.result["changed"]) == (0, False)
    assert operate("ack-policy", "synced").code == 0
    assert operate("status").result["ack_policy"] == "synced"


def test_a_fenced_engine_stays_out_until_the_fence_is_lifted(operate: Operate) -> None:
    primary = operate("status").result["primary"]
    done = operate("fence", primary)
    assert done.code == 0, done.text
    assert "the primary role goes to" in done.text
    status = operate("status").result
    number = int(primary.removeprefix("engine-"))
    assert number not in status["in_sync"]
    assert status["fenced"] == [number]
    assert status["primary"] != primary
    refused = operate("switchover", "--candidate", number, "--wait", 0)
    assert (refused.code, f"fence {number} --lift" in refused.text) == (3, True)
    assert operate("reinit", 9).code == 2
    lifted = operate("fence", number, "--lift")
    assert lifted.code == 0, lifted.text
    wait_in_sync(operate, 1, 2, 3)


def test_reinit_of_an_in_sync_engine_is_refused(operate: Operate) -> None:
    done = operate("reinit", 1, "--force")
    assert done.code == 3
    assert "lockstep cluster fence 1" in done.text


def test_a_snapshot_is_taken_listed_and_after_the_engines_end_verified(
    operate: Operate, bare: Operate, cluster: LocalCluster
) -> None:
    taken = operate("snapshot", "take", 1)
    assert taken.code == 0, taken.text
    assert taken.result["verified"]
    listed = operate("snapshot", "list")
    assert listed.code == 0, listed.text
    assert taken.result["seq"] in [one["seq"] for one in listed.result["snapshots"]["engine-1"]]
    assert operate("snapshot", "take", 9).code == 2
    assert bare("snapshot", "verify", cluster.data_dir / "engine-1").code == 1


def test_reinit_brings_an_engine_back_from_its_peers(operate: Operate, cluster: LocalCluster) -> None:
    assert operate("fence", 3).code == 0
    dry = operate("reinit", 3, "--dry-run")
    assert "archives its journal" in dry.text
    declined = operate("reinit", 3, stdin="n\n")
    assert (declined.code, "Nothing was changed" in declined.text) == (3, True)
    done = operate("reinit", 3, "--force")
    assert done.code == 0, done.text
    assert list((cluster.data_dir / "engine-3" / "archive").glob("reinit-*"))
    assert operate("fence", 3, "--lift").code == 0
    wait_in_sync(operate, 1, 2, 3)


def test_history_names_the_operators_changes(operate: Operate) -> None:
    epochs = operate("history").result["epochs"]
    assert [epoch["cause"] for epoch in epochs[:2]] == ["bootstrap", "ack_policy_changed"]
    assert "member_fenced" in [epoch["cause"] for epoch in epochs]


def test_a_paused_cluster_waits_for_the_operator_who_loses_nothing(operate: Operate, cluster: LocalCluster) -> None:
    wait_in_sync(operate, 1, 2, 3)
    paused = operate("pause")
    assert paused.code == 0, paused.text
    assert operate("status").result["paused"]
    assert "off already" in operate("pause").text
    before = operate("status").result
    cluster.kill(before["primary"])
    time.sleep(1.5)
    assert operate("status").result["in_sync"] == before["in_sync"]
    unanswered = operate("failover", stdin="")
    assert (unanswered.code, "--force" in unanswered.text) == (3, True)
    declined = operate("failover", stdin="n\n")
    assert (declined.code, "Nothing was changed" in declined.text) == (3, True)
    assert "no committed command is lost" in declined.text
    done = operate("failover", stdin="y\n")
    assert done.code == 0, done.text
    after = operate("status").result
    assert after["primary"] not in (None, before["primary"])
    assert len(after["in_sync"]) == 2
    resumed = operate("resume")
    assert resumed.code == 0, resumed.text
    assert not operate("status").result["paused"]


def test_the_last_resort_needs_the_loss_to_be_accepted(operate: Operate, cluster: LocalCluster) -> None:
    deadline = time.monotonic() + 60
    while len((status := operate("status").result)["in_sync"]) < 2 or status["primary"] is None:
        assert time.monotonic() < deadline, status
    primary = int(status["primary"].removeprefix("engine-"))
    other = next(engine for engine in status["in_sync"] if engine != primary)
    assert operate("fence", other).code == 0
    cluster.kill(f"engine-{primary}")
    deadline = time.monotonic() + 20
    while operate("status").result["primary"] is not None:
        assert time.monotonic() < deadline
    refused = operate("failover", "--force", "--candidate", other)
    assert refused.code == 3
    assert f"start engine-{primary} again" in refused.text
    assert "--accept-data-loss" in refused.text
    done = operate("failover", "--force", "--candidate", other, "--accept-data-loss")
    assert done.code == 0, done.text
    assert "COMMITTED COMMANDS" in done.text
    assert operate("status").result["primary"] == f"engine-{other}"
    assert operate("history").result["epochs"][-1]["cause"] == "data_loss_accepted"


def test_snapshots_beside_cold_journals_are_what_execution_comes_to(
    operate: Operate, bare: Operate, cluster: LocalCluster
) -> None:
    listed = operate("snapshot", "list")
    assert listed.code == 1
    if "engine-1" in cluster.pids():
        cluster.kill("engine-1")
    folder = cluster.data_dir / "engine-1" / "snapshots"
    done = bare("snapshot", "verify", cluster.data_dir / "engine-1")
    assert done.code == 0, done.text
    assert "equal to what execution comes to" in done.text
    newest = max(folder.glob("*.snapshot"))
    raw = bytearray(newest.read_bytes())
    raw[-1] ^= 1
    newest.write_bytes(bytes(raw))
    spoilt = bare("snapshot", "verify", cluster.data_dir / "engine-1")
    assert (spoilt.code, f"{newest.name}: WRONG" in spoilt.text) == (1, True)


@pytest.mark.parametrize("command", ["switchover", "pause", "fence"])
def test_commands_without_a_cluster_say_so(bare: Operate, command: str, tmp_path) -> None:
    done = bare(command, *(["1"] if command == "fence" else []), "--config", tmp_path / "none.toml")
    assert (done.code, "no such file" in done.text) == (2, True)
