"""`lockstep up` as its user runs it: whose its files are, and what stays of what was said or written before."""

import contextlib
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lockstep import Client
from lockstep.admin import DefineAccount
from lockstep.ops.local.ports import choose_ports
from lockstep.runtime import config
from lockstep.runtime.topology import Topology

PATIENCE_S = 120
OTHERS = stat.S_IRWXG | stat.S_IRWXO


class Running:
    """A cluster that `up` keeps, in a process of its own."""

    def __init__(self, process: subprocess.Popen[bytes], data_dir: Path, said: Path) -> None:
        self.pid = process.pid
        self.data_dir = data_dir
        self._process = process
        self._said = said

    def said(self) -> str:
        return self._said.read_text()

    @property
    def topology(self) -> Topology:
        return config.load(self.data_dir / "cluster.toml")

    def wait(self) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while "Ctrl-C stops the cluster." not in self.said():
            assert self._process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.05)

    def processes(self) -> list[int]:
        """All of them, `up` first."""
        parents = {}
        for path in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
        found = [self.pid]
        for pid in found:
            found += [child for child, parent in parents.items() if parent == pid]
        return found


@contextmanager
def up(data_dir: Path, said: Path, *options: str) -> Iterator[Running]:
    """As somebody would start it whose files everybody may read."""
    port = choose_ports(None, 40)[0]
    command = [sys.executable, "-m", "lockstep.ops.cli.main", "up", "--data-dir", str(data_dir), "--port", str(port)]
    with said.open("wb") as output:
        process = subprocess.Popen(
            [*command, *options], stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, umask=0o022
        )
    try:
        running = Running(process, data_dir, said)
        running.wait()
        yield running
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    assert process.returncode == 0, running.said()


def trade(topology: Topology, accounts: range) -> None:
    with Client([gateway.grpc_address for gateway in topology.gateways]) as client, client.session() as session:
        for number in accounts:
            session.submit(DefineAccount(number, f"A{number}")).result(PATIENCE_S)


def until(condition, what: str):
    deadline = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(0.1)
    return found


def files_in_use(pids: list[int]) -> set[Path]:
    """What processes hold open for writing, or have mapped where it may be written."""
    found = set()
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
                fields = line.split(maxsplit=5)
                if len(fields) == 6 and fields[1] in ("rw-s", "-w-s") and fields[5].startswith("/"):
                    found.add(Path(fields[5]))
            for entry in Path(f"/proc/{pid}/fdinfo").iterdir():
                said = re.search(r"flags:\s*(\d+)", entry.read_text())
                assert said is not None
                flags = int(said[1], 8)
                target = str(Path(f"/proc/{pid}/fd/{entry.name}").readlink())
                if flags & os.O_ACCMODE != os.O_RDONLY and target.startswith("/"):
                    found.add(Path(target))
    return found


