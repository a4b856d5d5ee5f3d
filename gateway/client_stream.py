"""One client's open session stream: what waits to be written to it, in which form, and how it ends.

Reports wait as arrays and are put into messages only when the client's connection takes one. So a slow client gets few
large messages, and a client that is too slow for good loses its stream, never a report: it opens it again and resumes.
"""

import asyncio
from typing import Final

import grpc

from lockstep.gateway.reports import ReportRows, join, report_batch, report_messages, split, stamp_message
from lockstep.gateway.resumption import LAST_INDEX, Resumption
from lockstep.gateway.sessions import Refused
from lockstep.stream.codes import Code, is_retryable
from lockstep.stream.values import frozen
from lockstep.v1 import common_pb2, orders_pb2
from lockstep.wire.v1 import columns_pb2

MAX_PENDING_ROWS: Final = 262_144
_MAX_MESSAGE_ROWS: Final = 8192
_MAX_MESSAGE_ROWS_PLAIN: Final = 1024
_BOTH_LEGS: Final = 255


class RowsOutOfOrder(RuntimeError):
    """A broken invariant: a report would go out twice, or behind a later one."""


@frozen
class StreamEnd:
    """How the gateway ends a stream."""

    status: grpc.StatusCode
    text: str
    code: Code


class ClientStream:
    """Live reports wait from its making on, until its resumption lets them go.

    Invariant: rows leave in strictly increasing (seq, index, leg), all of them behind what the client has seen.
    `token` is unique among this gateway's streams.
    """

    def __init__(
        self, token: int, session_id: int, resumption: Resumption, *, columnar: bool, client: str = ""
    ) -> None:
        self.token = token
        self.session_id = session_id
        self.columnar = columnar
        self.client = client
        """Whose it is."""
        self.resumption = resumption
        self.wakeup = asyncio.Event()
        self.past_known = asyncio.Event()
        """Set when it is known whether the session had a past; no command of the stream is admitted before."""
        self.end: StreamEnd | None = None
        self.asks_next_no = False
        """The client asks which number comes next; the answer follows all earlier reports."""
        self.welcomed = False
        self.closed = False
        """Nobody reads it any more."""
        self.half_closed = False
        """The client sends nothing more."""
        self._urgent: list[bytes] = []
        self._after_rows: list[bytes] = []
        self._rows: list[ReportRows] = []
        self._held: list[ReportRows] | None = []
        self._count = 0
        # The last row that went into `_rows`, or what the client has seen, both its legs.
        self._last = (*resumption.seen, _BOTH_LEGS)
        self._ahead = resumption.seen > (resumption.boundary, LAST_INDEX)

    @property
    def pending_rows(self) -> int:
        """Report rows that wait."""
        return self._count

    @property
    def has_rows(self) -> bool:
        """Whether any can be written now. Live ones can't while older ones are being fetched."""
        return bool(self._rows)

    @property
    def over(self) -> bool:
        """Nothing more is to be put in."""
        return self.closed or self.end is not None

    @property
    def resuming(self) -> bool:
        """Live reports wait."""
        return self._held is not None

    def release_live(self) -> None:
        """The older reports are in: go on with the live ones."""
        held, self._held = self._held or [], None
        for reports in held:
            self._append(reports)
        self._notify()

    def put_live(self, reports: ReportRows) -> None:
        """Reports of a release, behind the boundary of the resumption."""
        if self._ahead:
            # Another gateway was faster, and has delivered them.
            unseen = self._unseen(reports)
            self._ahead = not len(unseen)
            reports = unseen
        self._put(reports, held=self._held is not None)

    def put_resumed(self, reports: ReportRows) -> None:
        """Reports up to the boundary."""
        self._put(reports, held=False)

    def _unseen(self, reports: ReportRows) -> ReportRows:
        seq, index = self.resumption.seen
        rows = reports.rows
        later = (rows["seq"] > seq) | ((rows["seq"] == seq) & (rows["index"] > index))
        return ReportRows(rows[later], reports.legs[later])

    def _append(self, reports: ReportRows) -> None:
        first, last = _row_id(reports, 0), _row_id(reports, -1)
        if first <= self._last:
            raise RowsOutOfOrder(f"session {self.session_id:#x}: row {first} is to follow row {self._last}")
        self._last = last
        self._rows.append(reports)

    def _put(self, reports: ReportRows, *, held: bool) -> None:
        if self.over or not len(reports):
            return
        if held and self._held is not None:
            self._held.append(reports)
        else:
            self._append(reports)
        self._count += len(reports)
        if self._count > MAX_PENDING_ROWS:
            self.finish(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"more than {MAX_PENDING_ROWS} reports wait for this client; open the session again and resume",
                Code.BUSY,
            )
        self._notify()

    def welcome(
        self, stamp: common_pb2.Stamp, *, gateway: int, credit: int, max_batch: int, next_number_follows: bool = False
    ) -> None:
        """The first message of a stream."""
        self.welcomed = True
        message = orders_pb2.Welcome(
            stamp=stamp,
            gateway=gateway,
            credit=credit,
            max_batch=max_batch,
            next_number_follows=next_number_follows,
        )
        self._say(columns_pb2.SessionResponse(welcome=message.SerializeToString()))

    def refuse(self, stamp: common_pb2.Stamp, refused: Refused, text: str) -> None:
        """Say that commands were not taken. Nothing comes before Welcome: without it a stream ends with a code only."""
        if not self.welcomed:
            return
        message = orders_pb2.Refusal(
            stamp=stamp,
            from_no=refused.from_no,
            code=int(refused.code),  # type: ignore[arg-type]  # same numbers
            text=text,
            retryable=is_retryable(refused.code),
            retry_after_ms=refused.retry_after_ms,
        )
        self._say(columns_pb2.SessionResponse(refusal=message.SerializeToString()))

    def say_next_number(self, stamp: common_pb2.Stamp, next_no: int, executed_no: int) -> None:
        """After all reports that wait now; `executed_no`: how far the engines had come."""
        if self.end is not None:
            return
        message = orders_pb2.NextNumber(stamp=stamp, next_no=next_no, executed_no=executed_no)
        said = columns_pb2.SessionResponse(next_number=message.SerializeToString())
        self._after_rows.append(said.SerializeToString())
        self._notify()

    def _say(self, message: columns_pb2.SessionResponse) -> None:
        self._urgent.append(message.SerializeToString())
        self._notify()

    def finish(self, status: grpc.StatusCode, text: str, code: Code = Code.UNAVAILABLE) -> None:
        """End the stream; reports that wait are dropped (a resumed stream brings them again), refusals are said."""
        if self.end is None:
            self.end = StreamEnd(status, text, code)
            self._rows.clear()
            self._after_rows.clear()
            if self._held is not None:
                self._held.clear()
            self._count = 0
        self._notify()

    def close(self) -> None:
        """Nobody reads it any more."""
        self.closed = True
        self._rows.clear()
        self._held, self._count = None, 0

    def _notify(self) -> None:
        self.wakeup.set()

    def take(self, epoch: int, seq: int) -> list[bytes]:
        """Messages to write now, stamped with what they reflect."""
        messages, self._urgent = self._urgent, []
        if self._rows:
            rows, self._rows = join(self._rows), []
            self._count -= len(rows)
            messages += self._encode(rows, epoch, seq)
        messages += self._after_rows
        self._after_rows.clear()
        return messages

    def take_rows(self) -> ReportRows | None:
        """The rows that wait, for who makes other messages of them than these; None: none do."""
        if not self._rows:
            return None
        rows, self._rows = join(self._rows), []
        self._count -= len(rows)
        return rows

    def _encode(self, rows: ReportRows, epoch: int, seq: int) -> list[bytes]:
        stamp = stamp_message(epoch, seq)
        if self.columnar:
            raw = stamp.SerializeToString()
            return [
                columns_pb2.SessionResponse(report_batch=report_batch(part, raw)).SerializeToString()
                for part in split(rows, _MAX_MESSAGE_ROWS)
            ]
        plain = []
        for part in split(rows, _MAX_MESSAGE_ROWS_PLAIN):
            reports = orders_pb2.Reports(stamp=stamp, reports=report_messages(part, epoch))
            plain.append(orders_pb2.SessionResponse(reports=reports).SerializeToString())
        return plain


def _row_id(reports: ReportRows, place: int) -> tuple[int, int, int]:
    row = reports.rows[place]
    return int(row["seq"]), int(row["index"]), int(reports.legs[place])
