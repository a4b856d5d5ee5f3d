"""What a simulated engine does before it starts: it looks whether its journal is what it was, as the process does."""

from typing import TYPE_CHECKING

from lockstep.replica.evidence import Tip, Wholeness
from lockstep.replica.rescue import PeerSays
from lockstep.replica.rocks import JournalDamaged

if TYPE_CHECKING:
    from lockstep.trials.simulation.engine_host import EngineHost


def may_start(host: "EngineHost", peers: "list[EngineHost]") -> bool:
    """Whether it can start. A damaged journal is discarded where a peer has all of it; else the engine stays down."""
    verdict = host.disk.verdict()
    if verdict.wholeness is not Wholeness.DAMAGED:
        return True
    host.kernel.note(f"{host.name}: its journal is damaged: {verdict.why}")
    damage = JournalDamaged(host.disk.path, verdict.why, verdict.needed, host.disk.uuid)
    for peer in peers:
        if peer is host or not peer.responsive:
            continue
        view = peer.view
        if PeerSays(peer.id, Tip(view.epoch, view.applied_seq), view.cluster_uuid, not view.joined).holds(damage):
            host.kernel.note(f"{host.name} begins with a new journal: {peer.name} has what the old one held")
            host.disk.wipe()
            host.world.judge.on_wiped(host.id)
            return True
    return False
