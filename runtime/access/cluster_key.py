"""The cluster's key: a file on each of its hosts, by which members and operators identify themselves to every process.

A token is made of it without asking anybody, so nothing of a failover waits for a server that knows identities. It says
who and until when, and carries an HMAC-SHA256 (RFC 2104) of that and of the cluster's name. Whoever can read the file
can act as any member and as an operator, but not as a trader.
"""

import contextlib
import hmac
import os
import secrets
from collections.abc import Callable, Iterable
from dataclasses import field
from hashlib import sha256
from pathlib import Path
from typing import Final

from lockstep.runtime.access.roles import Role
from lockstep.runtime.faults import EnvironmentFault
from lockstep.runtime.private import make_private
from lockstep.stream.values import frozen

PREFIX: Final = "lsk1."
KEY_BYTES: Final = 32
LIFETIME_S: Final = 24 * 3600
"""Long, so that a host whose clock is wrong by hours can still fence: a key is changed by changing the file."""
_LONGEST: Final = 256
_ROLES: Final = {role.value: role for role in (Role.MEMBER, Role.OPERATOR)}
_SEQUENCERS: Final = "sequencer-"


class NotByThisKey(ValueError):
    """The token is not one of this cluster's key, or is over."""


@frozen
class Holder:
    """Who identifies itself by the key."""

    name: str
    role: Role
    until_s: int = field(default=0, compare=False)
    """Unix time at which the token that it showed is over; 0: it has shown none."""

    @property
    def roles(self) -> tuple[Role, ...]:
        """A sequencer is a member that may fence."""
        if self.role is Role.MEMBER and self.name.startswith(_SEQUENCERS):
            return (Role.MEMBER, Role.SEQUENCER)
        return (self.role,)


def mint(key: bytes, cluster: str, holder: Holder, now_s: int) -> str:
    """A token of the holder, good for `LIFETIME_S`."""
    text = f"{PREFIX}{holder.role.value}.{_plain(holder.name)}.{now_s + LIFETIME_S}"
    return f"{text}.{_mac(key, cluster, text)}"


def verify(key: bytes, cluster: str, token: str, now_s: int) -> Holder:
    """Who made a token.

    Raises:
        NotByThisKey: it was made by another key or for another cluster, or its time is over.
    """
    text, _, mac = token.rpartition(".")
    fields = text.removeprefix(PREFIX).split(".")
    if len(token) > _LONGEST or not token.startswith(PREFIX) or len(fields) != 3:
        raise NotByThisKey("the token is not of the form that the cluster's key gives")
    if not hmac.compare_digest(_mac(key, cluster, text).encode(), mac.encode()):
        raise NotByThisKey("the token was made with another cluster's key: compare key_file of both hosts")
    role, name, until = fields
    if role not in _ROLES or not until.isdecimal():
        raise NotByThisKey("the token names no role that the cluster's key gives")
    if not now_s < int(until) <= now_s + 2 * LIFETIME_S:
        raise NotByThisKey("the token's time is over, or the clocks of the two hosts are a day apart")
    return Holder(name, _ROLES[role], int(until))


def load_key(path: Path) -> bytes | None:
    """The key in a file; None: there is no such file.

    Raises:
        EnvironmentFault: it can't be read, or holds no key.
    """
    try:
        text = path.read_text(encoding="ascii").strip()
        make_private(path)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise EnvironmentFault(f"the cluster's key {path} can't be read ({error}); it is its owner's alone") from error
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise EnvironmentFault(
            f"{path} holds no key of a cluster ({KEY_BYTES} bytes in hex); copy the file of another host of the cluster"
        )
    return key


@frozen
class ClusterKeys:
    """What tokens and documents are written with, and what they may be written with as well."""

    own: bytes = field(repr=False)
    others: tuple[bytes, ...] = field(default=(), repr=False)
    """While the key is changed: the next one, and the former one."""

    @property
    def believed(self) -> tuple[bytes, ...]:
        """All of them."""
        return (self.own, *self.others)


