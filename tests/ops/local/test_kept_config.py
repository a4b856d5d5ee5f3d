"""What `up` keeps of the configuration of a data directory, and what it decides anew."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from lockstep.ops.local import kept_config
from lockstep.ops.local.config_file import HEADING
from lockstep.ops.local.kept_config import Chosen
from lockstep.runtime import config
from lockstep.runtime.driver import claim_path, default_directory
from lockstep.runtime.process import EnvironmentFault
from lockstep.runtime.topology import (
    Access,
    Alerts,
    Client,
    Ledger,
    Limits,
    Member,
    ProcessKind,
    Reconciler,
    Snapshots,
    Timing,
    Topology,
)


def _data_dir(folder: Path, kind: ProcessKind, number: int) -> Path:
    return Path() if kind is ProcessKind.SEQUENCER else folder / f"{kind.name}-{number}"


def planned(folder: Path, first_port: int = 7000, engines: int = 2) -> Topology:
    """As `up` plans it, with defaults."""

    def members(kind: ProcessKind, count: int) -> tuple[Member, ...]:
        ports = range(first_port + 100 * kind, first_port + 100 * kind + 2 * count, 2)
        return tuple(
            Member(kind, i, "127.0.0.1", port, port + 1, data_dir=_data_dir(folder, kind, i), engine="native")
            for i, port in enumerate(ports, 1)
        )

    return Topology(
        "local", (f"127.0.0.1:{first_port}",), folder / f"driver-{first_port}",
        members(ProcessKind.SEQUENCER, 2), members(ProcessKind.ENGINE, engines), members(ProcessKind.GATEWAY, 1),
        ledger=Ledger(folder / "ledger"),
        alerts=Alerts(folder / "alerts"),
        access=Access(key_file=folder / "cluster.key", audit_dir=folder / "audit"),
        reconciler=Reconciler(folder / "r", folder / "r" / "key.pem", folder / "logs", metrics_port=first_port + 9),
    )  # fmt: skip


def edited(topology: Topology) -> Topology:
    """By hand, everywhere where a hand may."""
    return replace(
        topology,
        limits=Limits(session_credit=99),
        timing=Timing(hang_ms=333),
        snapshots=Snapshots(every_commands=1, every_s=2, keep=3, journal_keep_commands=4),
        clients=(Client("desk", "secret-secret-1", 7),),
        ack_policy="replicated",
        udp_mtu=1408,
        engines=(topology.engines[0], replace(topology.engines[1], engine="reference")),
        reconciler=replace(topology.reconciler, pass_ms=77, orphan_policy="cancel"),
    )


def test_what_was_edited_stays_and_what_belongs_to_a_run_is_new(tmp_path: Path) -> None:
    first = planned(tmp_path)
    assert kept_config.settle(tmp_path, first, Chosen()) == (first, None)
    by_hand = edited(first)
    (tmp_path / kept_config.FILE).write_text(config.render(by_hand, heading=HEADING))
    again = planned(tmp_path, first_port=9000)
    settled, copy = kept_config.settle(tmp_path, again, Chosen())
    assert copy is None
    assert settled == replace(
        edited(again), reconciler=replace(by_hand.reconciler, metrics_port=again.reconciler.metrics_port)
    )
    assert config.load(tmp_path / kept_config.FILE) == settled


def test_the_command_line_goes_before_the_file_key_by_key(tmp_path: Path) -> None:
    by_hand = edited(planned(tmp_path))
    (tmp_path / kept_config.FILE).write_text(config.render(by_hand, heading=HEADING))
    said = replace(planned(tmp_path), snapshots=Snapshots(keep=9), timing=Timing(realtime_priority=1))
    chosen = Chosen(engine=True, snapshots=frozenset({"keep"}), realtime=True)
    settled, _ = kept_config.settle(tmp_path, said, chosen)
    assert settled.snapshots == Snapshots(every_commands=1, every_s=2, keep=9, journal_keep_commands=4)
    assert settled.timing == Timing(hang_ms=333, realtime_priority=1)
    assert [engine.engine for engine in settled.engines] == ["native", "native"]


@pytest.mark.parametrize(("written", "said", "kept"), [(7, 1, 7), (0, 1, 1), (7, 0, 0), (0, 0, 0)])
def test_the_option_says_whether_in_real_time_and_the_file_how_much(tmp_path: Path, written: int, said: int, kept: int):
    by_hand = replace(edited(planned(tmp_path)), timing=Timing(realtime_priority=written))
    (tmp_path / kept_config.FILE).write_text(config.render(by_hand, heading=HEADING))
    wanted = replace(planned(tmp_path), timing=Timing(realtime_priority=said))
    settled, _ = kept_config.settle(tmp_path, wanted, Chosen(realtime=True))
    assert settled.timing.realtime_priority == kept


def test_what_the_driver_of_a_run_that_was_killed_has_in_memory_is_removed_and_nothing_else(tmp_path: Path) -> None:
    """By its name: a directory that somebody has configured is nobody's to remove."""
    own = tmp_path / "somebodys"
    for left in (default_directory(f"kept-{os.getpid()}"), own):
        left.mkdir()
        claim_path(left).touch()
        before = replace(planned(tmp_path), aeron_dir=left)
        (tmp_path / kept_config.FILE).write_text(config.render(before, heading=HEADING))
        kept_config.settle(tmp_path, planned(tmp_path), Chosen())
        assert left.exists() == claim_path(left).exists() == (left == own)


