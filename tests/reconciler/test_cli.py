"""`lockstep reconcile` as an operator and an auditor run it."""

import json
from pathlib import Path

import pytest

from lockstep.runtime import config


@pytest.fixture
def broken(clean):
    """Files with a doubled fill in the downstream copy."""
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(clean.downstream)) as db, db:
        db.execute("INSERT INTO fills VALUES (999999999, 0, 1, 1, 5, 5, 1, 5, 0, 2, 6, 0, 0)")
    return clean


def test_files_are_reconciled_certified_and_verified(files, run_here) -> None:
    engines = [part for name in ("engine-1", "engine-2") for part in ("--journal", files.root / name)]
    logs = ["--client-logs", files.root / "client-logs", "--intake", files.gateway]
    done = run_here("reconcile", "run", *engines, *logs, "--data-dir", files.own)
    assert done.returncode == 0, done.stderr
    assert "clean: certificate for seq 1 to" in done.stdout
    status = run_here("reconcile", "status", "--data-dir", files.own, "--json", "-")
    assert status.returncode == 0
    facts = json.loads(status.stdout)
    assert facts["compared"] == {
        "replicas": ["engine-1", "engine-2"],
        "gateways": ["gateway-1"],
        "client_logs": 2,
        "downstream_seq": facts["verified_seq"],
    }
    file = files.root / "certificate.json"
    assert run_here("reconcile", "certificate", "--data-dir", files.own, "--out", file).returncode == 0
    assert run_here("reconcile", "verify", file, *engines).returncode == 0
    wrong_key = run_here("reconcile", "verify", file, *engines, "--fingerprint", "00")
    assert (wrong_key.returncode, "another key" in wrong_key.stderr) == (1, True)


def test_every_command_says_what_it_found_as_json(files, run_here) -> None:
    engines = [part for name in ("engine-1", "engine-2") for part in ("--journal", files.root / name)]
    own = ("--data-dir", files.own)

    def reported(*arguments: object) -> dict:
        done = run_here("reconcile", *arguments, "--json", "-")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    run = reported("run", *engines, *own, "--client-logs", files.root / "client-logs", "--intake", files.gateway)
    assert run == reported("status", *own)
    assert run["verified_seq"] == run["committed_seq"] > 0
    certificate = reported("certificate", *own)
    assert [certificate["from_seq"], certificate["to_seq"]] == certificate["ranges"][-1] == run["last_certificate"]
    assert reported("certificate", "--list", *own) == certificate
    file = files.root / "certificate.json"
    assert reported("certificate", *own, "--out", file) == certificate
    verified = reported("verify", file, *engines)
    assert verified["fingerprint"] == certificate["fingerprint"]
    assert verified["claim"] == json.loads(file.read_text())["body"]
    assert [row["bears_out"] for row in verified["journals"]] == [True, True]
    example = Path(config.__file__).resolve().parent / "cluster.example.toml"
    (files.root / "cluster.toml").write_text(example.read_text())
    named = reported("verify", file, "--journal", "engine-1", "--config", files.root / "cluster.toml")
    assert named["journals"][0]["bears_out"]


def test_journal_that_was_changed_does_not_bear_the_certificate_out(clean, run_here, tamper) -> None:
    seq = tamper.own_way(clean.root / "engine-2", 2)
    file = clean.root / "certificate.json"
    run_here("reconcile", "certificate", "--data-dir", clean.own, "--out", file)
    done = run_here(
        "reconcile", "verify", file, "--journal", clean.root / "engine-1", "--journal", clean.root / "engine-2"
    )
    assert done.returncode == 1
    assert "engine-1: bears it out" in done.stdout
    assert "engine-2: DOES NOT BEAR IT OUT" in done.stdout
    assert "end_digest: the certificate says" in done.stdout
    assert f"engine-1 and engine-2 diverge at seq {seq}" in done.stdout


def test_changed_certificate_is_refused_as_input(clean, run_here) -> None:
    file = clean.root / "certificate.json"
    run_here("reconcile", "certificate", "--data-dir", clean.own, "--out", file)
    file.write_text(file.read_text().replace('"fills": ', '"fills": 1'))
    done = run_here("reconcile", "verify", file, "--journal", clean.root / "engine-1")
    assert done.returncode == 2
    assert "changed after it was signed" in done.stderr
    assert "Traceback" not in done.stderr


def test_break_is_listed_explained_resolved_and_found_again(broken, run_here) -> None:
    run = ("reconcile", "run", "--journal", broken.root / "engine-1", "--data-dir", broken.own)
    own = ("--data-dir", broken.own)
    assert run_here(*run).returncode == 1
    assert "R7 open  fill 999999999.0" in run_here("reconcile", "breaks", *own).stdout
    assert run_here("reconcile", "status", *own).returncode == 1
    explained = run_here("reconcile", "explain", 1, "planted", *own)
    as_json = json.loads(run_here("reconcile", "explain", 1, "planted", *own, "--json", "-").stdout)
    assert (as_json["id"], as_json["state"], as_json["note"]) == (1, "explained", "planted")
    assert (explained.returncode, "R7 explained" in explained.stdout) == (0, True)
    assert run_here(*run).returncode == 0
    assert "R7 resolved" in run_here("reconcile", "resolve", 1, "not really", *own).stdout
    assert run_here("reconcile", "breaks", *own).stdout == "no breaks\n"
    assert run_here(*run).returncode == 1
    assert "R7 open" in run_here("reconcile", "breaks", *own).stdout


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("run", "--journal", "nowhere"), 2, "--journal needs --data-dir"),
        (("run", "--journal", "nowhere", "--data-dir", "own"), 1, "holds no journal"),
        (("status", "--data-dir", "nowhere"), 1, "lockstep reconcile run"),
        (("certificate", "--data-dir", "nowhere"), 1, "lockstep reconcile run"),
        (("verify", "nowhere.json", "--journal", "x"), 2, "nowhere.json"),
    ],
)
def test_mistake_is_one_message(run_here, monkeypatch, tmp_path, arguments, code, text) -> None:
    monkeypatch.chdir(tmp_path)
    done = run_here("reconcile", *arguments)
    assert done.returncode == code
    assert text in done.stderr
    assert "Traceback" not in done.stderr
