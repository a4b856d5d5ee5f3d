"""What a local cluster consists of, and what happened to it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from lockstep.engine.implementations import DEFAULT
from lockstep.ops.local import kept_config
from lockstep.runtime.topology import (
    Access,
    Alerts,
    Client,
    Day,
    Ledger,
    Limits,
    Reconciler,
    Snapshots,
    Timing,
    Tls,
)

DEFAULT_PORT: Final = 7450


@dataclass(frozen=True, slots=True)
class ClusterPlan:
    """What to start."""

    engines: int = 2
    gateways: int = 1
    sequencers: int = 2
    feeds: int = 0
    port: int | None = None
    """Port of the first gateway; the other processes take the next ones. None: free ports."""
    data_dir: Path | None = None
    """None: a new temporary directory that is removed at the end."""
    implementations: tuple[str, ...] = (DEFAULT,)
    """Matching engine of engine 1, 2 ..., from the start again when there are more engines than names."""
    reconcile: bool = False
    """Whether to run a reconciler beside, with its figures on a port of its own."""
    udp: bool = False
    """Whether each feed sends a line, on a port of its own."""
    ledger: bool = False
    """Whether to run a ledger beside, with ports of its own."""
    alerts: bool = False
    """Whether to run the alerts of users beside, with ports of their own."""
    webhook_hosts: str = ""
    webhook_networks: str = ""
    """Where their webhooks may go."""
    day: Path | None = None
    """Schedule of the trading day, to have a scheduler keep it; None: there is none."""
    soup: bool = False
    """Whether each gateway has the binary door, on a port of its own."""
    fix: bool = False
    """Whether each gateway has the FIX door, on a port of its own."""
    certificate_seconds: int = 60
    """Least time between two of its certificates; there is one when it stops in any case."""
    restart: bool = True
    """Whether to start a process again that has died."""
    etcd_endpoints: tuple[str, ...] = ()
    """An etcd that runs already; empty: one is started here."""
    clients: tuple[Client, ...] = ()
    """Who may connect; empty: everybody, with every right."""
    anonymous: str = "loopback"
    """See `Access`."""
    secure: bool = False
    """Whether everything is encrypted, with certificates of an authority of its own, and nobody is let in unknown."""
    seal: str = "all"
    """See `Tls`. A secure cluster on one machine does what one over hosts would do, so links in memory are sealed."""
    limits: Limits = field(default_factory=Limits)
    timing: Timing = field(default_factory=Timing)
    snapshots: Snapshots = field(default_factory=Snapshots)
    chosen: kept_config.Chosen | None = None
    """What the operator says here; the rest is as `cluster.toml` of the data directory says. None: the plan counts."""

    @property
    def ports_beside(self) -> int:
        """Ports of doors, lines, ledger, alerts and scheduler."""
        doors = self.gateways * (self.soup + self.fix)
        return doors + self.feeds * self.udp + 2 * self.ledger + 3 * self.alerts + (self.day is not None)

    def reconciler(self, data_dir: Path, port: int) -> Reconciler:
        """Its files in the data directory, its figures on the port, if it is to run."""
        return Reconciler(
            data_dir=data_dir / "reconciler",
            key_file=data_dir / "reconciler" / "key.pem",
            client_logs=data_dir / "client-logs",
            certificate_seconds=self.certificate_seconds,
            metrics_port=port if self.reconcile else 0,
        )

    def ledger_of(self, data_dir: Path, ports: Sequence[int]) -> Ledger:
        """Its files in the data directory, itself and its figures on the first two ports, if it is to run."""
        grpc_port, metrics_port = ports[:2] if self.ledger else (0, 0)
        return Ledger(data_dir=data_dir / "ledger", grpc_port=grpc_port, metrics_port=metrics_port)

    def alerts_of(self, data_dir: Path, ports: Sequence[int]) -> Alerts:
        """Their file in the data directory, themselves on the first three ports, if they are to run."""
        grpc_port, http_port, metrics_port = ports[:3] if self.alerts else (0, 0, 0)
        return Alerts(
            data_dir=data_dir / "alerts", grpc_port=grpc_port, http_port=http_port, metrics_port=metrics_port,
            webhook_hosts=self.webhook_hosts, webhook_networks=self.webhook_networks,
        )  # fmt: skip

    def day_of(self, port: int) -> Day:
        """Its schedule, and its figures on the port, if it is to run."""
        return Day() if self.day is None else Day(schedule=str(self.day.absolute()), metrics_port=port)

    def access(self, data_dir: Path) -> Access:
        """Key and audit trail in the data directory."""
        anonymous = "never" if self.secure else self.anonymous
        return Access(key_file=data_dir / "cluster.key", audit_dir=data_dir / "audit", anonymous=anonymous)

    def tls(self, data_dir: Path) -> Tls:
        """Certificates in the data directory, if there are to be any."""
        return Tls(cert_dir=data_dir / "certs", seal=self.seal) if self.secure else Tls()


@dataclass(frozen=True, slots=True)
class Incident:
    """Something that happened to a child process."""

    at: float
    """Seconds since the Unix epoch."""
    name: str
    text: str
