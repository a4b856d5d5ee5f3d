"""One more act, in one run of thirteen, behind the others: the only engines that have everything are lost for good.

An operator forces a failover to an engine that was out of the set, and accepts the loss. What must come of it: exactly
what that engine lacked is gone, and nothing else. Nobody leads before the operator has said so. Gateways that delivered
some of it start anew. A client that received some of it hears REPORTS_GONE and from which seq on, before it receives
anything else; no other client hears that. The cluster converges and trades on. `judge.py`, `stream_judge.py` and
`audit.py` look.
"""

from typing import Final

from lockstep.sequencer import events as ev
from lockstep.trials.simulation.client_host import ClientHost
from lockstep.trials.simulation.cluster import Cluster
from lockstep.trials.simulation.engine_host import EngineHost
from lockstep.trials.simulation.gateway_host import GatewayHost
from lockstep.trials.simulation.host import Host
from lockstep.trials.simulation.kernel import MS, SECOND, Kernel
from lockstep.trials.simulation.stage import Stage
from lockstep.trials.simulation.workload import give_orders
from lockstep.trials.simulation.world import Violation, World

EVERY: Final = 13
_RESIDUE: Final = 5
_DICE: Final = 0x1055
_ORDERS: Final = 12
_ORDERS_IN_VAIN: Final = 4
_NUMBERS_APART: Final = 40_000
"""Between the orders of a session and those of its heir."""
_PATIENCE_NS: Final = 8 * SECOND
_ASKED_TIMES: Final = 20


class _Heir(ClientHost):
    """Goes on with a new session, for a client whose session has failed."""

    session_number = 8

    def __init__(self, world: World, id: int, addresses: tuple[int, ...]) -> None:
        super().__init__(world, id, addresses)
        self.name += "b"


def is_due(seed: int) -> bool:
    """Whether this run has the act."""
    return seed % EVERY == _RESIDUE


def play(kernel: Kernel, cluster: Cluster) -> None:
    """Raises Violation. The cluster has converged before; it is healed afterwards."""
    kernel.note("last act: loss_is_accepted")
    stage = Stage(kernel, cluster, _DICE)
    survivor = stage.an_engine()
    deaf = _deafen_a_gateway(stage)
    survivor.crash()
    stage.wait_until(lambda: survivor.id not in stage.config.in_sync)
    if survivor.id in stage.config.in_sync:
        _mend(stage, deaf, [survivor])
        return
    kept_seq = survivor.disk.tip_seq
    _trade(stage, _ORDERS)
    stage.wait_until(lambda: all(client.done or client.gateway is deaf for client in cluster.clients))
    if survivor.alive:
        # The storm started it again: it lacks nothing by now.
        _mend(stage, deaf, [])
        return
    burnt = _burn(stage, survivor)
    _trade(stage, _ORDERS_IN_VAIN)
    # A leader that lives would give it all that its window holds.
    streams = [(host.name, survivor.name) for host in cluster.sequencers]
    cluster.network.lossy |= dict.fromkeys(streams, 1_000)
    survivor.start()
    stage.wait(stage.dice.choice((50, 400, 1_500)))
    if survivor.id in stage.config.in_sync:
        raise Violation(f"{survivor.name} lacks what was committed, and counts as in sync without an operator's word")
    _force(stage, survivor)
    for stream in streams:
        del cluster.network.lossy[stream]
    losses = [(loss.first_seq, loss.last_seq) for loss in cluster.judge.losses]
    if not losses or losses[-1][0] != kept_seq + 1:
        raise Violation(f"{survivor.name} had everything up to seq {kept_seq}; discarded is {losses}")
    stage.wait(stage.dice.choice((0, 20, 500)))
    _mend(stage, deaf, burnt)
    stage.wait_until(lambda: all(client.done or client.failure for client in cluster.clients), _PATIENCE_NS)
    for client in list(cluster.clients):
        if client.failure is not None:
            cluster.add_client(_Heir(cluster, client.id, client.addresses))
    _trade(stage, _ORDERS)


def _deafen_a_gateway(stage: Stage) -> GatewayHost | None:
    """In some runs no release comes to one of two gateways any more: it never delivered what is lost."""
    gateways = stage.cluster.gateways
    if len(gateways) < 2 or stage.dice.random() < 0.5:
        return None
    deaf = stage.dice.choice(gateways)
    links = [(engine.name, deaf.name) for engine in stage.cluster.engines]
    stage.cluster.network.lossy |= dict.fromkeys(links, 1_000)
    stage.wait(20)
    return deaf


def _trade(stage: Stage, count: int) -> None:
    """Everybody who can gives some orders."""
    for client in stage.cluster.clients:
        if client.failure is not None:
            continue
        given = client.machine.next_no + (_NUMBERS_APART if isinstance(client, _Heir) else 0)
        give_orders(stage.kernel, client, count, stage.kernel.now_ns, 20 * MS, given=given)
        client.wake()


def _burn(stage: Stage, survivor: EngineHost) -> list[Host]:
    """The disks of all other engines are lost for good, in half of the runs with the leader; who is down now."""
    cluster, dice = stage.cluster, stage.dice
    engines = [engine for engine in cluster.engines if engine is not survivor]
    down: list[Host] = [*engines, *([stage.leader] if dice.random() < 0.5 else [])]
    if dice.random() < 0.3:
        down.append(dice.choice(cluster.gateways))
    for host in down:
        host.crash()
    for engine in engines:
        engine.disk.wipe()
        cluster.judge.on_wiped(engine.id)
    for host in down:
        # A gateway is soon back, and compares what it delivered with what it finds.
        if isinstance(host, GatewayHost):
            stage.kernel.after(dice.choice((30, 700)) * MS, host.start)
    return [host for host in down if not isinstance(host, GatewayHost)]


def _force(stage: Stage, survivor: EngineHost) -> None:
    """The operator asks the leader while it lives, and any other sequencer where it does not, until it is done."""
    stage.cluster.judge.may_lose = True
    before = stage.config.accepted_epoch
    for _ in range(_ASKED_TIMES):
        alive = [host for host in stage.cluster.sequencers if host.alive]
        asked = stage.leader if stage.leader.alive else stage.dice.choice(alive)
        asked.order(lambda request: ev.ForceFailoverRequested(request, survivor.id))
        stage.wait_until(lambda: stage.config.accepted_epoch > before, 500 * MS)
        if stage.config.accepted_epoch > before:
            return
    raise Violation(f"a failover to {survivor.name} was forced {_ASKED_TIMES} times, and is not done")


def _mend(stage: Stage, deaf: GatewayHost | None, down: list[Host]) -> None:
    if deaf is not None:
        for engine in stage.cluster.engines:
            stage.cluster.network.lossy.pop((engine.name, deaf.name), None)
    for host in down:
        host.start()
