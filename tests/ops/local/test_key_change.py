"""The cluster's key is changed: whose client numbers stay whose, and who is let in meanwhile."""

import json
import secrets
from pathlib import Path

import grpc
from click.testing import CliRunner

from lockstep.ops.cli.main import cli
from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.plan import ClusterPlan
from lockstep.runtime.access.secret_hash import key_number
from tests.calm import CALM
from tests.ops.local.test_principals import wait_for


def access(cluster: LocalCluster, *arguments: object) -> str:
    words = ["access", *map(str, arguments), "--config", str(cluster.config_path)]
    done = CliRunner().invoke(cli, words, standalone_mode=False)
    assert done.exception is None, done.output
    return done.stdout


def issue(cluster: LocalCluster, name: str, *roles: str) -> str:
    access(cluster, "create", name, *(word for role in roles for word in ("--role", role)))
    return access(cluster, "issue", name).strip()


def plan(directory: Path) -> ClusterPlan:
    return ClusterPlan(timing=CALM, anonymous="never", data_dir=directory, engines=1, sequencers=1)


def test_numbers_of_principals_that_nobody_can_verify_any_more_go_to_nobody(tmp_path: Path):
    with LocalCluster(plan(tmp_path)) as running:
        tokens = [issue(running, name, "trader") for name in ("root", "desk")]
        for token in tokens:
            wait_for(grpc.StatusCode.OK, running, token)
    (tmp_path / "cluster.key").write_text(secrets.token_hex(32) + "\n")
    with LocalCluster(plan(tmp_path)) as running:
        newcomer = issue(running, "newcomer", "trader")
        assert key_number(newcomer) not in map(key_number, tokens), "engines keep the former ones' sessions"
        wait_for(grpc.StatusCode.OK, running, newcomer)
        assert key_number(issue(running, "later", "trader")) not in map(key_number, (*tokens, newcomer))
        words = ["access", "create", "third", "--role", "trader", "--config", str(running.config_path)]
        refused = CliRunner().invoke(cli, [*words, "--number", str(key_number(tokens[0]))])
        assert refused.exit_code == 2
        assert "was a revoked one's" in refused.output
        listed = json.loads(access(running, "list", "--json", "-"))
        assert [one["name"] for one in listed["principals"]] == ["newcomer", "later"]
