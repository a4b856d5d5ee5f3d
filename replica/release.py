"""RELEASE frames: committed events of several batches joined, so that a gateway decodes few large frames.

A frame covers whole seqs. One command whose events alone exceed a frame (a mass cancel of very many orders) is left
out; the gateway sees the hole in the numbers and fetches those events by gRPC, as it does with any other gap.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from lockstep.replica.divergence import EpochEntry, epoch_at
from lockstep.replica.effects import AppliedBatch
from lockstep.stream.messages import Release
from lockstep.stream.records import Events, join_records, no_events

TARGET_EVENTS: Final = 4096
"""Events in one frame as a rule."""
MAX_EVENTS: Final = 6144
"""Events in one frame at the most: 960 KiB, below Aeron's limit of one eighth of a term."""


def release_frames(
    batches: Sequence[AppliedBatch], epochs: list[EpochEntry], *, sender: int, epoch: int, committed_seq: int
) -> list[Release]:
    """Frames for newly committed batches; without any, one empty frame that says where the primary stands.

    `epochs`: the log's epoch table.
    """

    def build(first_seq: int, last_seq: int, events: Events) -> Release:
        return Release(sender, epoch, epoch_at(epochs, first_seq - 1), first_seq, last_seq, committed_seq, events)

    if not batches:
        return [build(committed_seq + 1, committed_seq, no_events())]
    frames: list[Release] = []
    joined: list[AppliedBatch] = []
    count = 0
    for batch in batches:
        size = len(batch.events)
        if joined and count + size > TARGET_EVENTS:
            frames.append(build(joined[0].first_seq, joined[-1].last_seq, _join(joined)))
            joined, count = [], 0
        if size > MAX_EVENTS:
            frames += [build(*part) for part in _split(batch)]
            continue
        joined.append(batch)
        count += size
    if joined:
        frames.append(build(joined[0].first_seq, joined[-1].last_seq, _join(joined)))
    return frames


def _join(batches: list[AppliedBatch]) -> Events:
    return join_records([batch.events for batch in batches])


def _split(batch: AppliedBatch) -> list[tuple[int, int, Events]]:
    """Parts of one large batch, cut between seqs."""
    parts: list[tuple[int, int, Events]] = []
    seqs = batch.events["seq"]
    seq = batch.first_seq
    while seq <= batch.last_seq:
        start = int(np.searchsorted(seqs, seq))
        # The last whole seq that fits.
        limit = start + TARGET_EVENTS
        last = batch.last_seq if limit >= len(seqs) else int(seqs[limit]) - 1
        if last < seq:
            stop = int(np.searchsorted(seqs, seq, side="right"))
            if stop - start <= MAX_EVENTS:
                parts.append((seq, seq, batch.events[start:stop]))
            seq += 1
            continue
        parts.append((seq, last, batch.events[start : int(np.searchsorted(seqs, last, side="right"))]))
        seq = last + 1
    return parts
