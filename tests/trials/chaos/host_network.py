"""Measures a network of hosts from inside, for `test_hosts.py`, in processes of its own: their network is changed.

host_network.py measure          prints one JSON object: what came through under each fault
host_network.py echo             on a host: answers datagrams as they are, connections with length and CRC
host_network.py ask HOST COUNT   sends numbered datagrams, one every 2 ms; prints the answers in their order
host_network.py send HOST        sends `BULK_BYTES` through a connection; prints what the echo made of them
"""

import json
import select
import socket
import statistics
import subprocess
import sys
import time
import zlib
from typing import Any, Final

from lockstep.runtime.process import EnvironmentFault
from lockstep.trials.chaos.hosts import OUTSIDE, Hosts, Wire

PORT: Final = 7000
BULK_BYTES: Final = 3_000_064
QUIET_S: Final = 1.0


def echo() -> None:
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    # Every address of a network that holds nothing but this test.
    datagrams.bind(("0.0.0.0", PORT))
    server = socket.create_server(("0.0.0.0", PORT))
    say("ready")
    while True:
        for source in select.select([datagrams, server], [], [])[0]:
            if source is datagrams:
                data, peer = datagrams.recvfrom(2000)
                datagrams.sendto(data, peer)
            else:
                answer_bulk(server.accept()[0])


def answer_bulk(peer: socket.socket) -> None:
    with peer:
        peer.settimeout(10)
        got = b"".join(iter(lambda: peer.recv(65_536), b""))
        peer.sendall(f"{len(got)} {zlib.crc32(got)}".encode())


def ask(host: str, count: int) -> None:
    order: list[int] = []
    took_ms: list[float] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours:
        ours.connect((host, PORT))
        for number in range(count):
            ours.send(b"%d %d" % (number, time.monotonic_ns()))
            hear(ours, 0.002, order, took_ms)
        heard = -1
        while heard < len(order) < count:
            heard = len(order)
            hear(ours, QUIET_S, order, took_ms)
    say(json.dumps({"order": order, "median_ms": statistics.median(took_ms) if took_ms else None}))


def hear(ours: socket.socket, for_s: float, order: list[int], took_ms: list[float]) -> None:
    until = time.monotonic() + for_s
    while (left := until - time.monotonic()) > 0 and select.select([ours], [], [], left)[0]:
        number, sent_ns = map(int, ours.recv(100).split())
        order.append(number)
        took_ms.append((time.monotonic_ns() - sent_ns) / 1e6)


def send(host: str) -> None:
    with socket.create_connection((host, PORT), timeout=30) as peer:
        peer.sendall(bytes(range(256)) * (BULK_BYTES // 256))
        peer.shutdown(socket.SHUT_WR)
        say(peer.recv(100).decode())


class Bench:
    """Asks from one host to another."""

    def __init__(self, hosts: Hosts) -> None:
        self._hosts = hosts

    def ask(self, frm: int, to: str, count: int = 50) -> Any:
        return json.loads(self._run(frm, "ask", to, str(count)))

    def send(self, frm: int, to: str) -> str:
        return self._run(frm, "send", to)

    def _run(self, frm: int, *arguments: str) -> str:
        command = (*self._hosts.prefix(frm), sys.executable, __file__, *arguments)
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()


def measure(hosts: Hosts) -> dict[str, Any]:
    one, two, three = (hosts.address(number) for number in (1, 2, 3))
    bench = Bench(hosts)
    found = {"plain": bench.ask(1, two)}
    hosts.put_on_bad_wire(2, Wire(delay_ms=20))
    found["late"] = bench.ask(1, two)
    found["late, the other way"] = bench.ask(2, one)
    found["late, to the outside"] = bench.ask(2, OUTSIDE)
    found["late, others"] = bench.ask(1, three)
    found["late, bulk"] = bench.send(1, two), bench.send(2, one)
    hosts.cut(2)
    found["late and cut"] = bench.ask(1, two), bench.ask(2, OUTSIDE)
    hosts.put_on_good_wire(2)
    found["still cut"] = bench.ask(1, two)
    hosts.join(2)
    found["plain again"] = bench.ask(1, two)
    hosts.put_on_bad_wire(2, Wire(loss=0.3))
    found["lossy"] = bench.ask(1, two, 200)
    hosts.put_on_good_wire(2)
    hosts.put_on_bad_wire(2, Wire(jitter_ms=10))
    found["out of order"] = bench.ask(1, two)
    hosts.set_apart(True)
    found["apart"] = bench.ask(1, two), bench.ask(1, OUTSIDE)
    hosts.put_on_good_wire(2)
    found["still apart"] = bench.ask(1, two)
    hosts.set_apart(False)
    found["whole"] = bench.ask(1, two)
    return found


def start_echo(prefix: tuple[str, ...]) -> subprocess.Popen[str]:
    process = subprocess.Popen((*prefix, sys.executable, __file__, "echo"), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def measure_all() -> None:
    try:
        hosts = Hosts(3)
    except EnvironmentFault as error:
        say(json.dumps({"impossible": str(error)}))
        return
    with hosts:
        if hosts.no_bad_wires:
            say(json.dumps({"impossible": hosts.no_bad_wires}))
            return
        echoes = [start_echo(prefix) for prefix in ((), *(hosts.prefix(number) for number in (1, 2, 3)))]
        try:
            say(json.dumps(measure(hosts)))
        finally:
            for process in echoes:
                process.kill()
                process.wait()


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["measure"]:
            measure_all()
        case ["echo"]:
            echo()
        case ["ask", host, count]:
            ask(host, int(count))
        case ["send", host]:
            send(host)
        case other:
            sys.exit(f"host_network.py: unknown command {other}")
