"""The cluster's configuration file: TOML in, `Topology` out, and back.

One file describes the whole cluster and is the same on every host. Every key is in one table here (`SECTIONS`), so
that the reader, the writer, the error messages and the test that holds `cluster.example.toml` complete can't drift
apart. A mistake is one `ConfigError` that names the file, the key and the remedy; nothing is guessed or ignored.

Relative paths are relative to the file's own folder, so a cluster directory can be moved as a whole.
"""

import ipaddress
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, Final

from lockstep.engine.implementations import DEFAULT, NAMES
from lockstep.runtime import config_access, config_followers
from lockstep.runtime.access.roles import Role
from lockstep.runtime.config_values import BOUNDS, Key, check_value, shown
from lockstep.runtime.config_values import ConfigError as ConfigError
from lockstep.runtime.topology import (
    MAX_MEMBER,
    OPERATOR_NUMBERS,
    Client,
    Day,
    Limits,
    Member,
    ProcessKind,
    Reconciler,
    Snapshots,
    Timing,
    Topology,
)

ACK_POLICIES: Final = ("synced", "replicated")
SELF_TRADE: Final = ("none", "cancel_newest", "cancel_oldest", "cancel_both", "decrement")
ORPHAN_POLICIES: Final = ("flag", "resubmit", "cancel")


def _tunables(cls: type[Limits] | type[Timing] | type[Snapshots]) -> tuple[Key, ...]:
    return tuple(
        Key(f.name, "number", f.default, low=BOUNDS[f.name][0], high=BOUNDS[f.name][1])
        for f in fields(cls)
        if f.default is not MISSING
    )


_MEMBER: Final = (
    Key("id", "number", required=True),
    Key("host", "host", "127.0.0.1"),
    Key("grpc_port", "port", required=True),
    Key("watch_port", "port", required=True),
    Key("data_port", "port", 0),
    Key("metrics_port", "port", 0),
)

SECTIONS: Final[Mapping[str, tuple[Key, ...]]] = {
    "cluster": (
        Key("name", "name", required=True),
        Key("etcd_endpoints", "list of endpoints", required=True),
        Key("aeron_dir", "path", required=True),
        Key("ack_policy", "text", "synced"),
        Key("udp_mtu", "number", 8192, low=512, high=65_504, step=32),
        Key("term_mib", "number", 16, low=8, high=1024),
    ),
    "sequencer": _MEMBER,
    "engine": (
        *_MEMBER,
        Key("snapshotter_metrics_port", "port", 0),
        Key("data_dir", "path", required=True),
        Key("engine", "text", DEFAULT),
    ),
    "gateway": (
        *_MEMBER,
        Key("soup", "endpoint", ""),
        Key("fix", "endpoint", ""),
        Key("data_dir", "path", required=True),
    ),
    "feed": (
        *(key for key in _MEMBER if key.name != "watch_port"),
        Key("http_port", "port", 0),
        Key("udp", "endpoint", ""),
    ),
    "client": (
        Key("name", "text", required=True),
        Key("token", "token", required=True),
        Key("number", "number", required=True, high=OPERATOR_NUMBERS - 1),
        Key("accounts", "list of numbers", []),
        Key("admin", "yes/no", False),
        Key("roles", "list of roles", []),
        Key("soup_user", "soup user", ""),
        Key("soup_password", "soup password", ""),
        Key("soup_cancel_ms", "number", 0, high=3_600_000),
        Key("soup_self_trade", "text", "none"),
        Key("budget_per_s", "number", 0, high=10**9),
        Key("instruments", "list of numbers", []),
    ),
    **config_access.SECTIONS,
    "reconciler": (
        Key("data_dir", "path", "reconciler"),
        Key("key_file", "path", "reconciler/key.pem"),
        Key("client_logs", "path", "client-logs"),
        Key("engine", "text", "reference"),
        Key("orphan_policy", "text", "flag"),
        Key("orphan_seconds", "number", 5, low=1, high=86_400),
        Key("pass_ms", "number", 500, low=1, high=3_600_000),
        Key("certificate_seconds", "number", 60, high=366 * 86_400),
        Key("host", "host", "127.0.0.1"),
        Key("metrics_port", "port", 0),
    ),
    **config_followers.SECTIONS,
    "day": (Key("schedule", "optional path", ""), Key("host", "host", "127.0.0.1"), Key("metrics_port", "port", 0)),
    "limits": _tunables(Limits),
    "timing": _tunables(Timing),
    "snapshots": _tunables(Snapshots),
}
"""Every section and key there is. `sequencer`, `engine`, `gateway`, `feed` and `client` are repeated sections."""

