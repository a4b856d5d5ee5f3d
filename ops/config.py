"""The cluster's configuration file: TOML in, `Topology` out, and back.

One file describes the whole cluster and is the same on every host. Every key is in one table here (`SECTIONS`), so
that the reader, the writer, the error messages and the test that holds `cluster.example.toml` complete can't drift
apart. A mistake is one `ConfigError` that names the file, the key and the remedy; nothing is guessed or ignored.

Relative paths are relative to the file's own folder, so a cluster directory can be moved as a whole.
"""

import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, Final

from lockstep.engine.implementations import DEFAULT, NAMES
from lockstep.ops.faults import BadInput
from lockstep.stream.topology import (
    MAX_MEMBER,
    Client,
    Limits,
    Member,
    ProcessKind,
    Reconciler,
    Snapshots,
    Timing,
    Topology,
)

ACK_POLICIES: Final = ("synced", "replicated")
ORPHAN_POLICIES: Final = ("flag", "resubmit", "cancel")


class ConfigError(BadInput):
    """The configuration can't be used. The text names the file, the key and the remedy."""


@dataclass(frozen=True, slots=True)
class Key:
    """One known key of one section."""

    name: str
    kind: str
    """`text`, `number`, `port`, `yes/no`, `list of texts` or `list of numbers`."""
    default: object = None
    required: bool = False


def _tunables(cls: type[Limits] | type[Timing] | type[Snapshots]) -> tuple[Key, ...]:
    return tuple(Key(f.name, "number", f.default) for f in fields(cls) if f.default is not MISSING)


_MEMBER: Final = (
    Key("id", "number", required=True),
    Key("host", "text", "127.0.0.1"),
    Key("grpc_port", "port", required=True),
    Key("watch_port", "port", required=True),
    Key("data_port", "port", 0),
    Key("metrics_port", "port", 0),
)

SECTIONS: Final[Mapping[str, tuple[Key, ...]]] = {
    "cluster": (
        Key("name", "text", required=True),
        Key("etcd_endpoints", "list of texts", required=True),
        Key("aeron_dir", "text", required=True),
        Key("ack_policy", "text", "synced"),
        Key("udp_mtu", "number", 8192),
    ),
    "sequencer": _MEMBER,
    "engine": (
        *_MEMBER,
        Key("snapshotter_metrics_port", "port", 0),
        Key("data_dir", "text", required=True),
        Key("engine", "text", DEFAULT),
    ),
    "gateway": (*_MEMBER, Key("data_dir", "text", required=True)),
    "client": (
        Key("name", "text", required=True),
        Key("token", "text", required=True),
        Key("number", "number", required=True),
        Key("accounts", "list of numbers", []),
        Key("admin", "yes/no", False),
    ),
    "reconciler": (
        Key("data_dir", "text", "reconciler"),
        Key("key_file", "text", "reconciler/key.pem"),
        Key("client_logs", "text", "client-logs"),
        Key("engine", "text", "reference"),
        Key("orphan_policy", "text", "flag"),
        Key("orphan_seconds", "number", 5),
        Key("pass_ms", "number", 500),
        Key("certificate_seconds", "number", 60),
        Key("host", "text", "127.0.0.1"),
        Key("metrics_port", "port", 0),
    ),
    "limits": _tunables(Limits),
    "timing": _tunables(Timing),
    "snapshots": _tunables(Snapshots),
}
"""Every section and key there is. `sequencer`, `engine`, `gateway` and `client` are repeated sections."""

REPEATED: Final = frozenset({"sequencer", "engine", "gateway", "client"})

_CHECKS: Final[Mapping[str, tuple[str, Callable[[Any], bool]]]] = {
    "text": ("a text in quotes", lambda v: isinstance(v, str) and v != ""),
    "number": ("a whole number, 0 or more", lambda v: isinstance(v, int) and not isinstance(v, bool) and v >= 0),
    "port": ("a port from 1 to 65535", lambda v: isinstance(v, int) and not isinstance(v, bool) and 0 < v < 65536),
    "yes/no": ("true or false", lambda v: isinstance(v, bool)),
    "list of texts": (
        'a list of texts such as ["a", "b"], not empty',
        lambda v: isinstance(v, list) and len(v) > 0 and all(isinstance(x, str) and x for x in v),
    ),
    "list of numbers": (
        "a list of whole numbers such as [1, 2]",
        lambda v: isinstance(v, list) and all(isinstance(x, int) and not isinstance(x, bool) and x > 0 for x in v),
    ),
}


