"""Client logs against what the journal leads to: what was delivered, what was not, and what was sent."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from lockstep.client_log import SUFFIX, ClientLogFault, ClientLogReader, Reported, Resumed, Sent
from lockstep.reconciler.checks import SentNumbers, compare_report_rows, concerning, lost_commands
from lockstep.reconciler.rules import Break
from lockstep.reconciler.work import ClientPosition, Work
from lockstep.stream.records import EventKind, Events

_PASS_BYTES: Final = 8 << 20

Known = Callable[[int, int], bool]
Backfill = Callable[[int], Iterable[Events] | None]


@dataclass(slots=True)
class _Followed:
    """A log that is followed."""

    position: ClientPosition
    sent: list[SentNumbers] = field(default_factory=list)
    sent_through: int = 0


class ClientLogs:
    """All logs in some directories."""

    def __init__(self, directories: Iterable[Path], work: Work) -> None:
        self._directories = tuple(directories)
        self._work = work
        self._followed: dict[str, _Followed] = {}
        self.faults: list[str] = []
        """Files that can't be read, as of the last look."""
        self.incomplete: list[str] = []
        """Sessions that began before what is known of them."""
        for position in work.clients():
            followed = self._followed[position.path] = _Followed(position)
            self._read_sent(followed)

    @property
    def session_ids(self) -> frozenset[int]:
        """Sessions whose logs are followed."""
        return frozenset(each.position.session_id for each in self._followed.values())

    def __len__(self) -> int:
        """How many logs are followed."""
        return len(self._followed)

    def look(self, verified_seq: int, known: Known, backfill: Backfill) -> None:
        """Find new logs. Call it after the stream's end was asked for, and before it is followed to there."""
        self.faults = []
        for directory in self._directories:
            for path in sorted(directory.glob(f"*{SUFFIX}")):
                if str(path) not in self._followed:
                    self._add(path, verified_seq, known, backfill)

    def _add(self, path: Path, verified_seq: int, known: Known, backfill: Backfill) -> None:
        try:
            reader = ClientLogReader(path)
        except (ClientLogFault, OSError) as error:
            self.faults.append(str(error))
            return
        since = 0
        if known(reader.session_id, 1):
            past = backfill(reader.session_id)
            if past is None:
                since = verified_seq
                self.incomplete.append(f"session {reader.session_id} before seq {since + 1}")
            else:
                for events in past:
                    self._work.expect(concerning(events), (reader.session_id,))
        position = ClientPosition(str(path), reader.session_id, 0, (since, 2**32, 0) if since else (0, 0, 0), since)
        self._followed[str(path)] = _Followed(position)
        self._work.save_client(position)

    def _read_sent(self, followed: _Followed) -> None:
        """What was sent according to the part that was read in a former life."""
        try:
            reader = ClientLogReader(Path(followed.position.path))
            for block in reader.blocks(most_bytes=followed.position.offset):
                if isinstance(block, Sent) and reader.offset <= followed.position.offset:
                    _note_sent(followed, block)
        except (ClientLogFault, OSError) as error:
            self.faults.append(str(error))

    def compare(self, verified_seq: int) -> list[Break]:
        """Read on in every log, as far as the history is verified (R12, R13, R14)."""
        breaks: list[Break] = []
        for followed in self._followed.values():
            try:
                breaks += self._compare(followed, verified_seq)
            except (ClientLogFault, OSError) as error:
                self.faults.append(str(error))
            self._work.save_client(followed.position)
        return breaks

    def _compare(self, followed: _Followed, verified_seq: int) -> list[Break]:
        position = followed.position
        reader = ClientLogReader(Path(position.path), position.offset)
        breaks: list[Break] = []
        for block in reader.blocks(most_bytes=_PASS_BYTES):
            if isinstance(block, Sent):
                _note_sent(followed, block)
            elif isinstance(block, Resumed):
                position.resumed = True
                after = (block.after.seq, block.after.index, block.after.leg)
                if after > position.last:
                    self._work.expected(position.session_id, after)
                    position.last = after
            elif isinstance(block, Reported):
                if len(block.rows) and int(block.rows["seq"].max()) > verified_seq:
                    break
                breaks += self._compare_reported(position, block)
            position.offset = reader.offset
        return breaks

    def _compare_reported(self, position: ClientPosition, block: Reported) -> list[Break]:
        rows = [tuple(row) for row in block.rows[block.rows["kind"] != EventKind.DUPLICATE].tolist()]
        if position.resumed:
            # Written twice: what came after the owner's checkpoint was delivered again.
            rows = [row for row in rows if row[:3] > position.last]
            position.resumed = not rows
        rows = [row for row in rows if row[0] > position.since_seq]
        if not rows:
            return []
        through = max(row[:3] for row in rows)
        expected = self._work.expected(position.session_id, through)
        breaks = compare_report_rows(position.session_id, expected, rows, position.last)
        position.last = max(position.last, through)
        return breaks

    def unanswered(self, known: Known, held: Known, *, now_ns: int, after_ns: int) -> list[Break]:
        """R2: what was sent long ago and is nowhere."""
        breaks: list[Break] = []
        for followed in self._followed.values():
            session = followed.position.session_id
            followed.sent = [block for block in followed.sent if not known(session, block.last_no)]
            breaks += lost_commands(session, followed.sent, held, now_ns=now_ns, after_ns=after_ns)
        return breaks


def _note_sent(followed: _Followed, block: Sent) -> None:
    last = block.first_no + block.count - 1
    # What goes again was sent before: the first time counts.
    if last > followed.sent_through:
        followed.sent.append(SentNumbers(max(block.first_no, followed.sent_through + 1), last, block.at_ns))
        followed.sent_through = last