REPEATED: Final = frozenset({"sequencer", "engine", "gateway", "feed", "client"})

_LARGEST: Final = 1 << 20
"""Bytes of a configuration file."""


def load(path: Path) -> Topology:
    """The topology that a configuration file describes.

    Raises:
        ConfigError: the file can't be read, or is not a valid configuration.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(_LARGEST + 1)
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: no such file; start a local cluster with `lockstep up`, or name a file with --config"
        ) from None
    except OSError as error:
        raise ConfigError(
            f"{path}: can't be read: {error.strerror}; check the path, or name another --config"
        ) from None
    if len(raw) > _LARGEST:
        raise ConfigError(f"{path}: is longer than {_LARGEST} bytes and no configuration; name another --config")
    try:
        # Editors on Windows put a byte-order mark in front.
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    return parse(text, origin=str(path), base=path.resolve().parent)


def named_paths(topology: Topology) -> list[tuple[str, Path]]:
    """Every directory and file that a configuration names, with what it is: nobody else may write there."""
    wanted = topology.reconciler
    members = (*topology.engines, *topology.gateways)
    return [
        *((f"data_dir of {member.name}", member.data_dir) for member in members),
        ("aeron_dir", topology.aeron_dir),
        ("data_dir of the reconciler", wanted.data_dir),
        ("data_dir of the ledger", topology.ledger.data_dir),
        ("key_file", wanted.key_file),
        ("client_logs", wanted.client_logs),
        ("key_file of [access]", topology.access.key_file),
        ("audit_dir", topology.access.audit_dir),
    ]


def parse(text: str, *, origin: str, base: Path) -> Topology:
    """The topology in a configuration text. `origin` names it in errors, `base` is what relative paths start from.

    Raises:
        ConfigError: the text is not a valid configuration.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{origin}: not TOML: {str(error).splitlines()[0]}; correct it there") from None
    except RecursionError:
        raise ConfigError(f"{origin}: not TOML: nested too deeply; every key stands in a section of its own") from None
    except ValueError:
        # A number of more digits than Python reads.
        raise ConfigError(f"{origin}: not TOML: a number of thousands of digits; write a shorter one") from None
    sections = _Sections(origin, document)
    cluster = sections.one("cluster")
    topology = Topology(
        name=cluster["name"],
        etcd_endpoints=tuple(cluster["etcd_endpoints"]),
        aeron_dir=base / cluster["aeron_dir"],
        sequencers=_members(sections, "sequencer", ProcessKind.SEQUENCER, base),
        engines=_members(sections, "engine", ProcessKind.ENGINE, base),
        gateways=_members(sections, "gateway", ProcessKind.GATEWAY, base),
        clients=tuple(_client(row) for row in sections.many("client")),
        ack_policy=cluster["ack_policy"],
        limits=Limits(**sections.one("limits")),
        timing=Timing(**sections.one("timing")),
        snapshots=Snapshots(**sections.one("snapshots")),
        udp_mtu=cluster["udp_mtu"],
        term_mib=cluster["term_mib"],
        reconciler=_reconciler(sections.one("reconciler"), base),
        access=config_access.access_of(sections.one("access"), base),
        tls=config_access.tls_of(sections.one("tls"), base),
        feeds=_members(sections, "feed", ProcessKind.FEED, base),
        ledger=config_followers.ledger_of(sections.one("ledger"), base),
        alerts=config_followers.alerts_of(sections.one("alerts"), base),
        day=Day(**sections.one("day")),
    )
    _check(topology, origin)
    if topology.aeron_dir == base or topology.aeron_dir in base.parents:
        raise ConfigError(
            f"{origin}: aeron_dir ({topology.aeron_dir}) holds the configuration itself; give it a directory of its own"
        )
    return topology


