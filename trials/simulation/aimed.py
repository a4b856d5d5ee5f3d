"""Last acts that aim at one rule each, one for each seed modulo 16: what the storm of `faults` hits too seldom.

The cluster has converged before, and has to converge again. What an act leaves to chance comes from dice of its own, so
all other seeds stay what they were.
"""

from typing import Final

from lockstep.sequencer import events as ev
from lockstep.trials.simulation.cluster import Cluster
from lockstep.trials.simulation.faults import WILD_NS
from lockstep.trials.simulation.forgery import forgeries
from lockstep.trials.simulation.host import Host
from lockstep.trials.simulation.kernel import MS, SECOND, Kernel
from lockstep.trials.simulation.snapshot_round import history_elsewhere
from lockstep.trials.simulation.stage import FOLLOWED_MS, Stage
from lockstep.trials.simulation.workload import give_orders
from lockstep.trials.simulation.world import Violation
from lockstep.v1 import replication_pb2

EVERY: Final = 16
_FETCHES_FAIL_NS: Final = 8_000 * MS
_LOAD_MS: Final = 1_500
_ORDERS_UNDER_LOAD: Final = 500
_ORDERS_UNDER_FORGERIES: Final = 60
_BREAK_EVERY_MS: Final = 30
_BEHIND_MS: Final = 40
_STOPS: Final = 30
_STOP_MS: Final = (280, 450)
_RUN_MS: Final = (600, 1_200)
_EPOCHS_IN_VAIN: Final = 6
_STUTTERS: Final = 12
_ENGINES_WITH_A_CHOICE: Final = 3
_FORGED_ROUNDS: Final = 20
_FORGED_AFTER_MS: Final = 2_000
"""What was under way in the storm has ended by then."""
_BELIEVED_MS: Final = 1_500
"""After so long nothing that was forged is believed any more."""


def _swap_is_swallowed(stage: Stage) -> None:
    """etcd never does the swap that takes a lost engine out, and never answers: nobody may act as if it had."""
    victim = stage.an_engine()
    stage.cluster.store.swallow = 1
    victim.crash()
    stage.wait(2_000)
    stage.cluster.store.swallow = 0
    victim.start()


def _silent_at_the_fence(stage: Stage) -> None:
    """The leader dies while an in-sync engine hangs: it is out in etcd before anything is opened without it.

    In one of two runs that engine alone has the leader's last records, and holds answers back that show them.
    """
    victim, leader, network = stage.an_engine(), stage.leader, stage.cluster.network
    if stage.dice.choice((True, False)):
        links = [(leader.name, engine.name) for engine in stage.cluster.engines if engine is not victim]
        network.lossy |= dict.fromkeys(links, 1_000)
        for client in stage.cluster.clients:
            give_orders(stage.kernel, client, 5, stage.kernel.now_ns, 2 * MS, given=client.machine.next_no)
            client.wake()
        stage.wait(8)
        for client in stage.cluster.clients:
            request = replication_pb2.QueryRequest(session_id=client.session_id)
            victim.serve_query(request, lambda _reply, _failure: None)
        stage.wait(2)
        for link in links:
            network.lossy.pop(link, None)
    victim.pause()
    leader.crash()
    stage.wait(stage.dice.choice((500, 1_000)))
    victim.resume()
    leader.start()


def _short_follower(stage: Stage) -> None:
    """One engine misses the leader's last records: the next leader gives it those, under their own stamps."""
    victim, leader = stage.an_engine(), stage.leader
    epoch = stage.config.epoch
    stage.cluster.network.lossy[leader.name, victim.name] = 1_000
    leader.order(lambda request: ev.SwitchPrimaryRequested(request, 0))
    stage.wait_until(lambda: stage.config.epoch > epoch)
    stage.wait(5)
    leader.crash()
    stage.cluster.network.lossy.clear()
    stage.wait(500)
    leader.start()


def _lost_disk_is_first_back(stage: Stage) -> None:
    """Everything is down, and the first engine to be back is an in-sync one with a new disk: it knows nothing."""
    engines = stage.cluster.engines
    victims = [host for host in engines if history_elsewhere(host, engines)]
    if not victims:
        return
    victim = stage.dice.choice(victims)
    down: list[Host] = [*engines, *stage.cluster.sequencers]
    for host in down:
        host.crash()
    victim.disk.wipe()
    stage.cluster.judge.on_wiped(victim.id)
    for host in (victim, *stage.cluster.sequencers):
        host.start()
    # Longer than a takeover waits for engines that it has not seen since its own start.
    stage.wait(2_600)
    for host in down:
        host.start()


