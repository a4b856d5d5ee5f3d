"""How a session's submitted pieces become parcels: what leaves in one message and is kept until it is answered."""

from collections.abc import Iterable, Iterator

from lockstep.admin import AdminCommand
from lockstep.columns import CommandColumns
from lockstep.session_events import Parcel

Piece = tuple[int, ...] | CommandColumns | AdminCommand
"""What the owner submits: one command as a row of `COMMAND_FIELDS`, a batch, or an administrative command."""


def joined(pieces: Iterable[Piece], first_no: int, batch_rows: int) -> Iterator[Parcel]:
    """Parcels of the pieces in their order, numbered from `first_no` on without a gap.

    Neighbours are joined up to `batch_rows` rows; a batch that is larger stays whole, and an administrative command is
    a parcel of its own.
    """
    company = _Company()
    for piece in pieces:
        fits = isinstance(piece, (tuple, CommandColumns)) and company.rows + _rows(piece) <= batch_rows
        if company.rows and not fits:
            parcel = Parcel(first_no, company.leave())
            yield parcel
            first_no = parcel.end_no
        if isinstance(piece, (tuple, CommandColumns)):
            company.join(piece)
        else:
            yield Parcel(first_no, piece)
            first_no += 1
    if company.rows:
        yield Parcel(first_no, company.leave())


def _rows(piece: tuple[int, ...] | CommandColumns) -> int:
    return piece.count if isinstance(piece, CommandColumns) else 1


class _Company:
    """Pieces that leave together. Single rows become columns only once for all neighbours: that is what costs."""

    def __init__(self) -> None:
        self.rows = 0
        self._parts: list[CommandColumns] = []
        self._singles: list[tuple[int, ...]] = []

    def join(self, piece: tuple[int, ...] | CommandColumns) -> None:
        self.rows += _rows(piece)
        if isinstance(piece, CommandColumns):
            self._close_singles()
            self._parts.append(piece)
        else:
            self._singles.append(piece)

    def leave(self) -> CommandColumns:
        self._close_singles()
        parts, self._parts, self.rows = self._parts, [], 0
        return CommandColumns.concat(parts)

    def _close_singles(self) -> None:
        if self._singles:
            self._parts.append(CommandColumns.trusted_rows(self._singles))
            self._singles = []