def fingerprint_of(key: bytes) -> str:
    """By which people tell keys apart; nothing of the key can be found from it."""
    return sha256(b"lockstep cluster key\n" + key).hexdigest()[:8]


def next_of(path: Path) -> Path:
    """Where the next key of a cluster is before it is used."""
    return path.with_name(f"{path.name}.next")


def former_of(path: Path) -> Path:
    """Where the former one is while it is believed still."""
    return path.with_name(f"{path.name}.former")


def load_keys(path: Path) -> ClusterKeys | None:
    """The keys of a cluster; None: there is none.

    Raises:
        EnvironmentFault: one can't be read, or is none.
    """
    # In this order whoever reads while `use_next` works finds both keys, at either place.
    found = load_key(next_of(path))
    own, former = load_key(path), load_key(former_of(path))
    if own is None:
        return None
    return ClusterKeys(own, tuple(dict.fromkeys(one for one in (found, former) if one not in (None, own))))


class KeyFiles:
    """The files of a cluster's keys, looked at for changes."""

    def __init__(self, path: Path) -> None:
        self._paths = (path, next_of(path), former_of(path))
        self._stamp: tuple[tuple[int, int, int] | None, ...] | None = None

    def refresh(self) -> ClusterKeys | None:
        """The keys, at the first look and if a file has changed since the last; None: none has, or there is no key.

        So what changed between the owner's own reading and this is not missed.

        Raises:
            EnvironmentFault: one can't be read, or is none. It is read again when it has changed.
        """
        stamp = self._now()
        if stamp == self._stamp:
            return None
        self._stamp = stamp
        return load_keys(self._paths[0])

    def _now(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(map(_stamp_of, self._paths))


def _stamp_of(path: Path) -> tuple[int, int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_ino, stat.st_size


def use_next(path: Path) -> None:
    """The next key becomes the key, and the key the former one. At each moment both are there.

    Raises:
        EnvironmentFault: there is no next one, or the files can't be written.
    """
    if load_key(next_of(path)) is None or load_key(path) is None:
        raise EnvironmentFault(f"{next_of(path)} or {path} is missing: nothing was changed")
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        draft.hardlink_to(path)
        draft.replace(former_of(path))
        next_of(path).replace(path)
    except OSError as error:
        raise EnvironmentFault(f"the keys beside {path} can't be written: {error.strerror}; try again") from error
    finally:
        # Where a switch was broken off, both are the same file already, and the name of the draft stays.
        draft.unlink(missing_ok=True)


def by_any[T](keys: Iterable[bytes], read: Callable[[bytes], T], refused: type[Exception]) -> tuple[T, bytes]:
    """What was written with one of the keys, and with which.

    Raises:
        `refused`: with none of them; as the first of them has it.
    """
    first: Exception | None = None
    for key in keys:
        try:
            return read(key), key
        except refused as error:
            first = first or error
    assert first is not None, "there is a key"
    raise first


def make_key(path: Path) -> bytes:
    """The key in a file, which is made if it is not there. Several processes may do this at once.

    Raises:
        EnvironmentFault: it can't be written, or holds no key.
    """
    found = load_key(path)
    if found is not None:
        return found
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(KEY_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        # Whole from the first moment, and never over another process's.
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(draft)
        draft.unlink()
    except OSError as error:
        raise EnvironmentFault(f"the cluster's key {path} can't be made: {error.strerror}") from error
    made = load_key(path)
    assert made is not None, "it was made or found just now"
    return made


def _mac(key: bytes, cluster: str, text: str) -> str:
    return hmac.new(key, f"{cluster}\n{text}".encode(), sha256).hexdigest()


def _plain(name: str) -> str:
    """A name as it can stand in a token."""
    return "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-_") else "_" for letter in name)[:64]
