"""A chaos run: a real cluster, clients that write everything down, a schedule of faults, and the checker at the end.

Order of things: what can go wrong here is found out first (root, file systems, which etcd), then everything is
started, then load and faults run side by side, then the cluster has to become whole by itself, then the clients wait
for their last answers, and only then is anything judged.
"""

import asyncio
import signal
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from lockstep.aio import AsyncClient
from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.etcd_server import EtcdBinary, EtcdError, find_etcd
from lockstep.ops.local.plan import ClusterPlan
from lockstep.ops.local.ports import HOST
from lockstep.runtime.process import EnvironmentFault
from lockstep.runtime.topology import Snapshots
from lockstep.trials.chaos.clients import ClientProcesses
from lockstep.trials.chaos.clocks import HostClock
from lockstep.trials.chaos.disks import SmallDisk, enter_private_mounts
from lockstep.trials.chaos.etcd_members import EtcdMembers
from lockstep.trials.chaos.findings import ChaosResult, count_answers, describe_faults
from lockstep.trials.chaos.hosted import HostedCluster
from lockstep.trials.chaos.hosts import OUTSIDE, Hosts
from lockstep.trials.chaos.inject import Done, Injector
from lockstep.trials.chaos.load import TRADER, LoadPlan
from lockstep.trials.chaos.monitor import HealthMonitor
from lockstep.trials.chaos.reconciled import ONE_CERTIFICATE_S, Reconciliation, finish
from lockstep.trials.chaos.schedule import Fault, Kind, Schedule, plan_faults
from lockstep.trials.checker.history import SessionHistory, load_histories
from lockstep.trials.checker.verdict import Verdict, check_run
from lockstep.trials.demo import INSTRUMENTS, fund, opening_balances
from lockstep.trials.evidence import EngineEvidence, collect

_ROWS: Final = 6
_START_S: Final = 60.0
_HEAL_S: Final = 1.0
"""How much longer than planned a fault waits for the ones before it to be healed."""
_CONVERGE_S: Final = 120.0
_STEP_S: Final = 0.1
# Often enough that engines come back from several of them; journals are kept whole for the checker.
_SNAPSHOTS: Final = Snapshots(every_commands=25_000)
_DRAIN_S: Final = 90
_DISK_ENGINE: Final = 2
_DISK_FAULTS: Final = (Kind.FULL_DISK, Kind.READ_ONLY_JOURNAL)
_THREADS: Final = 16
_BAD_WIRES: Final = (Kind.LATENCY, Kind.PACKET_LOSS, Kind.PACKET_REORDERING)
_NETWORK_FAULTS: Final = (Kind.PARTITION_HOST, Kind.PARTITION_MESH, *_BAD_WIRES)
_ONE_HOST: Final = "all processes are on one host: they talk through its memory, and have its clock"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ChaosPlan:
    """How much of everything."""

    seed: int = 1
    duration_s: int = 120
    replicas: int = 3
    rate: int = 1000
    """Orders a second, of all clients together."""
    processes: int = 2
    sessions: int = 2
    """Of each client process."""
    hosts: int = 3
    """Network namespaces; 1: everything on this host, also where this machine does not allow them."""
    only: tuple[Kind, ...] = ()
    """Kinds of faults to draw from; empty: all."""
    etcd: Path | None = None
    """The etcd to use; None: as `find_etcd` finds it."""
    data_dir: Path | None = None
    """Where everything is kept; None: a temporary directory that is removed."""
    reconcile: bool = False
    """Whether a reconciler runs beside, and certifies at the end."""

    @property
    def accounts(self) -> tuple[int, ...]:
        """One for each session."""
        return tuple(range(1, self.processes * self.sessions + 1))


