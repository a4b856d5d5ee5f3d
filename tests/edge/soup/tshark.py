"""What tshark says of bytes that went over a connection: written into a capture file, and decoded as SoupBinTCP."""

import os
import shutil
import struct
import subprocess
from collections import Counter
from pathlib import Path

import pytest

_UNPACKED = Path(__file__).resolve().parents[3] / "build/tools/usr"
_SERVER, _CLIENT = 7460, 40_000
_SEGMENT = 1400


def find() -> tuple[str, dict[str, str]]:
    """The program and the environment that it needs; skips, and says why, if there is none."""
    on_path = shutil.which("tshark")
    if on_path:
        return on_path, dict(os.environ)
    program = _UNPACKED / "bin/tshark"
    if not program.exists():
        pytest.skip("no tshark: ops/setup/get-tools tshark unpacks Debian's into build/tools")
    libraries = ":".join(str(path) for path in (_UNPACKED / "lib").iterdir())
    return str(program), {**os.environ, "LD_LIBRARY_PATH": libraries}


def write_capture(path: Path, spoken: list[tuple[bool, bytes]]) -> None:
    """`spoken`: who (the client?) and what, in order. As raw IP packets of one TCP connection."""
    numbers = {True: 1, False: 1}
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 101))
        at_us = 0
        for by_client, raw in spoken:
            for start in range(0, len(raw), _SEGMENT):
                part = raw[start : start + _SEGMENT]
                at_us += 10
                packet = _segment(by_client, numbers[by_client], numbers[not by_client], part)
                numbers[by_client] += len(part)
                file.write(
                    struct.pack("<IIII", at_us // 1_000_000, at_us % 1_000_000, len(packet), len(packet)) + packet
                )


def _segment(by_client: bool, number: int, acknowledged: int, part: bytes) -> bytes:
    ports = (_CLIENT, _SERVER) if by_client else (_SERVER, _CLIENT)
    tcp = struct.pack(">HHIIBBHHH", *ports, number, acknowledged, 5 << 4, 0x18, 65_535, 0, 0)
    hosts = (b"\x7f\0\0\x02", b"\x7f\0\0\x01") if by_client else (b"\x7f\0\0\x01", b"\x7f\0\0\x02")
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 40 + len(part), 0, 0x4000, 64, 6, 0, *hosts)
    return ip + tcp + part


def decode(path: Path) -> tuple[Counter[str], Counter[str], list[bool]]:
    """SoupBinTCP packets by type, OUCH messages by type; of each malformed one, whether it is the client's."""
    program, environment = find()
    fields = ("tcp.srcport", "soupbintcp.packet_type", "ouch.packet_type", "_ws.malformed", "ouch.unknown_message")
    command = [program, "-r", str(path), "-d", f"tcp.port=={_SERVER},soupbintcp", "-T", "fields", "-E", "occurrence=a"]
    for field in fields:
        command += ["-e", field]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    soup: Counter[str] = Counter()
    ouch: Counter[str] = Counter()
    malformed: list[bool] = []
    for line in done.stdout.splitlines():
        port, packets, said, broken, unknown = (*line.split("\t"), "", "", "")[:5]
        soup.update(_letters(packets))
        ouch.update(_letters(said))
        malformed += [int(port) == _CLIENT] * (bool(broken) + bool(unknown))
    return soup, ouch, malformed


def _letters(field: str) -> list[str]:
    """tshark shows characters as numbers, in quotes, or as they are."""
    parts = [part for part in field.split(",") if part]
    return [chr(int(part, 0)) if part[:2] == "0x" else part.strip("'") for part in parts]
