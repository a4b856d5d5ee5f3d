"""Links over a real media driver, and what they do when peers or the driver die."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from lockstep.runtime.driver import driver_pid
from lockstep.runtime.topology import Link
from lockstep.runtime.transport import (
    DriverState,
    DriverUnavailable,
    InboundLink,
    MessageTooLong,
    OutboundLink,
    Transport,
    ipc_link,
    udp_link,
)

Until = Callable[..., float]
SIZES = [1, 31, 1000, 8192, 70_000, 1 << 20]

READER = """
import sys
from lockstep.runtime.transport import Transport, ipc_link
inbound = Transport(sys.argv[1]).inbound(ipc_link("doomed", int(sys.argv[2])))
print("attached", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def transport(driver: Any) -> Iterator[Transport]:
    attached = Transport(driver.directory)
    yield attached
    attached.close()


def free_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def pair(transport: Transport, link: Link, until: Until, limit: int = 8 << 20) -> tuple[OutboundLink, InboundLink]:
    inbound = transport.inbound(link)
    outbound = transport.outbound(link, queue_limit_bytes=limit)
    until(lambda: outbound.connected and inbound.connected)
    return outbound, inbound


def start_reader(transport: Transport, stream_id: int) -> subprocess.Popen[str]:
    """A receiver in its own process that never polls."""
    process = subprocess.Popen(
        [sys.executable, "-c", READER, str(transport.directory), str(stream_id)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "attached\n"
    return process


@pytest.mark.parametrize("kind", ["ipc", "udp"])
def test_messages_of_all_sizes_arrive_whole_and_in_order(transport: Transport, until: Until, kind: str) -> None:
    link = ipc_link("all", 1) if kind == "ipc" else udp_link("all", "127.0.0.1", free_udp_port(), 1)
    outbound, inbound = pair(transport, link, until)
    sent = [os.urandom(size) for size in SIZES]
    got: list[bytes] = []
    for message in sent:
        assert outbound.send(message)

    def arrived() -> bool:
        outbound.flush()
        inbound.poll(got.append, 100)
        return len(got) == len(sent)

    until(arrived)
    assert got == sent
    assert (outbound.sent, outbound.dropped, inbound.received) == (len(sent), 0, len(sent))


def test_a_message_of_many_fragments_that_is_there_comes_with_one_poll(transport: Transport, until: Until) -> None:
    """It has rung once: a reader that takes a fragment and sleeps would sleep once for each."""
    outbound, inbound = pair(transport, ipc_link("whole", 1), until)
    messages = [bytes([number]) * 300_000 for number in range(3)]
    for message in messages:
        assert outbound.send(message)
    came: list[bytes] = []
    for count in (1, 2, 3):
        assert inbound.poll(came.append, 1) == 1
        assert len(came) == count
    assert came == messages
    assert inbound.poll(came.append, 1) == 0


def test_several_buffers_of_any_kind_become_one_message(transport: Transport, until: Until) -> None:
    outbound, inbound = pair(transport, ipc_link("parts", 2), until)
    column = np.arange(4, dtype="<u8")
    got: list[bytes] = []
    assert outbound.send(b"ab", bytearray(b"cd"), memoryview(b"ef"), column, memoryview(column).cast("B"), b"")
    until(lambda: inbound.poll(got.append, 10))
    assert got == [b"abcdef" + 2 * column.tobytes()]
    assert np.frombuffer(got[0], dtype="<u8", offset=6).tolist() == [0, 1, 2, 3, 0, 1, 2, 3]


def test_order_is_kept_under_back_pressure_and_nothing_accepted_is_lost(transport: Transport, until: Until) -> None:
    outbound, inbound = pair(transport, ipc_link("slow", 3), until, limit=16 << 20)
    accepted: list[int] = []
    got: list[int] = []
    for number in range(400):
        if outbound.send(number.to_bytes(8, "little"), bytes(100_000)):
            accepted.append(number)
    assert outbound.pending_bytes > 0
    assert outbound.dropped == 400 - len(accepted) > 0
    assert outbound.pending_bytes <= 16 << 20

    def drained() -> bool:
        outbound.flush()
        inbound.poll(lambda message: got.append(int.from_bytes(message[:8], "little")), 10)
        return len(got) == len(accepted)

    until(drained)
    assert got == accepted
    assert outbound.pending_bytes == 0
    assert outbound.sent == len(accepted)


def test_a_queued_message_is_a_copy(transport: Transport, until: Until) -> None:
    outbound, inbound = pair(transport, ipc_link("copy", 4), until)
    while outbound.pending_bytes == 0:
        outbound.send(bytes(1 << 20))
    last = bytearray(b"before")
    assert outbound.send(last)
    last[:] = b"after!"
    got: list[bytes] = []

    def drained() -> bool:
        outbound.flush()
        inbound.poll(got.append, 100)
        return bool(got) and len(got[-1]) == 6

    until(drained)
    assert got[-1] == b"before"


def test_clear_drops_and_counts_what_waits(transport: Transport, until: Until) -> None:
    outbound, _inbound = pair(transport, ipc_link("clear", 5), until)
    while outbound.pending_bytes == 0:
        outbound.send(bytes(1 << 20))
    outbound.clear()
    assert (outbound.pending_bytes, outbound.dropped, outbound.flush()) == (0, 1, 0)


def test_a_link_without_receiver_drops_and_counts(transport: Transport) -> None:
    outbound = transport.outbound(ipc_link("nobody", 6), queue_limit_bytes=1000)
    assert not outbound.connected
    assert not outbound.send(b"lost")
    assert (outbound.sent, outbound.dropped, outbound.pending_bytes) == (0, 1, 0)


def test_a_message_over_the_limit_is_refused_by_name_and_the_link_goes_on(transport: Transport, until: Until) -> None:
    outbound, inbound = pair(transport, ipc_link("big", 7), until)
    with pytest.raises(MessageTooLong, match=r"3145728 bytes on link big"):
        outbound.send(bytes(3 << 20))
    got: list[bytes] = []
    assert outbound.send(b"next")
    until(lambda: inbound.poll(got.append, 10))
    assert got == [b"next"]


def test_a_handler_that_raises_loses_only_its_own_message(transport: Transport, until: Until) -> None:
    outbound, inbound = pair(transport, ipc_link("raise", 8), until)
    for message in (b"1", b"2", b"3"):
        outbound.send(message)

    def fail(message: bytes) -> None:
        raise KeyError(message)

    with pytest.raises(KeyError):
        inbound.poll(fail, 10)
    got: list[bytes] = []
    until(lambda: inbound.poll(got.append, 10) or got)
    assert got == [b"2", b"3"]


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGSTOP], ids=lambda ending: ending.name)
def test_a_dead_or_stopped_receiver_never_holds_up_another_link(
    transport: Transport, until: Until, ending: signal.Signals
) -> None:
    reader = start_reader(transport, 9)
    doomed = transport.outbound(ipc_link("doomed", 9), queue_limit_bytes=1 << 20)
    healthy, inbound = pair(transport, ipc_link("healthy", 10), until)
    until(lambda: doomed.connected)
    reader.send_signal(ending)
    got: list[bytes] = []
    slowest_s = 0.0
    for number in range(100):
        start_s = time.monotonic()
        doomed.send(bytes(1 << 20))
        assert healthy.send(number.to_bytes(8, "little"))
        inbound.poll(got.append, 10)
        slowest_s = max(slowest_s, time.monotonic() - start_s)
    reader.kill()
    reader.wait()
    assert got == [number.to_bytes(8, "little") for number in range(100)]
    assert slowest_s < 0.5
    assert doomed.dropped > 0


def test_a_restarted_receiver_connects_by_itself(transport: Transport, until: Until) -> None:
    outbound = transport.outbound(ipc_link("again", 11), queue_limit_bytes=1000)
    reader = start_reader(transport, 11)
    until(lambda: outbound.connected)
    reader.kill()
    reader.wait()
    until(lambda: not outbound.connected)
    inbound = transport.inbound(ipc_link("again", 11))
    until(lambda: outbound.connected)
    got: list[bytes] = []
    assert outbound.send(b"hello again")
    until(lambda: inbound.poll(got.append, 10))
    assert got == [b"hello again"]


def test_a_killed_driver_is_noticed_and_the_same_links_work_with_the_next(
    driver: Any, transport: Transport, until: Until
) -> None:
    outbound, inbound = pair(transport, ipc_link("phoenix", 12), until)
    udp_outbound, _udp_inbound = pair(transport, udp_link("wire", "127.0.0.1", free_udp_port(), 1), until)
    assert transport.check(time.monotonic_ns()) is DriverState.LIVE
    driver.kill()
    assert until(lambda: transport.check(time.monotonic_ns()) is DriverState.DEAD) < 0.1
    outbound.send(b"into the void")
    with pytest.raises(DriverUnavailable, match="lockstep driver"):
        transport.rebuild()
    assert not outbound.connected
    assert not outbound.send(b"still down")
    assert inbound.poll(lambda _message: None, 10) == 0
    driver.start()
    assert transport.check(time.monotonic_ns()) is DriverState.DEAD
    transport.rebuild()
    assert transport.check(time.monotonic_ns()) is DriverState.LIVE
    until(lambda: outbound.connected and udp_outbound.connected)
    got: list[bytes] = []
    assert outbound.send(b"alive")
    until(lambda: inbound.poll(got.append, 10))
    assert got == [b"alive"]


def test_a_driver_replaced_between_two_checks_counts_as_dead(driver: Any, transport: Transport) -> None:
    assert transport.check(time.monotonic_ns()) is DriverState.LIVE
    driver.kill()
    driver.start()
    assert transport.check(time.monotonic_ns() + 10**9) is DriverState.DEAD
    transport.rebuild()
    assert transport.check(time.monotonic_ns()) is DriverState.LIVE


def test_a_stopped_driver_shows_as_hung_and_recovers(driver: Any, transport: Transport, until: Until) -> None:
    os.kill(driver.process.pid, signal.SIGSTOP)
    assert until(lambda: transport.check(time.monotonic_ns()) is DriverState.HUNG) < 1.2
    os.kill(driver.process.pid, signal.SIGCONT)
    until(lambda: transport.check(time.monotonic_ns()) is DriverState.LIVE)


def test_a_process_paused_beyond_the_liveness_time_is_detached_and_rebuilds(transport: Transport, until: Until) -> None:
    outbound, inbound = pair(transport, ipc_link("sleeper", 13), until)
    stop_me = f"kill -STOP {os.getpid()}; sleep 2.5; kill -CONT {os.getpid()}"
    subprocess.run(["/bin/sh", "-c", stop_me], check=True)
    until(lambda: transport.check(time.monotonic_ns()) is DriverState.DETACHED)
    until(lambda: transport.fault)
    assert not outbound.send(b"cut off")
    transport.rebuild()
    until(lambda: outbound.connected)
    got: list[bytes] = []
    assert outbound.send(b"back")
    until(lambda: inbound.poll(got.append, 10))
    assert got == [b"back"]


def test_opening_a_link_after_the_drivers_death_says_so(driver: Any, until: Until) -> None:
    transport = Transport(driver.directory, driver_timeout_s=1.0)
    driver.kill()
    with pytest.raises(DriverUnavailable, match=str(driver.directory)):
        transport.outbound(ipc_link("late", 14), queue_limit_bytes=1)
    transport.close()


def test_a_directory_without_driver_is_refused_at_once(driver: Any) -> None:
    driver.stop()
    assert driver_pid(driver.directory) is None
    start_s = time.monotonic()
    with pytest.raises(DriverUnavailable, match="lockstep driver"):
        Transport(driver.directory)
    assert time.monotonic() - start_s < 0.5