def _damaged_journal_is_first_back(stage: Stage) -> None:
    """Everything is down, and the first engine to be back is an in-sync one whose log ends earlier than it did."""
    engines = stage.cluster.engines
    victims = [host for host in engines if history_elsewhere(host, engines)]
    if not victims:
        return
    victim = stage.dice.choice(victims)
    down: list[Host] = [*engines, *stage.cluster.sequencers]
    for host in down:
        host.crash()
    victim.disk.damage(stage.dice.randint(1, 6), promise=stage.dice.random() < 0.3)
    stage.cluster.judge.on_wiped(victim.id)
    for host in (victim, *stage.cluster.sequencers):
        host.start()
    stage.wait(2_600)
    for host in down:
        host.start()


def _earlier_disk_is_put_back(stage: Stage) -> None:
    """Everything is down, and the first engine to be back has a copy of its disk from before the last epochs."""
    engines = stage.cluster.engines
    victims = [host for host in engines if history_elsewhere(host, engines)]
    if not victims:
        return
    victim = stage.dice.choice(victims)
    copy = victim.disk.copy()
    for _ in range(2):
        epoch = stage.config.epoch
        stage.leader.order(lambda request: ev.SwitchPrimaryRequested(request, 0))
        stage.wait_until(lambda epoch=epoch: stage.config.epoch > epoch)  # type: ignore[misc]
        stage.wait(30)
    if victim.disk.base_seq != copy["base_seq"]:
        return  # its journal was cut meanwhile: what is before is in no journal any more
    down: list[Host] = [*engines, *stage.cluster.sequencers]
    for host in down:
        host.crash()
    victim.disk.put_back(copy)
    stage.cluster.judge.on_wiped(victim.id)
    for host in (victim, *stage.cluster.sequencers):
        host.start()
    stage.wait(2_600)
    for host in down:
        host.start()


def _older_disk_of_the_same_epoch_is_put_back(stage: Stage) -> None:
    """All but the gateways go down after more was delivered; the first engine back has its disk of just before."""
    kernel, cluster = stage.kernel, stage.cluster
    victims = [host for host in cluster.engines if history_elsewhere(host, cluster.engines)]
    if not victims:
        return
    victim = stage.dice.choice(victims)
    copy = victim.disk.copy()
    delivered = max(gateway.delivered() for gateway in cluster.gateways)
    for client in cluster.clients:
        give_orders(kernel, client, 20, kernel.now_ns, 100 * MS, given=client.machine.next_no)
        client.wake()
    stage.wait_until(lambda: max(gateway.delivered() for gateway in cluster.gateways).seq > delivered.seq + 10)
    if victim.disk.base_seq != copy["base_seq"]:
        return
    down: list[Host] = [*cluster.engines, *cluster.sequencers]
    for host in down:
        host.crash()
    victim.disk.put_back(copy)
    cluster.judge.on_wiped(victim.id)
    for host in (victim, *cluster.sequencers):
        host.start()
    stage.wait(2_600)
    for host in down:
        host.start()


def _deposed_leader_goes_on(stage: Stage) -> None:
    """A leader that is cut off from etcd and its rivals stamps on, and the new one's first record is late.

    What the engines promise the new one is heard late, too: a leader that hears it steps down.
    """
    leader = stage.leader
    rivals = [host for host in stage.cluster.sequencers if host is not leader]
    engines = [host.name for host in stage.cluster.engines]
    mend = stage.cut(leader, ["etcd", *(host.name for host in rivals)])
    for engine in engines:
        stage.cluster.network.slow[engine, leader.name] = 1_500 * MS
        for rival in rivals:
            stage.cluster.network.slow[rival.name, engine] = 1_500 * MS
    stage.wait(2_500)
    stage.cluster.network.slow.clear()
    mend()


def _new_disk_is_filled_by_the_stream(stage: Stage) -> None:
    """An engine with a new disk reaches no other engine: what it knows when it is admitted, it has from the stream."""
    engines = stage.cluster.engines
    victims = [host for host in engines if history_elsewhere(host, engines)]
    if not victims:
        return
    victim = stage.dice.choice(victims)
    victim.crash()
    stage.wait_until(lambda: victim.id not in stage.config.in_sync)
    if victim.id in stage.config.in_sync:
        # A swap from before, still under way, has taken the others out: the cluster waits for this one.
        victim.start()
        return
    victim.disk.wipe()
    stage.cluster.judge.on_wiped(victim.id)
    mend = stage.cut(victim, [host.name for host in engines if host is not victim])
    victim.start()
    # It asks its peers first, and they time out.
    stage.wait_until(lambda: victim.id in stage.config.in_sync, _FETCHES_FAIL_NS)
    mend()


