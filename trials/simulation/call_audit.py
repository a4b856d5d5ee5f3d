"""Whether the replies to single calls are what happened: the one outcome of a key, and of what had none, too."""

from lockstep.stream.codes import Code
from lockstep.stream.records import EventKind, Events
from lockstep.trials.simulation.callers import NO_KEY, Reply
from lockstep.trials.simulation.world import Violation
from lockstep.v1 import common_pb2

_FIRST_CONTROL = int(EventKind.EPOCH_STARTED)
_DUPLICATE = int(EventKind.DUPLICATE)
_FIELDS = ("kind", "code", "session_no", "order_id", "client_order_id", "price_ticks", "quantity_lots", "leaves_lots")
Row = tuple[int, ...]


class CallAudit:
    """Of one history."""

    def __init__(self) -> None:
        self._outcomes: dict[tuple[int, int], list[Row]] = {}
        """By (session, number): the reports of it to its owner, each with its event id."""
        self._at: dict[tuple[int, int], list[Row]] = {}
        """The same by (seq, number)."""

    def on_events(self, events: Events) -> None:
        """Events of the history, in order."""
        names = ("seq", "index", "session_id", *_FIELDS)
        for seq, index, session, *row in zip(*(events[name].tolist() for name in names), strict=True):
            counts = row[0] < _FIRST_CONTROL and row[0] != _DUPLICATE and row[1] != Code.KEY_REUSED
            if session and counts and row[2]:
                outcomes = self._outcomes.setdefault((session, row[2]), [])
                outcomes.append((seq, index, *row))
                self._at[seq, row[2]] = outcomes

    def check(self, reply: Reply, cut_seq: int) -> None:
        """`cut_seq`: up to where a journal was cut. Raises Violation."""
        said = [_row(report) for report in reply.said.reports]
        if len(said) == 1 and said[0][2] == _DUPLICATE:
            # The outcome was cut from every journal: where it was is still known.
            truth = self._outcomes.get(reply.key, [])
            if truth and truth[0][0] <= cut_seq and reply.said.reports[0].original_seq in (0, truth[0][0]):
                return
        elif reply.key == NO_KEY:
            truth = self._at.get((said[0][0], said[0][4]), [])
        else:
            truth = self._outcomes.get(reply.key, [])
        mine = reply.command.new_order.client_order_id
        if truth and truth[0][6] != mine and len(said) == 1 and said[0][3] == Code.KEY_REUSED:
            return
        if said != truth or any(row[6] != mine for row in said):
            raise Violation(f"{reply.gateway} answers call {reply.key} with order {mine}: {said}; history has {truth}")


def _row(report: common_pb2.ExecutionReport) -> Row:
    return (report.event_id.seq, report.event_id.index, *(int(getattr(report, name)) for name in _FIELDS))