def test_what_a_live_driver_has_in_memory_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = default_directory(f"kept-{os.getpid()}")
    left.mkdir()
    try:
        monkeypatch.setattr(kept_config, "driver_pid", lambda directory: 4711 if directory == left else None)
        before = replace(planned(tmp_path), aeron_dir=left)
        (tmp_path / kept_config.FILE).write_text(config.render(before, heading=HEADING))
        kept_config.settle(tmp_path, planned(tmp_path), Chosen())
        assert left.exists()
    finally:
        left.rmdir()


def test_an_engine_that_is_new_gets_what_is_planned_for_it(tmp_path: Path) -> None:
    (tmp_path / kept_config.FILE).write_text(config.render(edited(planned(tmp_path)), heading=HEADING))
    settled, _ = kept_config.settle(tmp_path, planned(tmp_path, engines=3), Chosen())
    assert [engine.engine for engine in settled.engines] == ["native", "reference", "native"]


def test_comments_and_order_of_a_hand_are_kept_in_a_copy_and_no_copy_is_lost(tmp_path: Path) -> None:
    path = tmp_path / kept_config.FILE
    texts = [config.render(planned(tmp_path), heading=f"{HEADING}\nwhy I did this, part {number}") for number in (1, 2)]
    for number, text in enumerate(texts, 1):
        path.write_text(text)
        _, copy = kept_config.settle(tmp_path, planned(tmp_path), Chosen())
        assert copy == tmp_path / f"cluster.toml.edited-{number}"
    assert [(tmp_path / f"cluster.toml.edited-{number}").read_text() for number in (1, 2)] == texts
    assert kept_config.settle(tmp_path, planned(tmp_path), Chosen())[1] is None


def test_a_file_that_cannot_be_read_stops_the_start_and_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / kept_config.FILE
    path.write_text("[cluster\n")
    with pytest.raises(EnvironmentFault, match="correct the file, or remove it"):
        kept_config.settle(tmp_path, planned(tmp_path), Chosen())
    assert path.read_text() == "[cluster\n"


def test_a_file_made_by_hand_stops_the_start_and_no_copy_is_made(tmp_path: Path) -> None:
    path = tmp_path / kept_config.FILE
    text = config.render(planned(tmp_path), heading="mine")
    path.write_text(text)
    with pytest.raises(EnvironmentFault, match="was not written by"):
        kept_config.settle(tmp_path, planned(tmp_path), Chosen())
    assert path.read_text() == text
    assert list(tmp_path.iterdir()) == [path]


def test_without_an_operator_the_plan_counts(tmp_path: Path) -> None:
    (tmp_path / kept_config.FILE).write_text(config.render(edited(planned(tmp_path)), heading=HEADING))
    assert kept_config.settle(tmp_path, planned(tmp_path), None) == (planned(tmp_path), None)
