"""Seals: what shows a receiver that a frame comes from its link's sender, for this link, and for the first time.

A seal stands before a frame and is made with a key of this link and direction alone. It names the key's epoch, the
sender's life (its incarnation) and the frame's number in that life, and carries a BLAKE3 keyed hash, cut to 128 bits,
of all this and of the frame, or of a long frame's GMAC (`LongFrames`). So a frame that was made without the key,
changed, cut short, sent before, sent back to its sender, or taken from another link or cluster is none that
`Opener.open` returns. Frames are not encrypted.

`Sealer` and `Opener` decide, and do no I/O; which keys are in force is given to them with each frame.
"""

import hmac
import struct
from collections.abc import Mapping, Sequence
from dataclasses import field
from enum import Enum
from typing import Final

from blake3 import blake3
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from lockstep.stream.values import frozen

_ADDRESS: Final = struct.Struct("<HBBHHII")
"""Magic, version, form, sender, 0, cluster, link."""
_NUMBERS: Final = struct.Struct("<IIQQ")
"""Key epoch, length of the frame, incarnation, number."""
_HEAD: Final = _ADDRESS.size + _NUMBERS.size
_TAG: Final = 16
SEAL_SIZE: Final = _HEAD + _TAG
_MAGIC: Final = 0x4C53  # "SL"
_VERSION: Final = 2
SEAL_PREFIX: Final = struct.pack("<HB", _MAGIC, _VERSION)
"""Magic and version."""
_DIRECT, _DIGESTED = 0, 1
DIRECT_BYTES: Final = 768
"""A longer frame is hashed by itself first: once, for however many links it goes out on. At this length both ways cost
the same."""
_LONG_FRAMES: Final = b"\0 hash of long frames"
"""No link has this name."""
_ONE_NONCE: Final = bytes(12)
WINDOW: Final = 64
"""So many numbers back a frame may come late. A link keeps order; a sender's new publication may overtake its old."""
_ALL_SEEN: Final = (1 << WINDOW) - 1
_ROOT_CONTEXT: Final = "Lockstep 2026-11 links: root of a key epoch"
_NAME_CONTEXT: Final = "Lockstep 2026-11 links: short name of a cluster or link"
_KEY_BYTES: Final = 32


class Drop(Enum):
    """Why a frame is dropped."""

    TRUNCATED = "truncated"
    """It is shorter than its seal says, or than a seal."""
    UNSEALED = "unsealed"
    """It does not begin with a seal."""
    FOREIGN = "foreign"
    """It was sealed for another cluster."""
    MISDIRECTED = "misdirected"
    """It was sealed for another link, or for the other direction of this one."""
    UNKNOWN_KEY = "unknown key"
    """Its key's epoch is not in force here: retired, or not heard of."""
    FORGED = "forged"
    """It was not made, or was changed, by somebody without the link's key."""
    REPLAYED = "replayed"
    """It came before, or is too late for anybody to know."""
    FORMER_LIFE = "former life"
    """A later life of its sender has spoken since."""


@frozen
class SealKeys:
    """The keys in force."""

    sending: int
    """The epoch that frames are sealed with."""
    roots: Mapping[int, bytes] = field(repr=False)
    """Of every epoch whose frames are believed, that of `sending` among them."""


NO_KEYS: Final = SealKeys(0, {})


def root_of(cluster_key: bytes, secret: bytes, cluster: str) -> bytes:
    """The root of a key epoch: nobody makes it who has not both the cluster's key and the epoch's secret."""
    material = b"".join(len(part).to_bytes(4, "little") + part for part in (cluster_key, secret, cluster.encode()))
    return blake3(material, derive_key_context=_ROOT_CONTEXT).digest(length=_KEY_BYTES)


def link_key(root: bytes, link: str) -> bytes:
    """The key of one link and direction; `link`: its name, which says both."""
    return blake3(link.encode(), key=root).digest(length=_KEY_BYTES)


