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
class StreamRecord:
    """One stream: what its Hello said, and what has been written to it."""

    name: str
    session_id: int
    seen: tuple[int, int]
    epoch: int
    """Highest epoch said; at first the one that the client has seen."""
    seq: int = 0
    """Highest seq stamped."""
    rows: list[Row] = field(default_factory=list, repr=False)
    row_epoch: int = 0
    """Epoch under which the last row was delivered, here or, at first, elsewhere."""
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
        self._open: dict[Any, StreamRecord] = {}
        self.streams: list[StreamRecord] = []
        """All streams, in the order of their Hellos."""

    def on_message(self, pipe: Any, message: bytes, up: bool) -> None:
        """A message is written to a stream; an empty one towards the client is the end."""
        record = self._open.get(pipe)
        if up:
            if record is None:
                self._on_hello(pipe, message)
            return
        if record is None:
            raise Violation(f"{pipe.gateway.name} speaks on a stream before its Hello")
        if record.ended:
            raise Violation(f"{record.name}: something comes after the end")
        if not message:
            record.ended = True
            return
        self._on_said(record, orders_pb2.SessionResponse.FromString(message))

    def _on_hello(self, pipe: Any, message: bytes) -> None:
        hello = orders_pb2.SessionRequest.FromString(message).hello
        name = f"stream {len(self.streams) + 1} of session {hello.session_id:#x} at {pipe.gateway.name}"
        seen = hello.last_seen.seq, hello.last_seen.index
        epoch = hello.last_epoch
        record = StreamRecord(name, hello.session_id, seen, epoch, row_epoch=epoch, asks=hello.asks_next_no)
        self._open[pipe] = record
        self.streams.append(record)

    def _on_said(self, record: StreamRecord, said: orders_pb2.SessionResponse) -> None:
        kind = said.WhichOneof("message")
        if record.final:
            raise Violation(f"{record.name}: {kind} comes after a refusal that ends it ({record.final})")
        if (kind == "welcome") is record.welcomed:
            raise Violation(f"{record.name}: {kind} as the {'second' if record.welcomed else 'first'} of its messages")
        match kind:
            case "welcome":
                record.welcomed = True
                self._check_stamp(record, said.welcome.stamp)
            case "refusal":
                self._check_stamp(record, said.refusal.stamp)
                if said.refusal.code == common_pb2.CODE_REPORTS_GONE:
                    self._check_gone(record, said.refusal.text)
                # An orderly end names no command, or the session's next one.
                if not said.refusal.retryable and not said.refusal.from_no:
                    record.final = said.refusal.text or str(said.refusal.code)
            case "reports":
                self._check_stamp(record, said.reports.stamp)
                for report in said.reports.reports:
                    if report.epoch != said.reports.stamp.epoch:
                        raise Violation(f"{record.name}: a report of epoch {report.epoch} in a message of another one")
                    row = report.event_id.seq, report.event_id.index, report.leg
                    self._check_row(record, row, report.kind)
            case "report_batch":
                self._check_stamp(record, said.report_batch.stamp)
                for row, event in _rows(said.report_batch):
                    self._check_row(record, row, event)
            case "next_number":
                if not record.asks:
                    raise Violation(f"{record.name}: a next number comes that was not asked for, or comes again")
                record.asks = False
                self._check_stamp(record, said.next_number.stamp)
                if said.next_number.next_no <= said.next_number.executed_no:
                    raise Violation(f"{record.name}: next number {said.next_number.next_no} was executed")
            case _:
                raise Violation(f"{record.name}: a message without content")

    def _check_stamp(self, record: StreamRecord, stamp: common_pb2.Stamp) -> None:
        if stamp.epoch < record.epoch:
            raise Violation(f"{record.name}: epoch {stamp.epoch} after epoch {record.epoch}")
        if stamp.seq < record.seq:
            raise Violation(f"{record.name}: stamp of seq {stamp.seq} after seq {record.seq}")
        committed_seq, _released = self._judge.known_under(stamp.epoch)
        if stamp.seq > committed_seq:
            raise Violation(f"{record.name}: stamp of seq {stamp.seq}, committed is {committed_seq}")
        record.epoch, record.seq = stamp.epoch, stamp.seq

    def _check_gone(self, record: StreamRecord, text: str) -> None:
        """Only a client that received what was discarded is turned away for good, and hears since when it is void."""
        loss = self._judge.loss_of(record.row_epoch, record.seen[0])
        if loss is None:
            raise Violation(f"{record.name} is refused: {text}")
        if f"from seq {loss.first_seq} on" not in text:
            raise Violation(f"{record.name} is refused, but from seq {loss.first_seq} on things were discarded: {text}")

    def _check_row(self, record: StreamRecord, row: Row, kind: int) -> None:
        before = record.rows[-1] if record.rows else (*record.seen, _BOTH_LEGS)
        loss = self._judge.loss_of(record.row_epoch, before[0])
        if loss is not None and record.epoch >= loss.epoch:
            raise Violation(
                f"{record.name}: row {row} of epoch {record.epoch} after row {before} of epoch {record.row_epoch}, "
                f"which was discarded with all from seq {loss.first_seq} on"
            )
        record.row_epoch = record.epoch
        if row <= before:
            raise Violation(f"{record.name}: row {row} after row {before}")
        if row[0] > record.seq:
            raise Violation(f"{record.name}: row {row} in a message of seq {record.seq}")
        self._check_owner(record, row, kind)
        record.rows.append(row)

    def _check_owner(self, record: StreamRecord, row: Row, kind: int) -> None:
        _committed_seq, released = self._judge.known_under(record.epoch)
        raw = released.get(row[0])
        if raw is None:
            return  # fetched; the primary that was to release it was killed. The audit knows it.
        events = np.frombuffer(raw, dtype=EVENT)
        if row[1] >= len(events) or int(events["kind"][row[1]]) != kind:
            raise Violation(f"{record.name}: row {row} is delivered as of kind {kind}, and is not")
        event = events[row[1]]
        owner = event["session_id"] if row[2] == 0 else event["maker_session_id"]
        if int(owner) != record.session_id or (row[2] and kind not in _TWO_SIDED):
            raise Violation(f"{record.name}: row {row} is another session's")


def _rows(batch: orders_pb2.ReportBatch) -> list[tuple[Row, int]]:
    def column(values: Any) -> list[int]:
        return list(values) or [0] * batch.count

    ids = zip(column(batch.seq), column(batch.index), column(batch.leg), strict=True)
    return list(zip(ids, column(batch.kind), strict=True))
