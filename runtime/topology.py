"""Who belongs to a cluster, where they listen, and which link runs between which two of them.

A cluster's topology is static configuration: the same file on every host. What changes at run time (who leads, who is
in sync) lives in etcd and in the stream, never here.

Every directed link is one Aeron publication with a stream id of its own (a dead or slow receiver then blocks only its
own link). Two members on one host use shared memory, others UDP to the receiver's data port.
"""

import ipaddress
from collections.abc import Iterator
from dataclasses import field
from enum import IntEnum
from functools import cache
from pathlib import Path
from typing import Final

from lockstep.runtime.access.roles import Role
from lockstep.stream.members import MAX_MEMBER as MAX_MEMBER
from lockstep.stream.values import frozen

OPERATOR_NUMBERS: Final = 0x7FFE0000
"""Client numbers from here on are operators' (`lockstep.runtime.tokens`), and the gateways' own."""


def is_loopback(host: str) -> bool:
    """Whether a host name or address can be reached from its own machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class ProcessKind(IntEnum):
    """What a process is; same numbers as `lockstep.v1.ProcessKind`."""

    SEQUENCER = 1
    ENGINE = 2
    GATEWAY = 3
    FEED = 4


class LinkKind(IntEnum):
    """What a link carries: see the table in `lockstep.stream.messages`."""

    SUBMIT = 1
    RECEIPT = 2
    STREAM = 3
    ACK_TO_ENGINE = 4
    ACK_TO_SEQUENCER = 5
    RELEASE = 6
    FEED = 7
    """As RELEASE, to a feed."""


@frozen
class Member:
    """One process of the cluster."""

    kind: ProcessKind
    id: int
    """1..63, unique within its kind."""
    host: str
    grpc_port: int
    watch_port: int = 0
    """TCP port of the liveness links (`lockstep.runtime.watch`); a feed has none, since nobody watches it."""
    data_port: int = 0
    """UDP port for links from other hosts; unused while every member is on one host."""
    metrics_port: int = field(default=0, kw_only=True)
    """TCP port of the Prometheus exposition; 0: none."""
    snapshotter_metrics_port: int = field(default=0, kw_only=True)
    """Engine only: the same of the snapshotter beside it."""
    http_port: int = field(default=0, kw_only=True)
    """Feed only: TCP port of its WebSocket; 0: it has none."""
    udp: str = field(default="", kw_only=True)
    """Feed only: host:port of its line (docs/udp.md), a multicast group or an address of its host; empty: none."""
    data_dir: Path = Path()
    """Where an engine keeps its journal and a gateway its intake log."""
    soup: str = field(default="", kw_only=True)
    """Gateway only: host:port of the binary door (docs/ouch.md); empty: it has none."""
    fix: str = field(default="", kw_only=True)
    """Gateway only: host:port of the FIX door (docs/fix.md); empty: it has none."""
    engine: str = "native"
    """Engine only: which implementation of the contract (`lockstep.engine.implementations`)."""

    @property
    def name(self) -> str:
        """Short name for people, e.g. `engine-2`."""
        return f"{self.kind.name.lower()}-{self.id}"

    @property
    def grpc_address(self) -> str:
        """`host:port` of the member's gRPC server."""
        return f"{self.host}:{self.grpc_port}"


@frozen
class Principal:
    """Who calls, by whatever door and whatever credential: its roles, and what it may do that with."""

    name: str
    token: str = field(default="", repr=False)
    number: int = 0
    """Upper 32 bits of its session ids."""
    accounts: tuple[int, ...] = ()
    """Account ids that it may trade or see; empty: all."""
    instruments: tuple[int, ...] | None = None
    """Instruments that it may trade, and whose market data and history it may read; None: all."""
    admin: bool = False
    """Whether it is an administrator beside what `roles` says."""
    soup_user: str = ""
    """Its name at the binary door, at most 6 characters; empty: it has none, and can't log in there."""
    soup_password: str = field(default="", repr=False)
    """At most 10 characters."""
    soup_cancel_ms: int = 0
    """Its orders are canceled when its connection to the binary door is gone for so long; 0: they stay."""
    soup_self_trade: str = "none"
    """Self-trade prevention of orders that come by the binary door."""
    roles: tuple[Role, ...] = ()
    """Empty: a trader."""
    credential: str = ""
    """Which of its credentials was shown; empty: of one that stands in the configuration."""
    budget_per_s: int = 0
    """Points a second that it may spend (`runtime/budget.py`), in the whole cluster; 0: as the configuration says."""
    until_ns: int = field(default=0, compare=False)
    """When what was shown is over, and what it opened ends (Unix time): of a JWT or a token of the cluster's key; 0:
    not before the credential."""

    @property
    def rights(self) -> frozenset[Role]:
        """All its roles."""
        return _rights(self.roles, self.admin)

    def may(self, roles: frozenset[Role]) -> bool:
        """Whether it has one of these roles."""
        return not roles.isdisjoint(self.rights)


