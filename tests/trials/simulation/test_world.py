"""The simulated world keeps to what the real one promises: otherwise what is found in it would mean nothing."""

import numpy as np
import pytest

from lockstep.replica.effects import JournalWrite
from lockstep.sequencer import events as ev
from lockstep.sequencer.config_record import plan_bootstrap, plan_takeover
from lockstep.stream.batch import stamp_batch
from lockstep.stream.messages import Stream
from lockstep.stream.records import COMMAND, no_commands
from lockstep.trials.simulation.cluster import Cluster
from lockstep.trials.simulation.kernel import MS, START_NS, Kernel
from lockstep.trials.simulation.world import Violation

CLUSTER = "c1a5e000-0000-4000-8000-000000000001"


@pytest.fixture
def cluster() -> Cluster:
    """A cluster in which nothing runs."""
    made = Cluster(Kernel(1), encode=False)
    made.sequencers[0].alive = made.engines[0].alive = True
    made.sequencers[0].paused = made.engines[0].paused = True
    return made


def beat(seq: int) -> Stream:
    """An empty STREAM frame."""
    return Stream(1, 1, 0, stamp_batch(no_commands(), epoch=1, first_seq=seq, timestamp_ns=0))


def run(cluster: Cluster, ms: int) -> None:
    """Let so much time pass."""
    cluster.kernel.run(cluster.kernel.now_ns + ms * MS, lambda: False)


def test_link_keeps_the_order_of_its_frames(cluster: Cluster) -> None:
    for seq in range(1, 101):
        cluster.network.send(cluster.sequencers[0], [cluster.engines[0]], beat(seq))
    run(cluster, 100)
    assert [came.batch.first_seq for came in cluster.engines[0].inbox] == list(range(1, 101))


def test_frames_for_a_former_life_are_lost(cluster: Cluster) -> None:
    cluster.network.send(cluster.sequencers[0], [cluster.engines[0]], beat(1))
    cluster.engines[0].life += 1
    run(cluster, 100)
    assert cluster.engines[0].inbox == []


def test_cut_is_one_way_and_adds_up(cluster: Cluster) -> None:
    network, one, other = cluster.network, cluster.sequencers[0], cluster.engines[0]
    pairs = [(one.name, other.name)]
    network.cut(pairs)
    network.cut(pairs)
    assert not network.reaches(one, other)
    assert network.reaches(other, one)
    network.mend(pairs)
    assert not network.reaches(one, other)
    network.mend(pairs)
    assert network.reaches(one, other)


def test_swap_with_an_old_revision_is_lost(cluster: Cluster) -> None:
    store, host = cluster.store, cluster.sequencers[0]
    first = plan_bootstrap(uuid=CLUSTER, engines=(1, 2), sequencer=1, highest_promised=0, attempt="a")
    store.swap(host, ev.Cas(first, 0))
    run(cluster, 50)
    store.swap(host, ev.Cas(plan_takeover(first, sequencer=2, highest_promised=0, attempt="b"), 0))
    run(cluster, 50)
    kinds = [type(item) for item in host.inbox if isinstance(item, ev.CasWon | ev.CasLost)]
    assert kinds == [ev.CasWon, ev.CasLost]
    assert store.record == first


def test_silent_swap_is_ambiguous_and_was_done(cluster: Cluster) -> None:
    store, host = cluster.store, cluster.sequencers[0]
    store.reply_loss = 1000
    record = plan_bootstrap(uuid=CLUSTER, engines=(1, 2), sequencer=1, highest_promised=0, attempt="a")
    store.swap(host, ev.Cas(record, 0))
    run(cluster, 3000)
    assert ev.CasAmbiguous("a") in host.inbox
    assert store.record == record


def test_disk_forgets_events_and_keeps_frames_when_the_process_dies(cluster: Cluster) -> None:
    disk = cluster.engines[0].disk
    stamped = stamp_batch(np.zeros(3, COMMAND), epoch=1, first_seq=1, timestamp_ns=5)
    disk.write(JournalWrite((stamped,), promise=(1, 1), cluster_uuid="u"))
    disk.forget_volatile(False)
    assert disk.tip_seq == 3
    assert disk.promise == (1, 1)
    assert disk.last_kept_seqs() == (0, 0)
    disk.truncate(0)
    assert disk.tip_seq == 0


def test_judge_sees_two_sequencers_in_one_epoch(cluster: Cluster) -> None:
    record = np.zeros(1, COMMAND)
    one = Stream(1, 1, 0, stamp_batch(record, epoch=1, first_seq=1, timestamp_ns=0))
    with pytest.raises(Violation, match="does not begin with its EPOCH_START"):
        cluster.judge.on_stream(1, one)
    other = Stream(2, 1, 0, stamp_batch(record, epoch=1, first_seq=1, timestamp_ns=0))
    with pytest.raises(Violation, match="both stamp in epoch 1"):
        cluster.judge.on_stream(2, other)


def test_time_is_virtual(cluster: Cluster) -> None:
    run(cluster, 60_000)
    assert cluster.kernel.now_ns >= START_NS
