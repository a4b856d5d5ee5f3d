"""Who leads: beginnings, takeovers, fences, and etcd."""

from lockstep.sequencer import events as ev
from lockstep.sequencer.states import State
from lockstep.stream.records import Side
from lockstep.trials.simulation.kernel import SECOND
from lockstep.trials.simulation.store import ETCD
from lockstep.trials.stories.stage import Stage


def _leads(stage: Stage, sequencer: int) -> bool:
    host = stage.sequencer(sequencer)
    return host.alive and host.machine.state is State.LEADER


def first_start() -> Stage:
    """A cluster starts for the first time

    Sequencer 1 claims epoch 1 in a config that says `founding`. A blank journal is complete then, and only then: look
    at how the engines promise, and at the second config, which ends the founding before anything is stamped.
    """
    stage = Stage(clients=0)
    stage.narrator.begin()
    stage.start_everybody()
    stage.settle()
    return stage


def order_to_report() -> Stage:
    """The way of an order

    Client 1 rests an order, client 2 trades with it. One stamp, three journals, three acks with one digest; only then
    does the primary release, and each client hears from the gateway where its stream is.
    """
    stage = Stage(clients=2)
    stage.open()
    stage.order(1, price=100, lots=5)
    stage.until_answered()
    stage.order(2, side=Side.SELL, price=100, lots=2)
    stage.until_answered()
    stage.wait(5)
    return stage


def takeover() -> Stage:
    """The leading sequencer is killed

    An order is under way to it. Sequencer 2 sees the end of the link, claims epoch 2 in etcd, has all engines
    promise, and opens. The gateway sends the order again under the new reign; the client notices nothing.
    """
    stage = Stage()
    stage.open()
    stage.sequencer(1).crash()
    stage.order()
    stage.until_answered()
    stage.wait(30)
    stage.sequencer(1).start()
    stage.settle()
    return stage


def silent_leader() -> Stage:
    """The leading sequencer stands still, and goes on when it is deposed

    Silence counts only beyond the deadline. When sequencer 1 goes on it reads the config, steps down, and what it
    might have said under epoch 1 would meet promises for epoch 2.
    """
    stage = Stage()
    stage.open()
    stage.sequencer(1).pause()
    stage.until(lambda: _leads(stage, 2))
    stage.order()
    stage.until_answered()
    stage.sequencer(1).resume()
    stage.settle()
    return stage


def deposed_leader_goes_on() -> Stage:
    """Two leaders at once

    Sequencer 1 reaches engines and gateways, but neither etcd nor its rival, and does not know that it was deposed.
    It stamps on; nothing of that is ever released, because every engine has promised epoch 2 before sequencer 2
    opens.
    """
    stage = Stage()
    stage.open()
    stage.say("sequencer 1 is cut off from etcd and from sequencer 2")
    mend = stage.cut("sequencer-1", [ETCD, "sequencer-2"])
    stage.say("and hears from engines with a delay of a second")
    for engine in (1, 2, 3):
        stage.network.slow[f"engine-{engine}", "sequencer-1"] = SECOND
    stage.until(lambda: stage.sequencer(2).machine.state is State.FENCING)
    stage.order()
    stage.until_answered()
    stage.wait(30)
    stage.say(f"sequencer 1 still takes itself for the leader: {stage.sequencer(1).machine.state.name}")
    stage.say("the cut is mended")
    mend()
    stage.network.slow.clear()
    stage.settle()
    return stage


def silent_at_the_fence() -> Stage:
    """An engine stands still when the leader is lost

    Engines 1 and 2 promise at once, engine 3 does not. After the fence's deadline a second swap, under the same
    epoch, takes engine 3 out (NARROWING): it is out in etcd before anything is opened without it. When it goes on, it
    is admitted again.
    """
    stage = Stage()
    stage.open()
    stage.engine(3).pause()
    stage.sequencer(1).crash()
    stage.until(lambda: _leads(stage, 2))
    stage.order()
    stage.until_answered()
    stage.wait(200)
    stage.engine(3).resume()
    stage.sequencer(1).start()
    stage.settle()
    return stage


