"""`EngineDriver`: one engine with a builder of its commands, for programs that drive it alone."""

from collections.abc import Iterator

from lockstep.engine.command_arguments import I64, whole
from lockstep.engine.commands import CommandBuilder
from lockstep.engine.contract import MatchingEngine, StreamGap
from lockstep.engine.events import AnyEvent, each_event
from lockstep.stream.records import Events


class EngineDriver:
    """Numbers, stamps and applies, so that a caller thinks of orders only.

    It takes the place of everything that a cluster has around an engine: the session of a client, the seq and the stamp
    of a sequencer. No clock is read: time is what the caller says, and stands still where he says nothing.

    One driver has an engine's session to itself. A second one needs another `session_id`.
    """

    __slots__ = ("commands", "engine")

    def __init__(self, engine: MatchingEngine, *, session_id: int = 1) -> None:
        """Goes on where the engine stands, be it new or restored from a snapshot.

        Raises:
            ValueError: the session is not in 1..2^64 - 1.
        """
        self.engine = engine
        """For queries and snapshots; all of them show the state after the last `apply`."""
        self.commands = CommandBuilder.of(engine, session_id=session_id)
        """Where commands are added."""

    def apply(self, timestamp_ns: int | None = None) -> Events:
        """Apply the commands that were added, as one batch.

        Args:
            timestamp_ns: the time of all of them, in nanoseconds since whenever the caller's time began, not before the
                latest one (`engine.last_timestamp_ns`); None: that one again.

        Returns:
            Their events: dtype EVENT, shape (n,), read-only; empty if no command was added. Each command has one event
            or more. `each_event` iterates over them as values.

        Raises:
            StreamGap: time went back, or others have used the session meanwhile. Nothing was applied, and the commands
                go on waiting.
            ValueError: the time is no whole number of nanoseconds. The same.
        """
        engine, commands = self.engine, self.commands
        last_no = engine.session_last_no(commands.session_id)
        if last_no + 1 != commands.first_no:
            raise StreamGap(
                f"session {commands.session_id} was used by others: the engine executed its number {last_no}, this "
                f"driver would go on with {commands.first_no}; give each driver a session_id of its own"
            )
        stamp = engine.last_timestamp_ns if timestamp_ns is None else whole("timestamp_ns", timestamp_ns, 0, I64)
        events = engine.apply(commands.pending(), first_seq=engine.last_seq + 1, timestamp_ns=stamp)
        commands.take()
        return events

    def events(self, timestamp_ns: int | None = None) -> Iterator[AnyEvent]:
        """The same, and iterate over the events as values. They are applied by the call, not by the first `next`."""
        return each_event(self.apply(timestamp_ns))
