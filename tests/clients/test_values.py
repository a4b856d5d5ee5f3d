"""What results say of the reports that they hold."""

from lockstep import EventKind
from lockstep.v1 import common_pb2
from lockstep.values import command_result, report_from_proto


def test_open_lots_are_those_of_the_order_itself_not_of_one_that_prevention_took_off() -> None:
    rows = [
        common_pb2.ExecutionReport(kind=int(kind), order_id=order_id, leaves_lots=leaves)  # type: ignore[arg-type]
        for kind, order_id, leaves in ((EventKind.ACCEPTED, 9, 10), (EventKind.CANCELED, 4, 0))
    ]
    result = command_result(map(report_from_proto, rows), epoch=1)
    assert (result.order_id, result.leaves_lots) == (9, 10)
