"""An Aeron link between two hosts, outside and inside a WireGuard tunnel, and what the cable between them carries.

wireguard_tunnel.py measure               prints one JSON object
wireguard_tunnel.py receive HOST DIR      on a host: prints how many of the messages came
wireguard_tunnel.py send HOST DIR         on a host: sends them
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from lockstep.runtime.process import EnvironmentFault
from lockstep.runtime.transport import Transport, udp_link, wait_for_driver
from lockstep.trials.chaos.hosts import Hosts

TOOLS: Final = Path(__file__).resolve().parents[3] / "build/tools/usr/bin"
MARK: Final = b"sell 100 ACME at the market"
COUNT: Final = 200
PORT, TUNNEL_PORT = 9200, 51820
MTU: Final = 1344
PATIENCE_S: Final = 20.0


def tool(name: str) -> str:
    found = shutil.which(name) or (str(TOOLS / name) if (TOOLS / name).exists() else "")
    if not found:
        raise EnvironmentFault(f"no {name}: ops/setup/get-tools wireguard puts it into build/tools")
    return found


def inside(number: int) -> str:
    """A host's address in the tunnel."""
    return f"10.88.0.{number}"


def open_tunnel(hosts: Hosts, stack: ExitStack, base: Path) -> str:
    """Between hosts 1 and 2; how it is made. Keys in files: a command line is for everybody to read."""
    wg, kind = tool("wg"), "kernel"
    secrets = {number: run(wg, "genkey") for number in (1, 2)}
    public = {number: run(wg, "pubkey", text=secret) for number, secret in secrets.items()}
    for number, other in ((1, 2), (2, 1)):
        prefix, device = hosts.prefix(number), f"lswg{os.getpid() % 10_000}{number}"
        made = subprocess.run(
            [*prefix, "ip", "link", "add", device, "type", "wireguard"], capture_output=True, check=False
        )
        if made.returncode:
            kind = "user space"
            process = subprocess.Popen([*prefix, tool("wireguard-go"), "-f", device], stderr=subprocess.DEVNULL)
            stack.callback(process.wait, 10)
            stack.callback(process.terminate)
        key = base / f"{number}.key"
        key.touch(mode=0o600)
        key.write_text(secrets[number])
        setting = ("set", device, "listen-port", str(TUNNEL_PORT), "private-key", str(key), "peer", public[other])
        reach = ("allowed-ips", f"{inside(other)}/32", "endpoint", f"{hosts.address(other)}:{TUNNEL_PORT}")
        until(
            lambda words=(*prefix, wg, *setting, *reach): (
                not subprocess.run(words, stderr=subprocess.DEVNULL).returncode
            )
        )
        for words in (
            ("address", "add", f"{inside(number)}/24", "dev", device), ("link", "set", device, "mtu", "1420", "up")
        ):  # fmt: skip
            run(*prefix, "ip", *words)
    return kind


def run(*words: str, text: str = "") -> str:
    return subprocess.run(words, input=text, capture_output=True, text=True, check=True, timeout=30).stdout.strip()


def until(holds: Any) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.05)


def receive(host: str, directory: str) -> None:
    wait_for_driver(directory, PATIENCE_S)
    transport = Transport(directory)
    link = transport.inbound(udp_link("wireguard", host, PORT, 7, MTU))
    print("ready", flush=True)
    heard: list[bytes] = []
    deadline = time.monotonic() + PATIENCE_S
    while len(heard) < COUNT and time.monotonic() < deadline:
        link.poll(heard.append, 64)
    print(sum(MARK in one for one in heard), flush=True)
    transport.close()


def send(host: str, directory: str) -> None:
    wait_for_driver(directory, PATIENCE_S)
    transport = Transport(directory)
    link = transport.outbound(udp_link("wireguard", host, PORT, 7, MTU), queue_limit_bytes=1 << 20)
    until(lambda: link.connected)
    for number in range(COUNT):
        link.send(b"%d " % number + MARK)
    until(lambda: link.flush() >= 0 and not link.pending_bytes)
    time.sleep(1)  # the driver sends what is in its buffers
    transport.close()


def passage(hosts: Hosts, to: str, directories: dict[int, Path]) -> dict[str, Any]:
    """Messages from host 1 to host 2, and what was heard of them on the cable."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as tap:
        tap.bind(("v1", 3))
        tap.setblocking(False)

        def role(number: int, what: str) -> subprocess.Popen[str]:
            words = [*hosts.prefix(number), sys.executable, __file__, what, to, str(directories[number])]
            return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)

        receiver = role(2, "receive")
        assert receiver.stdout is not None
        assert receiver.stdout.readline() == "ready\n"
        sender = role(1, "send")
        came, clear = 0, 0
        while receiver.poll() is None or sender.poll() is None:
            clear += heard(tap)
            time.sleep(0.002)
        came = int(receiver.stdout.readline())
        return {"came": came, "in the clear": clear + heard(tap)}


def heard(tap: socket.socket) -> int:
    found = 0
    while True:
        try:
            found += tap.recv(65_536).count(MARK)
        except BlockingIOError:
            return found


def measure() -> dict[str, Any]:
    with ExitStack() as stack:
        tool("wg")
        hosts = stack.enter_context(Hosts(2))
        base = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lockstep-wireguard-")))
        kind = open_tunnel(hosts, stack, base)
        directories = {number: base / f"aeron-{number}" for number in (1, 2)}
        for number, directory in directories.items():
            words = (sys.executable, "-m", "lockstep.runtime.driver", "--dir", str(directory), "--max-park-us", "100",
                     "--udp-term-bytes", "65536")  # fmt: skip
            driver = subprocess.Popen([*hosts.prefix(number), *words], stdout=subprocess.DEVNULL)
            stack.callback(driver.wait, 10)
            stack.callback(driver.terminate)
        return {
            "tunnel": kind,
            "outside": passage(hosts, hosts.address(2), directories),
            "inside": passage(hosts, inside(2), directories),
        }


if __name__ == "__main__":
    if sys.argv[1] == "measure":
        try:
            print(json.dumps(measure()))
        except EnvironmentFault as fault:
            print(json.dumps({"impossible": str(fault)}))
    else:
        {"receive": receive, "send": send}[sys.argv[1]](*sys.argv[2:])
