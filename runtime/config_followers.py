"""The parts of the configuration about followers of the stream: `[ledger]` and `[alerts]`."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from lockstep.runtime.config_values import Key
from lockstep.runtime.topology import Alerts, Ledger, Topology

SECTIONS: Final[Mapping[str, tuple[Key, ...]]] = {
    "ledger": (
        Key("data_dir", "path", "ledger"),
        Key("database", "database", ""),
        Key("host", "host", "127.0.0.1"),
        Key("grpc_port", "port", 0),
        Key("metrics_port", "port", 0),
    ),
    "alerts": (
        Key("data_dir", "path", "alerts"),
        Key("host", "host", "127.0.0.1"),
        Key("grpc_port", "port", 0),
        Key("http_port", "port", 0),
        Key("metrics_port", "port", 0),
        Key("webhook_hosts", "optional text", ""),
        Key("webhook_networks", "optional text", ""),
    ),
}


def ledger_of(row: dict[str, Any], base: Path) -> Ledger:
    """What `[ledger]` says; `base`: paths are relative to it."""
    return Ledger(**{**row, "data_dir": base / row["data_dir"]})


def alerts_of(row: dict[str, Any], base: Path) -> Alerts:
    """What `[alerts]` says."""
    return Alerts(**{**row, "data_dir": base / row["data_dir"]})


def ports(topology: Topology) -> Iterator[tuple[str, str]]:
    """(address, whose) of every port."""
    for what, one in (("ledger", topology.ledger), ("alerts", topology.alerts)):
        for name in ("grpc_port", "http_port", "metrics_port"):
            port = getattr(one, name, 0)
            if port:
                yield f"{one.host}:{port}", f"{name} of the {what}"


def rows(topology: Topology) -> dict[str, dict[str, Any]]:
    """The values of both sections, by name, as they are written. Paths are absolute."""
    found = {}
    for section in SECTIONS:
        one = getattr(topology, section)
        found[section] = {key.name: getattr(one, key.name) for key in SECTIONS[section]}
        found[section]["data_dir"] = str(one.data_dir.absolute())
    return found
