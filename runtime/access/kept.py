"""The newest principals that a process has seen, on its disk: so that an older document in etcd is noticed by a process
that has just started, too, and the last good one is in force while etcd has none that can be believed.

The file holds the document as it stood in etcd, with its HMAC and without a secret.
"""

import contextlib
import os
import secrets
from hashlib import sha256
from pathlib import Path
from typing import Final

from lockstep.runtime.access.registry import MAX_BYTES

SUFFIX: Final = ".principals"
_ASIDE: Final = ".unverified-"
_MOST_ASIDE: Final = 64
"""Of one process."""


class KeptDocument:
    """Of one process: `<directory>/<name>.principals`, or what ends in another suffix."""

    def __init__(self, directory: Path, name: str, suffix: str = SUFFIX) -> None:
        self.path = directory / f"{name}{suffix}"

    def set_aside(self, raw: bytes) -> Path | None:
        """Keep what can't be verified beside what is kept from now on: it says whose client numbers are taken.

        Returns where it is; None: as many are there already.

        Raises:
            OSError: it can't be written.
        """
        suffix = f"{self.path.suffix}{_ASIDE}{sha256(raw).hexdigest()[:12]}"
        aside = KeptDocument(self.path.parent, self.path.stem, suffix)
        if not aside.path.exists():
            if len(self.aside()) >= _MOST_ASIDE:
                return None
            aside.store(raw)
        return aside.path

    def aside(self) -> list[Path]:
        """What was set aside."""
        return sorted(self.path.parent.glob(f"{self.path.name}{_ASIDE}*"))

    def load(self) -> bytes | None:
        """What was kept last; None: nothing was.

        Raises:
            OSError: it can't be read.
        """
        return load(self.path)

    def store(self, raw: bytes, *, synced: bool = True) -> None:
        """Keep a document: whole, and if `synced` still there after a loss of power. Then it waits for the disk.

        Raises:
            OSError: it can't be written; the one before is there as it was.
        """
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self.path.with_name(f".{self.path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(raw)
                if synced:
                    file.flush()
                    os.fsync(file.fileno())
            draft.replace(self.path)
        except OSError:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)
            raise
        if not synced:
            return
        directory = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def load(path: Path) -> bytes | None:
    """A kept document; None: there is none.

    Raises:
        OSError: it can't be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None


def kept_in(directory: Path) -> list[Path]:
    """What the processes of this host have kept."""
    return sorted(directory.glob(f"*{SUFFIX}")) if directory.name else []


def set_aside_in(directory: Path) -> list[Path]:
    """What processes of this host had kept and could not verify."""
    return sorted(directory.glob(f"*{SUFFIX}{_ASIDE}*")) if directory.name else []
