"""Liveness links over real sockets, to real processes that are killed and stopped."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from lockstep.runtime.access.link_seals import LinkSeals
from lockstep.runtime.heartbeats import decode_status, encode_status
from lockstep.runtime.watch import (
    DownReason,
    MalformedFrame,
    PeerDown,
    PeerEvent,
    PeerStatus,
    PeerUp,
    PeerWatch,
    WatchServer,
)
from lockstep.runtime.watch_set import WatchSet
from tests.runtime.access.test_link_keys import pair

PEER = """
import sys, time
from lockstep.runtime.watch import WatchServer
port, member, incarnation = map(int, sys.argv[1:])
server = WatchServer("127.0.0.1", port, member, incarnation)
server.set_status(1, 7, accepted_epoch=5, delivered=(6, 99))
print(server.port, flush=True)
while True:
    server.poll(time.monotonic_ns())
    time.sleep(0.001)
"""


class Peer:
    """A watched process."""

    def __init__(self, port: int = 0, member: int = 3, incarnation: int = 11) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PEER, str(port), str(member), str(incarnation)], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()


Polled = Callable[[int], list[PeerEvent]]


def next_event(poll: Polled, limit_s: float = 3.0) -> tuple[PeerEvent, float]:
    """The next event and the seconds until it came."""
    start_s = time.monotonic()
    while time.monotonic() - start_s < limit_s:
        events = poll(time.monotonic_ns())
        if events:
            assert len(events) == 1
            return events[0], time.monotonic() - start_s
        time.sleep(0.001)
    raise AssertionError("no event came")


def silent(poll: Polled, for_s: float) -> bool:
    end_s = time.monotonic() + for_s
    while time.monotonic() < end_s:
        if poll(time.monotonic_ns()):
            return False
        time.sleep(0.001)
    return True


@pytest.fixture
def closing() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture(params=["alone", "in a set"])
def watch(request: pytest.FixtureRequest, closing: ExitStack) -> Callable[[int], tuple[PeerWatch, Polled]]:
    """Makes a watch of a port, and what polls it: itself, or a set."""

    def make(port: int) -> tuple[PeerWatch, Polled]:
        one = PeerWatch("peer", "127.0.0.1", port)
        if request.param == "alone":
            closing.callback(one.close)
            return one, one.poll
        many = WatchSet()
        many.add(one)
        closing.callback(many.close)
        return one, many.poll

    return make


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


Watch = Callable[[int], tuple[PeerWatch, Polled]]


def test_a_frame_survives_the_wire_and_foreign_ones_are_refused() -> None:
    status = PeerStatus(65535, 2**64 - 1, 255, 254, 2**63, 3, 4, 5)
    assert len(encode_status(status)) == 56
    assert decode_status(encode_status(status)) == status
    for wall_ms in (0, 1, 2**32 - 1, 2**32, 2**48 - 1):
        assert decode_status(encode_status(replace(status, wall_ms=wall_ms))).wall_ms == wall_ms
    with pytest.raises(MalformedFrame, match="magic"):
        decode_status(b"GET / HTTP/1.1\r\n" + bytes(40))
    with pytest.raises(MalformedFrame, match="version 1"):
        decode_status(encode_status(status)[:4] + b"\1\0" + bytes(50))


def test_a_live_peer_comes_up_with_its_status_and_stays_up(watch: Watch) -> None:
    with Peer() as peer:
        one, poll = watch(peer.port)
        event, took_s = next_event(poll)
        assert event == PeerUp("peer", 11, PeerStatus(3, 11, 1, 0, 7, 5, 6, 99))
        assert took_s < 0.25
        assert silent(poll, 0.5)
        assert one.up
        assert one.down_reason is None


def test_each_heartbeat_tells_the_time_at_which_it_was_sent(watch: Watch) -> None:
    with Peer() as peer:
        one, poll = watch(peer.port)
        next_event(poll)
        for _ in range(3):
            beats = one.beats
            while one.beats < beats + 3:
                poll(time.monotonic_ns())
                time.sleep(0.001)
            assert one.status is not None
            assert abs(one.status.wall_ms - time.time_ns() // 1_000_000) < 1_000


def test_a_clock_that_no_heartbeat_can_hold_is_told_as_the_nearest_that_it_can() -> None:
    for wall_ns, sent_ms in ((-5, 0), (2**63, 2**63 // 1_000_000), (2**70, 2**48 - 1)):
        server = WatchServer("127.0.0.1", 0, 3, 11, wall_ns=partial(int, wall_ns))
        one = PeerWatch("peer", "127.0.0.1", server.port)
        try:
            while one.status is None:
                server.poll(time.monotonic_ns())
                one.poll(time.monotonic_ns())
            assert one.status.wall_ms == sent_ms
        finally:
            one.close()
            server.close()


def test_a_killed_peer_is_down_at_once_and_up_again_in_its_next_life(watch: Watch) -> None:
    with Peer() as peer:
        one, poll = watch(peer.port)
        next_event(poll)
        peer.signal(signal.SIGKILL)
        event, took_s = next_event(poll)
        assert event == PeerDown("peer", DownReason.EOF, 11)
        assert took_s < 0.02
        assert silent(poll, 0.3)
        assert one.down_reason is DownReason.REFUSED
        peer.process.wait()
        with Peer(peer.port, incarnation=12):
            event, _took_s = next_event(poll)
            assert isinstance(event, PeerUp)
            assert event.incarnation == 12


def test_a_stopped_peer_is_down_within_the_deadline_and_up_again_when_it_resumes(watch: Watch) -> None:
    with Peer() as peer:
        one, poll = watch(peer.port)
        next_event(poll)
        assert silent(poll, 0.3)
        peer.signal(signal.SIGSTOP)
        event, took_s = next_event(poll)
        assert event == PeerDown("peer", DownReason.HANG, 11)
        assert took_s < one.timeout_ns / 1e9 + 0.1 <= 0.35
        assert silent(poll, 0.3)
        peer.signal(signal.SIGCONT)
        event, took_s = next_event(poll)
        assert event == PeerUp("peer", 11, PeerStatus(3, 11, 1, 0, 7, 5, 6, 99))
        assert took_s < 0.1


def test_stops_too_short_to_count_as_a_hang_are_added_up(watch: Watch) -> None:
    with Peer() as peer:
        one, poll = watch(peer.port)
        next_event(poll)
        before_ns = one.stalled_ns
        peer.signal(signal.SIGSTOP)
        assert silent(poll, 0.09)
        peer.signal(signal.SIGCONT)
        assert silent(poll, 0.1)
        assert one.stalled_ns - before_ns >= 60_000_000


def test_a_peer_stopped_for_long_still_comes_back(watch: Watch) -> None:
    with Peer() as peer:
        _one, poll = watch(peer.port)
        next_event(poll)
        peer.signal(signal.SIGSTOP)
        next_event(poll)
        assert silent(poll, 2.5)
        peer.signal(signal.SIGCONT)
        event, _took_s = next_event(poll)
        assert isinstance(event, PeerUp)
        assert silent(poll, 0.5)


def test_a_peer_killed_while_it_hangs_is_reported_as_crashed(watch: Watch) -> None:
    with Peer() as peer:
        _one, poll = watch(peer.port)
        next_event(poll)
        peer.signal(signal.SIGSTOP)
        next_event(poll)
        peer.signal(signal.SIGKILL)
        event, took_s = next_event(poll)
        assert event == PeerDown("peer", DownReason.EOF, 11)
        assert took_s < 0.02


def test_a_peer_that_is_not_there_is_refused_once_and_found_when_it_starts(watch: Watch) -> None:
    port = free_port()
    _one, poll = watch(port)
    event, _took_s = next_event(poll)
    assert event == PeerDown("peer", DownReason.REFUSED, 0)
    assert silent(poll, 0.3)
    with Peer(port):
        event, took_s = next_event(poll)
        assert isinstance(event, PeerUp)
        assert took_s < 0.7


def test_a_listener_that_never_answers_hangs(watch: Watch, closing: ExitStack) -> None:
    listener = closing.enter_context(socket.create_server(("127.0.0.1", 0)))
    _one, poll = watch(listener.getsockname()[1])
    event, took_s = next_event(poll)
    assert event == PeerDown("peer", DownReason.HANG, 0)
    assert 0.2 < took_s < 0.4


def test_a_foreign_server_is_a_protocol_error(watch: Watch, closing: ExitStack) -> None:
    listener = closing.enter_context(socket.create_server(("127.0.0.1", 0)))
    _one, poll = watch(listener.getsockname()[1])
    poll(time.monotonic_ns())
    foreign, _address = listener.accept()
    closing.enter_context(foreign).sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    event, _took_s = next_event(poll)
    assert event == PeerDown("peer", DownReason.PROTOCOL, 0)


def test_a_watcher_that_was_paused_itself_accuses_nobody(watch: Watch) -> None:
    with Peer() as peer:
        _one, poll = watch(peer.port)
        next_event(poll)
        assert silent(poll, 0.2)
        time.sleep(0.6)
        assert silent(poll, 0.3)


def test_the_server_announces_a_new_role_with_its_next_poll(closing: ExitStack) -> None:
    server = WatchServer("127.0.0.1", 0, 4, 1, interval_ns=10**12)
    closing.callback(server.close)
    one = PeerWatch("peer", "127.0.0.1", server.port)
    closing.callback(one.close)
    start_s = time.monotonic()
    while not one.up and time.monotonic() - start_s < 3:
        one.poll(time.monotonic_ns())
        server.poll(time.monotonic_ns())
    server.set_status(2, 8, delivered=(7, 100))
    server.poll(time.monotonic_ns())
    while one.status != PeerStatus(4, 1, 2, 0, 8, 0, 7, 100):
        assert time.monotonic() - start_s < 3
        one.poll(time.monotonic_ns())
    assert server.watchers == 1


def test_the_server_drops_those_who_speak_another_protocol(closing: ExitStack) -> None:
    server = WatchServer("127.0.0.1", 0, 4, 1)
    closing.callback(server.close)
    stranger = closing.enter_context(socket.create_connection(("127.0.0.1", server.port)))
    stranger.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: none\r\n\r\n")
    start_s = time.monotonic()
    while not server.malformed and time.monotonic() - start_s < 3:
        server.poll(time.monotonic_ns())
    assert (server.malformed, server.watchers) == (1, 0)


def test_a_watcher_that_does_not_read_costs_the_server_no_time(closing: ExitStack) -> None:
    server = WatchServer("127.0.0.1", 0, 4, 1, interval_ns=1)
    closing.callback(server.close)
    lazy = closing.enter_context(socket.create_connection(("127.0.0.1", server.port)))
    lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    slowest_s = 0.0
    for _ in range(20_000):
        start_s = time.monotonic()
        server.poll(time.monotonic_ns())
        slowest_s = max(slowest_s, time.monotonic() - start_s)
    assert slowest_s < 0.2
    assert server.watchers == 1


def test_a_silent_watcher_is_dropped_in_the_end(closing: ExitStack) -> None:
    server = WatchServer("127.0.0.1", 0, 4, 1)
    closing.callback(server.close)
    silent_one = closing.enter_context(socket.create_connection(("127.0.0.1", server.port)))
    select.select([silent_one], [], [], 0)
    now_ns = time.monotonic_ns()
    server.poll(now_ns)
    assert server.watchers == 1
    server.poll(now_ns + 6 * 10**9)
    assert server.watchers == 0


def test_a_busy_address_is_refused_by_name(closing: ExitStack) -> None:
    server = WatchServer("127.0.0.1", 0, 4, 1)
    closing.callback(server.close)
    with pytest.raises(OSError, match=f"127.0.0.1:{server.port}"):
        WatchServer("127.0.0.1", server.port, 5, 1)


def test_a_set_reports_each_peers_fate_by_name(closing: ExitStack) -> None:
    peers = {f"engine-{number}": closing.enter_context(Peer(member=number)) for number in range(3)}
    many = WatchSet()
    closing.callback(many.close)
    for name, peer in peers.items():
        many.add(PeerWatch(name, "127.0.0.1", peer.port))
    events: list[PeerEvent] = []
    start_s = time.monotonic()
    while len(events) < 3 and time.monotonic() - start_s < 3:
        events += many.poll(time.monotonic_ns())
    assert {event.name for event in events if isinstance(event, PeerUp)} == set(peers)
    peers["engine-1"].signal(signal.SIGKILL)
    event, took_s = next_event(many.poll)
    assert event == PeerDown("engine-1", DownReason.EOF, 11)
    assert took_s < 0.02
    assert many["engine-0"].up
    with pytest.raises(ValueError, match="engine-0"):
        many.add(PeerWatch("engine-0", "127.0.0.1", 1))
    many.remove("engine-0")
    assert silent(many.poll, 0.2)


# ---- sealed ----------------------------------------------------------------------------------------------------------


def sealed_ends(tmp_path: Path, closing: ExitStack) -> tuple[WatchServer, PeerWatch, LinkSeals]:
    """An engine's server, a sequencer's watch of it, and the server's seals."""
    watcher, watched, wanted = pair(tmp_path, "hosts", ("127.0.0.1", "127.0.0.1"))
    server = WatchServer("127.0.0.1", 0, 1, 5, seals=watched)
    seal = watcher.watching(wanted.engines[0])
    one = PeerWatch("engine-1", "127.0.0.1", server.port, identity=PeerStatus(1, 7), seal=seal)
    closing.callback(server.close)
    closing.callback(one.close)
    return server, one, watched