def run_chaos(plan: ChaosPlan, say: Say) -> ChaosResult:
    """Run it all. Call it from the main thread, before other threads are started.

    Raises:
        EnvironmentFault: the cluster does not start, or the data directory can't be used.
    """
    with ExitStack() as stack:
        base = _data_dir(plan, stack)
        site = _prepare(plan, base, stack)
        _require_possible(plan.only, site.not_run)
        schedule = plan_faults(plan.seed, duration_ms=plan.duration_s * 1000, not_run=site.not_run, only=plan.only)
        # Children of etcd's die with the thread that started them, so these threads have to outlive them.
        pool = stack.enter_context(ThreadPoolExecutor(_THREADS, thread_name_prefix="fault"))
        address = OUTSIDE if site.hosts is not None else HOST
        members = stack.enter_context(EtcdMembers(base / "etcd-members", site.etcd, address))
        where = f"on {site.hosts.count} hosts" if site.hosts is not None else "on one host"
        say(f"starting a cluster {where}: etcd {site.etcd.version} of 3, {plan.replicas} engines, 2 of the others")
        cluster = _cluster(plan, base, members, site)
        stack.callback(cluster.stop)
        cluster.start(timeout_s=_START_S)
        return _Run(plan, say, cluster, schedule, pool).go(members, site, base)


@dataclass(frozen=True, slots=True)
class _Site:
    """What this machine lets us do."""

    not_run: dict[Kind, str]
    disk: SmallDisk | None
    hosts: Hosts | None
    clocks: tuple[HostClock, ...]
    etcd: EtcdBinary


def _prepare(plan: ChaosPlan, base: Path, stack: ExitStack) -> _Site:
    """Find out what can go wrong here. Namespaces come before any other thread is started."""
    not_run: dict[Kind, str] = {}
    hosts = None
    if plan.hosts == 1:
        not_run |= dict.fromkeys((*_NETWORK_FAULTS, Kind.CLOCK_SKEW), _ONE_HOST)
    else:
        try:
            hosts = stack.enter_context(Hosts(plan.hosts))
        except EnvironmentFault as error:
            not_run |= dict.fromkeys((*_NETWORK_FAULTS, Kind.CLOCK_SKEW), str(error))
    if hosts is not None and hosts.no_bad_wires:
        not_run |= dict.fromkeys(_BAD_WIRES, hosts.no_bad_wires)
    clocks: tuple[HostClock, ...] = ()
    if hosts is not None:
        try:
            clocks = tuple(HostClock(base / f"clock-{number}") for number in range(1, hosts.count + 1))
        except EnvironmentFault as error:
            not_run[Kind.CLOCK_SKEW] = str(error)
    try:
        disk = _make_disk(base, stack, keep=plan.data_dir is not None)
    except EnvironmentFault as error:
        not_run |= dict.fromkeys(_DISK_FAULTS, str(error))
        disk = None
    etcd = _find_etcd(plan.etcd)
    if not etcd.version.keeps_writes:
        text = f"etcd {etcd.version} may lose what it acknowledged when killed; give a sound one with --etcd"
        not_run[Kind.KILL_ETCD_MEMBER] = text
    return _Site(not_run, disk, hosts, clocks, etcd)


def _require_possible(only: tuple[Kind, ...], not_run: dict[Kind, str]) -> None:
    """Raises EnvironmentFault: a fault was asked for that this machine does not allow."""
    for kind in only:
        if kind in not_run:
            raise EnvironmentFault(f"{kind.value} can't be run here: {not_run[kind]}; leave out --only {kind.value}")


def _data_dir(plan: ChaosPlan, stack: ExitStack) -> Path:
    if plan.data_dir is None:
        return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lockstep-chaos-")))
    directory = plan.data_dir.resolve()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        used = any(directory.iterdir())
    except OSError as error:
        raise EnvironmentFault(f"{directory} can't be used: {error.strerror}; choose another --data-dir") from error
    if used:
        raise EnvironmentFault(f"{directory} is not empty; a run starts from nothing: choose another --data-dir")
    return directory


def _find_etcd(path: Path | None) -> EtcdBinary:
    try:
        return find_etcd(path)
    except EtcdError as error:
        raise EnvironmentFault(str(error)) from error


