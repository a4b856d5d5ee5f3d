"""A stamped batch with something else in it, and a CRC that is right: what no process of the cluster makes."""

from typing import Any

from lockstep.stream.batch import Batch, stamp_batch


def restamped(batch: Batch, **changes: Any) -> Batch:
    """The batch with other records, or with another stamp."""
    stamp = {"epoch": batch.epoch, "first_seq": batch.first_seq, "timestamp_ns": batch.timestamp_ns}
    return stamp_batch(changes.pop("records", batch.records), **(stamp | changes))
