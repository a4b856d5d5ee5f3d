"""The native codec against the plain one: random sessions and hostile bytes, both ways, byte by byte."""

from random import Random

import numpy as np
import pytest

from lockstep.stream.records import COMMAND, EVENT, EventKind
from tests.edge.soup.ouch_messages import cancel, enter, modify, packet, replace, unsequenced
from tests.edge.soup.venue import OTHER, SESSION, Venue, make_codec

_CHARACTERS = "ABCZ019 az~"


def random_name(dice: Random, used: list[str]) -> str:
    if used and dice.random() < 0.3:
        return dice.choice(used)
    length = dice.choice((1, 5, 12, 14))
    name = "".join(dice.choice(_CHARACTERS) for _ in range(length))
    if dice.random() < 0.3:
        name = f"T{dice.randrange(1000):013d}"[:14]
    return name if name.strip() else "X"


def random_message(dice: Random, used: list[str]) -> bytes:
    name, other = random_name(dice, used), random_name(dice, used)
    used.append(name)
    shares = dice.choice((0, 1, 50, 100, 300, 2**32 - 1)) if dice.random() < 0.2 else dice.randrange(1, 200) * 10
    price = dice.choice((0, 1, 0x7FFFFFFF, 2**32 - 1)) if dice.random() < 0.1 else dice.randrange(95, 106) * 10_000
    die = dice.random()
    if die < 0.55:
        odd = dice.random() < 0.15
        return enter(
            name, dice.choice("BSTEX" if odd else "BS"), shares,
            dice.choice(("ACME", "LOTS", "NONE") if odd else ("ACME", "LOTS")), price,
            dice.choice((0, 1, 60, 99_998, 99_999, 86_400)) if odd else dice.choice((0, 60, 99_998)),
            dice.choice(("", "1", "2", "9", "x", "10 2")) if odd else dice.choice(("", "2")),
            dice.choice("AYNPLMZ") if odd else "Y", dice.choice("YN") if odd else "N",
            dice.choice((0, 1)) if odd else 0, dice.choice("NOCH") if odd else "N",
        )[: dice.choice((48, 49))]  # fmt: skip
    # Mostly of orders that there were.
    named = dice.choice(used[-12:]) if dice.random() < 0.9 else name
    if die < 0.75:
        tif = dice.choice((0, 60, 99_998)) if dice.random() < 0.2 else 99_998
        return replace(named, other, shares, price, tif, dice.choice("YYYYYYN"), int(dice.random() < 0.1))
    if die < 0.95:
        return cancel(named, dice.choice((0, shares, 5)))
    return modify(name, shares)


def both(**options):
    return make_codec("plain", **options), make_codec("native", **options)


@pytest.mark.parametrize("seed", range(30))
def test_random_sessions_give_the_same_commands_and_the_same_packets(seed):
    dice = Random(seed)
    stp = dice.randrange(5)
    venue = Venue()
    sessions = {
        session: both(session_id=session, account=account, stp=stp) for session, account in ((SESSION, 1), (OTHER, 2))
    }
    used: dict[int, list[str]] = {SESSION: [], OTHER: []}
    history: list = []
    for _ in range(60):
        session = dice.choice((SESSION, OTHER))
        raw = unsequenced(*(random_message(dice, used[session]) for _ in range(dice.randrange(1, 6))))
        plain, native = sessions[session]
        next_no, room = venue.last_no.get(session, 0) + 1, dice.choice((2, 5, 1000))
        said = plain.decode(raw, next_no, room, venue.now_ns)
        assert native.decode(raw, next_no, room, venue.now_ns) == said
        records = np.frombuffer(said[3], dtype=COMMAND)
        if len(records):
            venue.last_no[session] = next_no + len(records) - 1
            venue.apply(records)
        if dice.random() < 0.1:
            venue.tick(dice.randrange(100_000_000_000))
        if dice.random() < 0.5:
            history += compare(venue, sessions)
    history += compare(venue, sessions)
    kinds = {int(kind) for _session, part in history for kind in part.rows["kind"]}
    assert kinds >= {EventKind.ACCEPTED, EventKind.REJECTED, EventKind.CANCELED}
    assert seed or kinds >= {EventKind.TRADE, EventKind.REPLACED, EventKind.REPLACE_REJECTED}, "of the first seed"
    for session, (plain, native) in sessions.items():
        again = make_codec("native", session_id=session)
        for owner, part in history:
            if owner == session:
                again.encode(part.rows, part.legs, 1)
        assert again.next_message == plain.next_message == native.next_message
        assert again.alive == plain.alive == native.alive


