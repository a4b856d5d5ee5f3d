"""The scheduler as a follower: what is read is folded into the board, in memory. See `posttrade.follower.Sink`."""

from lockstep.day.desk import Desk
from lockstep.posttrade.chunks import Chunk, EpochBegin, Position
from lockstep.posttrade.opening import Opening


class BoardSink:
    """Nothing is stored: another process begins with a snapshot, or with seq 1, and comes to the same."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._position = Position()
        self._epochs: list[EpochBegin] = []

    def position(self) -> Position:
        """See `Sink`."""
        return self._position

    def epochs(self) -> list[EpochBegin]:
        """See `Sink`."""
        return self._epochs

    def begin(self, opening: Opening) -> Position:
        """See `Sink`."""
        assert self._position == Position(), f"this scheduler has begun: it is at seq {self._position.seq}"
        self.desk.board.begin(opening.image, self.desk.hold_until)
        self._epochs = list(opening.epochs)
        self._position = opening.position
        return self._position

    def apply(self, chunk: Chunk) -> Position:
        """See `Sink`."""
        self._position = chunk.end()
        self.desk.board.fold(chunk.events, self._position.timestamp_ns)
        self._epochs += chunk.epochs()
        return self._position

    def close(self) -> None:
        """See `Sink`."""
