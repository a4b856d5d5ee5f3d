"""What goes wrong: a schedule of faults, each with its end, drawn from the seed.

Faults overlap freely, but for a wrong engine: where one is, the others are left alone, because of two that are left
nobody could know who is right. What operators have switched off is switched on again at the end. None of the faults
breaks the protocol's assumptions: a disk keeps what was synced, but for one that is lost as a whole, and never the last
whole one of the in-sync engines; etcd is linearizable, and messages are neither forged nor damaged.
"""

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Final

from lockstep.sequencer import events as ev
from lockstep.sequencer.config_record import ConfigRecord
from lockstep.stream.records import AckPolicy
from lockstep.trials.simulation.engine_host import EngineHost
from lockstep.trials.simulation.gateway_host import GatewayHost
from lockstep.trials.simulation.host import Host
from lockstep.trials.simulation.kernel import MS, SECOND, US
from lockstep.trials.simulation.sequencer_host import SequencerHost
from lockstep.trials.simulation.snapshot_round import history_elsewhere
from lockstep.trials.simulation.store import ETCD

if TYPE_CHECKING:
    from lockstep.trials.simulation.cluster import Cluster

Undo = Callable[[], None]
WILD_NS: Final = tuple(hours * 3_600 * SECOND for hours in (-500_000, -24, -1, 1, 24, 24 * 365 * 170, 24 * 365 * 900))
"""How far a clock is off that nobody should follow: from a host without a battery to the year 2900."""

# What may go wrong beside a wrong engine.
_SPARE_ENGINES: Final = (
    "crash_sequencer", "crash_leader", "crash_gateway", "crash_client", "etcd_down", "etcd_slow", "etcd_silent",
    "reset_streams", "switch_primary",
)  # fmt: skip


def _nothing() -> None:
    """Nothing is left to undo."""


