"""A whole cluster on this machine, as real processes: etcd, media driver, sequencers, engines, gateways, feeds.

`lockstep up`, the demo, replays with `--local` and end-to-end tests all run on this supervisor. It writes the
configuration file that a deployment would write by hand, starts each process by the same command line, restarts those
that die, and kills them on request, which is what most callers are here for.

The supervisor is no part of the safety argument: it never tells a process what happened to another one.
"""

import os
import secrets
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from lockstep.ops.local import kept_config, resume
from lockstep.ops.local.child import Child, describe_exit
from lockstep.ops.local.data_dir import lock_data_dir
from lockstep.ops.local.etcd_keeper import EtcdKeeper
from lockstep.ops.local.etcd_server import EtcdError, LocalEtcd
from lockstep.ops.local.parts import FIRST_RESTART_S, Parts, Restart
from lockstep.ops.local.plan import ClusterPlan, Incident
from lockstep.ops.local.ports import HOST, choose_ports
from lockstep.ops.local.readiness import Readiness
from lockstep.runtime.access.store import put_back
from lockstep.runtime.cluster_view import ClusterStatus, MemberStatus, StatusProbe
from lockstep.runtime.driver import default_directory, driver_pid
from lockstep.runtime.private import make_private
from lockstep.runtime.process import EXIT_INVARIANT, EnvironmentFault
from lockstep.runtime.topology import Member, ProcessKind, Topology

_DRIVER: Final = "driver"
_RECONCILER: Final = "reconciler"
_LEDGER: Final = "ledger"
_ALERTS: Final = "alerts"
_DAY: Final = "day"
_WATCH_S: Final = 0.05
_ASK_S: Final = 0.2
_SAY_S: Final = 2.0
_LONGEST_RESTART_S: Final = 5.0
_SHORT_LIFE_S: Final = 5.0
_STOP_GRACE_S: Final = 4.0
# A starved machine starts even this one late, and waiting costs nothing.
_DRIVER_GRACE_S: Final = 30.0


def _serving(status: ClusterStatus, kind: str) -> MemberStatus | None:
    return next((m for m in status.members if m.role == "serving" and m.name.startswith(kind)), None)