def _resumed_under_load(stage: Stage) -> None:
    """Streams break again and again while reports of their sessions flow, and one of two gateways is always behind."""
    kernel, cluster = stage.kernel, stage.cluster
    for behind in cluster.gateways[1:]:
        for engine in cluster.engines:
            cluster.network.slow[engine.name, behind.name] = _BEHIND_MS * MS
    for client in cluster.clients:
        given = client.machine.next_no
        give_orders(kernel, client, _ORDERS_UNDER_LOAD, kernel.now_ns, _LOAD_MS * MS, given=given)
        client.wake()
    for _ in range(_LOAD_MS // _BREAK_EVERY_MS):
        cluster.network.break_streams(stage.dice.choice(cluster.clients))
        stage.wait(_BREAK_EVERY_MS)
    cluster.network.slow.clear()


def _clocks_are_set(stage: Stage) -> None:
    """All clocks are set ahead, back, and right again while everything runs: stamped time goes along, or stands."""
    hosts = stage.clocks
    base_ns = stage.agree_on_time()
    ahead_ns = stage.dice.choice((10, 3_600, 3 * 86_400, 30 * 365 * 86_400)) * SECOND

    def set_all(by_ns: int) -> None:
        stage.kernel.note(f"all clocks are set, by {by_ns // MS} ms")
        # One host after the other, as a time service does it.
        for host in stage.dice.sample(hosts, len(hosts)):
            host.set_clock(base_ns + by_ns)
            stage.wait(stage.dice.choice((1, 30)))

    set_all(ahead_ns)
    stage.wait(FOLLOWED_MS)
    stage.check_date()
    set_all(0)
    stage.wait(FOLLOWED_MS)
    stamped_ns, seq = stage.stamped_ns, stage.cluster.judge.committed_seq
    stage.wait(FOLLOWED_MS)
    if stage.stamped_ns != stamped_ns:
        raise Violation(f"the clocks were set back by {ahead_ns // MS} ms, and stamped time goes on")
    if stage.cluster.judge.committed_seq == seq:
        raise Violation("nothing is committed while stamped time stands")
    set_all(ahead_ns + 5 * SECOND)
    stage.wait(FOLLOWED_MS)
    stage.check_date()
    for host in hosts:
        if host is not stage.leader:
            host.set_clock(base_ns)
    stage.wait(FOLLOWED_MS)
    stamped_ns = stage.stamped_ns
    stage.wait(FOLLOWED_MS)
    if stage.stamped_ns <= stamped_ns:
        raise Violation("clocks that are behind the leader's have stopped stamped time")
    set_all(ahead_ns + 10 * SECOND)


def _wrong_clock_takes_over(stage: Stage) -> None:
    """The sequencer that takes over has another time than everybody else: nobody notices it in the stamps."""
    stage.agree_on_time()
    leader = stage.leader
    rivals = [host for host in stage.cluster.sequencers if host is not leader]
    wild_ns = stage.dice.choice(WILD_NS)
    # One of the rivals will lead: with two of them, both have been set by the same wrong hand.
    for host in rivals if len(rivals) == 1 or len(stage.cluster.engines) > 2 else (leader,):
        stage.kernel.note(f"{host.name}'s clock is {wild_ns // MS} ms beside the time")
        host.clock_wild_ns = wild_ns
    stage.wait(300)
    leader.crash()
    stage.wait(FOLLOWED_MS)
    stage.check_date()
    leader.start()
    stage.wait(FOLLOWED_MS)
    stage.check_date()
    for host in stage.cluster.sequencers:
        host.clock_wild_ns = 0


def _starved_host(stage: Stage) -> None:
    """Everybody stands still for longer than the deadline now and then: needless failovers get rarer, and soon stop."""
    hosts = stage.clocks
    before = stage.config.epoch
    for _ in range(_STOPS):
        host = stage.dice.choice(hosts)
        host.pause()
        stage.wait(stage.dice.randint(*_STOP_MS))
        host.resume()
        stage.wait(stage.dice.randint(*_RUN_MS))
    epochs = stage.config.epoch - before
    if epochs > _EPOCHS_IN_VAIN:
        raise Violation(f"{epochs} epochs for {_STOPS} stops that all ended by themselves within half a second")


def _unsteady_standby(stage: Stage) -> None:
    """A standby stops for 120 ms of every 400; the primary dies, and there is a steady one."""
    others = [engine for engine in stage.cluster.engines if engine.id != stage.config.primary]
    if len(others) < _ENGINES_WITH_A_CHOICE - 1:
        return
    unsteady = others[0]
    for _ in range(_STUTTERS):
        unsteady.pause()
        stage.wait(120)
        unsteady.resume()
        stage.wait(280)
    primary = stage.cluster.engines[stage.config.primary - 1]
    patience = stage.leader.machine.peers.patience
    # The storm before may have stopped the others for as long.
    steady = any(not patience.unsteadiness(engine.id, stage.kernel.now_ns) for engine in others[1:])
    primary.crash()
    stage.wait_until(lambda: stage.config.primary != primary.id)
    if steady and stage.config.primary == unsteady.id:
        raise Violation(f"{unsteady.name}, which stands still for a third of the time, became primary")
    primary.start()


def _gateway_misses_epochs(stage: Stage) -> None:
    """No release comes to one gateway while others get two epochs and what happens in them: it fetches both."""
    network, cluster = stage.cluster.network, stage.cluster
    gateway = stage.dice.choice(cluster.gateways)
    links = [(engine.name, gateway.name) for engine in cluster.engines]
    network.lossy |= dict.fromkeys(links, 1_000)
    for _ in range(2):
        epoch = stage.config.epoch
        for client in cluster.clients:
            give_orders(stage.kernel, client, 15, stage.kernel.now_ns, 50 * MS, given=client.machine.next_no)
            client.wake()
        stage.wait(60)
        stage.leader.order(lambda request: ev.SwitchPrimaryRequested(request, 0))
        stage.wait_until(lambda epoch=epoch: stage.config.epoch > epoch)  # type: ignore[misc]  # bound on purpose
    stage.wait(60)
    for link in links:
        network.lossy.pop(link, None)


def _frames_are_forged(stage: Stage) -> None:
    """Frames in others' names while orders flow: no epoch begins for them, and nothing that they said outlasts them."""
    kernel, cluster = stage.kernel, stage.cluster
    stage.wait(_FORGED_AFTER_MS)
    before = stage.config
    for client in cluster.clients:
        given = client.machine.next_no
        give_orders(kernel, client, _ORDERS_UNDER_FORGERIES, kernel.now_ns, _LOAD_MS * MS, given=given)
        client.wake()
    for _ in range(_FORGED_ROUNDS):
        for target, source, made in forgeries(cluster, stage.leader, stage.dice):
            cluster.network.forge(target, made, link_of=source)
        # Engines repeat themselves in between.
        stage.wait(stage.dice.randint(20, 60))
    stage.wait(_BELIEVED_MS)
    if (stage.config.epoch, stage.config.in_sync) != (before.epoch, before.in_sync):
        raise Violation(f"forged frames have changed the config from {before} to {stage.config}")
    for gateway in cluster.gateways:
        why = gateway.machine.why_closed(kernel.now_ns)
        if why is not None:
            raise Violation(f"{gateway.name} admits nothing long after the last forged frame: {why.name}")


_ACTS: Final = {
    0: _gateway_misses_epochs,
    1: _swap_is_swallowed,
    2: _resumed_under_load,
    3: _silent_at_the_fence,
    4: _frames_are_forged,
    5: _damaged_journal_is_first_back,
    6: _clocks_are_set,
    7: _short_follower,
    8: _older_disk_of_the_same_epoch_is_put_back,
    9: _lost_disk_is_first_back,
    10: _unsteady_standby,
    11: _deposed_leader_goes_on,
    12: _starved_host,
    13: _earlier_disk_is_put_back,
    14: _wrong_clock_takes_over,
    15: _new_disk_is_filled_by_the_stream,
}


def is_due(seed: int) -> bool:
    """Whether this run has such an act."""
    return seed % EVERY in _ACTS


def play(kernel: Kernel, cluster: Cluster) -> None:
    """Raises Violation. The cluster has converged before; it is healed afterwards."""
    act = _ACTS[kernel.seed % EVERY]
    kernel.note(f"last act: {act.__name__[1:]}")
    act(Stage(kernel, cluster))
