"""The document with the secrets of the links' keys, and how it changes. Pure.

It stands in etcd, and says which key epochs are believed and which one frames are sealed with. A rotation takes three
changes: the next epoch is *announced* (believed, not used), *used* once every member believes it, and the former ones
are *retired* once every member uses it; so no frame meets a receiver that does not know its key. The document carries
an HMAC by the cluster's key and for its name. A secret alone opens nothing: the cluster's key is part of every root
(`lockstep.stream.sealing.root_of`).
"""

import hmac
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, field, replace
from hashlib import sha256
from typing import Any, Final

from lockstep.stream.values import frozen

MAX_BYTES: Final = 16 << 10
SECRET_BYTES: Final = 32
MOST_EPOCHS: Final = 3
"""Of which frames are believed at a time."""
_FORMAT: Final = 1
_LAST_EPOCH: Final = 2**32 - 1
_LAST_VERSION: Final = 2**63 - 1


class RingForged(ValueError):
    """The document was not written by somebody who has the cluster's key."""


@frozen
class KeyRing:
    """Invariants: epochs ascend, `sending` is one of them, and there are `MOST_EPOCHS` at the most."""

    version: int
    """Counts the changes."""
    sending: int
    """The epoch whose key frames are sealed with."""
    secrets: tuple[tuple[int, str], ...] = field(repr=False)
    """Each epoch that is believed, with its secret in hex; empty: written under a former key of the cluster."""
    at_ns: int = 0
    by: str = ""
    what: str = ""

    @property
    def epochs(self) -> tuple[int, ...]:
        """Those whose frames are believed."""
        return tuple(epoch for epoch, _ in self.secrets)

    @property
    def announced(self) -> int:
        """An epoch that is believed and not used yet; 0: there is none."""
        newest = self.epochs[-1]
        return newest if newest > self.sending else 0

    @property
    def rank(self) -> tuple[int, str]:
        """Of two documents the one of the higher rank is in force, whichever of them stands in etcd."""
        return self.version, sha256(_body(self).encode()).hexdigest()


Edit = Callable[[KeyRing], KeyRing]


def first_ring(secret: bytes) -> KeyRing:
    """What a cluster begins with."""
    return KeyRing(version=1, sending=1, secrets=((1, secret.hex()),), what="began")


def announce(secret: bytes) -> Edit:
    """The next epoch is believed from now on; one that is announced already stays the next."""

    def edit(ring: KeyRing) -> KeyRing:
        if ring.announced:
            return ring
        kept = ring.secrets[-(MOST_EPOCHS - 1) :]
        return replace(ring, secrets=(*kept, (ring.epochs[-1] + 1, secret.hex())))

    return edit


def use(epoch: int) -> Edit:
    """Frames are sealed with the key of this epoch, unless a later one is in use."""

    def edit(ring: KeyRing) -> KeyRing:
        return replace(ring, sending=epoch) if epoch in ring.epochs and epoch > ring.sending else ring

    return edit


def retire(epoch: int) -> Edit:
    """Epochs before this one, which is in use, are believed no more."""

    def edit(ring: KeyRing) -> KeyRing:
        if epoch > ring.sending:
            return ring
        return replace(ring, secrets=tuple(one for one in ring.secrets if one[0] >= epoch))

    return edit


def without_secrets(ring: KeyRing) -> KeyRing:
    """The same, written with another key of the cluster: members keep the roots of these epochs, nobody makes them."""
    return replace(ring, secrets=tuple((epoch, "") for epoch, _ in ring.secrets))


def begin_anew(version: int, sending: int, secret: bytes, believed: Iterable[int] = ()) -> KeyRing:
    """After a change of the cluster's key: members keep the epochs that they have, and another one is announced.

    `version`, `sending`: the highest that any member names; `believed`: all epochs that any does. The new one comes
    after those that were announced and never used: they have other secrets.
    """
    epochs = {sending, *believed}
    others = sorted(epochs - {sending}, key=lambda epoch: (epoch < sending, epoch))[-(MOST_EPOCHS - 2) :]
    kept = sorted({sending, *others})
    return KeyRing(version + 1, sending, (*((epoch, "") for epoch in kept), (max(epochs) + 1, secret.hex())))


def changed(before: KeyRing, edit: Edit, *, by: str, what: str, now_ns: int) -> KeyRing:
    """The ring after an edit; the same, if there is nothing to do."""
    after = edit(before)
    if after == before:
        return before
    return replace(after, version=before.version + 1, at_ns=now_ns, by=by, what=what)


def encode(ring: KeyRing, key: bytes, cluster: str) -> bytes:
    """The document of a cluster."""
    body = _body(ring)
    return json.dumps({"v": _FORMAT, "mac": _mac(key, cluster, body), "ring": body}).encode()


def decode(raw: bytes, key: bytes, cluster: str) -> KeyRing:
    """The ring of a cluster's document.

    Raises:
        RingForged: it was not written for this cluster by somebody who has the key, or is none.
    """
    try:
        if len(raw) > MAX_BYTES:
            raise RingForged(f"what stands for the links' keys has {len(raw)} bytes, and they never do")
        outer = json.loads(raw)
        body = str(outer["ring"])
        if outer["v"] != _FORMAT or not hmac.compare_digest(_mac(key, cluster, body), str(outer["mac"])):
            raise RingForged(f"the links' keys were not written with this cluster's key for {cluster!r}")
        ring = _ring(json.loads(body))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        if isinstance(error, RingForged):
            raise
        why = f" ({error})" if type(error) is ValueError else ""
        raise RingForged(f"this is no document of links' keys{why}") from None
    return ring


def _ring(row: dict[str, Any]) -> KeyRing:
    secrets = tuple((int(epoch), str(secret)) for epoch, secret in row["secrets"])
    ring = KeyRing(int(row["version"]), int(row["sending"]), secrets, int(row["at_ns"]), row["by"], row["what"])
    epochs = ring.epochs
    sound = (
        0 < len(epochs) <= MOST_EPOCHS
        and list(epochs) == sorted(set(epochs))
        and ring.sending in epochs
        and 0 < epochs[0] <= epochs[-1] <= _LAST_EPOCH
        and 0 < ring.version <= _LAST_VERSION
        and all(len(bytes.fromhex(secret)) in (0, SECRET_BYTES) for _, secret in secrets)
    )
    if not sound:
        raise ValueError("epochs or secrets are out of bounds")
    return ring


def _body(ring: KeyRing) -> str:
    return json.dumps(asdict(ring), separators=(",", ":"), sort_keys=True)


def _mac(key: bytes, cluster: str, body: str) -> str:
    # As JSON the name has no line's end: nothing of it passes for a part of the body.
    return hmac.new(key, f"link keys\n{json.dumps(cluster)}\n{body}".encode(), sha256).hexdigest()


def ring_key(cluster: str) -> bytes:
    """Where the document stands in etcd."""
    return f"/lockstep/{cluster}/link-keys".encode()
