"""A client's OUCH messages and packets, and what the door's messages say: written anew, from the specification
alone."""

import struct
from collections.abc import Iterator
from typing import Any

LAYOUTS: dict[bytes, tuple[str, tuple[str, ...]]] = {
    b"S": (">cQc", ("type", "time", "event")),
    b"A": (
        ">cQ14scI8sII4scQccIccc",
        ("type", "time", "token", "side", "shares", "stock", "price", "tif", "firm", "display", "reference", "capacity",
         "sweep", "minimum", "cross", "state", "weight"),
    ),
    b"U": (
        ">cQ14scI8sII4scQccIcc14sc",
        ("type", "time", "token", "side", "shares", "stock", "price", "tif", "firm", "display", "reference", "capacity",
         "sweep", "minimum", "cross", "state", "previous", "weight"),
    ),
    b"C": (">cQ14sIc", ("type", "time", "token", "shares", "reason")),
    b"D": (">cQ14sIcIIc", ("type", "time", "token", "shares", "reason", "prevented", "price", "liquidity")),
    b"E": (">cQ14sIIcQ", ("type", "time", "token", "shares", "price", "liquidity", "match")),
    b"J": (">cQ14sc", ("type", "time", "token", "reason")),
    b"I": (">cQ14s", ("type", "time", "token")),
}  # fmt: skip


def token(text: str) -> bytes:
    return text.encode().ljust(14)


def enter(
    name: str | bytes, side: str = "B", shares: int = 100, stock: str = "ACME", price: int = 1_000_000,
    tif: int = 99_998, firm: str = "", display: str = "Y", sweep: str = "N", minimum: int = 0, cross: str = "N",
    customer: str = "N",
) -> bytes:  # fmt: skip
    raw = name if isinstance(name, bytes) else token(name)
    return struct.pack(
        ">c14scI8sII4scccIcc", b"O", raw, side.encode(), shares, stock.encode().ljust(8), price, tif,
        firm.encode().ljust(4), display.encode(), b"P", sweep.encode(), minimum, cross.encode(), customer.encode(),
    )  # fmt: skip


def replace(
    existing: str, replacement: str, shares: int, price: int, tif: int = 99_998, display: str = "Y", minimum: int = 0
) -> bytes:
    return struct.pack(
        ">c14s14sIIIccI", b"U", token(existing), token(replacement), shares, price, tif, display.encode(), b"N", minimum
    )


def cancel(name: str, shares: int = 0) -> bytes:
    return struct.pack(">c14sI", b"X", token(name), shares)


def modify(name: str, shares: int) -> bytes:
    return struct.pack(">c14scI", b"M", token(name), b"S", shares)


def packet(kind: bytes, content: bytes = b"") -> bytes:
    return struct.pack(">Hc", len(content) + 1, kind) + content


def unsequenced(*messages: bytes) -> bytes:
    return b"".join(packet(b"U", message) for message in messages)


def packets(raw: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Type and content of each whole packet; nothing may be left over."""
    at = 0
    while at < len(raw):
        (length,) = struct.unpack_from(">H", raw, at)
        yield raw[at + 2 : at + 3], raw[at + 3 : at + 2 + length]
        at += 2 + length
    assert at == len(raw), "half a packet"


def messages(raw: bytes) -> list[dict[str, Any]]:
    """What the sequenced packets say."""
    said = []
    for kind, content in packets(raw):
        assert kind == b"S"
        layout, names = LAYOUTS[content[:1]]
        assert len(content) == struct.calcsize(layout), content
        said.append(
            {
                name: value.decode() if isinstance(value, bytes) else value
                for name, value in zip(names, struct.unpack(layout, content), strict=True)
            }
        )
    return said
