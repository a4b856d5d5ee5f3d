"""A process that waits on its doorbell wakes when a peer has put something on a link, and never sleeps for long."""

import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lockstep.runtime.doorbell import MAX_WAIT_MS, Doorbell, DoorbellTaken, Ringer, bell_address
from lockstep.runtime.topology import Member, ProcessKind, Topology, can_ring


@pytest.fixture
def bell(tmp_path: Path) -> Iterator[Doorbell]:
    bell = Doorbell(tmp_path, "engine-1")
    yield bell
    bell.close()


def _slept_ms(bell: Doorbell) -> float:
    start = time.perf_counter()
    bell.idle(0)
    return (time.perf_counter() - start) * 1000


def test_it_sleeps_at_most_the_stated_time_when_nobody_rings(bell: Doorbell) -> None:
    assert MAX_WAIT_MS - 1 <= _slept_ms(bell) < MAX_WAIT_MS + 100


def test_it_does_not_sleep_after_work(bell: Doorbell) -> None:
    start = time.perf_counter()
    for _ in range(1000):
        bell.idle(1)
    assert time.perf_counter() - start < 0.5


def test_it_sleeps_after_work_where_all_that_had_come_was_taken_and_wakes_for_what_came_meanwhile(
    bell: Doorbell, tmp_path: Path
) -> None:
    start = time.perf_counter()
    bell.idle(1, drained=True)
    assert time.perf_counter() - start >= (MAX_WAIT_MS - 1) / 1000
    ringer = Ringer(bell_address(tmp_path, "engine-1"))
    best_s = 1.0
    for _ in range(20):
        ringer.ring()
        start = time.perf_counter()
        bell.idle(1, drained=True)
        best_s = min(best_s, time.perf_counter() - start)
    ringer.close()
    assert best_s < MAX_WAIT_MS / 2000


def test_a_ring_before_the_sleep_is_not_missed(bell: Doorbell, tmp_path: Path) -> None:
    ringer = Ringer(bell_address(tmp_path, "engine-1"))
    best = MAX_WAIT_MS * 1.0
    for _ in range(20):
        ringer.ring()
        best = min(best, _slept_ms(bell))
    ringer.close()
    assert best < MAX_WAIT_MS / 2


def test_rings_that_were_heard_do_not_wake_again(bell: Doorbell, tmp_path: Path) -> None:
    ringer = Ringer(bell_address(tmp_path, "engine-1"))
    for _ in range(5):
        ringer.ring()
    bell.idle(0)
    assert _slept_ms(bell) >= MAX_WAIT_MS - 1
    ringer.close()


def test_a_deaf_receiver_neither_blocks_nor_fills_memory(bell: Doorbell, tmp_path: Path) -> None:
    ringer = Ringer(bell_address(tmp_path, "engine-1"))
    start = time.perf_counter()
    for _ in range(10_000):
        ringer.ring()
    assert time.perf_counter() - start < 2
    ringer.close()


def test_ringing_where_nobody_listens_does_nothing(tmp_path: Path) -> None:
    ringer = Ringer(bell_address(tmp_path, "engine-9"))
    ringer.ring()
    ringer.close()


def test_another_process_s_ring_wakes_the_sleeper(bell: Doorbell, tmp_path: Path) -> None:
    script = (
        "import sys, time; from lockstep.runtime.doorbell import Ringer, bell_address\n"
        "ringer = Ringer(bell_address(sys.argv[1], 'engine-1'))\n"
        "for _ in range(200): ringer.ring(); time.sleep(0.001)"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)]) as child:
        early = 0
        while child.poll() is None:
            early += _slept_ms(bell) < MAX_WAIT_MS - 1
    assert early > 20


def test_a_further_descriptor_ends_the_sleep(bell: Doorbell) -> None:
    ours, theirs = socket.socketpair()
    epoll = select.epoll()
    epoll.register(ours.fileno(), select.EPOLLIN)
    bell.watch(epoll.fileno())
    theirs.send(b"x")
    assert min(_slept_ms(bell) for _ in range(10)) < MAX_WAIT_MS / 2
    for end in (ours, theirs, epoll):
        end.close()


def test_the_own_process_s_other_threads_can_ring(bell: Doorbell) -> None:
    best = MAX_WAIT_MS * 1.0
    for _ in range(20):
        other = threading.Thread(target=bell.ring)
        other.start()
        best = min(best, _slept_ms(bell))
        other.join()
        bell.idle(0)
    assert best < MAX_WAIT_MS / 2


def test_a_second_process_of_the_same_name_is_refused(bell: Doorbell, tmp_path: Path) -> None:
    with pytest.raises(DoorbellTaken, match="another process called engine-1"):
        Doorbell(tmp_path, "engine-1")


def test_only_members_on_one_host_can_ring() -> None:
    def member(kind: ProcessKind, id: int, host: str) -> Member:
        return Member(kind, id, host, grpc_port=1, watch_port=2, data_port=3)

    def topology(engine_host: str) -> Topology:
        return Topology(
            "test",
            ("127.0.0.1:2379",),
            Path("/dev/shm/x"),
            sequencers=(member(ProcessKind.SEQUENCER, 1, "10.0.0.1"),),
            engines=(member(ProcessKind.ENGINE, 1, engine_host),),
            gateways=(member(ProcessKind.GATEWAY, 1, "10.0.0.1"),),
        )

    near, far = topology("10.0.0.1"), topology("10.0.0.2")
    assert can_ring(near, near.engines[0])
    assert not can_ring(far, far.engines[0])
    assert not can_ring(far, far.sequencers[0])
