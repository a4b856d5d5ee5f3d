"""Frames that nobody sent: in a living process's name, on its own link, and right in all fields but one.

What a real cluster gets of the kind is far more and far cruder: `lockstep.trials.chaos.odd_neighbour`. Here they meet
real machines at chosen moments, and the same ones again by the same seed.
"""

from collections.abc import Iterator
from random import Random

import numpy as np

from lockstep.stream.arrival import MAX_INCARNATION, MAX_LINK, MAX_SEQ
from lockstep.stream.batch import stamp_batch
from lockstep.stream.messages import ACK_ENTRY, Ack, Message, Receipt, Release, Stream, Submit
from lockstep.stream.records import COMMAND, CONTROL, CommandKind, no_commands, no_events
from lockstep.trials.simulation.cluster import Cluster
from lockstep.trials.simulation.engine_host import EngineHost
from lockstep.trials.simulation.gateway_host import GatewayHost
from lockstep.trials.simulation.host import Host
from lockstep.trials.simulation.sequencer_host import SequencerHost

Forgery = tuple[Host, Host, Message]
"""Who gets it, in whose name, and what."""


def forgeries(cluster: Cluster, leader: SequencerHost, dice: Random) -> Iterator[Forgery]:
    """One round of them: on every kind of link."""
    reign = leader.machine.reign
    if reign is None:
        return
    for gateway in cluster.gateways:
        link = reign.intake.links[gateway.id]
        for kind, incarnation in (
            (CommandKind.EPOCH_START, gateway.intake.incarnation),
            (CommandKind.NEW_ORDER, dice.choice((2**64 - 1, MAX_INCARNATION, gateway.intake.incarnation + 1))),
        ):
            records = np.zeros(1, dtype=COMMAND)
            records["kind"], records["gateway"] = kind, gateway.id
            if kind is CommandKind.EPOCH_START:
                records.view(CONTROL)["epoch"] = reign.window.epoch
            yield leader, gateway, Submit(
                sender=gateway.id, view_epoch=reign.window.epoch, reign=reign.office_epoch,
                first_link_no=link.next_number, incarnation=incarnation, administrative=False, records=records,
            )  # fmt: skip
        yield from _to_gateway(cluster, gateway, reign.window.epoch, dice)
    for engine in cluster.engines:
        empty = stamp_batch(no_commands(), epoch=reign.window.epoch, first_seq=reign.window.tip + 1, timestamp_ns=0)
        yield engine, leader, Stream(leader.id, reign.window.epoch + dice.choice((1, 2, 4, 500)), 0, empty)
        for target in (leader, *(other for other in cluster.engines if other is not engine)):
            # Twice: an engine repeats itself.
            for _ in range(2):
                yield target, engine, _wrong_ack(engine, dice)


def _to_gateway(cluster: Cluster, gateway: GatewayHost, epoch: int, dice: Random) -> Iterator[Forgery]:
    for sequencer in cluster.sequencers:
        later = epoch + dice.choice((0, 3, 500))
        yield gateway, sequencer, Receipt(
            sender=sequencer.id, epoch=later, reign=later, next_link_no=dice.choice((1, 50, MAX_LINK)), credit=1_000,
            committed_seq=0, incarnation=gateway.intake.incarnation, opens=True, rewinds=False,
        )  # fmt: skip
    engine = dice.choice(cluster.engines)
    next_seq = cluster.judge.committed_seq + 1
    for last, parent in ((MAX_SEQ, 0), (next_seq - 1, epoch + 1)):
        yield gateway, engine, Release(engine.id, epoch, parent, next_seq, last, next_seq - 1, no_events())


def _wrong_ack(engine: EngineHost, dice: Random) -> Ack:
    entry = np.zeros(1, dtype=ACK_ENTRY)
    own = engine.machine.replica_state
    entry["last_seq"], entry["digest"] = own.applied_seq, np.void(dice.randbytes(16))
    return Ack(
        engine.id, own.promised, own.applied_seq, own.journal, own.committed_seq,
        unjoined=dice.choice((False, True)), rewinds=False, entries=entry,
    )  # fmt: skip