class Faults:
    """Injects and heals. `counts` says how often each kind was injected."""

    def __init__(self, cluster: "Cluster") -> None:
        self._cluster = cluster
        self._kernel = cluster.kernel
        self.counts: dict[str, int] = {}
        self._open: list[list[Undo]] = []
        # Dice of its own: all other faults stay what they were.
        self._clock_dice = Random(self._kernel.seed ^ 0xC10C)  # noqa: S311 - repeatable on purpose
        mad = self._clock_dice.choice((None, *cluster.sequencers))
        self._mad: Host | None = mad
        self._kinds: tuple[tuple[int, str, Callable[[], Undo]], ...] = (
            (14, "crash_engine", lambda: self._crash("engine")),
            (10, "crash_sequencer", lambda: self._crash("sequencer")),
            (6, "crash_gateway", lambda: self._crash("gateway")),
            (3, "crash_client", lambda: self._crash("client")),
            (3, "power_cut", self._power_cut),
            (8, "crash_leader", self._crash_leader),
            (8, "crash_primary", self._crash_primary),
            (8, "pause", self._pause),
            (6, "isolate", self._isolate),
            (6, "partition", self._partition),
            (5, "one_way_cut", self._one_way_cut),
            (8, "cut_leader_off", self._cut_leader_off),
            (8, "split_with_leader", self._split_with_leader),
            (5, "link_cut", self._link_cut),
            (7, "lossy_links", self._lossy_links),
            (4, "driver_death", self._driver_death),
            (5, "etcd_down", self._etcd_down),
            (4, "etcd_slow", self._etcd_slow),
            (6, "etcd_silent", self._etcd_silent),
            (4, "slow_disk", self._slow_disk),
            (3, "write_error", self._write_error),
            (6, "clock_jump", self._clock_jump),
            (7, "switch_primary", self._switch_primary),
            (4, "pause_failover", self._pause_failover),
            (4, "fence_member", self._fence_member),
            (3, "ack_policy", self._ack_policy),
            (8, "slow_links", self._slow_links),
            (4, "reset_streams", self._reset_streams),
            (2, "wiped_disk", self._wiped_disk),
            (4, "lost_disk", self._lost_disk),
        )

    def schedule(self, count: int, start_ns: int, length_ns: int) -> None:
        """Plan `count` faults within `length_ns`."""
        kinds = self._kinds
        engines = self._cluster.of_kind("engine")
        if len(engines) > 2 and self._kernel.chance(1, 5):
            kinds = tuple(kind for kind in kinds if kind[1] in _SPARE_ENGINES)
            victim = engines[self._kernel.between(0, len(engines) - 1)]
            delay_ns = start_ns + self._kernel.between(100 * MS, length_ns // 2)
            self._kernel.after(delay_ns, self._inject, "wrong_engine", lambda: self._wrong_engine(victim))
        total = sum(weight for weight, _name, _inject in kinds)
        for _ in range(count):
            dice = self._kernel.between(1, total)
            for weight, name, inject in kinds:
                dice -= weight
                if dice <= 0:
                    delay_ns = start_ns + self._kernel.between(0, length_ns)
                    self._kernel.after(delay_ns, self._inject, name, inject)
                    break

    def _inject(self, name: str, inject: Callable[[], Undo]) -> None:
        self._kernel.note(f"fault: {name}")
        self.counts[name] = self.counts.get(name, 0) + 1
        cell = [inject()]
        self._open.append(cell)
        scale = self._kernel.between(0, 3)
        low, high = ((1, 20), (20, 150), (150, 600), (400, 1200))[scale]
        self._kernel.after(self._kernel.between(low, high) * MS, self._undo, cell, name)

    def _undo(self, cell: list[Undo], name: str) -> None:
        if cell:
            self._kernel.note(f"healed: {name}")
            cell.pop()()

    def heal_all(self) -> None:
        """End everything that is still wrong."""
        for cell in self._open:
            self._undo(cell, "last")
        self._open.clear()
        for host in self._cluster.hosts.values():
            host.resume()
            host.start()
        self._set_right()

    # ---- operators -----------------------------------------------------------------------------------------------

    def _set_right(self) -> None:
        """The operator at the end of the day: everything that was switched off is switched on, until it is done."""
        config = self._cluster.store.record
        if config is not None:
            if config.paused:
                for number in range(1, len(self._cluster.of_kind("sequencer")) + 1):
                    self._order(number, lambda request: ev.FailoverModeRequested(request, automatic=True))
            for host in self._cluster.of_kind("engine"):
                assert isinstance(host, EngineHost)
                if host.wrong and host.id not in config.in_sync:
                    self._replace(host)
            self._force_if_nobody_is_left(config)
            for member in config.fenced:
                self._lift(config.sequencer, member)
        self._kernel.after(200 * MS, self._set_right)

    def _force_if_nobody_is_left(self, config: ConfigRecord) -> None:
        """All that are listed have lost their disks, and another, lost to the leader for a moment, has everything.

        Also where those have caught up since: a journal that the cluster has not admitted proves nothing to it.
        """
        judge, engines = self._cluster.judge, self._cluster.engines
        if config.founding or any(engine.disk.joined for engine in engines if engine.id in config.in_sync):
            return
        others = [engine.id for engine in engines if engine.id not in config.in_sync]
        to = next((engine for engine in others if judge.holds_everything(engine)), 0)
        if to:
            self._order(config.sequencer, lambda request: ev.ForceFailoverRequested(request, to))

    def _lift(self, sequencer: int, member: int) -> None:
        self._order(sequencer, lambda request: ev.MemberFenceRequested(request, member, fenced=False))

    def _order(self, sequencer: int, make: Callable[[int], ev.OperatorRequest]) -> None:
        host = self._cluster.host("sequencer", sequencer)
        assert isinstance(host, SequencerHost)
        if host.alive:
            host.order(make)

    def _order_leader(self, make: Callable[[int], ev.OperatorRequest]) -> None:
        config = self._cluster.store.record
        self._order(config.sequencer if config else 1, make)

    def _switch_primary(self) -> Undo:
        to = self._kernel.between(0, len(self._cluster.of_kind("engine")))
        self._order_leader(lambda request: ev.SwitchPrimaryRequested(request, to))
        return _nothing

    def _pause_failover(self) -> Undo:
        self._order_leader(lambda request: ev.FailoverModeRequested(request, automatic=False))
        return lambda: self._order_leader(lambda request: ev.FailoverModeRequested(request, automatic=True))

    def _fence_member(self) -> Undo:
        member = self._pick("engine").id
        self._order_leader(lambda request: ev.MemberFenceRequested(request, member, fenced=True))
        return lambda: self._order_leader(lambda request: ev.MemberFenceRequested(request, member, fenced=False))

    def _ack_policy(self) -> Undo:
        self._order_leader(lambda request: ev.AckPolicyRequested(request, AckPolicy.REPLICATED))
        return lambda: self._order_leader(lambda request: ev.AckPolicyRequested(request, AckPolicy.SYNCED))

    def _wrong_engine(self, host: Host) -> Undo:
        config = self._cluster.store.record
        assert isinstance(host, EngineHost)
        if config is None or len(config.in_sync) < 3 or host.id not in config.in_sync or config.paused:
            return _nothing
        # The others must be able to outvote it: listed is not enough, a lost disk has no vote.
        if all(self._whole(member) for member in config.in_sync):
            host.wrong = True
        return _nothing

    def _whole(self, member: int) -> bool:
        """An engine that lives, has its journal and computes what it should."""
        host = self._cluster.host("engine", member)
        assert isinstance(host, EngineHost)
        return host.alive and host.disk.joined and not host.wrong

    def _replace(self, host: EngineHost) -> None:
        """The wrong engine is repaired and starts anew."""
        host.crash()
        host.wrong = False
        host.disk.wipe()
        self._cluster.judge.on_wiped(host.id)
        host.start()

    # ---- processes -----------------------------------------------------------------------------------------------

    def _pick(self, kind: str) -> Host:
        hosts = self._cluster.of_kind(kind)
        return hosts[self._kernel.between(0, len(hosts) - 1)]

    def _kill(self, host: Host) -> Undo:
        if isinstance(host, GatewayHost) and self._kernel.chance(1, 3):
            host.intake.lose_tail(self._kernel.between(0, 4))
        host.crash()
        return host.start

    def _crash(self, kind: str) -> Undo:
        return self._kill(self._pick(kind))

    def _crash_leader(self) -> Undo:
        config = self._cluster.store.record
        return self._kill(self._cluster.host("sequencer", config.sequencer if config else 1))

    def _crash_primary(self) -> Undo:
        config = self._cluster.store.record
        return self._kill(self._cluster.host("engine", config.primary if config else 1))

    def _power_cut(self) -> Undo:
        kinds = ("engine",) if self._kernel.chance(1, 2) else ("engine", "sequencer", "gateway")
        victims = [host for kind in kinds for host in self._cluster.of_kind(kind)]
        undos = [self._kill(host) for host in victims]

        def undo() -> None:
            for restart in undos:
                self._kernel.after(self._kernel.between(0, 80 * MS), restart)

        return undo

    def _pause(self) -> Undo:
        host = self._pick(
            ("engine", "sequencer", "gateway", "engine", "sequencer", "client")[self._kernel.between(0, 5)]
        )
        host.pause()
        return host.resume

    def _wiped_disk(self) -> Undo:
        config = self._cluster.store.record
        leader = self._cluster.host("sequencer", config.sequencer) if config else None
        assert leader is None or isinstance(leader, SequencerHost)
        for host in self._cluster.of_kind("engine"):
            assert isinstance(host, EngineHost)
            # An engine that is about to be in sync is no longer a learner for the one who announced it.
            if config is None or host.id in config.in_sync or self._cluster.is_growing(host.id):
                continue
            host.crash()
            host.disk.wipe()
            self._cluster.judge.on_wiped(host.id)
            return host.start
        return _nothing

    def _lost_disk(self) -> Undo:
        """An in-sync engine loses its disk. Another one, alive and with a joined journal, must be left."""
        config, judge = self._cluster.store.record, self._cluster.judge
        if config is None or config.founding:
            return _nothing
        engines = [host for host in self._cluster.of_kind("engine") if isinstance(host, EngineHost)]
        whole = [host for host in engines if host.id in config.in_sync and self._whole(host.id)]
        victims = [host for host in whole if history_elsewhere(host, whole)]
        if not victims or any(host.wrong or self._cluster.is_growing(host.id) for host in engines):
            return _nothing
        victim = victims[self._kernel.between(0, len(victims) - 1)]
        victim.crash()
        victim.disk.wipe()
        judge.on_wiped(victim.id)
        if self._kernel.chance(1, 2):
            # It is back before anybody has noticed.
            victim.start()
            return _nothing
        # Everything goes down, and it is the first to be back.
        leader = self._cluster.host("sequencer", config.sequencer)
        others = [leader, *(host for host in whole if host is not victim)]
        for other in others:
            other.crash()
        self._kernel.after(self._kernel.between(1, 30) * MS, victim.start)

        def undo() -> None:
            for other in others:
                other.start()

        return undo

    # ---- network -------------------------------------------------------------------------------------------------

    def _cut(self, pairs: list[tuple[str, str]]) -> Undo:
        self._cluster.network.cut(pairs)
        return lambda: self._cluster.network.mend(pairs)

    def _names(self) -> list[str]:
        return [*self._cluster.hosts, ETCD]

    def _isolate(self) -> Undo:
        kind = ("engine", "sequencer", "gateway")[self._kernel.between(0, 2)]
        host = self._pick(kind)
        others = [name for name in self._names() if name != host.name]
        return self._cut([pair for name in others for pair in ((host.name, name), (name, host.name))])

    def _partition(self) -> Undo:
        names = self._names()
        side = [self._kernel.chance(1, 2) for _ in names]
        pairs = [
            (a, b)
            for a, side_a in zip(names, side, strict=True)
            for b, side_b in zip(names, side, strict=True)
            if side_a != side_b
        ]
        return self._cut(pairs)

    def _one_way_cut(self) -> Undo:
        host = self._pick(("engine", "sequencer", "gateway")[self._kernel.between(0, 2)])
        others = [name for name in self._names() if name != host.name]
        if self._kernel.chance(1, 2):
            return self._cut([(host.name, name) for name in others])
        return self._cut([(name, host.name) for name in others])

    def _cut_leader_off(self) -> Undo:
        """The leader goes on with engines and gateways, but etcd and its rivals don't see it: two leaders at once."""
        config = self._cluster.store.record
        leader = f"sequencer-{config.sequencer if config else 1}"
        others = [ETCD, *(host.name for host in self._cluster.of_kind("sequencer") if host.name != leader)]
        return self._cut([pair for name in others for pair in ((leader, name), (name, leader))])

    def _split_with_leader(self) -> Undo:
        """The leader and one engine against the rest: what that engine gets now is a tail that no reign keeps."""
        config = self._cluster.store.record
        engine = self._pick("engine").name
        inside = (f"sequencer-{config.sequencer if config else 1}", engine)
        outside = [name for name in self._names() if name not in inside and not name.startswith(("gateway", "client"))]
        return self._cut([pair for a in inside for b in outside for pair in ((a, b), (b, a))])

    def _link_cut(self) -> Undo:
        names = self._names()
        first = names[self._kernel.between(0, len(names) - 1)]
        second = names[self._kernel.between(0, len(names) - 1)]
        pairs = [(first, second)]
        if self._kernel.chance(1, 2):
            pairs.append((second, first))
        return self._cut(pairs)

    def _lossy_links(self) -> Undo:
        network = self._cluster.network
        names = list(self._cluster.hosts)
        for source in names:
            for target in names:
                if source != target and self._kernel.chance(1, 3):
                    network.lossy[source, target] = self._kernel.between(20, 500)
        return network.lossy.clear

    def _slow_links(self) -> Undo:
        """What sequencers say arrives late: a new leader's first record long after the promise that it asked for."""
        network, kernel = self._cluster.network, self._kernel
        slow = [self._pick("sequencer").name] if kernel.chance(1, 2) else [
            host.name for host in self._cluster.of_kind("sequencer")
        ]  # fmt: skip
        delay_ns = kernel.between(5, 250) * MS
        for source in slow:
            for target in self._cluster.of_kind("engine"):
                network.slow[source, target.name] = delay_ns
        return network.slow.clear

    def _driver_death(self) -> Undo:
        network = self._cluster.network
        network.lose_driver()

        def undo() -> None:
            network.driver_down = False

        return undo

    def _reset_streams(self) -> Undo:
        self._cluster.network.break_streams(self._pick(("client", "gateway")[self._kernel.between(0, 1)]))
        return _nothing

    # ---- etcd, disks, clocks -------------------------------------------------------------------------------------

    def _etcd_down(self) -> Undo:
        store = self._cluster.store
        store.available = False

        def undo() -> None:
            store.available = True

        return undo

    def _etcd_slow(self) -> Undo:
        store = self._cluster.store
        store.slow_ns = self._kernel.between(20, 400) * MS

        def undo() -> None:
            store.slow_ns = 0

        return undo

    def _etcd_silent(self) -> Undo:
        store = self._cluster.store
        store.reply_loss = 700

        def undo() -> None:
            store.reply_loss = 0

        return undo

    def _slow_disk(self) -> Undo:
        host = self._pick("engine")
        assert isinstance(host, EngineHost)
        host.sync_ns = self._kernel.between(5, 300) * MS

        def undo() -> None:
            host.sync_ns = 300 * US

        return undo

    def _write_error(self) -> Undo:
        host = self._pick("engine")
        assert isinstance(host, EngineHost)
        host.write_fails = True

        def undo() -> None:
            host.write_fails = False
            host.start()

        return undo

    def _clock_jump(self) -> Undo:
        """A running process sees it at once. In some runs one sequencer, always the same, goes mad instead."""
        host = self._pick(("sequencer", "gateway")[self._kernel.between(0, 1)])
        jump_ns = self._kernel.between(-20_000, 20_000) * MS
        undo = self._kill(host) if self._kernel.chance(1, 2) else _nothing
        if host is not self._mad:
            host.set_clock(host.clock_skew_ns + jump_ns)
            return undo
        host.clock_wild_ns = self._clock_dice.choice(WILD_NS)

        def undo_both() -> None:
            host.clock_wild_ns = 0
            undo()

        return undo_both