def compare(venue, sessions):
    taken = []
    for session, (plain, native) in sessions.items():
        for part in venue.rows.pop(session, []):
            taken.append((session, part))
            assert native.encode(part.rows, part.legs, 5) == plain.encode(part.rows, part.legs, 5)
        assert (native.next_message, native.used, native.alive) == (plain.next_message, plain.used, plain.alive)
    return taken


@pytest.mark.parametrize("seed", range(40))
def test_hostile_bytes_are_read_alike_and_no_further_than_they_go(seed):
    dice = Random(seed)
    plain, native = both(max_tokens=50)
    used: list[str] = []
    for _ in range(100):
        raw = bytearray(
            b"".join(
                dice.choice((unsequenced(random_message(dice, used)), packet(b"R"), packet(b"+", b"?"), b""))
                for _ in range(dice.randrange(6))
            )
        )
        for _ in range(dice.choice((0, 0, 1, 3, 20))):
            if raw:
                raw[dice.randrange(len(raw))] = dice.choice((0, 1, 0x20, 0x7F, 0xFF, dice.randrange(256)))
        if dice.random() < 0.3:
            raw = raw[: dice.randrange(len(raw) + 1)]
        if dice.random() < 0.1:
            raw = bytearray(dice.randbytes(dice.randrange(200)))
        number, room = dice.choice((1, 2**63, 77)), dice.choice((0, 1, 2, 7, 1000))
        said = plain.decode(bytes(raw), number, room, 5)
        assert native.decode(bytes(raw), number, room, 5) == said
        assert 0 <= said[0] <= len(raw)
        assert len(said[3]) // 128 <= room


@pytest.mark.parametrize("seed", range(20))
def test_odd_rows_are_told_alike(seed):
    """Of instruments that are known; no engine makes most of them."""
    dice = Random(seed)
    plain, native = both()
    bits = [dice.getrandbits(63) % (7 * 10**18) for _ in range(4)] + [1, 1 << 63 | 5, 0]
    for _ in range(30):
        count = dice.randrange(1, 40)
        rows = np.zeros(count, dtype=EVENT)
        for row in rows:
            row["seq"], row["index"] = dice.getrandbits(44), dice.getrandbits(20)
            row["kind"], row["side"] = dice.choice((1, 2, 2, 3, 4, 5, 6, 7, 8, 10, 64)), dice.choice((1, 2))
            row["code"] = dice.choice((0, 1012, 4003, 4005, 4007, 4020, 5001, 5006, 3001))
            row["instrument"], row["account"] = dice.choice((1, 2)), dice.choice((1, 9999, 10_000))
            row["session_no"] = dice.randrange(6)
            row["client_order_id"] = dice.choice(bits)
            row["order_id"] = dice.choice(
                (0, 5, dice.getrandbits(64), 1 << 63 | dice.randrange(5) << 55 | 0x202020202020)
            )
            for name in ("price_ticks", "quantity_lots", "leaves_lots", "previous_leaves_lots", "timestamp_ns"):
                row[name] = dice.choice((0, 1, dice.getrandbits(40)))
            row["maker_account"], row["flags"] = dice.getrandbits(32), dice.getrandbits(5)
        legs = np.array([dice.random() < 0.3 for _ in range(count)], dtype=np.uint8)
        assert native.encode(rows, legs, 3) == plain.encode(rows, legs, 3)
        assert (native.next_message, native.used, native.alive) == (plain.next_message, plain.used, plain.alive)


def test_orders_of_instruments_that_ouch_can_not_name_are_not_spoken_of():
    """They may come over gRPC."""
    rows = np.zeros(3, dtype=EVENT)
    rows["kind"] = (EventKind.ACCEPTED, EventKind.TRADE, EventKind.CANCELED)
    rows["instrument"], rows["client_order_id"] = 99, 7
    for codec in both():
        codec.encode(rows, np.zeros(3, np.uint8), 1)
        assert (codec.next_message, codec.used, codec.alive) == (2, 0, 0), "the start of day alone"


def test_rows_and_legs_have_to_match():
    with pytest.raises(ValueError, match="one leg for each event"):
        make_codec("native").encode(np.zeros(2, dtype=EVENT), np.zeros(1, np.uint8), 1)
