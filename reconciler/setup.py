"""What one reconciler is to read and how it is to behave, made from the configuration or from the command line."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lockstep.reconciler.intake_reader import IntakeReader
from lockstep.reconciler.sources import ReplicaSource, SourceAway

FLAG: Final = "flag"
RESUBMIT: Final = "resubmit"
CANCEL: Final = "cancel"
POLICIES: Final = (FLAG, RESUBMIT, CANCEL)


@dataclass(frozen=True, slots=True)
class AuditSetup:
    """One reconciler's sources and bounds."""

    data_dir: Path
    """Its own directory."""
    cluster: str
    replicas: tuple[ReplicaSource, ...]
    intakes: tuple[tuple[str, Path], ...] = ()
    """(gateway, directory) of intake logs that can be read here."""
    client_logs: tuple[Path, ...] = ()
    """Directories of client logs."""
    downstream: Path | None = None
    """The downstream copy; None: `downstream.db` in the own directory."""
    key_file: Path | None = None
    """Signing key; None: `key.pem` in the own directory."""
    engine: str = "native"
    orphan_ns: int = 5_000_000_000
    orphan_policy: str = FLAG
    pass_commands: int = 50_000
    """Commands executed in one pass at the most."""
    checkpoint_commands: int = 200_000
    audit_blocks: int = 32
    """Old blocks of fills that are compared again in one look; while it is behind, one."""


class Intakes:
    """The intake logs of all gateways that can be read here; one that appears later is taken up then."""

    def __init__(self, places: tuple[tuple[str, Path], ...]) -> None:
        self._places = places
        self._readers: dict[str, IntakeReader] = {}
        self.away: dict[str, str] = {}
        """By gateway: why its log can't be read."""

    def readers(self) -> list[IntakeReader]:
        """Those that can be read now."""
        for name, directory in self._places:
            if name in self._readers:
                continue
            try:
                self._readers[name] = IntakeReader(name, directory)
                self.away.pop(name, None)
            except SourceAway as error:
                self.away[name] = str(error)
        return list(self._readers.values())

    def drop(self, reader: IntakeReader, why: str) -> None:
        """One can't be read: open it anew the next time."""
        self.away[reader.name] = why
        del self._readers[reader.name]
        reader.close()

    def close(self) -> None:
        """Close all."""
        for reader in self._readers.values():
            reader.close()
        self._readers.clear()
