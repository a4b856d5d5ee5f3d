"""Schedulers of a real cluster: two of them, one killed, the primary killed, and each change once in the stream."""

import datetime as dt
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from lockstep.day.marks import END, START, mark_of
from lockstep.day.schedule import load_schedule
from lockstep.day.sender import OPEN_NUMBER
from lockstep.day.survey import Survey, survey
from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.plan import ClusterPlan
from lockstep.runtime.access.dialing import open_channel
from lockstep.runtime.channel_options import CHANNEL_OPTIONS
from lockstep.runtime.engine_pages import event_pages
from lockstep.stream.enums import EventKind, Phase
from lockstep.stream.records import SETTING_EVENT
from lockstep.sync import Client
from lockstep.v1 import common_pb2, replication_pb2, replication_pb2_grpc

_PATIENCE_S = 120.0
_SYMBOLS = {"ACME": 1, "BETA": 2}


def write_schedule(path: Path, *, closes_s: int) -> None:
    """A day that is open, and closes so many seconds from now, in a time zone where it is noon: no midnight is near."""
    now = dt.datetime.now(dt.UTC)
    ahead = 12 - now.hour
    noon = now + dt.timedelta(hours=ahead)

    def at(seconds: int) -> str:
        return (noon + dt.timedelta(seconds=seconds)).strftime("%H:%M:%S")

    path.write_text(
        f"""
        [[segment]]
        name = "all"
        number = 9
        calendar = "24/7"
        time_zone = "Etc/GMT{-ahead:+d}"
        instruments = "all"
        phase = [
          {{ phase = "pre_open", at = "{at(-3000)}" }},
          {{ phase = "continuous", at = "{at(-2000)}" }},
          {{ phase = "closed", at = "{at(closes_s)}" }},
        ]
        """.replace("Etc/GMT+0", "Etc/GMT")
    )


def start_scheduler(cluster: LocalCluster, schedule: Path, log: Path) -> "subprocess.Popen[bytes]":
    with log.open("ab") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "lockstep.ops.cli.main", "day", "run", "--config", str(cluster.config_path),
             "--schedule", str(schedule)],
            stdout=file, stderr=file,
        )  # fmt: skip


def phase_changes(cluster: LocalCluster, seq: int) -> list[tuple[int, int, int]]:
    """(code, instrument, phase) of all changes that schedulers made."""
    request = replication_pb2.FetchEventsRequest(after=common_pb2.EventId(), to_seq=seq)
    engine = cluster.find("primary", _PATIENCE_S)
    member = next(one for one in cluster.topology.engines if one.name == engine)
    with open_channel(member.grpc_address, CHANNEL_OPTIONS) as channel:
        stub = replication_pb2_grpc.ReplicationStub(channel)
        raw = b"".join(reply.events for reply in event_pages(stub, request, timeout_s=10.0))
    events = np.frombuffer(raw, SETTING_EVENT)
    found = []
    for row in events[events["kind"] == EventKind.PHASE_CHANGED]:
        session_id = int(row["session_id"])
        mark = mark_of(session_id) if session_id >> 32 == OPEN_NUMBER else None
        if mark is not None and mark.date == dt.datetime.now(dt.UTC).date():
            found.append((mark.code, int(row["instrument"]), int(row["value"])))
    return found


def wait_for(cluster: LocalCluster, schedule: Path, phase: str) -> Survey:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        found = survey(cluster.topology, load_schedule(schedule), timeout_s=_PATIENCE_S)
        if {row.phase for row in found.rows} == {phase} and not any(row.is_late for row in found.rows):
            return found
        assert time.monotonic() < deadline, f"{phase} was waited for: {found}"
        time.sleep(1.0)


@pytest.mark.slow
def test_schedulers_of_a_real_cluster_do_each_change_once_though_one_and_the_primary_are_killed(tmp_path):
    """The day is begun by one, and ended by two others with a schedule that closes now: nothing depends on how fast."""
    opens, closes = tmp_path / "opens.toml", tmp_path / "closes.toml"
    running: list[subprocess.Popen[bytes]] = []
    with LocalCluster(ClusterPlan(engines=2, data_dir=tmp_path / "data")) as cluster:
        try:
            with Client(cluster.gateway_addresses, timeout_s=60) as client:
                session = client.session(timeout_s=60)
                for symbol, number in _SYMBOLS.items():
                    session.define_instrument(id=number, symbol=symbol, tick="0.01").result(60)
                session.close(5)
            write_schedule(opens, closes_s=3_600)
            running.append(start_scheduler(cluster, opens, tmp_path / "day-1.log"))
            wait_for(cluster, opens, "continuous")
            running[0].kill()
            cluster.kill(cluster.find("primary"))
            write_schedule(closes, closes_s=-1)
            running += [start_scheduler(cluster, closes, tmp_path / f"day-{at}.log") for at in (2, 3)]
            found = wait_for(cluster, closes, "closed")
            changes = phase_changes(cluster, found.seq)
        finally:
            for one in running:
                one.kill()
                one.wait(30)
    assert sorted(changes) == sorted(
        change
        for number in _SYMBOLS.values()
        for change in ((START, number, Phase.CONTINUOUS), (END, number, Phase.CLOSED))
    )
