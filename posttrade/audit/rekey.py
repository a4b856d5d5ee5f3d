"""Changing the master key of a key store, so that a kill at any moment leaves a key that fits.

The new key is beside the old one, as `NAME.next`, before the key store is put under it, in one transaction; whoever
opens the key store tries both. Then it takes the old one's place, and the old one is overwritten. Whatever a kill has
left, the same command finishes. One at a time changes keys in a directory: two at once would each take the other's key
for the old one.
"""

import os
import secrets
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from lockstep.posttrade.audit.keystore import KeyStore
from lockstep.posttrade.audit.master import former_of, master_key, next_of
from lockstep.posttrade.audit.officers import SECRET, write_secret
from lockstep.posttrade.held import hold_directory
from lockstep.runtime.faults import EnvironmentFault, os_error_text

Step = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Rekeyed:
    """What became of it."""

    keys: int
    """So many were put under the new master key."""
    finished: bool
    """An earlier change was finished, and no new one begun."""
    overwritten: bool
    """Nothing under the old master key is in the key store's files any more."""


def prepare(url: str, path: Path) -> Path:
    """Make the new master key beside the one in `path`, to be brought to other hosts first; where it is.

    Raises:
        EnvironmentFault: the key store is under another master key; one is prepared already; another one is at it.
    """
    with _held(path):
        KeyStore(url, master_key(path, make=False)).close()
        _make(next_of(path))
    return next_of(path)


def rekey(url: str, path: Path, reason: str, step: Step = lambda _what: None) -> Rekeyed:
    """Change the master key in `path` for the one that was prepared, or a new one; or finish what was begun.

    Raises:
        EnvironmentFault: the key store or a file can't be used, or is under neither key; another one is at it.
    """
    with _held(path):
        return _rekey(url, path, reason, step)


def _held(path: Path) -> IO[str]:
    if path.is_symlink():
        # The file that it leads to may be another key store's, too.
        raise EnvironmentFault(f"{path} is a link: name the file that it leads to (--master-key)")
    return hold_directory(path.parent, "rekey", "wait until it is done")


def _rekey(url: str, path: Path, reason: str, step: Step) -> Rekeyed:
    coming, former = next_of(path), former_of(path)
    if former.exists() and not former.samefile(path):
        # Killed when all else was done.
        with closing(KeyStore(url, master_key(path, make=False))) as store:
            overwritten = store.finish()
        _forget(path, step)
        if not coming.exists():
            return Rekeyed(0, finished=True, overwritten=overwritten)
    old = master_key(path, make=False)
    if not coming.exists():
        KeyStore(url, old).close()
        _make(coming)
    step("made")
    new = master_key(coming, make=False)
    if new == old:
        raise EnvironmentFault(f"{coming} is the key that {path} has already: remove it, and a new one is made")
    with closing(KeyStore(url, old, coming=new)) as store:
        done = store.is_under(new)
        keys = 0 if done else store.rekey(new, reason, step)
        overwritten = store.finish()
    step("finished")
    _replace(path, coming, step)
    _forget(path, step)
    return Rekeyed(keys, finished=done, overwritten=overwritten)


def _make(path: Path) -> None:
    part = path.with_name(f"{path.name}.part")
    try:
        part.unlink(missing_ok=True)
        write_secret(part, secrets.token_bytes(SECRET).hex().encode() + b"\n")
        # Not over another one: it may be what a key store is under.
        os.link(part, path)
        part.unlink()
        _sync(path.parent)
    except FileExistsError:
        raise EnvironmentFault(f"{path} is there already: `lockstep audit rekey` changes to it") from None
    except OSError as error:
        raise EnvironmentFault(os_error_text(error)) from error


def _replace(path: Path, coming: Path, step: Step) -> None:
    former = former_of(path)
    try:
        if not former.exists():
            os.link(path, former)
            _sync(path.parent)
        step("linked")
        coming.chmod(0o600)
        coming.replace(path)
        _sync(path.parent)
    except OSError as error:
        raise EnvironmentFault(os_error_text(error)) from error
    step("replaced")


def _forget(path: Path, step: Step) -> None:
    """Overwrite the former key."""
    former = former_of(path)
    assert not former.samefile(path), f"{former} is the key in use"
    try:
        with former.open("r+b") as file:
            file.write(b"0" * len(former.read_bytes()))
            file.flush()
            os.fsync(file.fileno())
        step("zeroed")
        former.unlink()
        _sync(path.parent)
    except OSError as error:
        raise EnvironmentFault(os_error_text(error)) from error


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