def _short_name(text: str) -> int:
    """No secret and no proof: by which a receiver says why it dropped a frame."""
    return int.from_bytes(blake3(text.encode(), derive_key_context=_NAME_CONTEXT).digest(length=4), "little")


def _address(form: int, sender: int, cluster: str, link: str) -> bytes:
    return _ADDRESS.pack(_MAGIC, _VERSION, form, sender, 0, _short_name(cluster), _short_name(link))


def sender_of(raw: bytes | bytearray) -> int:
    """Who a sealed frame says its sender is, for a receiver that does not know by the link.

    Raises:
        struct.error: it is too short.
    """
    return int(_ADDRESS.unpack_from(raw)[3])


class LongFrames:
    """Hashes long frames of one key epoch: GMAC, several times as fast as BLAKE3 where the CPU has AES (ADR 42).

    Two frames that somebody chose who has not the root have the same hash with a chance of one in 2^128 for each 16
    bytes of the longer one. That holds as long as nobody sees a hash, which is why it is no tag: it goes into the
    link's keyed BLAKE3, and nowhere else. So nothing depends on the nonce, which is always the same.
    """

    __slots__ = ("_gmac",)

    def __init__(self, root: bytes) -> None:
        self._gmac = AESGCM(link_key(root, _LONG_FRAMES.decode()))

    def hash_of(self, frame: bytes) -> bytes:
        """16 bytes, for nobody's eyes."""
        return self._gmac.encrypt(_ONE_NONCE, b"", frame)


class Digests:
    """Hashes of long frames. One for all links of a thread: the same frame goes out on several, one after another."""

    __slots__ = ("_digest", "_frame", "_keys", "_long_frames")

    def __init__(self) -> None:
        self._keys = NO_KEYS
        self._long_frames: LongFrames | None = None
        self._frame: bytes | None = None
        self._digest = b""

    def of(self, keys: SealKeys, parts: Sequence[bytes]) -> bytes:
        """Of the concatenation, by the key epoch that is sent with."""
        hashes = self._long_frames
        if hashes is None or keys is not self._keys:
            hashes = self._long_frames = LongFrames(keys.roots[keys.sending])
            self._keys, self._frame = keys, None
        if len(parts) > 1:
            return hashes.hash_of(b"".join(parts))
        frame = parts[0]
        if frame is not self._frame:
            # Bytes don't change, so the same object is the same frame.
            self._frame, self._digest = frame, hashes.hash_of(frame)
        return self._digest


class Sealer:
    """The sending end of one link and direction, in one life of its sender."""

    __slots__ = ("_digested", "_digests", "_direct", "_incarnation", "_key", "_keys", "_link", "number")

    def __init__(self, cluster: str, link: str, sender: int, incarnation: int, digests: Digests) -> None:
        """`incarnation` is higher than that of every former life of the sender."""
        self._link = link
        self._direct = _address(_DIRECT, sender, cluster, link)
        self._digested = _address(_DIGESTED, sender, cluster, link)
        self._incarnation = incarnation
        self._digests = digests
        self._keys = NO_KEYS
        self._key = b""
        self.number = 0
        """Of the newest frame."""

    def seal(self, keys: SealKeys, parts: Sequence[bytes]) -> bytes:
        """The seal of a frame, which is the concatenation of `parts`: to be sent before it."""
        if keys is not self._keys:
            self._key = link_key(keys.roots[keys.sending], self._link)
            self._keys = keys
        self.number += 1
        length = len(parts[0]) if len(parts) == 1 else sum(map(len, parts))
        long = length > DIRECT_BYTES
        head = (self._digested if long else self._direct) + _NUMBERS.pack(
            keys.sending, length, self._incarnation, self.number
        )
        body = self._digests.of(keys, parts) if long else b"".join(parts)
        return head + blake3(head + body, key=self._key).digest(length=_TAG)


