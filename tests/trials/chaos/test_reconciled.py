"""A chaos run that a reconciler watches ends with a certificate, which the cold journals alone bear out."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.mark.slow
def test_certificate_of_a_chaos_run_is_borne_out_by_cold_journals(run_cli: Callable, tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "chaos.json"
    arguments = ("--seed", 5, "--duration", 15, "--rate", 300, "--hosts", 1, "--json", out)
    done = run_cli("chaos", *arguments, "--data-dir", data, "--reconcile", timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(out.read_text())
    assert result["validators"]["reconciled"]
    found = result["reconciliation"]
    assert found["from_seq"] == 1
    assert found["to_seq"] == found["verified_seq"] > result["commands"] > 1000
    body = json.loads(Path(found["certificate"]).read_text())["body"]
    names = ["engine-1", "engine-2", "engine-3"]
    assert sorted(body["compared"]["replicas"]) == names
    assert body["compared"]["client_logs"] == 4
    assert len(body["epochs"]) > 1
    journals = [part for name in names for part in ("--journal", data / name)]
    verified = run_cli("reconcile", "verify", data / "certificate.json", *journals, timeout=300)
    assert verified.returncode == 0, verified.stdout
    assert verified.stdout.count(": bears it out") == 3


def test_certificate_needs_a_directory_that_stays(run_cli: Callable) -> None:
    done = run_cli("chaos", "--reconcile")
    assert (done.returncode, "--reconcile needs --data-dir" in done.stderr) == (2, True)
