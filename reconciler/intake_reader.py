"""Reads the intake log of a gateway, also while the gateway writes it: as a RocksDB secondary, which takes no lock."""

import tempfile
from pathlib import Path

import numpy as np
from rocksdict import AccessType, Options, Rdict

from lockstep.reconciler.checks import Waiting
from lockstep.reconciler.sources import SourceAway, SourceDamaged
from lockstep.stream.records import COMMAND

_KEY_BYTES = 8


class IntakeReader:
    """One gateway's log. `read` may be called again and again; each time it shows the present.

    Raises:
        SourceAway: there is no log (yet).
    """

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self._directory = directory
        if not (directory / "CURRENT").exists():
            raise SourceAway(f"{name}: no intake log in {directory}")
        self._scratch = tempfile.TemporaryDirectory(prefix="lockstep-intake-")
        options = Options(raw_mode=True)
        # A follower must keep all files open: the owner may delete them.
        options.set_max_open_files(-1)
        try:
            self._db = Rdict(str(directory), options, access_type=AccessType.secondary(self._scratch.name))
        except Exception as error:  # the binding raises nothing narrower
            self._scratch.cleanup()
            raise SourceAway(f"{name}: the intake log {directory} can't be followed: {error}") from error

    def read(self) -> list[Waiting]:
        """Every command that stands in the log now.

        Raises:
            SourceAway: it can't be read at the moment. SourceDamaged: an entry is no list of commands.
        """
        waiting: list[Waiting] = []
        try:
            self._db.try_catch_up_with_primary()
            cursor = self._db.iter()
            cursor.seek_to_first()
            entries = []
            while cursor.valid():
                entries.append((cursor.key(), cursor.value()))
                cursor.next()
            cursor.status()
        except Exception as error:  # the binding raises nothing narrower
            raise SourceAway(f"{self.name}: the intake log can't be read: {error}") from error
        for key, value in entries:
            if len(key) != _KEY_BYTES:
                continue
            if len(value) % COMMAND.itemsize:
                raise SourceDamaged(f"intake log of {self.name} is damaged: an entry of {len(value)} bytes")
            records = np.frombuffer(value, dtype=COMMAND)
            waiting += [Waiting(self.name, records[i : i + 1]) for i in range(len(records))]
        return waiting

    def close(self) -> None:
        """Stop following."""
        self._db.close()
        self._scratch.cleanup()