def short_follower() -> Stage:
    """One engine lacks the leader's last records

    An order reaches engines 1 and 2 only, so nobody may release it; then the leader dies. The new leader asks for the
    end of the longest log (RECOVERING) and sends it again under its old stamp: the order keeps its seq, and is
    committed now.
    """
    stage = Stage()
    stage.open()
    stage.say("frames from sequencer 1 to engine 3 are lost")
    stage.lose_frames("sequencer-1", "engine-3")
    stage.order()
    stage.wait(4)
    stage.sequencer(1).crash()
    stage.until_answered()
    stage.wait(20)
    return stage


def swap_without_an_answer() -> Stage:
    """etcd does a swap and its answer is lost

    Sequencer 2 claims, and does not learn whether it has won. It never guesses: it reads the key, finds its own
    attempt there, and goes on.
    """
    stage = Stage()
    stage.open()
    stage.say("etcd's answers are lost, and its watch does not reach sequencer 2 for a while")
    stage.cluster.store.reply_loss = 1_000
    stage.sequencer(1).crash()
    stage.wait(2)
    one_way = [(ETCD, "sequencer-2")]
    stage.until(lambda: stage.config.epoch == 2)
    stage.network.cut(one_way)
    stage.wait(300)
    stage.say("etcd answers again")
    stage.cluster.store.reply_loss = 0
    stage.network.mend(one_way)
    stage.until(lambda: _leads(stage, 2))
    stage.wait(5)
    return stage


def etcd_lost() -> Stage:
    """etcd is lost, and then an engine

    Orders go on without etcd. When engine 3 dies nothing can be committed any more: nobody may leave the set but
    through etcd. The swap is tried again until etcd is back; then the order that waited is answered.
    """
    stage = Stage()
    stage.open()
    stage.say("etcd is down")
    stage.cluster.store.available = False
    stage.order()
    stage.until_answered()
    stage.engine(3).crash()
    stage.order()
    stage.wait(320)
    stage.say("etcd is back")
    stage.cluster.store.available = True
    stage.until_answered()
    stage.wait(5)
    return stage


def power_cut() -> Stage:
    """Everything loses power at once

    The sequencers know nothing any more but what etcd says, which still names sequencer 1: it may go on at once,
    under a new epoch. It waits until every engine that etcd lists has answered, and their logs say where to go on.
    """
    stage = Stage()
    stage.open()
    stage.order()
    stage.until_answered()
    hosts = [*stage.cluster.sequencers, *stage.cluster.engines, *stage.cluster.gateways]
    for host in hosts:
        host.crash()
    stage.wait(50)
    for host in hosts[:-1]:
        host.start()
    stage.until(lambda: _leads(stage, 1))
    stage.gateway(2).start()
    stage.order()
    stage.until_answered()
    return stage


def media_driver_lost() -> Stage:
    """The leader's host loses its media driver

    Sequencer 1 lives, and can send nothing. Its heartbeats say so (mute), and sequencer 2, whose driver lives, takes
    over. The other one steps down when etcd names another.
    """
    stage = Stage()
    stage.open()
    stage.say("the media driver of sequencer 1's host is lost")
    stage.network.mute = {"sequencer-1": True}
    stage.order()
    stage.until_answered()
    stage.say("the media driver is back")
    stage.network.mute = {}
    stage.settle()
    return stage


def failover_off() -> Stage:
    """Automatic failover is switched off, and the leader dies

    Nobody claims: an operator has said that nobody shall. Switched on again at sequencer 2, that word is the
    permission.
    """
    stage = Stage()
    stage.open()
    stage.say("an operator switches automatic failover off")
    stage.operator(1, lambda request: ev.FailoverModeRequested(request, automatic=False))
    stage.until(lambda: stage.config.paused)
    stage.wait(5)
    stage.sequencer(1).crash()
    stage.order()
    stage.wait(400)
    stage.say(f"sequencer 2 waits: {stage.sequencer(2).machine.why}")
    stage.say("an operator switches automatic failover on, at sequencer 2")
    stage.operator(2, lambda request: ev.FailoverModeRequested(request, automatic=True))
    stage.until_answered()
    stage.wait(5)
    return stage


STORIES = (
    first_start, order_to_report, takeover, silent_leader, deposed_leader_goes_on, silent_at_the_fence, short_follower,
    swap_without_an_answer, etcd_lost, power_cut, media_driver_lost, failover_off,
)  # fmt: skip
