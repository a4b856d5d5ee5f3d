"""Seals: only what the link's sender sent is opened, once, whatever somebody without the key does to it."""

from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.stream.sealing import (
    DIRECT_BYTES,
    SEAL_SIZE,
    WINDOW,
    Digests,
    Drop,
    LongFrames,
    Mark,
    Opener,
    Sealer,
    SealKeys,
    link_key,
    root_of,
    sender_of,
)

KEY, SECRET = b"k" * 32, b"s" * 32
LINK, BACK = "sequencer-1>engine-2/stream", "engine-2>sequencer-1/ack"
SENDER = 101


def keys(sending: int = 1, *others: int, cluster: str = "c") -> SealKeys:
    return SealKeys(sending, {one: root_of(KEY, SECRET + bytes([one]), cluster) for one in (sending, *others)})


def sealer(link: str = LINK, incarnation: int = 7, cluster: str = "c") -> Sealer:
    return Sealer(cluster, link, SENDER, incarnation, Digests())


def sealed(made: Sealer, frame: bytes, under: SealKeys | None = None) -> bytes:
    return made.seal(under or keys(), (frame,)) + frame


def opener(mark: Mark | None = None) -> Opener:
    return Opener("c", LINK, SENDER, mark)


@pytest.mark.parametrize("size", [0, 1, 300, DIRECT_BYTES, DIRECT_BYTES + 1, 4097, 100_000])
def test_what_was_sealed_is_opened_once(size: int):
    sender, receiver, frame = sealer(), opener(), bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    raw = sealed(sender, frame)
    assert len(raw) == SEAL_SIZE + size
    assert receiver.open(keys(), raw) == frame
    assert receiver.open(keys(), raw) is Drop.REPLAYED
    assert sender_of(raw) == SENDER


@pytest.mark.parametrize("size", [10, 5000])
def test_a_frame_in_parts_is_sealed_as_the_whole(size: int):
    frame = b"ab" * size
    raw = sealer().seal(keys(), (frame[:7], frame[7:])) + frame
    assert opener().open(keys(), raw) == frame


def test_one_digest_serves_all_links_and_no_other_frame():
    digests, frame, other = Digests(), b"a" * 5000, b"b" * 5000
    for link in (LINK, BACK):
        made = Sealer("c", link, SENDER, 7, digests)
        for one in (frame, other):
            assert Opener("c", link, SENDER).open(keys(), made.seal(keys(), (one,)) + one) == one


def test_the_digest_of_a_frame_is_of_the_epoch_that_it_is_sent_with():
    """The same frame goes out again after a rotation: what was kept of it is of the former key."""
    digests, frame = Digests(), b"a" * 5000
    made = Sealer("c", LINK, SENDER, 7, digests)
    for under in (keys(1), keys(2, 1), keys(2)):
        assert Opener("c", LINK, SENDER).open(under, made.seal(under, (frame,)) + frame) == frame


def test_hashes_of_long_frames_differ_by_root_and_by_each_byte_and_length():
    frame, root = bytes(2000), root_of(KEY, SECRET, "c")
    frames = [frame, frame + b"\0", frame[:-1], *(frame[:at] + b"\1" + frame[at + 1 :] for at in range(2000))]
    hashes = {LongFrames(root).hash_of(one) for one in frames}
    assert len(hashes) == len(frames)
    assert LongFrames(root_of(KEY, b"t", "c")).hash_of(frame) not in hashes


def test_a_frames_hash_is_never_sent():
    """Who could see hashes of frames of a known key's nonce could learn the key of the hash, and forge."""
    under, frame = keys(), b"f" * 5000
    assert LongFrames(under.roots[1]).hash_of(frame)[:8] not in sealed(sealer(), frame, under)


@pytest.mark.parametrize("size", [40, 5000])
def test_any_changed_byte_is_noticed(size: int):
    raw = sealed(sealer(), b"f" * size)
    for at in range(min(len(raw), 120)):
        changed = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
        assert isinstance(opener().open(keys(), changed), Drop), at