class LocalCluster:
    """A running local cluster. Use it as a context manager, or call `start` and `stop`."""

    def __init__(self, plan: ClusterPlan, *, on_incident: Callable[[Incident], None] | None = None) -> None:
        self.plan = plan
        self._temporary = plan.data_dir is None
        self.data_dir = (plan.data_dir or Path(tempfile.mkdtemp(prefix="lockstep-"))).resolve()
        self.config_path = self.data_dir / "cluster.toml"
        self.incidents: list[Incident] = []
        self._on_incident = on_incident
        self._parts = Parts()
        self._lock: IO[str] | None = None
        self._guard = threading.RLock()
        self._watcher: threading.Thread | None = None
        self._stopping = threading.Event()
        self._quiet = threading.Event()
        """The supervisor's thread starts nothing any more."""
        self._over = threading.Event()
        self._topology: Topology | None = None
        self._probe: StatusProbe | None = None

    @property
    def topology(self) -> Topology:
        """The topology; there is one from `start` on."""
        if self._topology is None:
            raise RuntimeError("the cluster was not started")
        return self._topology

    @property
    def gateway_addresses(self) -> tuple[str, ...]:
        """Where clients connect."""
        return tuple(gateway.grpc_address for gateway in self.topology.gateways)

    @property
    def feed_addresses(self) -> tuple[str, ...]:
        """Where market data is to be had over gRPC."""
        return tuple(feed.grpc_address for feed in self.topology.feeds)

    @property
    def soup_addresses(self) -> tuple[str, ...]:
        """The gateways' binary doors; none without `soup` in the plan."""
        return tuple(gateway.soup for gateway in self.topology.gateways if gateway.soup)

    @property
    def fix_addresses(self) -> tuple[str, ...]:
        """The gateways' FIX doors; none without `fix` in the plan."""
        return tuple(gateway.fix for gateway in self.topology.gateways if gateway.fix)

    def start(
        self,
        *,
        timeout_s: float = 40.0,
        should_stop: Callable[[], bool] = lambda: False,
        on_wait: Callable[[str], None] = lambda _text: None,
    ) -> None:
        """Start everything and wait until every gateway takes orders, or until `should_stop` says so.

        `timeout_s`: how long nothing may come any further; `on_wait`: called now and then with what is waited for.

        Raises:
            EnvironmentFault: something is in the way (busy port, directory in use). All that was started is stopped.
        """
        try:
            self._lock = lock_data_dir(self.data_dir)
            for path in (self.data_dir, *self.data_dir.glob("cluster.toml")):
                make_private(path)
            ports = self._choose_ports()
            found = resume.examine(self.data_dir, engines=self.plan.engines)
            self._topology = self._plan_topology(ports)
            self._write_config()
            self._probe = StatusProbe.of(self._topology)
            self._start_driver()
            if not self.plan.etcd_endpoints:
                self._start_etcd(ports[-1])
                put_back(self._topology, lambda text: self._note("principals", text))
            if found is not None:
                resume.restore(self._topology, found)
            for member in self._topology.all_members():
                self._add_member(member)
            for engine in self._topology.engines:
                self._add_snapshotter(engine)
            if self.plan.reconcile:
                self._add(_RECONCILER, "reconcile", "run", "--config", str(self.config_path))
            if self.plan.ledger:
                self._add(_LEDGER, "ledger", "run", "--config", str(self.config_path))
            if self.plan.alerts:
                self._add(_ALERTS, "alerts", "run", "--config", str(self.config_path))
            if self.plan.day is not None:
                self._add(_DAY, "day", "run", "--config", str(self.config_path))
            self._wait_until_serving(timeout_s, should_stop, on_wait)
        except BaseException:
            self.stop()
            raise
        self._watcher = threading.Thread(target=self._supervise, name="supervisor", daemon=True)
        self._watcher.start()

    def _write_config(self) -> None:
        self._topology, copy = kept_config.settle(self.data_dir, self.topology, self.plan.chosen)
        if copy is not None:
            self._note("configuration", f"edited by hand: what it says stays in force, a copy is {copy}")

    def _choose_ports(self) -> tuple[int, ...]:
        # The gateways' first, then gRPC, watch and metrics ports of all that have them, the snapshotters', the feeds',
        # the binary and FIX doors', the lines', the ledger's, the alerts', the scheduler's, the reconciler's, etcd's.
        plan = self.plan
        members = plan.gateways + plan.sequencers + plan.engines + plan.feeds
        count = 3 * members + plan.engines + plan.reconcile + 1 + plan.ports_beside
        return choose_ports(plan.port, count)

    def _plan_topology(self, ports: tuple[int, ...]) -> Topology:
        plan = self.plan
        grpc_ports = iter(ports)
        processes = plan.gateways + plan.sequencers + plan.engines
        watch_ports = iter(ports[processes:])
        metrics_ports = iter(ports[2 * processes :])
        snapshotter_ports = iter(ports[3 * processes :])
        doors = ports[3 * (processes + plan.feeds) + plan.engines :]
        door_ports, beside = iter(doors), doors[plan.gateways * (plan.soup + plan.fix) :]
        udp_ports, ledger_ports = iter(beside), beside[plan.feeds * plan.udp :]

        def members(kind: ProcessKind, count: int) -> tuple[Member, ...]:
            return tuple(
                Member(
                    kind=kind,
                    id=i,
                    host=HOST,
                    grpc_port=next(grpc_ports),
                    watch_port=next(watch_ports),
                    metrics_port=next(metrics_ports),
                    snapshotter_metrics_port=next(snapshotter_ports) if kind is ProcessKind.ENGINE else 0,
                    soup=f"{HOST}:{next(door_ports)}" if plan.soup and kind is ProcessKind.GATEWAY else "",
                    fix=f"{HOST}:{next(door_ports)}" if plan.fix and kind is ProcessKind.GATEWAY else "",
                    data_dir=Path() if kind is ProcessKind.SEQUENCER else self.data_dir / f"{kind.name.lower()}-{i}",
                    engine=self._implementation(i),
                )
                for i in range(1, count + 1)
            )

        gateways = members(ProcessKind.GATEWAY, plan.gateways)
        feed_ports = iter(ports[3 * processes + plan.engines :])
        return Topology(
            name="local",
            etcd_endpoints=plan.etcd_endpoints or (f"{HOST}:{ports[-1]}",),
            aeron_dir=default_directory(f"{os.getpid()}-{secrets.token_hex(3)}"),
            sequencers=members(ProcessKind.SEQUENCER, plan.sequencers),
            engines=members(ProcessKind.ENGINE, plan.engines),
            gateways=gateways,
            clients=plan.clients,
            feeds=tuple(
                Member(
                    kind=ProcessKind.FEED,
                    id=i,
                    host=HOST,
                    grpc_port=next(feed_ports),
                    http_port=next(feed_ports),
                    metrics_port=next(feed_ports),
                    udp=f"{HOST}:{next(udp_ports)}" if plan.udp else "",
                )
                for i in range(1, plan.feeds + 1)
            ),
            limits=plan.limits,
            timing=plan.timing,
            reconciler=plan.reconciler(self.data_dir, ports[-2]),
            ledger=plan.ledger_of(self.data_dir, ledger_ports),
            alerts=plan.alerts_of(self.data_dir, ledger_ports[2 * plan.ledger :]),
            day=plan.day_of(ports[-2 - plan.reconcile]),
            snapshots=plan.snapshots,
            access=plan.access(self.data_dir),
            tls=plan.tls(self.data_dir),
        )

    def _implementation(self, engine: int) -> str:
        names = self.plan.implementations
        return names[(engine - 1) % len(names)]

    def _start_driver(self) -> None:
        self._add(_DRIVER, "driver", "--config", str(self.config_path))
        deadline = time.monotonic() + _DRIVER_GRACE_S
        while driver_pid(self.topology.aeron_dir) is None:
            self._fail_if_ended()
            if time.monotonic() > deadline:
                raise EnvironmentFault(
                    f"the media driver is not ready after {_DRIVER_GRACE_S:g} s; see {self._log(_DRIVER)}"
                )
            time.sleep(0.01)

    def _start_etcd(self, port: int) -> None:
        directory = self.data_dir / "etcd"
        directory.mkdir(mode=0o700, exist_ok=True)
        try:
            tls = self.topology.tls.cert_dir if self.topology.tls.on else None
            etcd = self._parts.etcd = LocalEtcd.start(directory, port, cert_dir=tls)
            self._parts.keeper = EtcdKeeper(
                etcd,
                lambda text: self._note("etcd", text),
                restart=self.plan.restart,
                realtime_priority=self.topology.timing.realtime_priority,
            )
        except EtcdError as error:
            raise EnvironmentFault(str(error)) from error

    def _add(self, name: str, *arguments: str, prefix: tuple[str, ...] = ()) -> None:
        child = Child(name, arguments, self._log(name), prefix)
        self._parts.children[name] = child
        self._parts.restarts[name] = Restart()
        child.start()

    def _add_member(self, member: Member) -> None:
        self._add(member.name, member.kind.name.lower(), "--config", str(self.config_path), "--id", str(member.id))

    def _add_snapshotter(self, engine: Member) -> None:
        name = f"snapshotter-{engine.id}"
        self._add(name, "snapshotter", "--config", str(self.config_path), "--id", str(engine.id))

    def _log(self, name: str) -> Path:
        return self.data_dir / "logs" / f"{name}.log"

    def _wait_until_serving(
        self, timeout_s: float, should_stop: Callable[[], bool], on_wait: Callable[[str], None]
    ) -> None:
        readiness = Readiness(self.topology)
        deadline = time.monotonic() + timeout_s
        say_s = time.monotonic() + _SAY_S
        while True:
            self._fail_if_ended()
            status = self.status(timeout_s=0.5)
            if status.is_whole(self.topology) or should_stop():
                return
            now = time.monotonic()
            if readiness.look(status):
                deadline = now + timeout_s
            if now >= say_s:
                say_s = now + _SAY_S
                on_wait(readiness.text(status))
            if now > deadline:
                raise EnvironmentFault(
                    f"the cluster does not serve, and for {timeout_s:g} s nothing has come any further: "
                    f"{'; '.join(status.lacks(self.topology))}; logs: {self.data_dir / 'logs'}"
                )
            time.sleep(0.05)

    def _fail_if_ended(self) -> None:
        for child in self._parts.children.values():
            code = child.exit_code()
            if code is not None:
                raise EnvironmentFault(
                    f"{child.name} {describe_exit(code)} while starting: {child.last_words()} (log: {child.log_path})"
                )

    def status(self, *, timeout_s: float = 1.0) -> ClusterStatus:
        """Ask every process; blocks up to the timeout."""
        if self._probe is None:
            raise RuntimeError("the cluster was not started")
        return self._probe.ask(timeout_s=timeout_s)

    def wait_until_whole(self, timeout_s: float) -> bool:
        """Wait until every process answers, all engines are in sync, gateways and feeds serve; whether that came."""
        deadline = time.monotonic() + timeout_s
        while not self.status().is_whole(self.topology):
            if time.monotonic() > deadline:
                return False
            # Asking costs the cluster CPU time, and somebody may be measuring.
            time.sleep(_ASK_S)
        return True

    def find(self, role: str, patience_s: float = 10.0) -> str:
        """Name of a process that has a role now: `primary`, `sequencer` (the leader), `standby`, `gateway`, `feed`.

        Raises:
            EnvironmentFault: no process says so, for that long.
        """
        deadline = time.monotonic() + patience_s
        while True:
            status = self.status()
            chosen = {
                "primary": status.primary(),
                "sequencer": status.leader(),
                "standby": next((m for m in status.members if m.role == "standby"), None),
                "gateway": _serving(status, "gateway"),
                "feed": _serving(status, "feed"),
            }[role]
            if chosen is not None:
                return chosen.name
            if time.monotonic() > deadline:
                roles = ", ".join(f"{m.name} is {m.role}" for m in status.members)
                raise EnvironmentFault(f"no process is {role} at the moment: {roles}")
            time.sleep(_ASK_S)

    def kill(self, name: str) -> int:
        """End a process (such as `engine-1`) with SIGKILL; its pid."""
        with self._guard:
            child = self._parts.children[name]
            pid = child.pid
            child.kill()
            return pid

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a process a signal."""
        self._parts.children[name].send(number)

    @property
    def drivers(self) -> tuple[str, ...]:
        """Names of the media drivers, one for each host."""
        return (_DRIVER,)

    def starts(self, name: str) -> int:
        """How often a process was started."""
        return self._parts.children[name].starts

    def pids(self) -> dict[str, int]:
        """Process ids by name, etcd and driver included."""
        pids = {name: child.pid for name, child in self._parts.children.items() if child.running}
        if self._parts.etcd is not None and self._parts.etcd.running:
            pids["etcd"] = self._parts.etcd.pid
        return pids

    def kill_and_hold(self, name: str) -> None:
        """End a process with SIGKILL; it stays down until `restart`."""
        with self._guard:
            self._parts.held.add(name)
            self._parts.children[name].kill()

    def broken(self) -> tuple[str, ...]:
        """Processes that ended because they found their own state wrong."""
        return tuple(sorted(self._parts.given_up))

    def unsettled(self) -> tuple[str, ...]:
        """Processes that do not run, or that ended soon after their last start and have not run for long since."""
        now = time.monotonic()
        with self._guard:
            return tuple(
                name
                for name, child in self._parts.children.items()
                if not child.running
                or (self._parts.restarts[name].delay > FIRST_RESTART_S and now - child.started_at < _SHORT_LIFE_S)
            )

    def restart(self, name: str) -> None:
        """Start a dead process again now."""
        with self._guard:
            self._parts.held.discard(name)
            child = self._parts.children[name]
            if not child.running:
                child.start()

    def _supervise(self) -> None:
        try:
            self._watch()
        finally:
            self._quiet.set()
            # An etcd that was started here dies with this thread: it ends when everything else has.
            self._over.wait()

    def _watch(self) -> None:
        reported: dict[str, int] = {}
        while not self._stopping.wait(_WATCH_S):
            with self._guard:
                if self._parts.keeper is not None and not self._stopping.is_set():
                    self._parts.keeper.mind()
                for name, child in self._parts.children.items():
                    code = child.exit_code()
                    if code is None or self._stopping.is_set():
                        continue
                    if reported.get(name) != child.starts:
                        reported[name] = child.starts
                        self._on_death(child, code)
                    elif self.plan.restart and name not in self._parts.given_up | self._parts.held:
                        self._restart_when_due(child)

    def _on_death(self, child: Child, code: int) -> None:
        restart = self._parts.restarts[child.name]
        now = time.monotonic()
        short = now - child.started_at < _SHORT_LIFE_S
        restart.delay = min(restart.delay * 2, _LONGEST_RESTART_S) if short else FIRST_RESTART_S
        restart.due = now + restart.delay
        text = describe_exit(code)
        if code == EXIT_INVARIANT:
            # It found its own state wrong: somebody has to look at it before it may take part again.
            self._parts.given_up.add(child.name)
            text += f", a broken invariant, so it stays down; see {child.log_path}"
        elif code > 0:
            text += f": {child.last_words()}"
        self._note(child.name, text)

    def _restart_when_due(self, child: Child) -> None:
        if time.monotonic() >= self._parts.restarts[child.name].due:
            child.start()
            self._note(child.name, f"started again (pid {child.pid})")

    def _note(self, name: str, text: str) -> None:
        incident = Incident(time.time(), name, text)
        self.incidents.append(incident)
        if self._on_incident is not None:
            self._on_incident(incident)

    def stop(self) -> None:
        """Stop every process in order, with SIGKILL for those that don't; may be called again."""
        self._stopping.set()
        if self._watcher is not None:
            self._quiet.wait()
        # The reconciler between: it looks once more at engines that get nothing new.
        for group in ("feed", "gateway", _RECONCILER, _LEDGER, _ALERTS, _DAY, "sequencer", "engine"):
            self._stop_children([c for name, c in self._parts.children.items() if name.startswith(group)])
        if self._parts.etcd is not None:
            self._parts.etcd.stop()
        self._stop_children(list(self._parts.children.values()))
        self._over.set()
        if self._watcher is not None:
            self._watcher.join()
            self._watcher = None
        if self._probe is not None:
            self._probe.close()
            self._probe = None
        if self._topology is not None:
            # A driver that had to be killed leaves its directory in memory.
            shutil.rmtree(self._topology.aeron_dir, ignore_errors=True)
        if self._lock is not None:
            self._lock.close()
            self._lock = None
        if self._temporary:
            shutil.rmtree(self.data_dir, ignore_errors=True)

    def _stop_children(self, children: list[Child]) -> None:
        for child in children:
            child.send(signal.SIGTERM)
            # A process under SIGSTOP would keep the SIGTERM pending for ever.
            child.send(signal.SIGCONT)
        deadline = time.monotonic() + _STOP_GRACE_S
        for child in children:
            if not child.wait(max(0.0, deadline - time.monotonic())):
                child.kill()
                self._note(child.name, f"did not stop within {_STOP_GRACE_S:g} s and was killed")
            child.release()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
