"""Alerts as a follower's sink: a chunk, or a request, is folded and stored, or nothing of it."""

from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

from lockstep.posttrade.alerts.limits import Refused, refuse
from lockstep.posttrade.alerts.machine import AT_END, AlertMachine, Firing, Place, Request
from lockstep.posttrade.alerts.reader import CommandBegin, Reader
from lockstep.posttrade.alerts.rules import Definition
from lockstep.posttrade.alerts.store import AlertsAway, Output, Store
from lockstep.posttrade.alerts.world import World
from lockstep.posttrade.chunks import Chunk, EpochBegin, Position
from lockstep.posttrade.opening import Opening

_NONE: Final = Position()


class AlertsSink:
    """See `posttrade.follower.Sink`. Belongs to one thread at a time."""

    def __init__(
        self,
        path: Path,
        step: Callable[[str], None] | None = None,
        fired: Callable[[list[Firing]], None] | None = None,
    ) -> None:
        """`fired`: is called with firings that are stored, in the thread that stores them."""
        self.store = Store(path, step)
        self._fired = fired or (lambda _firings: None)
        self._position, self._requests, self._opened = self.store.position()
        self.machine = AlertMachine(self.store.world(), self.store.alerts(), self.store.fired())
        self._pending = deque(self.store.requests(self._requests))
        """Requests that do not count yet: a rebuild has them before it comes to where they stand."""
        self._written = self._pending[-1].number if self._pending else self._requests
        self._broken = False
        """What is in memory is not what is stored."""
        self.rows = 0
        """Firings written by this process."""

    def position(self) -> Position:
        """See `Sink`."""
        return self._position

    def epochs(self) -> list[EpochBegin]:
        """See `Sink`."""
        return self.store.epochs()

    def begin(self, opening: Opening) -> Position:
        """Have an empty one begin with an engine's snapshot."""
        assert self._position == _NONE, f"this has begun: it is at seq {self._position.seq}"
        self.machine.world.begin(opening.image)
        self._opened = opening.position.seq
        firings = self._due(opening.position.seq + 1)
        return self._store(Output(firings, opening.epochs), opening.position)

    def skip(self, opening: Opening) -> Position:
        """Go on with an engine's snapshot, that is ahead: what came in between was cut everywhere. Alerts stay; those
        whose level is on another side now fire."""
        assert opening.position.seq > self._position.seq, "the snapshot is behind"
        at = opening.position
        self._opened = at.seq
        self.store.forget_world()
        world = World()
        world.begin(opening.image)
        firings = self._due(at.seq + 1)
        self.machine.world = world
        firings += self.machine.look_at_all(Place(at.seq, AT_END, at.timestamp_ns, at.epoch))
        return self._store(Output(firings, opening.epochs), at)

    def settle(self) -> Position:
        """At the end of a rebuild: requests that stand behind the end of this history (the cluster goes on without
        what they were made after) count from here on."""
        if not self._pending:
            return self._position
        self.store.pull_requests(self._requests, self._position.seq)
        self._pending = deque(self.store.requests(self._requests))
        return self._store(Output(self._due(self._position.seq + 1)), self._position)

    def apply(self, chunk: Chunk) -> Position:
        """See `Sink`."""
        self._check()
        machine, firings = self.machine, []
        self._broken = True
        for step in Reader(chunk, machine.world).steps():
            if isinstance(step, CommandBegin) and self._pending:
                firings += self._due(step.seq)
            firings += machine.step(step)
        if self._pending:
            firings += self._due(chunk.through_seq + 1)
        return self._store(Output(firings, chunk.epochs()), chunk.end())

    def _due(self, seq: int) -> list[Firing]:
        """Take the requests that count before a command."""
        firings: list[Firing] = []
        while self._pending and self._pending[0].after_seq < seq:
            asked = self._pending.popleft()
            firings += self.machine.request(asked)
            self._requests = asked.number
        return firings

    def create(self, owner: int, definition: Definition) -> int:
        """A new alert; its number.

        Raises:
            Refused: it can't be had. The text says why.
            AlertsAway: it could not be stored, and is not there; so with all that follows.
        """
        refuse(self.machine, owner, definition, self._own_requests(owner))
        return self._request(owner, create=definition)

    def remove(self, owner: int, number: int) -> None:
        """End an alert. What it has fired stays.

        Raises:
            Refused: this owner has no such alert.
        """
        alert = self.machine.alerts.get(number)
        if alert is None or alert.owner != owner:
            raise Refused(f"you have no alert {number}", known=False)
        self._request(owner, remove=number)

    def _own_requests(self, owner: int) -> int:
        return int(self.store.rows("SELECT count(*) FROM requests WHERE owner = ?", (owner,))[0][0])

    def _request(self, owner: int, *, create: Definition | None = None, remove: int = 0) -> int:
        if self._pending:
            raise Refused("the alerts are being rebuilt; try again", full=True)
        self._check()
        at, number = self._position, self._written + 1
        asked = Request(number, owner, at.seq, at.timestamp_ns, at.epoch, create, remove)
        firings = self.machine.request(asked)
        self._requests = self._written = number
        self._store(Output(firings, request=asked), at)
        return number

    def _check(self) -> None:
        """What is in memory and could not be stored never counts: whoever goes on opens another sink.

        Raises:
            AlertsAway: that is so.
        """
        if self._broken:
            raise AlertsAway("what came before could not be stored; it is read again")

    def _store(self, out: Output, end: Position) -> Position:
        out.requests, out.opened_seq = self._requests, self._opened
        self._broken = True
        self.store.write(self.machine, out, self._position, end)
        self._broken = False
        self.machine.changed.clear()
        self.machine.world.take_changes()
        self._position = end
        self.rows += len(out.firings)
        if out.firings:
            self._fired(out.firings)
        return end

    def close(self) -> None:
        """See `Sink`. What is in memory is of no use any more: whoever goes on opens another."""
        self.store.close()