def test_why_a_frame_was_dropped():
    raw = sealed(sealer(), b"frame")
    others = {
        Drop.TRUNCATED: (raw[:-1], raw[:SEAL_SIZE], raw[: SEAL_SIZE - 1], raw[:3], b""),
        Drop.UNSEALED: (b"LKSM" + bytes(60), b"x" * 200),
        Drop.FOREIGN: (sealed(sealer(cluster="d"), b"frame", keys(cluster="d")),),
        # What comes back to its sender: the receiver of one direction is the sender of the other.
        Drop.MISDIRECTED: (sealed(sealer(BACK), b"frame"),),
        Drop.UNKNOWN_KEY: (sealed(sealer(), b"frame", keys(2)),),
        Drop.FORGED: (raw[:-1] + b"x", raw + b"x"),
    }
    for why, frames in others.items():
        for frame in frames:
            assert opener().open(keys(), frame) is why
    assert opener().open(keys(), raw) == b"frame"


def test_a_cluster_of_the_same_name_with_another_key_is_another():
    theirs = SealKeys(1, {1: root_of(b"o" * 32, SECRET + b"\x01", "c")})
    assert opener().open(keys(), sealed(sealer(), b"frame", theirs)) is Drop.FORGED


def test_each_link_cluster_epoch_and_direction_has_a_key_of_its_own():
    roots = [root_of(KEY, SECRET, "c"), root_of(KEY, SECRET, "d"), root_of(KEY, b"t", "c"), root_of(b"l", SECRET, "c")]
    assert len({link_key(root, link) for root in roots for link in (LINK, BACK)}) == 8
    # No two ways of cutting the same letters are one.
    assert root_of(b"ab", b"c", "d") != root_of(b"a", b"bc", "d")


def test_frames_that_come_late_are_taken_as_far_as_the_window_reaches():
    sender, receiver = sealer(), opener()
    raws = [sealed(sender, b"%d" % at) for at in range(WINDOW + 2)]
    assert receiver.open(keys(), raws[-1]) == b"%d" % (WINDOW + 1)
    assert receiver.open(keys(), raws[2]) == b"2"
    assert receiver.open(keys(), raws[1]) is Drop.REPLAYED
    assert receiver.open(keys(), raws[2]) is Drop.REPLAYED


def test_a_sender_that_restarts_is_heard_at_once_and_its_former_life_no_more():
    before, after, receiver = sealer(incarnation=7), sealer(incarnation=8), opener()
    old = [sealed(before, b"old") for _ in range(3)]
    assert receiver.open(keys(), old[0]) == b"old"
    assert receiver.open(keys(), sealed(after, b"new")) == b"new"
    assert receiver.open(keys(), old[1]) is Drop.FORMER_LIFE


def test_a_receiver_that_restarts_remembers():
    sender, receiver = sealer(), opener()
    raws = [sealed(sender, b"%d" % at) for at in range(4)]
    for raw in raws[:3]:
        receiver.open(keys(), raw)
    assert receiver.mark == Mark(1, 7, 3)
    again = opener(receiver.mark)
    assert [again.open(keys(), raw) for raw in raws] == [Drop.REPLAYED] * 3 + [b"3"]
    assert opener(receiver.mark).open(keys(), sealed(sealer(incarnation=6), b"old")) is Drop.FORMER_LIFE


def test_a_sender_whose_incarnation_fell_back_is_heard_after_a_rotation():
    receiver = opener(Mark(1, 900, 5))
    fallen = sealer(incarnation=3)
    assert receiver.open(keys(1, 2), sealed(fallen, b"frame")) is Drop.FORMER_LIFE
    assert receiver.open(keys(1, 2), sealed(fallen, b"frame", keys(2, 1))) == b"frame"
    assert receiver.open(keys(1, 2), sealed(sealer(incarnation=901), b"frame")) is Drop.FORMER_LIFE