def load(path: Path) -> Topology:
    """The topology that a configuration file describes.

    Raises:
        ConfigError: the file can't be read, or is not a valid configuration.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: no such file; start a local cluster with `lockstep up`, or name a file with --config"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: can't be read: {error}") from None
    return parse(text, origin=str(path), base=path.resolve().parent)


def named_paths(topology: Topology) -> list[tuple[str, Path]]:
    """Every directory and file that a configuration names, with what it is: nobody else may write there."""
    wanted = topology.reconciler
    members = (*topology.engines, *topology.gateways)
    return [
        *((f"data_dir of {member.name}", member.data_dir) for member in members),
        ("aeron_dir", topology.aeron_dir),
        ("data_dir of the reconciler", wanted.data_dir),
        ("key_file", wanted.key_file),
        ("client_logs", wanted.client_logs),
    ]


def parse(text: str, *, origin: str, base: Path) -> Topology:
    """The topology in a configuration text. `origin` names it in errors, `base` is what relative paths start from.

    Raises:
        ConfigError: the text is not a valid configuration.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{origin}: not TOML: {error}") from None
    sections = _Sections(origin, document)
    cluster = sections.one("cluster")
    topology = Topology(
        name=cluster["name"],
        etcd_endpoints=tuple(cluster["etcd_endpoints"]),
        aeron_dir=base / cluster["aeron_dir"],
        sequencers=_members(sections, "sequencer", ProcessKind.SEQUENCER, base),
        engines=_members(sections, "engine", ProcessKind.ENGINE, base),
        gateways=_members(sections, "gateway", ProcessKind.GATEWAY, base),
        clients=tuple(
            Client(row["name"], row["token"], row["number"], tuple(row["accounts"]), row["admin"])
            for row in sections.many("client")
        ),
        ack_policy=cluster["ack_policy"],
        limits=Limits(**sections.one("limits")),
        timing=Timing(**sections.one("timing")),
        snapshots=Snapshots(**sections.one("snapshots")),
        udp_mtu=cluster["udp_mtu"],
        reconciler=_reconciler(sections.one("reconciler"), base),
    )
    _check(topology, origin)
    return topology


class _Sections:
    """The sections of one document, each row checked against its keys."""

    def __init__(self, origin: str, document: dict[str, Any]) -> None:
        self._origin = origin
        self._document = document
        for name in document:
            if name not in SECTIONS:
                raise ConfigError(
                    f"{origin}: unknown section or key {name!r}; remove it, or use one of: {', '.join(SECTIONS)}"
                )

    def one(self, section: str) -> dict[str, Any]:
        """The row of a section that stands once."""
        row = self._document.get(section, {})
        if not isinstance(row, dict):
            raise ConfigError(f"{self._origin}: {section!r} must be one section: write [{section}]")
        return self._row(section, f"[{section}]", row)

    def many(self, section: str) -> list[dict[str, Any]]:
        """The rows of a repeated section."""
        rows = self._document.get(section, [])
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise ConfigError(f"{self._origin}: {section!r} is a repeated section: write [[{section}]] for each one")
        return [self._row(section, f"[[{section}]] number {i}", row) for i, row in enumerate(rows, 1)]

    def _row(self, section: str, where: str, row: dict[str, Any]) -> dict[str, Any]:
        keys = {key.name: key for key in SECTIONS[section]}
        for name, value in row.items():
            if name not in keys:
                raise ConfigError(
                    f"{self._origin}: unknown key {name!r} in {where}; remove it, or use one of: {', '.join(keys)}"
                )
            wanted, accepts = _CHECKS[keys[name].kind]
            if not accepts(value):
                raise ConfigError(f"{self._origin}: {name!r} in {where} must be {wanted}, not {value!r}")
        for key in keys.values():
            if key.required and key.name not in row:
                raise ConfigError(f"{self._origin}: {where} lacks {key.name!r} ({key.kind}); add it")
        return {key.name: row.get(key.name, key.default) for key in keys.values()}


def _members(sections: _Sections, section: str, kind: ProcessKind, base: Path) -> tuple[Member, ...]:
    members = []
    for row in sections.many(section):
        data_dir = row.pop("data_dir", None)
        members.append(Member(kind=kind, data_dir=base / data_dir if data_dir else Path(), **row))
    return tuple(members)


_RECONCILER_PATHS: Final = ("data_dir", "key_file", "client_logs")


def _reconciler(row: dict[str, Any], base: Path) -> Reconciler:
    return Reconciler(**{name: base / value if name in _RECONCILER_PATHS else value for name, value in row.items()})


def _check_reconciler(topology: Topology, origin: str) -> None:
    wanted = topology.reconciler
    for key, value, known in (
        ("engine", wanted.engine, NAMES),
        ("orphan_policy", wanted.orphan_policy, ORPHAN_POLICIES),
    ):
        if value not in known:
            raise ConfigError(f"{origin}: {key} {value!r} in [reconciler] is unknown; use one of: {', '.join(known)}")
    if not wanted.pass_ms or not wanted.orphan_seconds:
        raise ConfigError(f"{origin}: 'pass_ms' and 'orphan_seconds' in [reconciler] must be 1 or more")


