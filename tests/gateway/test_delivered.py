"""A gateway compares what it delivered to its clients with what the cluster has, before it begins."""

from pathlib import Path

from lockstep.gateway.delivered import Delivered
from lockstep.runtime.delivery_mark_file import DeliveryMarkFile, read_delivery_mark
from lockstep.stream.delivery_mark import DeliveryMark
from lockstep.v1 import common_pb2, replication_pb2


def compare(delivered: Delivered, epoch: int, seq: int, diverged: int = 0, uuid: str = "u-1") -> bool:
    """Whether it begins, where an engine says that history differs from what was delivered, at `diverged` (0: no)."""
    reply = replication_pb2.QueryReply(stamp=common_pb2.Stamp(epoch=epoch, seq=seq), cluster_uuid=uuid)
    asked = delivered.to_compare(reply)
    assert asked is None or (asked.epoch < epoch and asked.seq)
    return delivered.may_begin(reply, diverged if asked is not None else 0)


def restarted(folder: Path) -> Delivered:
    return Delivered(DeliveryMarkFile(folder))


def delivered_before(folder: Path) -> None:
    first = restarted(folder)
    assert compare(first, 3, 10)
    first.on_delivered(DeliveryMark(3, 40))


def test_says_nothing_before_it_knows_the_cluster(tmp_path: Path) -> None:
    delivered_before(tmp_path)
    again = restarted(tmp_path)
    assert again.said == DeliveryMark()
    assert compare(again, 3, 41)
    assert again.said == DeliveryMark(3, 41)


def test_does_not_begin_below_what_it_told_and_says_so(tmp_path: Path) -> None:
    delivered_before(tmp_path)
    again = restarted(tmp_path)
    assert not compare(again, 3, 30)
    assert again.said == DeliveryMark(3, 40)
    assert "reported commands up to seq 40 of epoch 3" in again.why
    # A later epoch that went on from there keeps what was delivered, too.
    assert not compare(again, 5, 90, diverged=31)
    assert (again.said, read_delivery_mark(tmp_path)[1]) == (DeliveryMark(3, 40), DeliveryMark(3, 40))
    # The right disk is back.
    assert compare(again, 3, 40)
    assert again.why == ""


def test_begins_where_history_went_on_from_all_that_it_told(tmp_path: Path) -> None:
    delivered_before(tmp_path)
    again = restarted(tmp_path)
    assert compare(again, 7, 55)
    assert again.said == DeliveryMark(7, 55)


def test_begins_anew_where_an_operator_accepted_the_loss(tmp_path: Path) -> None:
    delivered_before(tmp_path)
    again = restarted(tmp_path)
    assert not compare(again, 5, 35, diverged=31)
    assert not again.accepted(3)
    again.on_accepted(5)
    assert again.accepted(3)
    assert compare(again, 5, 35, diverged=31)
    assert again.said == DeliveryMark(5, 35)


def test_another_cluster_owes_it_nothing(tmp_path: Path) -> None:
    delivered_before(tmp_path)
    again = restarted(tmp_path)
    assert compare(again, 1, 2, uuid="u-2")
    assert read_delivery_mark(tmp_path) == ("u-2", DeliveryMark(1, 2))
