"""Somebody on the network between a cluster's hosts, who hears everything and may send anything, but has no key.

It reads frames off the cables and sends them again, to their receiver, to others, and back; cuts them short; and makes
frames and heartbeats of its own. It speaks Aeron by a media driver of its own, so all this arrives as from one more
sender on each link.
"""

import socket
import struct
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from lockstep.runtime.access.link_seals import number_of
from lockstep.runtime.driver import driver_pid
from lockstep.runtime.heartbeats import PeerStatus, encode_status
from lockstep.runtime.topology import LinkKind, Member, Topology, outbound_links
from lockstep.runtime.transport import OutboundLink, Transport
from lockstep.stream.messages import Receipt, encode
from lockstep.stream.sealing import SEAL_PREFIX, SEAL_SIZE, Digests, Sealer, SealKeys

# Of all protocols: what is for one alone hears nothing on a port of a bridge.
_ETH_P_ALL: Final = 3
_IP: Final = b"\x08\x00"
_UDP, _TCP = 17, 6
_AERON: Final = struct.Struct("<iBBHiiii")
_AERON_HEADER: Final = 32
_DATA, _WHOLE = 1, 0xC0
_KEPT: Final = 64
"""Frames of one link that are kept."""
_QUEUE_BYTES: Final = 1 << 20
_PATIENCE_S: Final = 30.0
_GUESS: Final = SealKeys(1, {1: b"a key that somebody has guessed!"})


class Wiretap(threading.Thread):
    """Hears what passes some network devices, until it is closed; but for what comes from `ours`."""

    def __init__(self, devices: Sequence[str], ours: str) -> None:
        super().__init__(name="wiretap", daemon=True)
        self.frames: dict[tuple[str, int, int], list[bytes]] = defaultdict(list)
        """Sealed frames by host, port and stream of their receiver: the newest."""
        self.heartbeats: dict[tuple[str, int], list[bytes]] = defaultdict(list)
        """Sealed heartbeats by host and port where they arrived."""
        self._ours = socket.inet_aton(ours)
        self._taps = []
        for device in devices:
            tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
            tap.bind((device, _ETH_P_ALL))
            tap.settimeout(0.05)
            self._taps.append(tap)
        self._closing = threading.Event()

    def run(self) -> None:
        """Listen."""
        while not self._closing.is_set():
            for tap in self._taps:
                try:
                    packet = tap.recv(65_536)
                except TimeoutError:
                    continue
                if packet[12:14] == _IP:
                    self._hear(packet[14:])

    def close(self) -> None:
        """Hear no more."""
        self._closing.set()
        self.join()
        for tap in self._taps:
            tap.close()

    def _hear(self, packet: bytes) -> None:
        head, protocol = (packet[0] & 15) * 4, packet[9]
        fragment = struct.unpack_from(">H", packet, 6)[0] & 0x3FFF
        if fragment or packet[12:16] == self._ours:
            return
        whole, host = struct.unpack_from(">H", packet, 2)[0], socket.inet_ntoa(packet[16:20])
        port = struct.unpack_from(">H", packet, head + 2)[0]
        if protocol == _UDP:
            for stream, frame in _aeron_frames(packet[head + 8 : whole]):
                _keep(self.frames[host, port, stream], frame)
        elif protocol == _TCP:
            payload = packet[head + (packet[head + 12] >> 4) * 4 : whole]
            if payload.startswith(SEAL_PREFIX):
                _keep(self.heartbeats[host, port], payload)


def _keep(kept: list[bytes], frame: bytes) -> None:
    kept.append(frame)
    del kept[:-_KEPT]


def _aeron_frames(datagram: bytes) -> Iterator[tuple[int, bytes]]:
    """(stream, frame) of each whole message with a seal in a datagram."""
    at = 0
    while at + _AERON_HEADER <= len(datagram):
        length, _version, flags, kind, _offset, _session, stream, _term = _AERON.unpack_from(datagram, at)
        if length < _AERON_HEADER or kind != _DATA:
            return
        frame = datagram[at + _AERON_HEADER : at + length]
        if flags & _WHOLE == _WHOLE and frame.startswith(SEAL_PREFIX):
            yield stream, frame
        at += (length + 31) // 32 * 32


