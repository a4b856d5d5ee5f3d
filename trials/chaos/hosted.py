"""A local cluster whose processes are spread over several hosts: UDP between them, a media driver on each.

Member i of each kind is on host i, counted round and round.
"""

import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.plan import ClusterPlan
from lockstep.runtime import config
from lockstep.runtime.driver import driver_pid
from lockstep.runtime.process import EnvironmentFault
from lockstep.runtime.topology import PLAINTEXT_WORDS, Member, Tls, Topology
from lockstep.trials.chaos.clocks import HostClock
from lockstep.trials.chaos.hosts import Hosts

_FIRST_DATA_PORT: Final = 9100
"""Namespaces are empty, so any port is free."""
_DRIVER_S: Final = 30.0


class HostedCluster(LocalCluster):
    """See the module; otherwise as its base."""

    def __init__(self, plan: ClusterPlan, hosts: Hosts, clocks: Sequence[HostClock] = ()) -> None:
        """`clocks`: of each host; none: all have this machine's."""
        super().__init__(plan)
        self._hosts = hosts
        self._clocks = clocks

    @property
    def drivers(self) -> tuple[str, ...]:
        """One for each host."""
        return tuple(f"driver-{number}" for number in range(1, self._hosts.count + 1))

    def host_of(self, member: Member) -> int:
        """Number of the host that a member is on."""
        return (member.id - 1) % self._hosts.count + 1

    def stop(self) -> None:
        """As the base; the drivers' directories are several."""
        super().stop()
        if self._topology is not None:
            for number in range(1, self._hosts.count + 1):
                shutil.rmtree(self._aeron_dir(number), ignore_errors=True)

    def _plan_topology(self, ports: tuple[int, ...]) -> Topology:
        planned = super()._plan_topology(ports)
        data_port = _FIRST_DATA_PORT

        def placed(members: tuple[Member, ...]) -> tuple[Member, ...]:
            nonlocal data_port
            moved = []
            for member in members:
                data_port += 1
                moved.append(replace(member, host=self._hosts.address(self.host_of(member)), data_port=data_port))
            return tuple(moved)

        return replace(
            planned,
            sequencers=placed(planned.sequencers),
            engines=placed(planned.engines),
            gateways=placed(planned.gateways),
            # Namespaces of this machine. Their etcd speaks plaintext.
            tls=replace(planned.tls, etcd=False) if planned.tls.on else Tls(plaintext=PLAINTEXT_WORDS),
        )

    def _start_driver(self) -> None:
        for number, name in enumerate(self.drivers, 1):
            own = replace(self.topology, aeron_dir=self._aeron_dir(number))
            heading = f"Host {number} of a chaos run; the hosts differ in aeron_dir alone."
            self._config_of(number).write_text(config.render(own, heading=heading), encoding="utf-8")
            self._add(name, "driver", "--config", str(self._config_of(number)), prefix=self._prefix(number))
        deadline = time.monotonic() + _DRIVER_S
        for number, name in enumerate(self.drivers, 1):
            while driver_pid(self._aeron_dir(number)) is None:
                if time.monotonic() > deadline:
                    raise EnvironmentFault(f"{name} is not ready after {_DRIVER_S:g} s; see {self._log(name)}")
                time.sleep(0.01)

    def _add_member(self, member: Member) -> None:
        self._add_on_host_of(member, member.name, member.kind.name.lower())

    def _add_snapshotter(self, engine: Member) -> None:
        self._add_on_host_of(engine, f"snapshotter-{engine.id}", "snapshotter")

    def _add_on_host_of(self, member: Member, name: str, command: str) -> None:
        number = self.host_of(member)
        arguments = ("--config", str(self._config_of(number)), "--id", str(member.id))
        self._add(name, command, *arguments, prefix=self._prefix(number))

    def _prefix(self, number: int) -> tuple[str, ...]:
        clock = self._clocks[number - 1].prefix() if self._clocks else ()
        return (*self._hosts.prefix(number), *clock)

    def _config_of(self, number: int) -> Path:
        return self.data_dir / f"cluster-host-{number}.toml"

    def _aeron_dir(self, number: int) -> Path:
        return self.topology.aeron_dir.with_name(f"{self.topology.aeron_dir.name}-{number}")
