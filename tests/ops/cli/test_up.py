"""What `up` makes of its command line and of the data directory that it continues."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import click
import pytest
from click.testing import CliRunner

from lockstep.ops.cli import up
from lockstep.ops.local.config_file import write_config
from lockstep.ops.local.kept_config import Chosen
from lockstep.ops.local.plan import ClusterPlan
from lockstep.runtime import config
from lockstep.runtime.access.registry import Entry, Registry
from lockstep.runtime.config_values import BOUNDS
from lockstep.runtime.topology import Snapshots

EXAMPLE = Path(config.__file__).resolve().parent / "cluster.example.toml"


def plan_of(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> ClusterPlan:
    """The plan of a command line; nothing is started."""
    plans: list[ClusterPlan] = []

    def stop_here(plan: ClusterPlan, **_: object) -> None:
        plans.append(plan)
        raise click.UsageError("enough")

    monkeypatch.setattr(up, "LocalCluster", stop_here)
    shown = CliRunner().invoke(up.command, arguments)
    assert plans, shown.output
    return plans[0]


def test_snapshot_options_are_the_configuration_s_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    plan = plan_of(
        monkeypatch, "--data-dir", str(tmp_path), "--snapshot-every-commands", "123", "--snapshot-every-s", "0",
        "--snapshots-keep", "2", "--journal-keep-commands", "9",
    )  # fmt: skip
    assert plan.snapshots == Snapshots(123, 0, 2, 9)
    assert plan.chosen == Chosen(snapshots=frozenset({"every_commands", "every_s", "keep", "journal_keep_commands"}))


@pytest.mark.parametrize(
    ("options", "priority", "chosen"),
    [((), 0, False), (("--realtime",), 1, True), (("--no-realtime",), 0, True)],
)
def test_real_time_is_taken_and_given_back_when_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, options: tuple[str, ...], priority: int, chosen: bool
) -> None:
    plan = plan_of(monkeypatch, "--data-dir", str(tmp_path), *options)
    assert (plan.timing.realtime_priority, plan.chosen) == (priority, Chosen(realtime=chosen))


@pytest.mark.parametrize(
    ("option", "key"),
    [
        ("--snapshot-every-commands", "every_commands"), ("--snapshot-every-s", "every_s"),
        ("--snapshots-keep", "keep"), ("--journal-keep-commands", "journal_keep_commands"),
    ],
)  # fmt: skip
def test_what_the_configuration_could_not_hold_is_refused(option: str, key: str, tmp_path: Path) -> None:
    low, high = BOUNDS[key]
    for value in (low - 1, high + 1, "1.5", "many"):
        shown = CliRunner().invoke(up.command, ["--data-dir", str(tmp_path), option, str(value)])
        assert shown.exit_code == 2, shown.output
        assert option in shown.output


def test_a_directory_that_is_continued_has_as_many_processes_as_before(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = config.load(EXAMPLE)
    before = replace(before, engines=tuple(replace(before.engines[0], id=i, grpc_port=20_000 + i, watch_port=21_000 + i,
                     metrics_port=0, snapshotter_metrics_port=0, data_port=0, data_dir=tmp_path / str(i))
                     for i in (1, 2, 3)))  # fmt: skip
    write_config(tmp_path / "cluster.toml", before)
    where = ("--data-dir", str(tmp_path))
    plan = plan_of(monkeypatch, *where)
    assert (plan.engines, plan.gateways) == (3, len(before.gateways))
    assert plan.chosen == Chosen()
    assert plan_of(monkeypatch, *where, "--engines", "2").engines == 2
    assert plan_of(monkeypatch, *where, "--engine", "reference").chosen == Chosen(engine=True)


@pytest.mark.parametrize(
    ("names", "text"),
    [((), "for nobody yet"), (("a",), "for 1 principal of before"), (("a", "b"), "for 2 principals of")],
)
def test_a_secure_cluster_says_how_many_may_come_in(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    names: tuple[str, ...],
    text: str,
) -> None:
    entries = tuple(Entry(name, ("trader",), number, (), ()) for number, name in enumerate(names, 1))
    monkeypatch.setattr(up, "read_principals", lambda _: Registry(1, entries))
    topology = SimpleNamespace(tls=SimpleNamespace(cert_dir=tmp_path))
    cluster = SimpleNamespace(topology=topology, config_path=tmp_path, gateway_addresses=("127.0.0.1:1",))
    up._tell_how_to_connect(cluster)  # type: ignore[arg-type]
    assert f"encrypted, and {text}" in capsys.readouterr().out