def open_to_others(paths) -> dict[str, str]:
    """Files, directories, sockets and pipes that group or others have any right to."""
    found = {}
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            mode = path.lstat().st_mode
            if not stat.S_ISCHR(mode) and not stat.S_ISLNK(mode) and mode & OTHERS:
                found[str(path)] = stat.filemode(mode)
    return found


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Open to everybody, as a home directory is."""
    folder = tmp_path_factory.mktemp("up")
    folder.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def first(place) -> dict:
    """A run with snapshots and a reconciler; what was seen of it while it ran, and where."""
    data_dir, said = place / "data", place / "said"
    options = ("--reconcile", "--snapshot-every-commands", "20", "--snapshots-keep", "2")
    with up(data_dir, said, *options) as running:
        trade(running.topology, range(1, 101))
        snapshots = until(lambda: list(data_dir.glob("engine-*/snapshots/*")), "a snapshot")
        aeron_dir = running.topology.aeron_dir
        in_use = files_in_use(running.processes())
        walked = [data_dir, *data_dir.rglob("*"), aeron_dir, *aeron_dir.rglob("*")]
        seen = {
            "data_dir": data_dir,
            "topology": running.topology,
            "snapshots": snapshots,
            "processes": len(running.processes()),
            "in_use": in_use - {said},
            "walked": walked,
            "open": open_to_others([*walked, *(in_use - {said})]),
        }
    return {**seen, "left_open": open_to_others([data_dir, *data_dir.rglob("*")])}


def test_nothing_that_a_cluster_writes_can_be_read_by_group_or_others(first):
    assert first["open"] == {}
    assert first["left_open"] == {}


def test_the_walk_saw_what_a_cluster_writes(first):
    """So that the test above cannot pass for want of files."""
    names = {path.name for path in first["walked"]}
    assert {"cluster.toml", "cnc.dat", "journal", "snapshots", "etcd"} <= names
    assert any(path.suffix == ".logbuffer" for path in first["walked"])
    assert any(path.is_relative_to("/dev/shm") for path in first["in_use"])
    assert first["processes"] >= 10
    assert len(first["walked"]) > 100


@pytest.fixture(scope="module")
def again(first, place) -> dict:
    """The same directory, opened to everybody and with an edited `cluster.toml`, continued without any option."""
    data_dir = first["data_dir"]
    for path in (data_dir, *data_dir.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    file = data_dir / "cluster.toml"
    text = file.read_text()
    edited = re.sub(r"(?m)^keep = 2$", "# Two were not enough on Tuesday.\nkeep = 7", text)
    edited = re.sub(r"(?m)^resend_ms = \d+$", "resend_ms = 333", edited)
    assert edited.count("keep = 7") == edited.count("resend_ms = 333") == 1
    file.write_text(edited)
    with up(data_dir, place / "said-again") as running:
        trade(running.topology, range(101, 221))
        until(lambda: len(snapshots_of(data_dir, 1)) > 2, "more snapshots than the command line allowed before")
        return {
            "edited": edited,
            "topology": running.topology,
            "said": running.said(),
            "open": open_to_others([data_dir, *data_dir.glob("*")]),
            "copy": (data_dir / "cluster.toml.edited-1").read_text(),
        }


def snapshots_of(data_dir: Path, engine: int) -> list[Path]:
    return list(data_dir.glob(f"engine-{engine}/snapshots/*.snapshot"))


def test_snapshot_options_of_up_are_in_force_and_stand_in_the_file(first):
    assert (first["topology"].snapshots.every_commands, first["topology"].snapshots.keep) == (20, 2)
    assert first["snapshots"]


@pytest.mark.slow
def test_an_edited_file_stays_in_force_and_its_comments_are_kept(first, again):
    assert (again["topology"].snapshots.every_commands, again["topology"].snapshots.keep) == (20, 7)
    assert again["topology"].timing.resend_ms == 333
    assert again["copy"] == again["edited"]
    assert "cluster.toml.edited-1" in again["said"]
    assert again["topology"].gateways != first["topology"].gateways, "ports are those of the run"


@pytest.mark.slow
def test_a_directory_that_others_could_enter_is_closed_when_it_is_continued(again):
    assert "data" not in {Path(path).name for path in again["open"]}
    assert not {path for path in again["open"] if Path(path).name.startswith(("engine-", "gateway-", "cluster"))}


@pytest.mark.slow
def test_soup_and_fix_give_each_gateway_a_door_and_say_where(tmp_path: Path) -> None:
    with up(tmp_path / "data", tmp_path / "said", "--soup", "--fix", "--gateways", "2", "--engines", "1") as running:
        fix = re.search(r"FIX: +(\S+), (\S+) \(TargetCompID LOCKSTEP\)", running.said())
        assert fix is not None
        assert fix.groups() == tuple(gateway.fix for gateway in running.topology.gateways)
        said = re.search(r"OUCH 4\.2: +(\S+), (\S+) \(SoupBinTCP\)", running.said())
        assert said is not None
        assert said.groups() == tuple(gateway.soup for gateway in running.topology.gateways)
        for address in said.groups():
            host, _, port = address.rpartition(":")
            with socket.create_connection((host, int(port)), timeout=10) as connection:
                connection.sendall(b"\0\x01R")
                assert connection.recv(100) == b"\0\2JA", "whoever does not log in is rejected"
