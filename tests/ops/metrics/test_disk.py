"""The room where a process writes, as Prometheus reads it."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from lockstep.runtime.metrics.disk import DATA, SHARED_MEMORY, free_space, places
from lockstep.runtime.topology import Member, ProcessKind, Topology


def topology(tmp_path: Path) -> Topology:
    def members(kind: ProcessKind) -> tuple[Member, ...]:
        return (Member(kind, 1, "h", 1, 2, data_dir=tmp_path / kind.name),)

    kinds = (ProcessKind.SEQUENCER, ProcessKind.ENGINE, ProcessKind.GATEWAY)
    sequencers, engines, gateways = map(members, kinds)
    return Topology("t", (), tmp_path / "aeron", sequencers, engines, gateways)


@pytest.mark.parametrize("kind", [ProcessKind.ENGINE, ProcessKind.GATEWAY])
def test_engines_and_gateways_watch_their_data_and_the_shared_memory(tmp_path: Path, kind: ProcessKind) -> None:
    made = topology(tmp_path)
    where = places(made, made.member(kind, 1))
    assert where == {DATA: tmp_path / kind.name, SHARED_MEMORY: tmp_path / "aeron"}


def test_sequencer_keeps_no_data(tmp_path: Path) -> None:
    made = topology(tmp_path)
    assert list(places(made, made.member(ProcessKind.SEQUENCER, 1))) == [SHARED_MEMORY]


def test_figures_are_the_file_systems_also_of_a_directory_that_is_not_there_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def usage(path: Path) -> SimpleNamespace:
        asked.append(path)
        return SimpleNamespace(free=7, total=70)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    free, size = free_space({DATA: tmp_path / "not" / "yet"})
    assert asked == [tmp_path]
    assert [(s.labels, s.value) for s in free.samples] == [({"place": "data"}, 7)]
    assert [(s.labels, s.value) for s in size.samples] == [({"place": "data"}, 70)]


def test_disk_that_fails_costs_its_own_figures_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = shutil.disk_usage

    def usage(path: Path) -> object:
        if path.name == "bad":
            raise OSError(5, "Input/output error")
        return real(path)

    (tmp_path / "bad").mkdir()
    monkeypatch.setattr(shutil, "disk_usage", usage)
    free, _ = free_space({DATA: tmp_path / "bad", SHARED_MEMORY: tmp_path})
    assert [s.labels["place"] for s in free.samples] == [SHARED_MEMORY]