@cache
def _rights(roles: tuple[Role, ...], admin: bool) -> frozenset[Role]:
    # Asked for with each message of a session. There are no more of these than sets of roles.
    named = frozenset(roles or (Role.TRADER,))
    return named | {Role.ADMINISTRATOR} if admin else named


Client = Principal
"""One that stands in the configuration as a `[[client]]`, with its token."""


@frozen
class Access:
    """How callers are known (docs/access.md)."""

    key_file: Path = Path()
    """The cluster's key, by which members and operators identify themselves; empty: there is none."""
    jwks_file: Path = Path()
    """Public keys of issuers whose JWTs are believed; empty: of nobody."""
    audit_dir: Path = Path()
    """Where each process writes who was refused and who did what; empty: nowhere."""
    anonymous: str = "loopback"
    """Whether a cluster on loopback that lists no clients lets everybody in: "loopback", or "never"."""


PLAINTEXT_WORDS: Final = "anybody on the network may read and change what is said"
"""What `plaintext` of [tls] has to say before a cluster that spans hosts runs without certificates."""


@frozen
class Tls:
    """Certificates (docs/tls.md)."""

    cert_dir: Path = Path()
    """Where `ca.pem` and `<name>.pem` of this host's processes are; empty: nothing is encrypted."""
    etcd: bool = True
    """Whether etcd is spoken to by TLS as well, where there are certificates."""
    seal: str = "hosts"
    """Where there are certificates: which Aeron links are sealed, and with them the liveness links. "hosts": those
    between hosts; "all": those in shared memory as well; "none": not even the liveness links."""
    plaintext: str = ""
    """`PLAINTEXT_WORDS`, or empty: then plaintext goes no further than loopback."""

    @property
    def on(self) -> bool:
        """Whether there are certificates."""
        return bool(self.cert_dir.name)


@frozen
class Limits:
    """Bounds. Nothing in the cluster grows without one of these."""

    window_commands: int = 32_768
    """Commands stamped and not yet acknowledged by every in-sync engine; beyond it the sequencer takes no more. While
    engines need longer than 75 ms for so many, it takes fewer (`sequencer/backlog.py`)."""
    retransmit_commands: int = 262_144
    """Commands that the leading sequencer keeps to send again."""
    batch_commands: int = 2_048
    """Commands in one stamped batch at the most."""
    burst_commands: int = 2_048
    """Commands that an engine journals and applies in one go at the most (bounds its silence)."""
    session_credit: int = 8_192
    """Commands of one session that may be unanswered."""
    client_batch: int = 2048
    """Rows in one CommandBatch at the most."""
    link_queue_bytes: int = 32 << 20
    """Bytes that wait for a back-pressured link before frames are dropped (and later fetched again)."""
    event_window_commands: int = 65_536
    """Commands whose events an engine keeps in memory for gap fetches before it goes to disk."""
    budget_per_s: int = 500_000
    """Points a second of one principal over all doors, in the whole cluster (docs/access.md); 0: there is no bound."""


@frozen
class Timing:
    """Deadlines, all in milliseconds unless the name says otherwise. None of them decides safety."""

    heartbeat_ms: int = 50
    hang_ms: int = 200
    """A peer that is silent for so long, or for four times the longest recent gap (up to ten times this), is hung."""
    fence_ms: int = 100
    """How long a new leader waits for the in-sync engines' answers after the first one came."""
    bootstrap_ms: int = 10_000
    """How long the very first leader waits for all configured engines."""
    etcd_timeout_ms: int = 1000
    receipt_ms: int = 20
    """Interval of the leader's receipts and of the primary's empty releases while nothing happens."""
    resend_ms: int = 250
    """A gateway sends unanswered commands again when neither a receipt nor an event has come for so long."""
    rewind_ms: int = 20
    """Least time between two requests for the same missing frame."""
    tick_ms: int = 100
    """How often the leader stamps the time while commands come; once a second while none do. 0: never, and then nothing
    happens that waits for a time (expiry of orders, scheduled phases)."""
    park_us: int = 100
    """Longest sleep of a busy process's poll loop, microseconds."""
    realtime_priority: int = 0
    """Of the threads that carry orders, in the class SCHED_RR: 1 to 99; 0: they are scheduled like all others."""


