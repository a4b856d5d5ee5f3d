"""The facts that `checkup` judges, gathered from this host, from etcd and from the cluster's addresses.

Nothing is changed but for one small file in each data directory on this host, written, synced and removed to see how
long the disk takes.
"""

import contextlib
import ctypes
import operator
import os
import platform
import re
import shutil
import socket
import sqlite3
import time
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Final

import grpc

from lockstep.ops.operator.checkup import (
    ClockFacts,
    DiskFacts,
    DriverFacts,
    Finding,
    PortFacts,
    ReconcilerFacts,
    judge_clock,
    judge_disk,
    judge_driver,
    judge_etcd,
    judge_identity,
    judge_network,
    judge_port,
    judge_reconciler,
    judge_roles,
    judge_stored,
    judge_versions,
)
from lockstep.ops.operator.stored_config import read_config
from lockstep.ops.operator.view import view_of
from lockstep.reconciler.case_file import CASE_FILE, CaseFile
from lockstep.runtime.access.dialing import open_channel
from lockstep.runtime.cluster_view import ClusterStatus
from lockstep.runtime.driver import driver_pid
from lockstep.runtime.process import CHANNEL_OPTIONS, EnvironmentFault
from lockstep.runtime.topology import Member, ProcessKind, Topology
from lockstep.stream.batch import decode_batch
from lockstep.v1 import replication_pb2, replication_pb2_grpc

_CONNECT_S: Final = 0.5
_SYNCS: Final = 9
_PROBE: Final = ".lockstep-doctor"
_UNSYNCHRONIZED: Final = 0x40
_TIME_ERROR: Final = 5


def survey(topology: Topology, status: ClusterStatus) -> tuple[Finding, ...]:
    """Look at everything; blocks for some seconds at the most."""
    stored = read_config(topology, with_members=True)
    view = view_of(status, topology, stored.record)
    fault = stored.fault
    if stored.record is None and not fault:
        fault = f"etcd holds no config of cluster {topology.name!r}: its name may be wrong, or etcd was wiped"
    findings = [*judge_roles(view), *judge_stored(view), *judge_etcd(stored.members, fault)]
    reported = [(row.name, row.reply.cluster_uuid) for row in status.members if row.reply is not None]
    findings += judge_identity(stored.record.uuid if stored.record is not None else "", reported)
    findings += judge_driver(_driver(topology))
    findings += judge_clock(_clock(topology, status))
    findings += [judge_disk(_disk(member)) for member in _here(topology) if member.data_dir != Path()]
    findings += [judge_reconciler(facts) for facts in _reconciler(topology)]
    findings += [judge_port(facts) for facts in _ports(topology, status)]
    hosts = {member.host for member in topology.all_members()}
    findings += judge_network(len(hosts) > 1, _kernel("rmem_max"), _kernel("wmem_max"))
    findings += judge_versions(_versions())
    return tuple(findings)


def _here(topology: Topology) -> tuple[Member, ...]:
    return tuple(member for member in topology.all_members() if _is_here(member.host))