class _Sections:
    """The sections of one document, each row checked against its keys."""

    def __init__(self, origin: str, document: dict[str, Any]) -> None:
        self._origin = origin
        self._document = document
        for name in document:
            if name not in SECTIONS:
                raise ConfigError(
                    f"{origin}: unknown section or key {shown(name)}; remove it, or use one of: {', '.join(SECTIONS)}"
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
                    f"{self._origin}: unknown key {shown(name)} in {where}; remove it, or use one of: {', '.join(keys)}"
                )
            check_value(keys[name], value, f"{self._origin}: {where}")
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


def _client(row: dict[str, Any]) -> Client:
    roles = tuple(Role(name) for name in row["roles"])
    accounts, instruments = tuple(row["accounts"]), tuple(row["instruments"]) or None
    return Client(**{**row, "accounts": accounts, "instruments": instruments, "roles": roles})


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


def _check(topology: Topology, origin: str) -> None:
    _check_counts(topology, origin)
    _check_reconciler(topology, origin)
    config_access.check(topology, origin)
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
    _check_relations(topology, origin)
    _check_ports(topology, origin)
    _unique(origin, "data_dir", ((str(m.data_dir), m.name) for m in (*topology.engines, *topology.gateways)))
    _check_directories(topology, origin)
    _unique(origin, "client name", ((c.name, "a client") for c in topology.clients))
    _unique(origin, "client number", ((str(c.number), c.name) for c in topology.clients))
    _unique(origin, "client token", ((c.token, c.name) for c in topology.clients), show=False)
    _check_soup(topology, origin)
    _check_lines(topology, origin)


def _check_lines(topology: Topology, origin: str) -> None:
    """What feeds send as datagrams."""
    for feed in topology.feeds:
        host = feed.udp.rpartition(":")[0]
        try:
            group = ipaddress.IPv4Address(host) if host else None
        except ValueError:
            continue
        if group is not None and group.is_multicast and int(group) % 2 == 0:
            raise ConfigError(
                f"{origin}: udp {feed.udp!r} of {feed.name} is an even multicast group, and Aeron sends to odd ones "
                f"only (the next one is for its receivers' answers); use {group + 1}"
            )


def _check_soup(topology: Topology, origin: str) -> None:
    """Clients of the binary door."""
    for client in topology.clients:
        if bool(client.soup_user) is not bool(client.soup_password):
            raise ConfigError(f"{origin}: client {client.name!r} has one of soup_user and soup_password; give it both")
        if client.soup_self_trade not in SELF_TRADE:
            raise ConfigError(
                f"{origin}: soup_self_trade {client.soup_self_trade!r} of client {client.name!r} is unknown; "
                f"use one of: {', '.join(SELF_TRADE)}"
            )
    users = ((c.soup_user, c.name) for c in topology.clients if c.soup_user)
    _unique(origin, "soup_user", users)


def _check_counts(topology: Topology, origin: str) -> None:
    for kind in ProcessKind:
        section = kind.name.lower()
        members = topology.members(kind)
        if not members and kind is not ProcessKind.FEED:
            raise ConfigError(f"{origin}: there is no {section}; add at least one [[{section}]] section")
        for member in members:
            if not 1 <= member.id <= MAX_MEMBER:
                raise ConfigError(f"{origin}: {section} id {member.id} is outside 1..{MAX_MEMBER}")
        _unique(origin, f"{section} id", ((str(m.id), f"{section} {m.id}") for m in members))


def _check_relations(topology: Topology, origin: str) -> None:
    timing = topology.timing
    if timing.hang_ms <= timing.heartbeat_ms:
        raise ConfigError(
            f"{origin}: 'hang_ms' in [timing] is {timing.hang_ms}, and heartbeats come every {timing.heartbeat_ms} "
            "(heartbeat_ms): every peer would count as hung; make it several times as long"
        )
    if topology.term_mib & (topology.term_mib - 1):
        raise ConfigError(
            f"{origin}: 'term_mib' in [cluster] is {topology.term_mib}; it must be a power of two: 8, 16, 32 ... 1024"
        )


