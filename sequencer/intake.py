"""Commands on their way in: link numbers per gateway, the bounded queue before stamping, and the credit given back.

A gateway numbers the commands that it sends in one reign 1, 2, 3 ...; a lost frame is thereby noticed before a later
one is stamped, and a frame sent twice is taken once. The link state belongs to (gateway, incarnation, reign).
"""

from collections import deque
from dataclasses import dataclass

from lockstep.stream.messages import Receipt, Submit
from lockstep.stream.records import Commands, join_records


@dataclass(slots=True)
class GatewayLink:
    """One gateway's link in this reign."""

    incarnation: int = 0
    next_number: int = 1
    """Link number expected next, >= 1."""
    rewind_due_ns: int = 0
    """No request for a missing frame before this time."""
    rewind: bool = False
    """A frame is missing: to be said in the next receipt."""
    receipt_due_ns: int = 0
    taken: int = 0
    """Commands taken since the last receipt."""


class Intake:
    """Takes SUBMIT frames in and hands their commands out in order of arrival."""

    __slots__ = ("_limit", "_links", "_queue", "dropped", "duplicates", "gaps", "queued")

    def __init__(self, gateways: tuple[int, ...], limit: int) -> None:
        self._links = {gateway: GatewayLink() for gateway in gateways}
        self._queue: deque[Commands] = deque()
        self._limit = limit
        self.queued = 0
        """Commands taken and not yet stamped: 0 to the limit."""
        self.dropped = 0
        """Frames of another reign or incarnation, of unknown senders, or without room."""
        self.duplicates = 0
        """Commands that had come before."""
        self.gaps = 0
        """Frames that came too early."""

    @property
    def links(self) -> dict[int, GatewayLink]:
        """Links by gateway id."""
        return self._links

    def on_submit(self, submitted: Submit, reign: int, said: int) -> None:
        """Admit a frame, as far as it is new and next.

        `said`: the incarnation that the gateway itself says on its liveness link; 0: none. No frame of another one
        counts, so that one odd frame neither shuts the gateway out nor speaks for one that is not there.
        """
        link = self._links.get(submitted.sender)
        if link is not None and said and link.incarnation != said:
            link.incarnation, link.next_number, link.rewind = said, 1, False
        if link is None or submitted.incarnation != said or submitted.reign != reign or not submitted.count:
            self.dropped += 1
            return
        if submitted.first_link_no > link.next_number:
            self.gaps += 1
            link.rewind = True
            return
        old = link.next_number - submitted.first_link_no
        if old:
            self.duplicates += min(old, submitted.count)
            if old >= submitted.count:
                return
        room = max(0, self._limit - self.queued)
        fresh = submitted.records[old : old + room]
        # What finds no room is not taken: it is missing, and asked for again.
        link.rewind = old + len(fresh) < submitted.count
        if not len(fresh):
            self.dropped += 1
            return
        link.next_number += len(fresh)
        link.taken += len(fresh)
        self.queued += len(fresh)
        self._queue.append(fresh)

    @property
    def full(self) -> bool:
        """Whether there is no room for another command."""
        return self.queued >= self._limit

    def take(self, limit: int) -> Commands:
        """The next `limit` commands at the most, as one array. There must be some."""
        parts: list[Commands] = []
        while limit > 0 and self._queue:
            part = self._queue.popleft()
            if len(part) > limit:
                self._queue.appendleft(part[limit:])
                part = part[:limit]
            parts.append(part)
            limit -= len(part)
        taken = join_records(parts)
        self.queued -= len(taken)
        return taken

    def receipt(
        self, gateway: int, *, sender: int, epoch: int, reign: int, credit: int, committed_seq: int, rewind: bool
    ) -> Receipt:
        """The receipt for one gateway."""
        link = self._links[gateway]
        return Receipt(
            sender=sender,
            epoch=epoch,
            reign=reign,
            next_link_no=link.next_number,
            credit=credit,
            committed_seq=committed_seq,
            incarnation=link.incarnation,
            opens=True,
            rewinds=rewind,
        )