def _is_here(host: str) -> bool:
    """Whether an address is one of this machine's: the kernel binds to no other."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((host, 0))
    except OSError:
        return False
    return True


def _driver(topology: Topology) -> DriverFacts:
    directory = topology.aeron_dir
    existing = next((path for path in (directory, *directory.parents) if path.exists()), Path("/"))
    return DriverFacts(
        directory=str(directory),
        pid=driver_pid(directory) or 0,
        free_bytes=shutil.disk_usage(existing).free,
        needed=bool(_here(topology)),
    )


def _disk(member: Member) -> DiskFacts:
    path = member.data_dir
    if not path.is_dir():
        return DiskFacts(owner=member.name, path=str(path), exists=False)
    usage = shutil.disk_usage(path)
    try:
        sync_us, fault = _sync_us(path / _PROBE), ""
    except OSError as error:
        sync_us, fault = 0, f"can't be written: {error.strerror}"
    return DiskFacts(
        owner=member.name,
        path=str(path),
        exists=True,
        free_bytes=usage.free,
        total_bytes=usage.total,
        sync_us=sync_us,
        fault=fault,
    )


def _reconciler(topology: Topology) -> tuple[ReconcilerFacts, ...]:
    """One, if a reconciler works here, or did."""
    directory = topology.reconciler.data_dir
    if not (directory / CASE_FILE).exists():
        return ()
    now_ns, said, fault = time.time_ns(), {}, ""
    try:
        with contextlib.closing(CaseFile(directory)) as case:
            said = case.facts()
    except (EnvironmentFault, sqlite3.Error, OSError) as error:
        fault = str(error)
    return (
        ReconcilerFacts(
            path=str(directory),
            now_ns=now_ns,
            last_pass_ns=said.get("last_pass_ns", 0),
            through_ns=said.get("verified_through_ns", 0),
            behind=max(0, said.get("committed_seq", 0) - said.get("verified_seq", 0)),
            halted=said.get("halted", ""),
            fault=fault,
        ),
    )


def _sync_us(path: Path) -> int:
    took = []
    try:
        with path.open("wb", buffering=0) as file:
            for _ in range(_SYNCS):
                started = time.monotonic_ns()
                file.write(bytes(4096))
                os.fsync(file.fileno())
                took.append(time.monotonic_ns() - started)
    finally:
        path.unlink(missing_ok=True)
    return sorted(took)[_SYNCS // 2] // 1000


def _ports(topology: Topology, status: ClusterStatus) -> list[PortFacts]:
    answered = {row.name: row.reply is not None for row in status.members}
    found = []
    for member in topology.all_members():
        up = answered.get(member.name, False)
        grpc_up = up or _connects(member.host, member.grpc_port)
        found.append(
            PortFacts(owner=member.name, address=member.grpc_address, purpose="gRPC", connects=grpc_up, answers=up)
        )
        if member.kind in (ProcessKind.GATEWAY, ProcessKind.FEED):
            # Nobody watches them.
            continue
        watch_up = _connects(member.host, member.watch_port)
        address = f"{member.host}:{member.watch_port}"
        found.append(
            PortFacts(
                owner=member.name, address=address, purpose="liveness", connects=watch_up, answers=watch_up and up
            )
        )
    return found


def _connects(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=_CONNECT_S):
            return True
    except OSError:
        return False


def _clock(topology: Topology, status: ClusterStatus) -> ClockFacts:
    stamps = [_newest_stamp(row.address) for row in status.members if row.role in ("primary", "standby")]
    leader = status.leader()
    reply = leader.reply if leader is not None else None
    return ClockFacts(
        synchronized=_kernel_clock(),
        newest_stamp_ns=max(stamps, default=0),
        now_ns=time.time_ns(),
        stamps=reply is not None and not reply.why and topology.timing.tick_ms > 0,
        next_stamp_ns=reply.stamped_time.next_ns if reply is not None else 0,
        asked_ns=status.asked_ns,
        answered_ns=status.answered_ns,
        clocks=tuple(
            (row.name, row.reply.clock_ns) for row in status.members if row.reply is not None and row.reply.clock_ns
        ),
        leader_says=reply.stamped_time.why if reply is not None else "",
    )


def _newest_stamp(address: str) -> int:
    """Stamped time of an engine's last command; 0: it does not say."""
    with open_channel(address, CHANNEL_OPTIONS) as channel:
        stub = replication_pb2_grpc.ReplicationStub(channel)
        try:
            beyond = replication_pb2.FetchJournalRequest(from_seq=2**63)
            tip = next(iter(stub.FetchJournal(beyond, timeout=_CONNECT_S))).tip.seq
            last = replication_pb2.FetchJournalRequest(from_seq=tip)
            batches = [raw for reply in stub.FetchJournal(last, timeout=_CONNECT_S) for raw in reply.batches]
        except grpc.RpcError:
            return 0
    return decode_batch(batches[-1]).timestamp_ns if batches else 0


class _Timex(ctypes.Structure):
    """`struct timex` of 64-bit Linux; only `modes` (0: read) and `status` are looked at, the rest is room."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


def _kernel_clock() -> bool | None:
    """Whether the kernel counts its clock as synchronized; None if it can't be asked."""
    if platform.system() != "Linux":
        return None
    timex = _Timex()
    state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex))
    if state < 0:
        return None
    return not (state == _TIME_ERROR or timex.status & _UNSYNCHRONIZED)


def _kernel(name: str) -> int:
    try:
        return int(Path("/proc/sys/net/core", name).read_text(encoding="ascii"))
    except OSError:
        return 0


def _versions() -> list[tuple[str, str, str]]:
    """(name, found, wanted if that is something else) of Python, Lockstep and what a cluster host needs."""
    rows = [("python", platform.python_version(), ""), (_OURS, version(_OURS), "")]
    for line in requires(_OURS) or ():
        needed, _, marker = line.partition(";")
        named = _REQUIREMENT.match(needed)
        if named is None or marker:
            continue
        name, bounds = named[1], needed[named.end() :].strip(" ()")
        try:
            have = version(name)
        except PackageNotFoundError:
            rows.append((name, "", bounds))
            continue
        rows.append((name, have, "" if _within(have, bounds) else f"{name}{bounds}"))
    return rows


_OURS: Final = "lockstep-cluster"
_REQUIREMENT: Final = re.compile(r"\s*([A-Za-z0-9._-]+)(?:\[[^]]*\])?")
_BOUND: Final = re.compile(r"(>=|==|<)\s*([0-9.]+)")


def _within(have: str, bounds: str) -> bool:
    """Whether a version lies within bounds such as `<9,>=8.1`: all that this project's requirements use."""
    number = _numbers(have)
    compare = {">=": operator.ge, "==": operator.eq, "<": operator.lt}
    return all(compare[sign](number, _numbers(bound)) for sign, bound in _BOUND.findall(bounds))


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text.split("+")[0])[:3])
