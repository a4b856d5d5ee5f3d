"""Ports of a local cluster: finding free ones, and reporting a busy one before anything is started."""

import random
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from lockstep.runtime.faults import EnvironmentFault

HOST: Final = "127.0.0.1"
_LOWEST: Final = 15_000
_ATTEMPTS: Final = 200
_claims: list[socket.socket] = []


def is_free(port: int) -> bool:
    """Whether a server could listen on this TCP port of 127.0.0.1 now."""
    with socket.socket() as probe:
        # As the servers do: connections of a predecessor that are still closing don't make a port busy.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def free_ports(count: int) -> tuple[int, ...]:
    """Ports of 127.0.0.1 that nothing listens on, in one block, and that no other cluster of this network has chosen.

    They lie below the range that the kernel gives to outgoing connections: a killed server's port must be free when it
    comes back, and a client that dials a dead server of that range can even connect to itself.

    Raises:
        OSError: there are none.
    """
    highest = min(_ephemeral_low(), 32_768) - count
    chance = random.SystemRandom()
    for _ in range(_ATTEMPTS):
        first = chance.randrange(_LOWEST, highest) if highest > _LOWEST else 0
        block = tuple(range(first, first + count))
        if first and all(is_free(port) for port in block) and _claim(block):
            return block
    raise OSError(f"no block of {count} free ports between {_LOWEST} and {highest}")


def _claim(block: Sequence[int]) -> bool:
    """Hold the ports against others who choose at the same time, as long as this process lives.

    Servers listen on them only later. A name in Linux' abstract namespace belongs to one socket, and goes with it; like
    ports, each network namespace has names of its own. Elsewhere nothing is held.
    """
    if sys.platform != "linux":
        return True
    claims: list[socket.socket] = []
    for port in block:
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        claims.append(claim)
        try:
            claim.bind(f"\0lockstep-port-{port}")
        except OSError:
            for taken in claims:
                taken.close()
            return False
    _claims.extend(claims)
    return True


def busy_ports(ports: Sequence[int]) -> tuple[int, ...]:
    """Those ports that something listens on."""
    return tuple(port for port in ports if not is_free(port))


def _ephemeral_low() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError):
        return 32_768


def choose_ports(first: int | None, count: int) -> tuple[int, ...]:
    """Ports for a whole cluster: so many from `first` on, or (None) any that are free.

    Raises:
        EnvironmentFault: there is no room for them, or another program has one.
    """
    if first is None:
        return free_ports(count)
    ports = tuple(range(first, first + count))
    if ports[-1] > 65_535:
        raise EnvironmentFault(f"port {first} leaves no room for {count} ports; choose a lower --port")
    busy = busy_ports(ports)
    if busy:
        others = f" (and {len(busy) - 1} more)" if len(busy) > 1 else ""
        raise EnvironmentFault(
            f"{HOST} port {busy[0]} is in use by another program{others}, perhaps another `lockstep up`; "
            f"this cluster needs {ports[0]} to {ports[-1]}; stop that program, or choose another --port"
        )
    return ports
