"""A bad network cable: passes Ethernet frames between two interfaces, and hurts what goes one way.

    python -m lockstep.trials.chaos.bad_wire HOST_SIDE BRIDGE_SIDE --delay-ms 20 --jitter-ms 0 --loss 0.0 --seed 1

What comes from the bridge to the host is late, out of order, or lost; what the host sends passes at once. It ends when
its standard input does. A wire of our own, because `tc netem` is missing from many kernels, those of small virtual
machines among them. Needs root, and the network namespace of both interfaces.
"""

import argparse
import heapq
import random
import selectors
import socket
import sys
import time
from typing import Final

# From linux/if_packet.h and linux/if_ether.h; Python names only some of them.
_SOL_PACKET: Final = 263
_PACKET_VNET_HDR: Final = 15
_PACKET_IGNORE_OUTGOING: Final = 23
_ETH_P_ALL: Final = 3
_LONGEST: Final = 70_000
"""A frame that the sender's kernel has not split yet (64 KiB) and its headers."""
_BURST: Final = 64


class BadWire:
    """One cable. Pure but for the sockets that it is given: `take` and `due` decide.

    delay_ns: how long every frame to the host takes; jitter_ns: up to how much longer, drawn for each, so that frames
    overtake each other; loss: the share that never arrives.
    """

    def __init__(self, *, delay_ns: int, jitter_ns: int, loss: float, seed: int) -> None:
        self._delay_ns = delay_ns
        self._jitter_ns = jitter_ns
        self._loss = loss
        self._chance = random.Random(seed)  # noqa: S311 - a repeatable wire, not a secret
        self._waiting: list[tuple[int, int, bytes]] = []
        self._count = 0

    def take(self, frame: bytes, now_ns: int) -> None:
        """A frame begins its way to the host."""
        if self._chance.random() < self._loss:
            return
        late_ns = self._delay_ns + (self._chance.randint(0, self._jitter_ns) if self._jitter_ns else 0)
        self._count += 1
        heapq.heappush(self._waiting, (now_ns + late_ns, self._count, frame))

    def due(self, now_ns: int) -> list[bytes]:
        """The frames that arrive by now, in the order of arrival."""
        arrived = []
        while self._waiting and self._waiting[0][0] <= now_ns:
            arrived.append(heapq.heappop(self._waiting)[2])
        return arrived

    def next_ns(self) -> int | None:
        """When the next frame arrives; None: none is under way."""
        return self._waiting[0][0] if self._waiting else None


def open_end(interface: str) -> socket.socket:
    """All frames that come in at an interface, with what the kernel still owes them.

    The header in front of each (`struct virtio_net_hdr`) says what the sending kernel left to the hardware: checksums,
    and cutting long segments. Given back on sending, it is done as on a real cable; without, checksums would be wrong.
    """
    end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
    end.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, 1)
    end.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
    end.bind((interface, _ETH_P_ALL))
    end.setblocking(False)
    return end


def _received(end: socket.socket) -> list[bytes]:
    frames: list[bytes] = []
    try:
        while len(frames) < _BURST:
            frames.append(end.recv(_LONGEST))
    except BlockingIOError:
        pass
    return frames


def _send(end: socket.socket, frame: bytes) -> None:
    try:
        end.send(frame)
    except (BlockingIOError, InterruptedError):
        pass  # a full queue loses frames, as any switch's does
    except OSError as error:
        # The interface goes down while the host is being cut off; a cable carries nothing then.
        sys.stderr.write(f"bad wire: a frame was not passed on: {error}\n")


def carry(wire: BadWire, host: socket.socket, bridge: socket.socket) -> None:
    """Pass frames both ways until standard input ends."""
    with selectors.DefaultSelector() as ready:
        for source in (host, bridge, sys.stdin):
            ready.register(source, selectors.EVENT_READ)
        while True:
            next_ns = wire.next_ns()
            wait_s = None if next_ns is None else max(0, next_ns - time.monotonic_ns()) / 1e9
            readable = {key.fileobj for key, _ in ready.select(wait_s)}
            if sys.stdin in readable:
                return
            if host in readable:
                for frame in _received(host):
                    _send(bridge, frame)
            if bridge in readable:
                now_ns = time.monotonic_ns()
                for frame in _received(bridge):
                    wire.take(frame, now_ns)
            for frame in wire.due(time.monotonic_ns()):
                _send(host, frame)


def main() -> int:
    """The command of the module's text. Says "ready" once frames pass."""
    parser = argparse.ArgumentParser(prog="lockstep.trials.chaos.bad_wire", description="A bad network cable.")
    parser.add_argument("host_side")
    parser.add_argument("bridge_side")
    parser.add_argument("--delay-ms", type=float, default=0.0)
    parser.add_argument("--jitter-ms", type=float, default=0.0)
    parser.add_argument("--loss", type=float, default=0.0, help="share of the frames, 0 to 1")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    wire = BadWire(
        delay_ns=int(given.delay_ms * 1e6), jitter_ns=int(given.jitter_ms * 1e6), loss=given.loss, seed=given.seed
    )
    with open_end(given.host_side) as host, open_end(given.bridge_side) as bridge:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        carry(wire, host, bridge)
    return 0


if __name__ == "__main__":
    sys.exit(main())
