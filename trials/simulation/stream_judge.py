"""The judge of session streams: every message and every row as the wire shows it, before any client filters it.

It reads the public messages and knows what `orders.proto` promises, nothing of a gateway or of the SDK. What a stream
left out shows at the end of a run: `audit.py` compares its rows with the committed history.
"""

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from lockstep.stream.records import EVENT, EventKind
from lockstep.trials.simulation.judge import Judge
from lockstep.trials.simulation.world import Violation
from lockstep.v1 import common_pb2, orders_pb2

_TWO_SIDED: Final = (EventKind.TRADE, EventKind.CANCELED, EventKind.REPLACED, EventKind.REDUCED)
_BOTH_LEGS: Final = 255
Row = tuple[int, int, int]
"""(seq, index, leg)"""


@dataclass(slots=True)
class Told:
    """One stream: what its Hello said, and what has been written to it."""

    name: str
    session_id: int
    seen: tuple[int, int]
    epoch: int
    """Highest epoch said; at first the one that the client was told under."""
    seq: int = 0
    """Highest seq stamped."""
    rows: list[Row] = field(default_factory=list, repr=False)
    row_epoch: int = 0
    """Epoch under which the last row was told, here or, at first, elsewhere."""
    welcomed: bool = False
    asks: bool = False
    """The Hello asked for the next number, which was not said yet."""
    final: str = ""
    """The refusal behind which nothing but the end may come."""
    ended: bool = False


class StreamJudge:
    """See the module. `on_message` raises `Violation`."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._open: dict[Any, Told] = {}
        self.streams: list[Told] = []
        """All streams, in the order of their Hellos."""

    def on_message(self, pipe: Any, message: bytes, up: bool) -> None:
        """A message is written to a stream; an empty one towards the client is the end."""
        told = self._open.get(pipe)
        if up:
            if told is None:
                self._on_hello(pipe, message)
            return
        if told is None:
            raise Violation(f"{pipe.gateway.name} speaks on a stream before its Hello")
        if told.ended:
            raise Violation(f"{told.name}: something comes after the end")
        if not message:
            told.ended = True
            return
        self._on_said(told, orders_pb2.SessionResponse.FromString(message))

    def _on_hello(self, pipe: Any, message: bytes) -> None:
        hello = orders_pb2.SessionRequest.FromString(message).hello
        name = f"stream {len(self.streams) + 1} of session {hello.session_id:#x} at {pipe.gateway.name}"
        seen = hello.last_seen.seq, hello.last_seen.index
        told = Told(name, hello.session_id, seen, hello.last_epoch, row_epoch=hello.last_epoch, asks=hello.asks_next_no)
        self._open[pipe] = told
        self.streams.append(told)

    def _on_said(self, told: Told, said: orders_pb2.SessionResponse) -> None:
        kind = said.WhichOneof("message")
        if told.final:
            raise Violation(f"{told.name}: {kind} comes after a refusal that ends it ({told.final})")
        if (kind == "welcome") is told.welcomed:
            raise Violation(f"{told.name}: {kind} as the {'second' if told.welcomed else 'first'} of its messages")
        match kind:
            case "welcome":
                told.welcomed = True
                self._check_stamp(told, said.welcome.stamp)
            case "refusal":
                self._check_stamp(told, said.refusal.stamp)
                if said.refusal.code == common_pb2.CODE_REPORTS_GONE:
                    self._check_gone(told, said.refusal.text)
                # An orderly end names no command, or the session's next one.
                if not said.refusal.retryable and not said.refusal.from_no:
                    told.final = said.refusal.text or str(said.refusal.code)
            case "reports":
                self._check_stamp(told, said.reports.stamp)
                for report in said.reports.reports:
                    if report.epoch != said.reports.stamp.epoch:
                        raise Violation(f"{told.name}: a report of epoch {report.epoch} in a message of another one")
                    row = report.event_id.seq, report.event_id.index, report.leg
                    self._check_row(told, row, report.kind)
            case "report_batch":
                self._check_stamp(told, said.report_batch.stamp)
                for row, event in _rows(said.report_batch):
                    self._check_row(told, row, event)
            case "next_number":
                if not told.asks:
                    raise Violation(f"{told.name}: a next number comes that was not asked for, or comes again")
                told.asks = False
                self._check_stamp(told, said.next_number.stamp)
                if said.next_number.next_no <= said.next_number.executed_no:
                    raise Violation(f"{told.name}: next number {said.next_number.next_no} was executed")
            case _:
                raise Violation(f"{told.name}: a message without content")

    def _check_stamp(self, told: Told, stamp: common_pb2.Stamp) -> None:
        if stamp.epoch < told.epoch:
            raise Violation(f"{told.name}: epoch {stamp.epoch} after epoch {told.epoch}")
        if stamp.seq < told.seq:
            raise Violation(f"{told.name}: stamp of seq {stamp.seq} after seq {told.seq}")
        committed_seq, _released = self._judge.known_under(stamp.epoch)
        if stamp.seq > committed_seq:
            raise Violation(f"{told.name}: stamp of seq {stamp.seq}, committed is {committed_seq}")
        told.epoch, told.seq = stamp.epoch, stamp.seq

    def _check_gone(self, told: Told, text: str) -> None:
        """Only who was told what was given up is turned away for good, and is told from where on it is void."""
        loss = self._judge.loss_of(told.row_epoch, told.seen[0])
        if loss is None:
            raise Violation(f"{told.name} is refused: {text}")
        if f"from seq {loss.first_seq} on" not in text:
            raise Violation(f"{told.name} is refused, but from seq {loss.first_seq} on things were given up: {text}")

    def _check_row(self, told: Told, row: Row, kind: int) -> None:
        before = told.rows[-1] if told.rows else (*told.seen, _BOTH_LEGS)
        loss = self._judge.loss_of(told.row_epoch, before[0])
        if loss is not None and told.epoch >= loss.epoch:
            raise Violation(
                f"{told.name}: row {row} of epoch {told.epoch} after row {before} of epoch {told.row_epoch}, which was "
                f"given up with all from seq {loss.first_seq} on"
            )
        told.row_epoch = told.epoch
        if row <= before:
            raise Violation(f"{told.name}: row {row} after row {before}")
        if row[0] > told.seq:
            raise Violation(f"{told.name}: row {row} in a message of seq {told.seq}")
        self._check_owner(told, row, kind)
        told.rows.append(row)

    def _check_owner(self, told: Told, row: Row, kind: int) -> None:
        _committed_seq, released = self._judge.known_under(told.epoch)
        raw = released.get(row[0])
        if raw is None:
            return  # fetched; the primary that was to release it was killed. The audit knows it.
        events = np.frombuffer(raw, dtype=EVENT)
        if row[1] >= len(events) or int(events["kind"][row[1]]) != kind:
            raise Violation(f"{told.name}: row {row} is told as of kind {kind}, and is not")
        event = events[row[1]]
        owner = event["session_id"] if row[2] == 0 else event["maker_session_id"]
        if int(owner) != told.session_id or (row[2] and kind not in _TWO_SIDED):
            raise Violation(f"{told.name}: row {row} is another session's")


def _rows(batch: orders_pb2.ReportBatch) -> list[tuple[Row, int]]:
    def column(values: Any) -> list[int]:
        return list(values) or [0] * batch.count

    ids = zip(column(batch.seq), column(batch.index), column(batch.leg), strict=True)
    return list(zip(ids, column(batch.kind), strict=True))
