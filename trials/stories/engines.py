"""Who is in sync: engines that are lost, that come back, that contradict each other."""

from lockstep.trials.simulation.engine_snapshots import cut, take_snapshot
from lockstep.trials.stories.stage import Stage


def _in_sync(stage: Stage, *engines: int) -> bool:
    return stage.config.in_sync == engines


def standby_lost() -> Stage:
    """A standby is killed, and comes back

    The order that needs its ack waits. The leader takes it out in etcd (shrink), then says so in the stream; only
    from that record on are fewer acks enough. Back again, it catches up from a peer, is announced (GROW), acks, and
    is listed last.
    """
    stage = Stage()
    stage.open()
    stage.engine(3).crash()
    stage.order()
    stage.until_answered()
    stage.wait(50)
    stage.engine(3).start()
    stage.settle()
    return stage


def primary_lost() -> Stage:
    """The primary is killed with an order under way

    Nobody releases what nobody else could repeat: the standby that the new epoch names releases the order from its
    own log, and says where it goes on, so that gateways see a repeat for a repeat.
    """
    stage = Stage()
    stage.open()
    stage.order()
    stage.wait(1)
    stage.engine(1).crash()
    stage.until_answered()
    stage.wait(10)
    return stage


def silent_standby() -> Stage:
    """A standby stands still for 150 ms, and then for longer

    Shorter than the deadline costs latency and nothing else. Longer than it costs the standby its place.
    """
    stage = Stage()
    stage.open()
    stage.engine(3).pause()
    stage.order()
    stage.wait(150)
    stage.engine(3).resume()
    stage.until_answered()
    stage.wait(200)
    stage.engine(3).pause()
    stage.order()
    stage.until_answered()
    stage.wait(50)
    return stage


def lost_frame() -> Stage:
    """A frame does not reach one engine

    Engine 3 sees the gap with the next frame and asks the leader to send from there on. Nobody is removed for it, and
    the order before is released when its third ack is there.
    """
    stage = Stage()
    stage.open()
    stage.say("one frame from sequencer 1 to engine 3 is lost")
    mend = stage.lose_frames("sequencer-1", "engine-3")
    stage.order()
    stage.wait(2)
    mend()
    stage.order()
    stage.until_answered()
    return stage


def rejoin_from_a_peer() -> Stage:
    """An engine comes back behind the leader's window

    Nothing the leader says fits to its log, so it asks a peer, appends what it lacks, and compares digests on the
    way.
    """
    stage = Stage()
    stage.open()
    stage.engine(3).crash()
    stage.until(lambda: _in_sync(stage, 1, 2))
    for _ in range(3):
        stage.order()
    stage.until_answered()
    stage.say("engine 3 starts where it reaches its peers, but not the stream")
    mend = stage.lose_frames("sequencer-1", "engine-3")
    stage.engine(3).start()
    stage.wait(200)
    stage.say("the stream reaches it again")
    mend()
    stage.settle()
    return stage


def rejoin_from_a_snapshot() -> Stage:
    """The journals were cut while an engine was down

    What engine 3 lacks is in no journal any more. A peer says so, and it takes the peer's snapshot in the place of
    its log.
    """
    stage = Stage()
    stage.open()
    stage.engine(3).crash()
    stage.until(lambda: _in_sync(stage, 1, 2))
    for _ in range(2):
        for _ in range(3):
            stage.order()
        stage.until_answered()
    stage.wait(50)
    for engine in stage.cluster.engines[:2]:
        take_snapshot(engine, 1)
    oldest = {engine.id: max(engine.disk.snapshots, default=0) for engine in stage.cluster.engines[:2]}
    oldest[3] = oldest[1]
    for engine in stage.cluster.engines[:2]:
        cut(engine, oldest, 1)
    stage.sequencer(1).crash()
    stage.wait(100)
    stage.engine(3).start()
    stage.until(lambda: _in_sync(stage, 1, 2, 3))
    stage.wait(5)
    return stage


