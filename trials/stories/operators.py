"""What operators ask for."""

from lockstep.sequencer import events as ev
from lockstep.sequencer.states import State
from lockstep.stream.records import AckPolicy
from lockstep.trials.stories.stage import Stage


def switchover() -> Stage:
    """An operator moves the primary to engine 2

    One swap, one record in the stream. Both engines change roles at that seq: what comes before is released by engine
    1, what comes after by engine 2.
    """
    stage = Stage()
    stage.open()
    stage.say("an operator asks for engine 2 as primary")
    stage.operator(1, lambda request: ev.SwitchPrimaryRequested(request, 2))
    stage.order()
    stage.until(lambda: stage.config.primary == 2)
    stage.order()
    stage.until_answered()
    stage.wait(5)
    stage.order()
    stage.until_answered()
    return stage


def member_fenced() -> Stage:
    """An operator keeps an engine out, and lets it in again

    Fenced, engine 3 goes on following the stream, but nothing waits for it and nobody admits it.
    """
    stage = Stage()
    stage.open()
    stage.say("an operator fences engine 3")
    stage.operator(1, lambda request: ev.MemberFenceRequested(request, 3, fenced=True))
    stage.until(lambda: stage.config.fenced == (3,))
    stage.order()
    stage.until_answered()
    stage.wait(200)
    stage.say("an operator lets engine 3 in again")
    stage.operator(1, lambda request: ev.MemberFenceRequested(request, 3, fenced=False))
    stage.settle()
    return stage


def ack_policy_changed() -> Stage:
    """An operator changes when engines may acknowledge

    The policy holds from a record of the stream on, so every engine changes it at the same seq.
    """
    stage = Stage()
    stage.open()
    stage.say("an operator asks for the policy REPLICATED")
    stage.operator(1, lambda request: ev.AckPolicyRequested(request, AckPolicy.REPLICATED))
    stage.until(lambda: stage.config.ack_policy is AckPolicy.REPLICATED)
    stage.order()
    stage.until_answered()
    stage.wait(5)
    return stage


def loss_accepted() -> Stage:
    """All engines that have everything are gone, and an operator accepts the loss

    Engine 3 was out of the set when the last order was committed; then everything burns down but engine 3. Nobody can
    lead until an operator forces a failover to engine 3 and accepts that what it lacks is gone. Look at the gateway,
    which has delivered what is no history any more, and at the client, whose session ends rather than go on in
    another history.
    """
    stage = Stage()
    stage.open()
    stage.engine(3).crash()
    stage.until(lambda: stage.config.in_sync == (1, 2))
    stage.wait(5)
    stage.order()
    stage.until_answered()
    stage.say("the hosts of sequencer 1 and of engines 1 and 2 burn down")
    for host in (stage.sequencer(1), stage.engine(1), stage.engine(2)):
        host.crash()
    stage.engine(3).start()
    stage.wait(300)
    stage.say(f"sequencer 2 waits: {stage.sequencer(2).machine.why}")
    stage.say("an operator forces a failover to engine 3, and accepts the loss")
    stage.operator(2, lambda request: ev.ForceFailoverRequested(request, 3))
    stage.until(lambda: stage.config.in_sync == (3,))
    stage.until(lambda: any(host.alive and host.machine.state is State.LEADER for host in stage.cluster.sequencers))
    stage.wait(500)
    return stage


STORIES = (switchover, member_fenced, ack_policy_changed, loss_accepted)