def _check(topology: Topology, origin: str) -> None:
    _check_counts(topology, origin)
    _check_reconciler(topology, origin)
    if topology.ack_policy not in ACK_POLICIES:
        raise ConfigError(
            f"{origin}: ack_policy {topology.ack_policy!r} is unknown; use one of: {', '.join(ACK_POLICIES)}"
        )
    for engine in topology.engines:
        if engine.engine not in NAMES:
            raise ConfigError(
                f"{origin}: engine {engine.id} wants the unknown implementation {engine.engine!r}; "
                f"use one of: {', '.join(NAMES)}"
            )
    _check_zero(topology, origin)
    _check_ports(topology, origin)
    _unique(origin, "data_dir", ((str(m.data_dir), m.name) for m in (*topology.engines, *topology.gateways)))
    _unique(origin, "client name", ((c.name, "a client") for c in topology.clients))
    _unique(origin, "client number", ((str(c.number), c.name) for c in topology.clients))
    _unique(origin, "client token", ((c.token, c.name) for c in topology.clients), show=False)


def _check_counts(topology: Topology, origin: str) -> None:
    for kind in ProcessKind:
        section = kind.name.lower()
        members = topology.members(kind)
        if not members:
            raise ConfigError(f"{origin}: there is no {section}; add at least one [[{section}]] section")
        for member in members:
            if not 1 <= member.id <= MAX_MEMBER:
                raise ConfigError(f"{origin}: {section} id {member.id} is outside 1..{MAX_MEMBER}")
        _unique(origin, f"{section} id", ((str(m.id), f"{section} {m.id}") for m in members))


def _check_zero(topology: Topology, origin: str) -> None:
    for section, values in (("limits", topology.limits), ("timing", topology.timing)):
        for f in fields(values):
            if getattr(values, f.name) == 0 and f.name != "tick_ms":
                raise ConfigError(f"{origin}: {f.name!r} in [{section}] must be 1 or more")
    if topology.snapshots.keep == 0:
        raise ConfigError(f"{origin}: 'keep' in [snapshots] must be 1 or more")


def _check_ports(topology: Topology, origin: str) -> None:
    members = [m for kind in ProcessKind for m in topology.members(kind)]
    taken = [
        (f"{m.host}:{port}", f"{name} of {m.name}")
        for m in members
        for name, port in (
            ("grpc_port", m.grpc_port),
            ("watch_port", m.watch_port),
            ("metrics_port", m.metrics_port),
            ("snapshotter_metrics_port", m.snapshotter_metrics_port),
        )
        if port
    ]
    _unique(origin, "address", taken)
    _unique(origin, "data_port", ((f"{m.host}:{m.data_port}", m.name) for m in members if m.data_port))
    if len({m.host for m in members}) > 1:
        for member in members:
            if not member.data_port:
                raise ConfigError(
                    f"{origin}: {member.name} has no data_port, and the cluster spans several hosts; add data_port"
                )


def _unique(origin: str, what: str, pairs: Iterable[tuple[str, str]], *, show: bool = True) -> None:
    seen: dict[str, str] = {}
    for value, owner in pairs:
        if value in seen:
            shown = f" {value}" if show else ""
            raise ConfigError(
                f"{origin}: {what}{shown} is used twice ({seen[value]} and {owner}); give each one its own"
            )
        seen[value] = owner


def render(topology: Topology, *, heading: str) -> str:
    """The configuration text of a topology: `parse` of it gives the same topology. Paths are written absolute."""
    lines = [f"# {line}" for line in heading.splitlines()]
    cluster = {
        "name": topology.name,
        "etcd_endpoints": list(topology.etcd_endpoints),
        "aeron_dir": str(topology.aeron_dir.absolute()),
        "ack_policy": topology.ack_policy,
        "udp_mtu": topology.udp_mtu,
    }
    lines += _render_row("[cluster]", cluster, SECTIONS["cluster"])
    for section, kind in (("sequencer", 1), ("engine", 2), ("gateway", 3)):
        for member in topology.members(ProcessKind(kind)):
            row = {key.name: getattr(member, key.name) for key in SECTIONS[section]}
            if "data_dir" in row:
                row["data_dir"] = str(member.data_dir.absolute())
            lines += _render_row(f"[[{section}]]", row, SECTIONS[section])
    for client in topology.clients:
        row = {key.name: getattr(client, key.name) for key in SECTIONS["client"]}
        row["accounts"] = list(client.accounts)
        lines += _render_row("[[client]]", row, SECTIONS["client"])
    reconciler = {key.name: getattr(topology.reconciler, key.name) for key in SECTIONS["reconciler"]}
    reconciler |= {name: str(Path(reconciler[name]).absolute()) for name in _RECONCILER_PATHS}
    lines += _render_row("[reconciler]", reconciler, SECTIONS["reconciler"])
    for section, values in (
        ("limits", topology.limits),
        ("timing", topology.timing),
        ("snapshots", topology.snapshots),
    ):
        lines += _render_row(f"[{section}]", {f.name: getattr(values, f.name) for f in fields(values)}, ())
    return "\n".join(lines) + "\n"


def _render_row(title: str, row: Mapping[str, object], keys: tuple[Key, ...]) -> list[str]:
    optional_ports = {key.name for key in keys if key.kind == "port" and not key.required}
    return [
        "",
        title,
        *(f"{name} = {_toml(value)}" for name, value in row.items() if not (name in optional_ports and value == 0)),
    ]


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in escaped) + '"'
