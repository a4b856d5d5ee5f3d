"""What clients see: connections that break, gateways that die, answers that come once."""

from lockstep.trials.stories.stage import Stage


def resume_at_another_gateway() -> Stage:
    """A client's gateway is killed with an order under way

    The client says Hello to the other gateway with what it has seen, and sends what is not answered again. The engine
    executes a number once; whichever copy comes second is answered DUPLICATE with the seq of the outcome, and the
    client takes one answer.
    """
    stage = Stage()
    stage.open()
    stage.order()
    stage.wait(1)
    stage.gateway(1).crash()
    stage.until_answered()
    stage.wait(100)
    stage.gateway(1).start()
    stage.settle()
    return stage


def broken_connection() -> Stage:
    """A client's connection breaks before its report is there

    Nothing happens to the order. The client resumes behind the last event that it has, and receives what it missed.
    """
    stage = Stage()
    stage.open()
    stage.order()
    stage.wait(1)
    stage.say("the client's connection breaks")
    stage.network.break_streams(stage.client())
    stage.until_answered()
    stage.wait(5)
    return stage


def gateway_restarts() -> Stage:
    """A gateway is killed behind its intake log

    The order is in the log, and the frame to the sequencer is lost. The gateway's next life sends what its log holds,
    before its client is back.
    """
    stage = Stage()
    stage.open()
    stage.say("frames from gateway 1 to sequencer 1 are lost")
    mend = stage.lose_frames("gateway-1", "sequencer-1")
    stage.say("gateway 2 is down")
    stage.gateway(2).crash()
    stage.order()
    stage.wait(5)
    stage.gateway(1).crash()
    mend()
    stage.gateway(1).start()
    stage.until_answered()
    stage.wait(5)
    return stage


def lost_submit() -> Stage:
    """A frame of a gateway is lost on its way to the sequencer

    The next frame has link numbers that do not follow. The sequencer stamps none of it, and asks for everything from
    the gap on: the commands of a session are never stamped out of order.
    """
    stage = Stage()
    stage.open()
    stage.say("one frame from gateway 1 to sequencer 1 is lost")
    mend = stage.lose_frames("gateway-1", "sequencer-1")
    stage.order()
    stage.wait(2)
    mend()
    stage.order()
    stage.until_answered()
    return stage


def gateway_misses_releases() -> Stage:
    """Released events do not reach one gateway

    Gateway 1, where the client is, sees with the next release that something is missing, and fetches it from an
    engine's events.
    """
    stage = Stage()
    stage.open()
    stage.say("releases do not reach gateway 1")
    mends = [stage.lose_frames(f"engine-{engine}", "gateway-1") for engine in (1, 2, 3)]
    stage.order()
    stage.wait(10)
    stage.order()
    stage.wait(10)
    stage.say("releases reach gateway 1 again")
    for mend in mends:
        mend()
    stage.until_answered()
    return stage


def no_leader() -> Stage:
    """Nobody leads for a while

    Both sequencers are down. The gateway refuses what comes then, for now, with UNAVAILABLE, and the client keeps it
    and tries again. What was admitted before is sent when somebody leads.
    """
    stage = Stage()
    stage.open()
    for sequencer in (1, 2):
        stage.sequencer(sequencer).crash()
    stage.wait(1_100)
    stage.sequencer(2).start()
    stage.wait(700)
    stage.order()
    stage.until_answered()
    stage.wait(5)
    return stage


def cancel_on_disconnect() -> Stage:
    """A client with cancel on disconnect goes away

    Its gateway waits for the time that the client's Hello named, then enters SESSION_CLOSED: a command like any
    other, stamped and executed by all engines at one seq, which cancels what the client has in the book.
    """
    stage = Stage(seed=4)
    stage.open()
    stage.order()
    stage.until_answered()
    stage.wait(20)
    stage.client().crash()
    stage.wait(1_500)
    return stage


def client_restarts() -> Stage:
    """A client is killed, and goes on from its checkpoint

    The order that it had given away before it died is in the checkpoint as unanswered, and is sent again under its
    number.
    """
    stage = Stage()
    stage.open()
    stage.order()
    stage.wait(1)
    stage.client().crash()
    stage.wait(50)
    stage.client().start()
    stage.until_answered()
    stage.wait(5)
    return stage


STORIES = (
    resume_at_another_gateway, broken_connection, gateway_restarts, lost_submit, gateway_misses_releases, no_leader,
    cancel_on_disconnect, client_restarts,
)  # fmt: skip