class Attacker:
    """See the module. Use it as a context manager, beside a running cluster of several hosts."""

    def __init__(self, topology: Topology, wiretap: Wiretap) -> None:
        self._topology = topology
        self._tap = wiretap
        self._driver = subprocess.Popen(
            (sys.executable, "-m", "lockstep.runtime.driver", "--dir", str(topology.aeron_dir), "--max-park-us", "100"),
            stdout=subprocess.DEVNULL,
        )
        self._transport: Transport | None = None
        self._ends: list[tuple[LinkKind, Member, Member, OutboundLink]] = []
        self.sent: dict[str, int] = defaultdict(int)
        """By what was done."""

    def __enter__(self) -> Self:
        try:
            self._open()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave the network."""
        if self._transport is not None:
            self._transport.close()
        self._driver.terminate()
        self._driver.wait(10)

    def _open(self) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while driver_pid(Path(self._topology.aeron_dir)) is None:
            assert time.monotonic() < deadline, "the attacker's own media driver does not start"
            time.sleep(0.02)
        transport = self._transport = Transport(self._topology.aeron_dir)
        members = {member.name: member for member in self._topology.all_members()}
        for member in members.values():
            for (kind, _), link in outbound_links(self._topology, member).items():
                if link.channel.startswith("aeron:udp"):
                    target = members[link.name.partition(">")[2].partition("/")[0]]
                    self._ends.append((kind, member, target, transport.outbound(link, queue_limit_bytes=_QUEUE_BYTES)))
        while not all(end.connected for *_, end in self._ends):
            assert time.monotonic() < deadline, "receivers do not take the attacker for a sender"
            time.sleep(0.02)

    def strike(self) -> None:
        """Do each thing once on each link, and at each port of liveness links."""
        for kind, source, target, end in self._ends:
            end.flush()
            link = self._topology.link(kind, source, target)
            word = encode(Receipt(source.id, 9, 9, 1, 100, 1, 1, opens=True, rewinds=False))
            self._send(end, "unsealed", word)
            for what, cluster in (("forged", self._topology.name), ("cross-cluster", "another")):
                made = Sealer(cluster, link.name, number_of(source), time.time_ns(), Digests())
                self._send(end, what, made.seal(_GUESS, (word,)) + word)
            for heard in self._tap.frames[target.host, target.data_port, link.stream_id][-1:]:
                self._send(end, "replayed", heard)
                self._send(end, "truncated", heard[: SEAL_SIZE + 3])
                self._send(end, "changed", heard[:-1] + bytes([heard[-1] ^ 1]))
                self._reflect(source, heard)
        for member in self._topology.all_members():
            if member.watch_port:
                self._call(member)

    def _reflect(self, source: Member, heard: bytes) -> None:
        """Back to the host that it came from, on a link that ends there."""
        for _, _, target, end in self._ends:
            if target == source:
                self._send(end, "reflected", heard)
                return

    def _send(self, end: OutboundLink, what: str, frame: bytes) -> None:
        if end.send(frame):
            self.sent[what] += 1

    def _call(self, member: Member) -> None:
        """As somebody who watches a member: with a heartbeat of our own, and with one that was heard."""
        watcher = self._topology.sequencers[0]
        name = f"{watcher.name}>{member.name}/watch"
        word = encode_status(PeerStatus(1, 1))
        made = Sealer(self._topology.name, name, number_of(watcher), time.time_ns(), Digests())
        heard = self._tap.heartbeats[member.host, member.watch_port][:1]
        for what, frame in (
            ("forged heartbeat", made.seal(_GUESS, (word,)) + word),
            *(("replayed heartbeat", one[: SEAL_SIZE + len(word)]) for one in heard),
        ):
            with socket.create_connection((member.host, member.watch_port), timeout=_PATIENCE_S) as call:
                call.sendall(frame)
                self.sent[what] += 1
                assert call.recv(4096) == b"", "somebody without a key is told something"
