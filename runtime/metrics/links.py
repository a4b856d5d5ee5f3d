"""Figures of the sealed links between members (docs/links.md)."""

from collections.abc import Mapping

from lockstep.runtime.metrics.families import Families, counters, gauge
from lockstep.stream.sealing import Drop


def link_families(drops: Mapping[Drop, int], epoch: int) -> Families:
    """What was dropped, and the epoch that frames are sealed with; nothing and 0: they are not."""
    text = "Frames and heartbeats that were dropped at the door of a sealed link, by why."
    values = {why.value.replace(" ", "_"): drops.get(why, 0) for why in Drop}
    yield counters("lockstep_link_frames_dropped_total", text, "why", values)
    yield gauge("lockstep_link_key_epoch", "Epoch of the key that frames are sealed with; 0: they are not.", epoch)