def test_keys_are_rotated_without_losing_a_frame_and_the_old_ones_end():
    sender, receiver = sealer(), opener()
    steps = [(keys(1), keys(1)), (keys(1), keys(1, 2)), (keys(2, 1), keys(1, 2)), (keys(1, 2), keys(2, 1)),
             (keys(2, 1), keys(2)), (keys(2), keys(2, 1))]  # fmt: skip
    for at, (sending, receiving) in enumerate(steps):
        expected = b"%d" % at
        found = receiver.open(receiving, sealed(sender, expected, sending))
        assert found == expected
    assert receiver.open(keys(2), sealed(sender, b"late", keys(1))) is Drop.UNKNOWN_KEY


# ---- anything that somebody without the key can do -------------------------------------------------------------------

_HONEST = ("send", "lose", "hold", "release", "restart sender", "restart receiver", "rotate")
_HOSTILE = ("replay", "change", "cut", "make")
_deeds = st.lists(st.tuples(st.sampled_from(_HONEST + _HOSTILE), st.integers(0, 9000)), max_size=60)


class Attacked:
    """A link, and an attacker who has `seen` everything, of every life and epoch, and of the way back.

    A rotation is one step here for sender and receiver, with the former epoch believed until the next. `held` is what
    the network delays.
    """

    def __init__(self) -> None:
        self.texts, self.lives = count(), count(1)
        self.sender, self.back = sealer(incarnation=next(self.lives)), sealer(BACK)
        self.receiver, self.epoch = opener(), 1
        self.seen: list[bytes] = []
        self.opened: list[bytes] = []
        self.genuine: set[bytes] = set()
        self.held: list[bytes] = []

    def now(self) -> SealKeys:
        return keys(self.epoch, self.epoch - 1) if self.epoch > 1 else keys(1)

    def arrives(self, raw: bytes) -> bool:
        found = self.receiver.open(self.now(), raw)
        if isinstance(found, Drop):
            return False
        self.opened.append(found)
        return True

    def sent(self, size: int) -> bytes:
        frame = b"%d " % next(self.texts) + b"." * size
        self.genuine.add(frame)
        raw = sealed(self.sender, frame, self.now())
        self.seen += [raw, sealed(self.back, b"b" * 30, self.now())]
        return raw

    def honest(self, deed: str, number: int) -> None:
        match deed:
            case "send":
                assert self.arrives(self.sent(number)), "what comes in order, under keys in force, is taken"
            case "lose":
                self.sent(number)
            case "hold":
                self.held.append(self.sent(number))
            case "release":
                for raw in self.held:
                    self.arrives(raw)
                self.held.clear()
            case "restart sender":
                self.sender = sealer(incarnation=next(self.lives))
            case "restart receiver":
                self.receiver = opener(self.receiver.mark)
            case "rotate":
                self.epoch += 1

    def hostile(self, deed: str, number: int) -> None:
        picked = self.seen[number % len(self.seen)] if self.seen else b"?"
        at = number % len(picked)
        match deed:
            case "replay":
                self.arrives(picked)
            case "change":
                self.arrives(picked[:at] + bytes([picked[at] ^ (1 + number % 255)]) + picked[at + 1 :])
            case "cut":
                self.arrives(picked[:at])
            case "make":
                guess = SealKeys(self.epoch, {self.epoch: b"guess".ljust(32)})
                self.arrives(sealed(sealer(), b"m" * (number % 300), guess))


@settings(max_examples=60, deadline=None)
@given(_deeds)
def test_only_genuine_frames_are_opened_each_once_and_none_in_order_is_lost(deeds: list[tuple[str, int]]):
    attacked = Attacked()
    for deed, number in deeds:
        attacked.honest(deed, number)
        attacked.hostile(deed, number)
    assert set(attacked.opened) <= attacked.genuine
    assert len(set(attacked.opened)) == len(attacked.opened)
