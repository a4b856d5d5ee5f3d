"""How far a gateway has delivered what is committed: evidence that no engine's disk can lose."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, order=True)
class DeliveryMark:
    """Events up to `seq` were delivered; the record there is of `epoch` or one before.

    Seq 0: nothing is known to have been delivered.
    """

    epoch: int = 0
    seq: int = 0

    def misses(self, tip_epoch: int, tip_seq: int) -> bool:
        """Whether a log with this end lacks something of it. A record of a higher epoch is behind all of it."""
        return tip_epoch <= self.epoch and tip_seq < self.seq

    def __str__(self) -> str:
        return f"seq {self.seq} of epoch {self.epoch}"


NOTHING_DELIVERED: Final = DeliveryMark()