@frozen
class Mark:
    """How far a receiver has come with a link: what is remembered when it restarts."""

    epoch: int
    incarnation: int
    number: int


class Opener:
    """The receiving end of one link and direction.

    Invariant: it returns a frame at most once, and none of a life of the sender that is older than one it has heard. A
    life is older if its keys' epoch is, or else its incarnation: so a sender whose incarnations fell back, as it lost
    its disk and its clock, is heard again when the keys were rotated.
    """

    __slots__ = ("_digested", "_direct", "_keys", "_life", "_link", "_of_epoch", "_seen", "_top")

    def __init__(self, cluster: str, link: str, sender: int, mark: Mark | None = None) -> None:
        """`mark`: what an earlier life of this receiver remembered."""
        self._link = link
        self._direct = _address(_DIRECT, sender, cluster, link)
        self._digested = _address(_DIGESTED, sender, cluster, link)
        self._keys = NO_KEYS
        self._of_epoch: dict[int, tuple[bytes, LongFrames]] = {}
        self._life = (mark.epoch, mark.incarnation) if mark is not None else (0, 0)
        self._top = mark.number if mark is not None else 0
        self._seen = _ALL_SEEN

    @property
    def mark(self) -> Mark:
        """How far it has come. From any thread: what is seen in the middle of a change is never too far."""
        while True:
            life = self._life
            number = self._top
            if life is self._life:
                return Mark(*life, number)

    def open(self, keys: SealKeys, raw: bytes) -> bytes | Drop:
        """The frame, or why it is dropped."""
        address = raw[: _ADDRESS.size]
        long = address == self._digested
        if not long and address != self._direct:
            return self._why_not_here(raw)
        if len(raw) < SEAL_SIZE:
            return Drop.TRUNCATED
        epoch, length, incarnation, number = _NUMBERS.unpack_from(raw, _ADDRESS.size)
        if keys is not self._keys:
            self._of_epoch = {one: (link_key(root, self._link), LongFrames(root)) for one, root in keys.roots.items()}
            self._keys = keys
        found = self._of_epoch.get(epoch)
        if found is None:
            return Drop.UNKNOWN_KEY
        key, long_frames = found
        frame = raw[SEAL_SIZE:]
        if len(frame) != length:
            return Drop.TRUNCATED if len(frame) < length else Drop.FORGED
        # With another form than its length asks for it has no tag either: the form is hashed.
        body = long_frames.hash_of(frame) if long else frame
        tag = blake3(raw[:_HEAD] + body, key=key).digest(length=_TAG)
        if not hmac.compare_digest(tag, raw[_HEAD:SEAL_SIZE]):
            return Drop.FORGED
        return self._why_not_new(epoch, incarnation, number) or frame

    def _why_not_new(self, epoch: int, incarnation: int, number: int) -> Drop | None:
        life = self._life
        if incarnation == life[1]:
            ahead = number - self._top
            if ahead > 0:
                self._seen = (self._seen << ahead | 1) & _ALL_SEEN if ahead < WINDOW else 1
                self._top = number
                if epoch > life[0]:
                    self._life = (epoch, incarnation)
                return None
            if -ahead >= WINDOW or self._seen >> -ahead & 1:
                return Drop.REPLAYED
            self._seen |= 1 << -ahead
            return None
        if (epoch, incarnation) < life:
            return Drop.FORMER_LIFE
        # In this order: see `mark`.
        self._seen, self._top = 1, number
        self._life = (epoch, incarnation)
        return None

    def _why_not_here(self, raw: bytes) -> Drop:
        if len(raw) < _ADDRESS.size:
            return Drop.TRUNCATED
        if not raw.startswith(SEAL_PREFIX):
            return Drop.UNSEALED
        _magic, _version, _form, _sender, _zero, cluster, _name = _ADDRESS.unpack_from(raw)
        ours = _ADDRESS.unpack(self._direct)[5]
        return Drop.MISDIRECTED if cluster == ours else Drop.FOREIGN