@frozen
class Reconciler:
    """How the reconciler of the cluster runs (`lockstep.reconciler`); it is no member."""

    data_dir: Path = Path("reconciler")
    key_file: Path = Path("reconciler/key.pem")
    """Ed25519 key that certificates are signed with."""
    client_logs: Path = Path("client-logs")
    """Directory of the logs that clients write (`log_dir` of the SDK)."""
    engine: str = "reference"
    """Implementation that executes the journal again; best another than the replicas'."""
    orphan_policy: str = "flag"
    orphan_seconds: int = 5
    pass_ms: int = 500
    certificate_seconds: int = 60
    host: str = "127.0.0.1"
    """Address of the host it runs on, where Prometheus reads its figures."""
    metrics_port: int = 0
    """0: no figures are served."""


@frozen
class Ledger:
    """How the ledger of the cluster runs (`lockstep.posttrade.ledger`); it is no member."""

    data_dir: Path = Path("ledger")
    database: str = field(default="", repr=False)
    """URL of a PostgreSQL database; empty: SQLite files in `data_dir`."""
    host: str = "127.0.0.1"
    """Address of the host it runs on, where clients ask it and Prometheus reads its figures."""
    grpc_port: int = 0
    """0: nobody can ask it."""
    metrics_port: int = 0
    """0: no figures are served."""


@frozen
class Alerts:
    """How the alerts of the cluster's users run (`lockstep.posttrade.alerts`); it is no member."""

    data_dir: Path = Path("alerts")
    host: str = "127.0.0.1"
    """Address of the host it runs on, where clients ask it and Prometheus reads its figures."""
    grpc_port: int = 0
    """0: nobody can ask it."""
    http_port: int = 0
    """Of its WebSocket; 0: there is none."""
    metrics_port: int = 0
    """0: no figures are served."""
    webhook_hosts: str = ""
    """Names of hosts to which webhooks may go, with blanks between; `*.example.com`: all under it, `*`: all."""
    webhook_networks: str = ""
    """Networks that are not public, to which webhooks may go all the same, such as `10.1.0.0/16`."""


@frozen
class Day:
    """How the scheduler of the trading day runs (`lockstep.day`); it is no member."""

    schedule: str = ""
    """File of the schedule, as seen from the configuration's directory; empty: named when the scheduler is started."""
    host: str = "127.0.0.1"
    """Address of the host it runs on, where Prometheus reads its figures."""
    metrics_port: int = 0
    """0: no figures are served."""


@frozen
class Snapshots:
    """When the snapshotter beside each engine takes one, and what is kept."""

    every_commands: int = 500_000
    """A snapshot is due after so many commands; 0: never by count."""
    every_s: int = 600
    """A snapshot is due after so many seconds with anything new; 0: never by time."""
    keep: int = 3
    """Verified snapshots that are kept, at least 1."""
    journal_keep_commands: int = 10_000_000
    """Commands that a journal keeps at least; what is older is cut once every engine has it in all its snapshots.
    0: a journal is never cut."""