def _check_directories(topology: Topology, origin: str) -> None:
    """The media driver deletes its directory when it starts, and `reinit` moves files away: none holds another."""
    wanted = topology.reconciler
    owned = [(f"data_dir of {member.name}", member.data_dir) for member in (*topology.engines, *topology.gateways)]
    owned += [("aeron_dir", topology.aeron_dir), ("data_dir of the ledger", topology.ledger.data_dir)]
    owned.append(("data_dir of the alerts", topology.alerts.data_dir))
    owned.append(("data_dir of the reconciler", wanted.data_dir))
    places = [(what, Path(os.path.normpath(path))) for what, path in owned]
    for what, path in places:
        for other, outer in places:
            if what != other and (path == outer or outer in path.parents):
                raise ConfigError(
                    f"{origin}: {what} ({path}) lies in {other} ({outer}); give each one its own directory"
                )
    for what, file in (("key_file", wanted.key_file), ("client_logs", wanted.client_logs)):
        for other, outer in places[:-1]:
            if outer in (inside := Path(os.path.normpath(file)), *inside.parents):
                raise ConfigError(f"{origin}: {what} ({file}) lies in {other} ({outer}); keep it elsewhere")


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
            ("http_port", m.http_port),
        )
        if port
    ]
    for beside, what in ((topology.reconciler, "the reconciler"), (topology.day, "the trading day")):
        if beside.metrics_port:
            taken.append((f"{beside.host}:{beside.metrics_port}", f"metrics_port of {what}"))
    taken += config_followers.ports(topology)
    taken += [(m.soup, f"soup of {m.name}") for m in topology.gateways if m.soup]
    taken += [(m.fix, f"fix of {m.name}") for m in topology.gateways if m.fix]
    _unique(origin, "etcd endpoint", ((endpoint, "etcd_endpoints") for endpoint in topology.etcd_endpoints))
    taken += [(endpoint, "etcd_endpoints") for endpoint in topology.etcd_endpoints]
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
        "term_mib": topology.term_mib,
    }
    lines += _render_row("[cluster]", cluster, SECTIONS["cluster"])
    for section, kind in (("sequencer", 1), ("engine", 2), ("gateway", 3), ("feed", 4)):
        for member in topology.members(ProcessKind(kind)):
            row = {key.name: getattr(member, key.name) for key in SECTIONS[section]}
            if "data_dir" in row:
                row["data_dir"] = str(member.data_dir.absolute())
            lines += _render_row(f"[[{section}]]", row, SECTIONS[section])
    for client in topology.clients:
        row = {key.name: getattr(client, key.name) for key in SECTIONS["client"]}
        row |= {"accounts": list(client.accounts), "roles": [role.value for role in client.roles]}
        row["instruments"] = list(client.instruments or ())
        lines += _render_row("[[client]]", row, SECTIONS["client"])
    for section, row in config_access.rows(topology).items():
        lines += _render_row(f"[{section}]", row, SECTIONS[section])
    reconciler = {key.name: getattr(topology.reconciler, key.name) for key in SECTIONS["reconciler"]}
    reconciler |= {name: str(Path(reconciler[name]).absolute()) for name in _RECONCILER_PATHS}
    lines += _render_row("[reconciler]", reconciler, SECTIONS["reconciler"])
    for section, row in config_followers.rows(topology).items():
        lines += _render_row(f"[{section}]", row, SECTIONS[section])
    day = {key.name: getattr(topology.day, key.name) for key in SECTIONS["day"]}
    lines += _render_row("[day]", day, SECTIONS["day"])
    for section, values in (
        ("limits", topology.limits),
        ("timing", topology.timing),
        ("snapshots", topology.snapshots),
    ):
        lines += _render_row(f"[{section}]", {f.name: getattr(values, f.name) for f in fields(values)}, ())
    return "\n".join(lines) + "\n"


def _render_row(title: str, row: Mapping[str, object], keys: tuple[Key, ...]) -> list[str]:
    kinds = ("port", "endpoint", "soup user", "soup password", "database", "optional path", "optional text")
    may_be_absent = {key.name for key in keys if key.kind in kinds and not key.required}
    return [
        "",
        title,
        *(
            f"{name} = {_toml(value)}"
            for name, value in row.items()
            if value not in (0, "") or name not in may_be_absent
        ),
    ]


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in escaped) + '"'
