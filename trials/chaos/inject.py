"""Faults done to real processes. Each call returns what was done, or why it was left out, and undoes what it holds.

A fault is left out, after some waiting, if the cluster could not go on after it, or if nobody has the role that it is
meant for: a run that must heal is not the place for what is known to need an operator.
"""

import shutil
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc

from lockstep.ops.local.cluster import LocalCluster
from lockstep.runtime.cluster_view import ClusterStatus, StatusProbe, rpc_text
from lockstep.trials.chaos.clocks import HostClock
from lockstep.trials.chaos.disks import SmallDisk
from lockstep.trials.chaos.etcd_members import SIZE, EtcdMembers
from lockstep.trials.chaos.hosts import Hosts, Wire
from lockstep.trials.chaos.schedule import Fault, Kind
from lockstep.trials.chaos.targets import ROLES, TAKES_AN_ENGINE, can_lose, find_target

_ASK_S: Final = 0.4
_STEP_S: Final = 0.1
_PATIENCE_S: Final = 10.0
_SHRINK_S: Final = 5.0
_GOING_DOWN_S: Final = 3.0
_WIRES: Final[Mapping[Kind, Wire]] = {
    Kind.LATENCY: Wire(delay_ms=20),
    Kind.PACKET_LOSS: Wire(loss=0.1),
    Kind.PACKET_REORDERING: Wire(jitter_ms=5),
}
_OF_A_HOST: Final = frozenset({Kind.PARTITION_HOST, Kind.CLOCK_SKEW, *_WIRES})
# From what NTP would slew to what a dead battery leaves.
_SKEWS_MS: Final = (100, 2_000, 30_000, 3_600_000)


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a fault. Times are nanoseconds of the monotonic clock."""

    fault: Fault
    target: str
    began_ns: int
    ended_ns: int
    left_out: str = ""
    """Why it was not done; empty if it was."""


class LeftOut(Exception):
    """The fault is not done; the text says why."""


class Injector:
    """Does faults to one cluster. Several may be under way, each on a thread of its own."""

    def __init__(
        self,
        cluster: LocalCluster,
        etcd: EtcdMembers,
        small_disk: tuple[str, SmallDisk] | None,
        hosts: Hosts | None,
        clocks: Sequence[HostClock],
        on_target: Callable[[Fault, str], None],
    ) -> None:
        """Who can be hit.

        `small_disk`: the engine that has one, and it; `clocks`: of each host; `on_target`: called with what is about to
        be hit.
        """
        self._cluster = cluster
        self._etcd = etcd
        self._small_disk = small_disk
        self._hosts = hosts
        self._clocks = clocks
        self._on_target = on_target
        self._probe = StatusProbe.of(cluster.topology)
        self._choosing = threading.Lock()
        self._taken: dict[str, float] = {}
        self._actions: Mapping[str, Callable[[Fault, str], None]] = {
            "kill": self._kill,
            "pause": self._pause,
            "restart": self._restart,
        }
        self._special: Mapping[Kind, Callable[[Fault, str], None]] = {
            Kind.KILL_ETCD_MEMBER: self._kill_etcd_member,
            Kind.PAUSE_ETCD_MEMBER: self._pause_etcd_member,
            Kind.ETCD_WITHOUT_QUORUM: self._etcd_without_quorum,
            Kind.SWITCHOVER: self._switch_over,
            Kind.FULL_DISK: self._full_disk,
            Kind.READ_ONLY_JOURNAL: self._read_only_journal,
            Kind.WIPED_DISK: self._wiped_disk,
            Kind.PARTITION_HOST: self._partition_host,
            Kind.PARTITION_MESH: self._partition_mesh,
            **dict.fromkeys(_WIRES, self._bad_wire),
            Kind.CLOCK_SKEW: self._clock_skew,
        }

    def perform(self, fault: Fault) -> Done:
        """Do a fault and undo it after its time."""
        began_ns = time.monotonic_ns()
        target = ""
        try:
            target = self._wait_for_target(fault)
            began_ns = time.monotonic_ns()
            self._on_target(fault, target)
            action = self._special.get(fault.kind) or self._actions[fault.kind.value.split("_")[0]]
            action(fault, target)
        except LeftOut as reason:
            return Done(fault, target, began_ns, time.monotonic_ns(), str(reason))
        return Done(fault, target, began_ns, time.monotonic_ns())

    def close(self) -> None:
        """Close the connections."""
        self._probe.close()

    def _wait_for_target(self, fault: Fault) -> str:
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            # One at a time, so that two faults can't each count on the engine that the other is about to end.
            with self._choosing:
                target, missing = self._target(fault)
                if not missing:
                    if fault.kind in TAKES_AN_ENGINE:
                        self._taken[target] = time.monotonic()
                    return target
            if time.monotonic() > deadline:
                raise LeftOut(f"{missing} for {_PATIENCE_S:g} s")
            time.sleep(_STEP_S)

    def _target(self, fault: Fault) -> tuple[str, str]:
        """Whom the fault hits now, and what stands against it."""
        if fault.kind in (Kind.KILL_ETCD_MEMBER, Kind.PAUSE_ETCD_MEMBER):
            whole = "" if self._etcd.all_run() else "a member of etcd is down already"
            return f"etcd-{fault.pick % SIZE}", whole
        if fault.kind is Kind.ETCD_WITHOUT_QUORUM:
            return "etcd", ""
        if fault.kind is Kind.SWITCHOVER:
            return "primary", ""
        if fault.kind in _OF_A_HOST:
            host = f"host-{1 + fault.pick % self._network().count}"
            return f"{host}, {_skew_ms(fault) / 1000:+g} s" if fault.kind is Kind.CLOCK_SKEW else host, ""
        if fault.kind is Kind.PARTITION_MESH:
            return "hosts", ""
        return self._process(fault)

    def _process(self, fault: Fault) -> tuple[str, str]:
        if ROLES.get(fault.kind) == "driver":
            drivers = self._cluster.drivers
            return drivers[fault.pick % len(drivers)], ""
        status = self._ask()
        if fault.kind in (Kind.FULL_DISK, Kind.READ_ONLY_JOURNAL):
            assert self._small_disk is not None, "planned only if there is one"
            target: str | None = self._small_disk[0]
        else:
            target = find_target(ROLES[fault.kind], status, self._cluster.topology, fault.pick)
        if target is None:
            return "", f"nobody was {ROLES[fault.kind]}"
        if fault.kind in TAKES_AN_ENGINE and not can_lose(
            status, self._cluster.topology, target, without=self._recently_taken()
        ):
            return target, f"no other engine than {target} was in sync"
        return target, ""

    def _recently_taken(self) -> frozenset[str]:
        """Engines that may be on their way down, though they still answer."""
        now = time.monotonic()
        return frozenset(name for name, at in self._taken.items() if now - at < _GOING_DOWN_S)

    def _ask(self) -> ClusterStatus:
        return self._probe.ask(timeout_s=_ASK_S)

    # ---- processes by role ---------------------------------------------------------------------------------------

    def _kill(self, fault: Fault, target: str) -> None:
        del fault
        self._cluster.kill(target)

    def _pause(self, fault: Fault, target: str) -> None:
        self._cluster.signal(target, signal.SIGSTOP)
        time.sleep(fault.hold_ms / 1000)
        self._cluster.signal(target, signal.SIGCONT)

    def _restart(self, fault: Fault, target: str) -> None:
        del fault
        # The supervisor starts it again, as it does after any death.
        self._cluster.signal(target, signal.SIGTERM)

    def _switch_over(self, fault: Fault, target: str) -> None:
        del fault, target
        deadline = time.monotonic() + _PATIENCE_S
        why = "no sequencer led"
        while time.monotonic() < deadline:
            leader = self._ask().leader()
            if leader is not None:
                try:
                    self._probe.switch_primary(leader.address, 0)
                except grpc.RpcError as error:
                    why = rpc_text(error)
                else:
                    return
            time.sleep(_STEP_S)
        raise LeftOut(f"{why} for {_PATIENCE_S:g} s")

    # ---- etcd ----------------------------------------------------------------------------------------------------

    def _kill_etcd_member(self, fault: Fault, target: str) -> None:
        place = int(target.rpartition("-")[2])
        self._etcd.kill(place)
        time.sleep(fault.hold_ms / 1000)
        self._etcd.start_again(place)

    def _pause_etcd_member(self, fault: Fault, target: str) -> None:
        place = int(target.rpartition("-")[2])
        self._etcd.pause(place)
        time.sleep(fault.hold_ms / 1000)
        self._etcd.resume(place)

    def _etcd_without_quorum(self, fault: Fault, target: str) -> None:
        del target
        places = [(fault.pick + offset) % SIZE for offset in range(SIZE // 2 + 1)]
        for place in places:
            self._etcd.pause(place)
        time.sleep(fault.hold_ms / 1000)
        for place in places:
            self._etcd.resume(place)

    # ---- network -------------------------------------------------------------------------------------------------

    def _partition_host(self, fault: Fault, target: str) -> None:
        number = _host_number(target)
        self._network().cut(number)
        time.sleep(fault.hold_ms / 1000)
        self._network().join(number)

    def _partition_mesh(self, fault: Fault, target: str) -> None:
        del target
        self._network().set_apart(True)
        time.sleep(fault.hold_ms / 1000)
        self._network().set_apart(False)

    def _bad_wire(self, fault: Fault, target: str) -> None:
        number = _host_number(target)
        self._network().put_on_bad_wire(number, _WIRES[fault.kind])
        time.sleep(fault.hold_ms / 1000)
        self._network().put_on_good_wire(number)

    def _clock_skew(self, fault: Fault, target: str) -> None:
        clock = self._clocks[_host_number(target) - 1]
        clock.step(_skew_ms(fault))
        time.sleep(fault.hold_ms / 1000)
        clock.step(0)

    def _network(self) -> Hosts:
        assert self._hosts is not None, "planned only if there are several"
        return self._hosts

    # ---- disks ---------------------------------------------------------------------------------------------------

    def _full_disk(self, fault: Fault, target: str) -> None:
        disk = self._disk()
        before = self._cluster.starts(target)
        disk.fill()
        try:
            time.sleep(fault.hold_ms / 1000)
            if self._cluster.starts(target) == before:
                # Its files had room of their own so far; a start needs new ones.
                self._cluster.kill(target)
                time.sleep(fault.hold_ms / 1000)
        finally:
            disk.free()

    def _read_only_journal(self, fault: Fault, target: str) -> None:
        disk = self._disk()
        disk.make_read_only()
        try:
            self._cluster.kill(target)
            time.sleep(fault.hold_ms / 1000)
        finally:
            disk.make_writable()

    def _disk(self) -> SmallDisk:
        assert self._small_disk is not None, "planned only if there is one"
        return self._small_disk[1]

    def _wiped_disk(self, fault: Fault, target: str) -> None:
        """The disk of an engine that is *not* in sync any more: an in-sync engine's journal may be the only one."""
        del fault
        engine = next(member for member in self._cluster.topology.engines if member.name == target)
        self._cluster.kill_and_hold(target)
        try:
            deadline = time.monotonic() + _SHRINK_S
            while True:
                in_sync = self._ask().in_sync()
                if in_sync and engine.id not in in_sync:
                    break
                if time.monotonic() > deadline:
                    raise LeftOut(f"{target} was killed, and stayed listed as in sync for {_SHRINK_S:g} s")
                time.sleep(_STEP_S)
            _wipe(engine.data_dir)
        finally:
            self._cluster.restart(target)


def _host_number(target: str) -> int:
    return int(target.partition(",")[0].removeprefix("host-"))


def _skew_ms(fault: Fault) -> int:
    size = _SKEWS_MS[fault.pick >> 9 & 3]
    return size if fault.pick >> 8 & 1 else -size


def _wipe(directory: Path) -> None:
    for entry in directory.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()