def test_members_whose_link_is_sealed_hear_each_other(tmp_path: Path, closing: ExitStack) -> None:
    server, one, seals = sealed_ends(tmp_path, closing)
    start_s = time.monotonic()
    while one.beats < 3:
        assert time.monotonic() - start_s < 3
        one.poll(time.monotonic_ns())
        server.poll(time.monotonic_ns())
    assert one.up
    assert one.status == PeerStatus(1, 5)
    one.close()
    while not one.up or one.beats < 6:
        assert time.monotonic() - start_s < 6
        one.poll(time.monotonic_ns())
        server.poll(time.monotonic_ns())
    assert sum(seals.drops.values()) == server.malformed == 0


def test_a_stranger_is_told_nothing_takes_nobodys_place_and_does_not_stay(tmp_path: Path, closing: ExitStack) -> None:
    server, one, _seals = sealed_ends(tmp_path, closing)
    callers = []
    for _ in range(80):
        callers.append(closing.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=3)))
        server.poll(time.monotonic_ns())
    start_s = time.monotonic()
    while not one.up:
        assert time.monotonic() - start_s < 3
        server.poll(time.monotonic_ns())
        one.poll(time.monotonic_ns())
    assert server.watchers <= 65
    server.poll(time.monotonic_ns() + 3 * 10**9)
    assert server.watchers == 1
    for caller in callers:
        assert caller.recv(100) == b""


def test_a_server_that_is_not_the_member_is_not_believed(tmp_path: Path, closing: ExitStack) -> None:
    _server, one, _seals = sealed_ends(tmp_path, closing)
    impostor = WatchServer("127.0.0.1", 0, 1, 5)
    closing.callback(impostor.close)
    one._address = ("127.0.0.1", impostor.port)
    start_s = time.monotonic()
    events: list[PeerEvent] = []
    while not events:
        assert time.monotonic() - start_s < 3
        impostor.poll(time.monotonic_ns())
        events = one.poll(time.monotonic_ns())
    assert isinstance(events[0], PeerDown)
    assert not one.up
    assert one.status is None
