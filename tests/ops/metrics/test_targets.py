"""The scrape targets are what the configuration says."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

from lockstep.runtime import config

EXAMPLE = Path(config.__file__).resolve().parent / "cluster.example.toml"

RunCli = Callable[..., subprocess.CompletedProcess[str]]


def test_every_process_and_every_etcd_member_is_a_target(run_cli: RunCli) -> None:
    printed = run_cli("metrics-targets", "--config", EXAMPLE)
    assert printed.returncode == 0, printed.stderr
    found = {group["labels"]["member"]: group["targets"] for group in json.loads(printed.stdout)}
    assert found == {
        "sequencer-1": ["127.0.0.1:7491"],
        "sequencer-2": ["127.0.0.1:7492"],
        "engine-1": ["127.0.0.1:7493"],
        "engine-2": ["127.0.0.1:7494"],
        "gateway-1": ["127.0.0.1:7495"],
        "feed-1": ["127.0.0.1:7499"],
        "snapshotter-1": ["127.0.0.1:7497"],
        "snapshotter-2": ["127.0.0.1:7498"],
        "reconciler": ["127.0.0.1:7496"],
        "ledger": ["127.0.0.1:7501"],
        "alerts": ["127.0.0.1:7504"],
        "day": ["127.0.0.1:7509"],
        "etcd-1": ["127.0.0.1:2379"],
    }


def test_the_targets_can_be_written_to_the_file_that_prometheus_watches(run_cli: RunCli, tmp_path: Path) -> None:
    target = tmp_path / "targets.json"
    assert run_cli("metrics-targets", "--config", EXAMPLE, "--output", target).returncode == 0
    assert len(json.loads(target.read_text())) == 13


def test_a_file_that_cannot_be_written_is_one_message(run_cli: RunCli, tmp_path: Path) -> None:
    done = run_cli("metrics-targets", "--config", EXAMPLE, "--output", tmp_path / "absent" / "targets.json")
    assert done.returncode == 2
    assert done.stderr.startswith("lockstep: ")
    assert "choose another --output" in done.stderr
