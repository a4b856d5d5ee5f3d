"""`lockstep access key` and `lockstep access trail`."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from lockstep.ops.cli.main import cli
from lockstep.runtime.access.trail import Trail

CONFIG = """
[cluster]
name = "c"
etcd_endpoints = ["127.0.0.1:2379"]
aeron_dir = "aeron"
[[sequencer]]
id = 1
grpc_port = 1001
watch_port = 1002
[[engine]]
id = 1
grpc_port = 1003
watch_port = 1004
data_dir = "engine"
[[gateway]]
id = 1
grpc_port = 1005
watch_port = 1006
data_dir = "gateway"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "cluster.toml"
    path.write_text(CONFIG)
    return path


def run(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(cli, ["access", *map(str, arguments)])
    return done.exit_code, done.output


def test_a_key_is_made_once(config: Path):
    code, output = run("key", "--config", config)
    assert (code, (config.parent / "cluster.key").stat().st_mode & 0o777) == (0, 0o600)
    assert "copy it" in output
    before = (config.parent / "cluster.key").read_text()
    assert before.strip() not in output
    assert run("key", "--config", config)[0] == 1
    assert (config.parent / "cluster.key").read_text() == before


def test_a_whole_trail_and_a_changed_one(config: Path):
    assert "no trail" in run("trail", "--config", config)[1]
    kept = Trail(config.parent / "audit", "engine-1")
    for number in range(3):
        kept.note("something", number=number)
    assert run("trail", "--config", config) == (0, "engine-1: 3 lines, whole\n")
    assert '"number": 2' in run("trail", "--config", config, "--show", 1)[1]
    path = config.parent / "audit" / "engine-1.jsonl"
    path.write_text(path.read_text().replace('"number": 1', '"number": 7'))
    code, output = run("trail", "--config", config)
    assert code == 1
    assert "line 3 does not follow" in output