def _make_disk(base: Path, stack: ExitStack, *, keep: bool) -> SmallDisk:
    reason = enter_private_mounts()
    if reason:
        raise EnvironmentFault(reason)
    disk = SmallDisk(base / f"engine-{_DISK_ENGINE}", base / "small-disk.ext4")
    stack.callback(disk.close, keep=keep)
    return disk


def _cluster(plan: ChaosPlan, base: Path, etcd: EtcdMembers, site: _Site) -> LocalCluster:
    wanted = ClusterPlan(
        engines=plan.replicas,
        gateways=2,
        sequencers=2,
        implementations=("native", "reference"),
        data_dir=base,
        etcd_endpoints=etcd.endpoints,
        snapshots=_SNAPSHOTS,
        reconcile=plan.reconcile,
        certificate_seconds=ONE_CERTIFICATE_S,
        clients=(TRADER,),
    )
    return LocalCluster(wanted) if site.hosts is None else HostedCluster(wanted, site.hosts, site.clocks)


class _Run:
    """One run on a cluster that has started."""

    def __init__(
        self, plan: ChaosPlan, say: Say, cluster: LocalCluster, schedule: Schedule, pool: ThreadPoolExecutor
    ) -> None:
        self._plan = plan
        self._say = say
        self._cluster = cluster
        self._schedule = schedule
        self._pool = pool
        self._problems: list[str] = []

    def go(self, etcd: EtcdMembers, site: _Site, base: Path) -> ChaosResult:
        """Load, faults, healing, verdict."""
        began = time.monotonic()
        funder = asyncio.run(self._fund())
        monitor = HealthMonitor(self._cluster.topology)
        small = (f"engine-{_DISK_ENGINE}", site.disk) if site.disk is not None else None
        injector = Injector(self._cluster, etcd, small, site.hosts, site.clocks, self._announce)
        with ClientProcesses(self._load_plans(base / "histories"), base / "logs") as clients:
            clients.start()
            monitor.start()
            started_ns = time.monotonic_ns()
            self._say(f"{len(self._schedule.faults)} faults are planned; {self._plan.rate} orders a second flow")
            try:
                done = self._faults(injector, monitor, started_ns)
                converged = self._heal()
                late = clients.finish(_DRAIN_S)
            finally:
                monitor.stop()
                injector.close()
        for name in late:
            self._problems.append(f"{name} did not get all its answers; see logs/{name}.log")
        histories = load_histories(base / "histories")
        verdict = self._judge(histories, funder)
        reconciliation = self._reconcile()
        broken = self._cluster.broken()
        self._problems += [f"{name} stopped: it found its own state wrong" for name in broken]
        return ChaosResult(
            seed=self._plan.seed,
            replicas=self._plan.replicas,
            duration_s=time.monotonic() - began,
            faults=describe_faults([d for d in done if not d.left_out], histories, monitor.samples, started_ns),
            left_out=tuple(d for d in done if d.left_out),
            not_run=self._schedule.not_run,
            verdict=verdict,
            problems=tuple(self._problems),
            health={
                "cluster_healed": converged,
                "no_process_broke": not broken,
                "clients_served": not late and len(histories) == len(self._plan.accounts),
                **({"reconciled": reconciliation.clean} if reconciliation is not None else {}),
            },
            reconciliation=reconciliation,
            per_bucket=count_answers(histories, started_ns),
        )

    async def _fund(self) -> int:
        addresses = self._cluster.gateway_addresses
        async with AsyncClient(addresses, token=TRADER.token, client_number=TRADER.number) as client:
            return await fund(client, len(self._plan.accounts))

    def _load_plans(self, directory: Path) -> tuple[LoadPlan, ...]:
        plan = self._plan
        addresses = self._cluster.gateway_addresses
        first = LoadPlan(
            addresses=addresses,
            accounts=(),
            instruments=tuple(number for number, _ in INSTRUMENTS),
            seed=plan.seed,
            rows=_ROWS,
            interval_ms=max(1, 1000 * _ROWS * len(plan.accounts) // plan.rate),
            drain_s=_DRAIN_S,
            directory=str(directory),
            client_logs=str(self._cluster.topology.reconciler.client_logs) if plan.reconcile else "",
        )
        return tuple(
            replace(
                first,
                accounts=plan.accounts[number * plan.sessions : (number + 1) * plan.sessions],
                # Each process begins at another gateway.
                addresses=(*addresses[number % len(addresses) :], *addresses[: number % len(addresses)]),
            )
            for number in range(plan.processes)
        )

    # ---- faults --------------------------------------------------------------------------------------------------

    def _faults(self, injector: Injector, monitor: HealthMonitor, started_ns: int) -> list[Done]:
        under_way: list[Future[Done]] = []
        end_ns = started_ns + self._plan.duration_s * 1_000_000_000
        late_ns = 0
        for fault in self._schedule.faults:
            due_ns = started_ns + fault.at_ms * 1_000_000 + late_ns
            _sleep_until(due_ns)
            if not fault.overlaps:
                monitor.wait_until_whole(_HEAL_S)
            # What had to wait pushes what comes after it, so that the pauses for healing stay.
            late_ns += time.monotonic_ns() - due_ns
            if time.monotonic_ns() > end_ns:
                break
            under_way.append(self._pool.submit(injector.perform, fault))
            self._wait_for_order(under_way)
        _sleep_until(end_ns)
        return [future.result() for future in under_way]

    @staticmethod
    def _wait_for_order(under_way: Sequence[Future[Done]]) -> None:
        """Two faults may overlap, and a third waits: more at once could not be distinguished afterwards."""
        while sum(not future.done() for future in under_way) > 1:
            time.sleep(0.02)

    def _announce(self, fault: Fault, target: str) -> None:
        self._say(f"fault {fault.number}: {fault.kind.value} ({target})")

    def _heal(self) -> bool:
        for name in self._cluster.pids():
            if name != "etcd":
                self._cluster.signal(name, signal.SIGCONT)
        self._say("no more faults; the cluster has to become whole")
        deadline = time.monotonic() + _CONVERGE_S
        whole = self._cluster.wait_until_whole(_CONVERGE_S)
        # Snapshotters and the reconciler are no members, which the status would miss.
        while self._cluster.unsettled() and time.monotonic() < deadline:
            time.sleep(_STEP_S)
        lacks = () if whole else self._cluster.status().lacks(self._cluster.topology)
        lacks = (*lacks, *(f"{name} does not keep running" for name in self._cluster.unsettled()))
        if lacks:
            self._problems.append(f"not whole {_CONVERGE_S:g} s after the last fault: {'; '.join(lacks)}")
        return not lacks

    # ---- verdict -------------------------------------------------------------------------------------------------

    def _judge(self, histories: tuple[SessionHistory, ...], funder: int) -> Verdict | None:
        self._say("reading journals, events and balances of each engine")
        evidence = self._evidence()
        if not evidence:
            return None
        self._say("executing the journal by the specification and checking every promise")
        opening = opening_balances(self._plan.accounts)
        return check_run(histories, evidence, opening=opening, others=frozenset({funder}))

    def _reconcile(self) -> Reconciliation | None:
        if not self._plan.reconcile:
            return None
        self._say("the reconciler catches up, the cluster stops, and what was verified is certified")
        found = finish(self._cluster)
        self._problems += [f"the reconciler found {text}" for text in found.breaks]
        if found.why_none:
            self._problems.append(f"the reconciler issued no certificate: {found.why_none}")
        return found

    def _evidence(self) -> tuple[EngineEvidence, ...]:
        try:
            return collect(self._cluster.topology)
        except EnvironmentFault as error:
            self._problems.append(str(error))
            return ()


def _sleep_until(at_ns: int) -> None:
    time.sleep(max(0, at_ns - time.monotonic_ns()) / 1e9)
