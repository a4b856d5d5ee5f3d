"""The ledger as a follower's sink: fold a chunk, store it, or nothing of it."""

from lockstep.posttrade.chunks import Chunk, EpochBegin, Position
from lockstep.posttrade.ledger.books import Books
from lockstep.posttrade.ledger.fold import fold
from lockstep.posttrade.ledger.opening import opening_rows
from lockstep.posttrade.ledger.store import Store
from lockstep.posttrade.opening import Opening


class LedgerSink:
    """See `posttrade.follower.Sink`. Belongs to one thread at a time."""

    def __init__(self, store: Store) -> None:
        """What is in memory is loaded from what is stored."""
        self.store = store
        self._position = store.position()
        self._books = Books(store.holdings, store.instruments(), store.accounts())
        self.rows = 0
        """Rows written by this process."""

    def position(self) -> Position:
        """See `Sink`."""
        return self._position

    def epochs(self) -> list[EpochBegin]:
        """See `Sink`."""
        return self.store.epochs()

    def begin(self, opening: Opening) -> Position:
        """Have an empty ledger begin with an engine's snapshot."""
        assert self._position == Position(), f"this ledger has begun: it is at seq {self._position.seq}"
        rows = opening_rows(opening)
        self.store.write(rows, opening.epochs, self._position, opening.position)
        self.rows += sum(len(getattr(rows, name)) for name in rows.__slots__)
        self.reload()
        return self._position

    def apply(self, chunk: Chunk) -> Position:
        """See `Sink`.

        Raises:
            LedgerBroken: the stream contradicts the books.
            LedgerTaken: somebody else writes here.
            LedgerAway: the database does not answer; the same chunk may be applied again.
        """
        end = chunk.end()
        try:
            rows = fold(chunk, self._books)
            self.store.write(rows, chunk.epochs(), self._position, end)
        except BaseException:
            self._books.drop()
            self._books.instruments = {}
            raise
        self.rows += sum(len(getattr(rows, name)) for name in rows.__slots__)
        self._position = end
        self._books.forget()
        return end

    def reload(self) -> None:
        """After a chunk could not be stored: what is in memory is again what is stored."""
        self._position = self.store.position()
        self._books = Books(self.store.holdings, self.store.instruments(), self.store.accounts())

    def close(self) -> None:
        """See `Sink`."""
        self.store.close()