def divergent_tail() -> Stage:
    """An engine holds records that no reign kept

    Sequencer 1 and engine 3 are cut off together: an order gets into engine 3's log and nowhere else. The others go on
    without them. When the cut is mended, the log of engine 3 parts from theirs: it archives its tail and takes what
    they have.
    """
    stage = Stage()
    stage.open()
    stage.say("sequencer 1 and engine 3 are cut off from the others")
    outside = ["engine-1", "engine-2", "sequencer-2", "etcd"]
    mends = [stage.cut("sequencer-1", outside), stage.cut("engine-3", outside)]
    stage.order()
    stage.until_answered()
    stage.wait(30)
    stage.say("the cut is mended")
    for mend in mends:
        mend()
    stage.settle()
    return stage


def lost_disk() -> Stage:
    """An in-sync engine loses its disk

    It is back before anybody has noticed, and blank: what it acknowledged is gone. It acks as a journal that counts
    for nothing, learns from its peers, and is admitted under its new identity, which the GROW names.
    """
    stage = Stage()
    stage.open()
    stage.engine(3).crash()
    stage.say("engine 3 gets a new, empty disk")
    stage.wipe(3)
    stage.engine(3).start()
    stage.settle()
    stage.order()
    stage.until_answered()
    return stage


def lost_disk_is_first_back() -> Stage:
    """Everything goes down, and the first engine to be back has lost its disk

    It is listed as in sync and knows nothing: its answer to the fence says nothing, and nobody opens on it. With the
    first engine that has a log the fence can be decided, and the blank one is out.
    """
    stage = Stage()
    stage.open()
    stage.order()
    stage.until_answered()
    for host in (*stage.cluster.sequencers, *stage.cluster.engines):
        host.crash()
    stage.say("engine 1 gets a new, empty disk")
    stage.wipe(1)
    for host in (stage.sequencer(1), stage.engine(1)):
        host.start()
    stage.wait(600)
    stage.say(f"sequencer 1 waits: {stage.sequencer(1).machine.why}")
    stage.engine(2).start()
    stage.until(lambda: _in_sync(stage, 2))
    stage.until(lambda: _in_sync(stage, 1, 2))
    return stage


def outvoted() -> Stage:
    """One of three engines computes something else

    Its ack has another digest than those of the two others, so the order is not committed. The two agree with each
    other: half a second later engine 3 is out, kept out, and has stopped by itself; the order is answered.
    """
    stage = Stage()
    stage.open()
    stage.say("engine 3 computes wrongly from now on")
    stage.engine(3).wrong = True
    stage.order()
    stage.until_answered()
    stage.wait(20)
    return stage


def one_against_one() -> Stage:
    """Two engines contradict each other, and there is no third

    Nobody can say who is right: each asks the other, and both stop. Nothing is committed until somebody has looked.
    Here a replay has shown that engine 2 computed wrongly: it stays down, and a takeover goes on with engine 1 alone.
    """
    stage = Stage(engines=2)
    stage.open()
    stage.say("engine 2 computes wrongly from now on")
    stage.engine(2).wrong = True
    stage.order()
    stage.wait(400)
    reign = stage.sequencer(1).machine.reign
    assert reign is not None, "sequencer 1 leads"
    stage.say(f"sequencer 1 leads, and waits: {reign.why}")
    stage.engine(2).crash()
    stage.wait(20)
    stage.say("engine 1 and the leading sequencer are started again")
    stage.engine(1).crash()
    stage.engine(1).start()
    stage.sequencer(1).crash()
    stage.until_answered()
    stage.sequencer(1).start()
    stage.say("engine 2 is repaired, and gets an empty disk")
    stage.engine(2).wrong = False
    stage.wipe(2)
    stage.engine(2).start()
    stage.settle()
    return stage


STORIES = (
    standby_lost, primary_lost, silent_standby, lost_frame, rejoin_from_a_peer, rejoin_from_a_snapshot, divergent_tail,
    lost_disk, lost_disk_is_first_back, outvoted, one_against_one,
)  # fmt: skip