@frozen
class Topology:
    """The whole cluster as configured."""

    name: str
    etcd_endpoints: tuple[str, ...]
    aeron_dir: Path
    sequencers: tuple[Member, ...]
    engines: tuple[Member, ...]
    gateways: tuple[Member, ...]
    clients: tuple[Client, ...] = ()
    """Empty: on loopback everybody is let in and may do everything, unless `access` says otherwise."""
    ack_policy: str = "synced"
    limits: Limits = Limits()
    timing: Timing = Timing()
    snapshots: Snapshots = Snapshots()
    udp_mtu: int = 8192
    term_mib: int = 16
    """Each link's buffers take up to three terms of so many MiB of the memory under `aeron_dir`. A power of two."""
    reconciler: Reconciler = Reconciler()
    feeds: tuple[Member, ...] = ()
    """Each has all market data; none is needed for trading."""
    ledger: Ledger = Ledger()
    alerts: Alerts = Alerts()
    day: Day = Day()
    access: Access = Access()
    tls: Tls = Tls()

    @property
    def on_loopback(self) -> bool:
        """Whether every address is this machine's own, which no other machine reaches."""
        return all(is_loopback(host) for host in self._hosts())

    def _hosts(self) -> Iterator[str]:
        """Of all addresses that somebody can connect to."""
        for member in self.all_members():
            yield member.host
            if member.soup:
                yield member.soup.rpartition(":")[0]
            if member.fix:
                yield member.fix.rpartition(":")[0]
        if self.ledger.grpc_port or self.ledger.metrics_port:
            yield self.ledger.host
        if self.alerts.grpc_port or self.alerts.http_port or self.alerts.metrics_port:
            yield self.alerts.host
        for beside in (self.reconciler, self.day):
            if beside.metrics_port:
                yield beside.host

    @property
    def sealed(self) -> bool:
        """Whether links between its processes are sealed."""
        return self.tls.on and self.tls.seal != "none"

    @property
    def open(self) -> bool:
        """Whether everybody may do everything: on loopback, where no client is listed."""
        return not self.clients and self.access.anonymous == "loopback" and self.on_loopback

    def member(self, kind: ProcessKind, id: int) -> Member:
        """A member by kind and id.

        Raises:
            KeyError: the topology has none such; the message lists those that it has.
        """
        members = self.members(kind)
        for member in members:
            if member.id == id:
                return member
        known = ", ".join(str(member.id) for member in members) or "none"
        raise KeyError(f"cluster {self.name!r} has no {kind.name.lower()} {id}; it has: {known}")

    def members(self, kind: ProcessKind) -> tuple[Member, ...]:
        """All members of one kind."""
        return {
            ProcessKind.SEQUENCER: self.sequencers,
            ProcessKind.ENGINE: self.engines,
            ProcessKind.GATEWAY: self.gateways,
            ProcessKind.FEED: self.feeds,
        }[kind]

    def all_members(self) -> tuple[Member, ...]:
        """Every process: sequencers, engines, gateways, feeds."""
        return tuple(member for kind in ProcessKind for member in self.members(kind))

    def link(self, kind: LinkKind, source: Member, target: Member) -> "Link":
        """The link of one kind from one member to another."""
        stream_id = kind * 10_000 + source.id * 100 + target.id
        name = f"{source.name}>{target.name}/{kind.name.lower()}"
        if source.host == target.host:
            # A sequencer is in no hurry to hear of acknowledgements; being woken for each costs two processes a tenth
            # of a core at a thousand orders a second.
            return Link(name, "aeron:ipc", stream_id, "" if kind is LinkKind.ACK_TO_SEQUENCER else target.name)
        channel = f"aeron:udp?endpoint={target.host}:{target.data_port}|mtu={self.udp_mtu}"
        return Link(name, channel, stream_id)


@frozen
class Link:
    """One directed link: an Aeron channel and stream id. Which end is which shows in how it is opened."""

    name: str
    channel: str
    stream_id: int
    bell: str = ""
    """Whose doorbell the sender rings after each message (`lockstep.runtime.doorbell`); empty: nobody's."""


_ENDS = {
    LinkKind.SUBMIT: (ProcessKind.GATEWAY, ProcessKind.SEQUENCER),
    LinkKind.RECEIPT: (ProcessKind.SEQUENCER, ProcessKind.GATEWAY),
    LinkKind.STREAM: (ProcessKind.SEQUENCER, ProcessKind.ENGINE),
    LinkKind.ACK_TO_ENGINE: (ProcessKind.ENGINE, ProcessKind.ENGINE),
    LinkKind.ACK_TO_SEQUENCER: (ProcessKind.ENGINE, ProcessKind.SEQUENCER),
    LinkKind.RELEASE: (ProcessKind.ENGINE, ProcessKind.GATEWAY),
    LinkKind.FEED: (ProcessKind.ENGINE, ProcessKind.FEED),
}


def outbound_links(topology: Topology, member: Member) -> dict[tuple[LinkKind, int], Link]:
    """Links that a member publishes, by (kind, receiver's id)."""
    return {
        (kind, peer.id): topology.link(kind, member, peer)
        for kind, (source, target) in _ENDS.items()
        if source == member.kind
        for peer in topology.members(target)
        if peer != member
    }


def inbound_links(topology: Topology, member: Member) -> dict[tuple[LinkKind, int], Link]:
    """Links that a member subscribes to, by (kind, sender's id)."""
    return {
        (kind, peer.id): topology.link(kind, peer, member)
        for kind, (source, target) in _ENDS.items()
        if target == member.kind
        for peer in topology.members(source)
        if peer != member
    }


def buffers(topology: Topology) -> int:
    """How many links' buffers one host's media driver holds at the most: those that leave it, and those from others."""
    held: dict[str, int] = {}
    for member in topology.all_members():
        for kind, peer in outbound_links(topology, member):
            other = topology.member(_ENDS[kind][1], peer)
            held[member.host] = held.get(member.host, 0) + 1
            if other.host != member.host:
                held[other.host] = held.get(other.host, 0) + 1
    return max(held.values(), default=0)


def can_ring(topology: Topology, member: Member) -> bool:
    """Whether every other member that sends anything is on this one's host and can ring its doorbell."""
    members = (*topology.sequencers, *topology.engines, *topology.gateways)
    return all(other.host == member.host for other in members)
