"""`lockstep up`: a whole cluster on this machine, in the foreground."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import click
from click.core import ParameterSource
from rich.console import Console, Group
from rich.live import Live

from lockstep.ops.cli.day_options import check_schedule
from lockstep.ops.cli.options import DEFAULT_DATA_DIR, IMPLEMENTATIONS, engine_option, expected_errors
from lockstep.ops.cli.tables import status_table, summary_line
from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.kept_config import Chosen, read
from lockstep.ops.local.plan import DEFAULT_PORT, ClusterPlan, Incident
from lockstep.runtime.access.store import read as read_principals
from lockstep.runtime.config_values import BOUNDS
from lockstep.runtime.faults import EnvironmentFault
from lockstep.runtime.stop_request import StopRequest
from lockstep.runtime.tls.authority import CA
from lockstep.runtime.topology import Snapshots, Timing
from lockstep.trials.demo_market import DEMO_RATE, DemoMarket, DemoMarketPlan

_REFRESH_S = 0.5
_SHOWN_INCIDENTS = 6
_SNAPSHOT_KEYS = {
    "snapshot_every_commands": "every_commands",
    "snapshot_every_s": "every_s",
    "snapshots_keep": "keep",
    "journal_keep_commands": "journal_keep_commands",
}


def _range(key: str) -> click.IntRange:
    """As the configuration has it."""
    return click.IntRange(*BOUNDS[key])


@click.command("up")
@click.option("--engines", type=click.IntRange(1, 9), default=2, show_default=True, help="Matching engine replicas.")
@engine_option("native")
@click.option("--gateways", type=click.IntRange(1, 9), default=1, show_default=True, help="Gateways.")
@click.option(
    "--feeds", type=click.IntRange(0, 9), default=1, show_default=True, help="Feeds: market data for everybody."
)
@click.option(
    "--port",
    type=click.IntRange(1024, 65_500),
    default=DEFAULT_PORT,
    show_default=True,
    help="Port of the first gateway; the other processes take the ports after it.",
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_DATA_DIR,
    show_default=True,
    help="Journals, logs and configuration. An existing one is continued.",
)
@click.option(
    "--snapshot-every-commands",
    type=_range("every_commands"),
    help="A snapshot is due after so many commands; 0: never.",
)
@click.option("--snapshot-every-s", type=_range("every_s"), help="After so many seconds one is due; 0: never.")
@click.option("--snapshots-keep", type=_range("keep"), help="Verified snapshots that are kept.")
@click.option(
    "--journal-keep-commands",
    type=_range("journal_keep_commands"),
    help="Commands that a journal keeps at least; 0: it is not cut.",
)
@click.option("--reconcile", is_flag=True, help="Run a reconciler beside; see `lockstep reconcile`.")
@click.option("--udp", is_flag=True, help="Have each feed send everything as UDP datagrams, too (docs/udp.md).")
@click.option("--ledger", is_flag=True, help="Run a ledger beside: what everybody owns; see `lockstep ledger`.")
@click.option("--alerts", is_flag=True, help="Run watchlists and alerts of users beside; see `lockstep alerts`.")
@click.option(
    "--day",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Have a scheduler keep the trading day of this schedule (docs/trading-day.md).",
)
@click.option(
    "--soup", is_flag=True, help="Give each gateway the binary door: OUCH 4.2 over SoupBinTCP (docs/ouch.md)."
)
@click.option("--fix", is_flag=True, help="Give each gateway the FIX door: FIX 4.4 and 5.0 SP2 (docs/fix.md).")
@click.option(
    "--secure", is_flag=True, help="Encrypt everything, and let nobody in whom the cluster does not know (docs/tls.md)."
)
@click.option(
    "--demo-market",
    is_flag=True,
    help="Have a market maker and noise traders trade in it, and an account to trade with (docs/page.md).",
)
@click.option(
    "--demo-rate",
    type=click.IntRange(20, 5_000),
    default=DEMO_RATE,
    show_default=True,
    help="Commands a second of the demo market.",
)
@click.option("--demo-seed", type=int, default=1, show_default=True, help="Seed of its flow.")
@click.option(
    "--realtime/--no-realtime",
    default=None,
    help="Whether what carries orders runs before all else on this machine, if that permits it; kept for later runs.",
)
@click.option("--no-restart", is_flag=True, help="Leave processes down that die.")
@expected_errors
@click.pass_context
def command(
    ctx: click.Context,
    /,
    engines: int,
    engine: str,
    gateways: int,
    feeds: int,
    port: int,
    data_dir: Path,
    reconcile: bool,
    udp: bool,
    ledger: bool,
    alerts: bool,
    day: Path | None,
    soup: bool,
    fix: bool,
    secure: bool,
    demo_market: bool,
    demo_rate: int,
    demo_seed: int,
    realtime: bool | None,
    no_restart: bool,
    **snapshots: int | None,
) -> int:
    """Start a whole cluster on this machine and keep it running until Ctrl-C.

    Starts etcd, the media driver, two sequencers, the engines, gateways and feeds, each as a process of its own, and
    shows what they do. Kill one of them (kill -9 PID) and watch another take over; it is started again by itself.

    The data directory keeps all journals: the next `up` continues where this one ended. It keeps what its cluster.toml
    says, too (limits, timing, snapshots, clients, engines, edited by hand or not), but for what is said here; ports,
    addresses and the media driver's directory are those of this run.
    """
    if day is not None:
        check_schedule(day)
    stop = StopRequest.install()
    plan = _continued(
        ctx,
        ClusterPlan(
            engines=engines,
            implementations=IMPLEMENTATIONS[engine],
            gateways=gateways,
            feeds=feeds,
            port=port,
            data_dir=data_dir,
            reconcile=reconcile,
            udp=udp,
            ledger=ledger,
            alerts=alerts,
            day=day,
            soup=soup,
            fix=fix,
            secure=secure,
            timing=Timing(realtime_priority=int(bool(realtime))),
            restart=not no_restart,
        ),
        {_SNAPSHOT_KEYS[name]: value for name, value in snapshots.items() if value is not None},
    )
    return _run(plan, stop, DemoMarketPlan(seed=demo_seed, rate=demo_rate) if demo_market else None)


def _run(plan: ClusterPlan, stop: StopRequest, demo: DemoMarketPlan | None) -> int:
    live_table = sys.stdout.isatty()
    printed = threading.Lock()

    def on_incident(incident: Incident) -> None:
        if not live_table:
            with printed:
                click.echo(_line(incident))

    def say(text: str) -> None:
        incident = Incident(time.time(), "demo market", text)
        cluster.incidents.append(incident)
        on_incident(incident)

    cluster = LocalCluster(plan, on_incident=on_incident)
    click.echo(
        f"starting 2 sequencers, {_count(plan.engines, 'engine')}, {_count(plan.gateways, 'gateway')}, "
        f"{_count(plan.feeds, 'feed')} in {cluster.data_dir} ..."
    )
    try:
        cluster.start(should_stop=lambda: stop.requested, on_wait=lambda text: click.echo(f"waiting: {text}"))
        if not stop.requested:
            _greet(cluster)
            with _demo_market(cluster, demo, say):
                if live_table:
                    _show_table(cluster, stop, Console(stderr=False))
                else:
                    _show_lines(cluster, stop)
        click.echo(f"stopping ({stop.reason})")
    finally:
        cluster.stop()
    click.echo("stopped")
    return 0


@contextmanager
def _demo_market(cluster: LocalCluster, plan: DemoMarketPlan | None, say: Callable[[str], None]) -> Iterator[None]:
    """While it is entered the demo market trades, if there is to be one."""
    if plan is None:
        yield
        return
    if not cluster.topology.open:
        raise EnvironmentFault(
            f"--demo-market trades without tokens, and {cluster.config_path} does not let everybody in; choose another "
            "--data-dir, without --secure"
        )
    market = DemoMarket(replace(plan, addresses=cluster.gateway_addresses), say)
    market.start()
    try:
        yield
    finally:
        market.stop()


def _continued(ctx: click.Context, plan: ClusterPlan, snapshots: dict[str, int]) -> ClusterPlan:
    """The plan, with as many processes as the data directory had before where the command line does not say."""
    before = None if plan.data_dir is None else read(plan.data_dir)
    if before is not None:
        plan = replace(
            plan,
            engines=len(before.engines) if _is_default(ctx, "engines") else plan.engines,
            gateways=len(before.gateways) if _is_default(ctx, "gateways") else plan.gateways,
            feeds=len(before.feeds) if _is_default(ctx, "feeds") else plan.feeds,
        )
    chosen = Chosen(
        engine=not _is_default(ctx, "engine"),
        snapshots=frozenset(snapshots),
        realtime=not _is_default(ctx, "realtime"),
    )
    return replace(plan, snapshots=replace(Snapshots(), **snapshots), chosen=chosen)


def _is_default(ctx: click.Context, name: str) -> bool:
    return ctx.get_parameter_source(name) is ParameterSource.DEFAULT


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _greet(cluster: LocalCluster) -> None:
    secure = cluster.topology.tls.on
    scheme, socket = ("https", "wss") if secure else ("http", "ws")
    for feed in cluster.topology.feeds[:1]:
        click.echo(f"trading page:       {scheme}://{feed.host}:{feed.http_port}/")
    click.echo(f"clients connect to: {', '.join(cluster.gateway_addresses)}")
    for feed in cluster.topology.feeds:
        click.echo(f"market data:        {feed.grpc_address} (gRPC), {socket}://{feed.host}:{feed.http_port}/feed")
        if feed.udp:
            click.echo(f"                    {feed.udp} (UDP)")
        click.echo(f"REST:               {scheme}://{feed.host}:{feed.http_port}/v1, described at /docs (docs/rest.md)")
    if cluster.soup_addresses:
        click.echo(f"OUCH 4.2:           {', '.join(cluster.soup_addresses)} (SoupBinTCP)")
    if cluster.fix_addresses:
        click.echo(f"FIX:                {', '.join(cluster.fix_addresses)} (TargetCompID LOCKSTEP)")
    click.echo(f"configuration:      {cluster.config_path}")
    click.echo(f"data and logs:      {cluster.data_dir}")
    for name, address in (_metrics(cluster) | _snapshotters(cluster)).items():
        click.echo(f"metrics:            {scheme}://{address}/metrics ({name})")
    if cluster.plan.reconcile:
        reconciler = cluster.topology.reconciler
        click.echo(f"reconciler:         figures at 127.0.0.1:{reconciler.metrics_port}, client logs in ", nl=False)
        click.echo(str(reconciler.client_logs))
    if cluster.plan.ledger:
        ledger = cluster.topology.ledger
        click.echo(f"ledger:             {ledger.host}:{ledger.grpc_port} (gRPC), in {ledger.data_dir}")
    if cluster.plan.alerts:
        alerts = cluster.topology.alerts
        click.echo(f"alerts:             {alerts.host}:{alerts.grpc_port} (gRPC), ", nl=False)
        click.echo(f"{socket}://{alerts.host}:{alerts.http_port}/alerts (docs/alerts.md)")
    if cluster.plan.day is not None:
        click.echo(f"trading day:        {cluster.plan.day} (`lockstep day status --config {cluster.config_path}`)")
    if cluster.topology.open:
        click.echo("access:             everybody on this machine may do everything (docs/access.md closes it)")
    if secure:
        _tell_how_to_connect(cluster)
    click.echo("Ctrl-C stops the cluster.")


def _tell_how_to_connect(cluster: LocalCluster) -> None:
    config, ca = cluster.config_path, cluster.topology.tls.cert_dir / CA
    known = len(read_principals(cluster.topology).entries)
    if known:
        whom = f"{_count(known, 'principal')} of before (`lockstep access list --config {config}`)"
        click.echo(f"access:             encrypted, and for {whom}")
        click.echo("let others in, from another terminal:")
    else:
        click.echo("access:             encrypted, and for nobody yet; let somebody in, from another terminal:")
    click.echo(f"  lockstep access create desk --role trader --role administrator --config {config}")
    click.echo(f"  export LOCKSTEP_TOKEN=$(lockstep access issue desk --config {config})")
    click.echo("and in Python, with the client number that `create` has shown:")
    click.echo(f'  Client("{cluster.gateway_addresses[0]}", token=os.environ["LOCKSTEP_TOKEN"], client_number=1,')
    click.echo(f'         credentials=lockstep.tls_credentials("{ca}"))')


def _metrics(cluster: LocalCluster) -> dict[str, str]:
    return {member.name: f"{member.host}:{member.metrics_port}" for member in cluster.topology.all_members()}


def _snapshotters(cluster: LocalCluster) -> dict[str, str]:
    engines = cluster.topology.engines
    return {f"snapshotter-{engine.id}": f"{engine.host}:{engine.snapshotter_metrics_port}" for engine in engines}


def _show_table(cluster: LocalCluster, stop: StopRequest, console: Console) -> None:
    title = f"cluster in {cluster.data_dir}"
    # All are on this host: the port is enough, and narrow.
    ports = {name: f":{address.rpartition(':')[2]}" for name, address in _metrics(cluster).items()}
    with Live(console=console, refresh_per_second=4, transient=False) as live:
        while not stop.requested:
            status = cluster.status()
            recent = "\n".join(_line(incident) for incident in cluster.incidents[-_SHOWN_INCIDENTS:])
            live.update(Group(status_table(status, title=title, metrics=ports), recent))
            stop.wait(_REFRESH_S)


def _show_lines(cluster: LocalCluster, stop: StopRequest) -> None:
    last = ""
    while not stop.requested:
        line = summary_line(cluster.status())
        if line != last:
            click.echo(line)
            last = line
        stop.wait(_REFRESH_S)


def _line(incident: Incident) -> str:
    return f"{time.strftime('%H:%M:%S', time.localtime(incident.at))} {incident.name} {incident.text}"
