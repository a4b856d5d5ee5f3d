"""How new an answer has to be that a gateway passes on."""

from typing import Any

import pytest

from lockstep.gateway.driver import GatewayDriver
from lockstep.gateway.events import Started
from lockstep.gateway.machine import GatewayMachine, Settings
from lockstep.runtime.inquiry import BEGAN, Answered, Inquiry
from lockstep.stream.delivery_mark import DeliveryMark
from lockstep.v1 import common_pb2, replication_pb2

ACCOUNT = replication_pb2.QueryRequest(account=1)
ORDERS = replication_pb2.QueryRequest(open_orders=replication_pb2.OrderCursor(account=1))


class Mark:
    """Of a gateway whose former life has delivered up to seq 40 of epoch 3."""

    uuid = "u-1"
    delivered = DeliveryMark(3, 40)


def new_life() -> GatewayDriver:
    settings = Settings(gateway=1, incarnation=2)
    ports: Any = None
    mark: Any = Mark()
    return GatewayDriver(GatewayMachine(settings), ports, mark, engines=(1, 2), max_batch=64)


def counts(inquiry: Inquiry, epoch: int, seq: int) -> bool:
    """Whether an answer as of this stamp is taken."""
    inquiry.step(BEGAN, 0)
    reply = replication_pb2.QueryReply(stamp=common_pb2.Stamp(epoch=epoch, seq=seq))
    return inquiry.step(Answered(1, reply), 0).end == reply


@pytest.mark.parametrize(("epoch", "seq", "taken"), [(3, 39, False), (2, 50, False), (3, 40, True), (4, 41, True)])
def test_gateway_that_starts_answers_no_older_than_it_told_before(epoch: int, seq: int, taken: bool) -> None:
    driver = new_life()
    assert counts(driver.look_up(ACCOUNT), epoch, seq) is taken
    assert counts(driver.one_page(ORDERS, min_seq=0, timeout_ns=1), epoch, seq) is taken


def test_gateway_answers_no_older_than_it_has_delivered_and_the_asker_knows() -> None:
    driver = new_life()
    driver.machine.step(Started(60, 4), 0)
    assert not counts(driver.look_up(ACCOUNT), 4, 59)
    assert not counts(driver.look_up(ACCOUNT), 3, 60)
    assert counts(driver.look_up(ACCOUNT), 4, 60)
    assert not counts(driver.one_page(ORDERS, min_seq=70, timeout_ns=1), 4, 69)
    assert counts(driver.one_page(ORDERS, min_seq=70, timeout_ns=1), 4, 70)
    assert not counts(driver.one_page(ORDERS, min_seq=50, timeout_ns=1), 4, 59)
