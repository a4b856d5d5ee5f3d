"""The parts of the configuration that say who is let in, and what is encrypted: `[access]` and `[tls]`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from lockstep.runtime.config_values import ConfigError, Key
from lockstep.runtime.topology import PLAINTEXT_WORDS, Access, Tls, Topology

ANONYMOUS: Final = ("loopback", "never")
SEALS: Final = ("hosts", "all", "none")
SECTIONS: Final[Mapping[str, tuple[Key, ...]]] = {
    "access": (
        Key("key_file", "path", "cluster.key"),
        Key("audit_dir", "path", "audit"),
        Key("jwks_file", "optional path", ""),
        Key("anonymous", "text", "loopback"),
    ),
    "tls": (
        Key("cert_dir", "optional path", ""),
        Key("etcd", "yes/no", True),
        Key("seal", "text", "hosts"),
        Key("plaintext", "optional text", ""),
    ),
}
_PATHS: Final = ("key_file", "audit_dir", "jwks_file")


def access_of(row: dict[str, Any], base: Path) -> Access:
    """What `[access]` says; `base`: paths are relative to it."""
    return Access(**{**row, **{name: base / row[name] if row[name] else Path() for name in _PATHS}})


def tls_of(row: dict[str, Any], base: Path) -> Tls:
    """What `[tls]` says."""
    return Tls(**{**row, "cert_dir": base / row["cert_dir"] if row["cert_dir"] else Path()})


def check(topology: Topology, origin: str) -> None:
    """Raises:
    ConfigError: a word is none of those that there are.
    """
    said = topology.access.anonymous
    if said not in ANONYMOUS:
        words = ", ".join(ANONYMOUS)
        raise ConfigError(f"{origin}: anonymous {said!r} in [access] is unknown; use one of: {words}")
    if topology.tls.seal not in SEALS:
        words = ", ".join(SEALS)
        raise ConfigError(f"{origin}: seal {topology.tls.seal!r} in [tls] is unknown; use one of: {words}")
    if topology.tls.plaintext not in ("", PLAINTEXT_WORDS):
        raise ConfigError(f'{origin}: plaintext in [tls] is "", or in these words: "{PLAINTEXT_WORDS}"')


def rows(topology: Topology) -> dict[str, dict[str, Any]]:
    """The values of both sections, by name, as they are written. Paths are absolute; what is not set is left out."""
    access = {key.name: getattr(topology.access, key.name) for key in SECTIONS["access"]}
    access |= {name: str(path.absolute()) if (path := access[name]).name else "" for name in _PATHS}
    access = {name: value for name, value in access.items() if value}
    tls = {key.name: getattr(topology.tls, key.name) for key in SECTIONS["tls"]}
    tls["cert_dir"] = str(topology.tls.cert_dir.absolute()) if topology.tls.on else ""
    return {"access": access, "tls": tls}
