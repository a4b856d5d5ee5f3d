"""Clients ask how things stand: in one run of seventeen, of any gateway, all the time, by dice of their own.

The questions and answers are the public ones; the gateway's part is the real one (`GatewayDriver.look_up`, `one_page`,
`listings.py`). How new an answer has to be is looked at when it comes: nothing that the gateway had delivered to any
client before is missing in it, in whichever of its lives, and nothing that the asker named with `min_seq`. Whether it
is true is the audit's matter, which has the state at every stamp.
"""

from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Final

from lockstep.gateway import listings
from lockstep.runtime.inquiry import Inquiry, NoAnswer, Todo
from lockstep.stream.delivery_mark import DeliveryMark
from lockstep.trials.simulation.client_host import ClientHost
from lockstep.trials.simulation.gateway_host import GatewayHost
from lockstep.trials.simulation.host import Host
from lockstep.trials.simulation.kernel import MS, SECOND
from lockstep.trials.simulation.network import Done
from lockstep.trials.simulation.world import Violation, World
from lockstep.v1 import accounts_pb2, orders_pb2, replication_pb2

EVERY: Final = 17
_RESIDUE: Final = 3
_DICE: Final = 0xA5C
_TIMEOUT_NS: Final = 5 * SECOND
_MOST_ROWS: Final = 5

Question = accounts_pb2.GetAccountRequest | accounts_pb2.ListOpenOrdersRequest | orders_pb2.GetOrderRequest
Said = accounts_pb2.GetAccountReply | accounts_pb2.ListOpenOrdersReply | orders_pb2.GetOrderReply


@dataclass(frozen=True, slots=True)
class Answer:
    """What was asked, and what was said. What there is none of is left out of the reply."""

    gateway: str
    question: Question
    said: Said = field(repr=False)


def is_due(seed: int) -> bool:
    """Whether there are questions in this run."""
    return seed % EVERY == _RESIDUE


class Enquiries:
    """See the module."""

    def __init__(self, world: World, clients: list[ClientHost], gateways: list[GatewayHost]) -> None:
        self._world = world
        self._clients, self._gateways = clients, gateways
        self._dice = Random(world.kernel.seed ^ _DICE)  # noqa: S311 - repeatable on purpose
        self.answers: list[Answer] = []
        """All that came, for the audit."""
        self.unanswered = 0

    def begin(self) -> None:
        """If this is such a run."""
        if is_due(self._world.kernel.seed):
            self._next()

    def _next(self) -> None:
        low, high = (100, 400) if self._world.network.calm else (2, 30)
        self._world.kernel.after(self._dice.randint(low, high) * MS, self._ask)

    def _ask(self) -> None:
        client, gateway = self._dice.choice(self._clients), self._dice.choice(self._gateways)
        if client.alive:
            question = self._question(client)
            request = partial(self._come, question)
            answered = partial(self._answered, gateway.name, question)
            self._world.network.call(client, gateway, request, answered, timeout_ns=_TIMEOUT_NS)
        self._next()

    def _question(self, client: ClientHost) -> Question:
        account, dice = client.id, self._dice
        match dice.randrange(3):
            case 0:
                return accounts_pb2.GetAccountRequest(account=account)
            case 1:
                own_id = account * 100_000 + dice.randint(1, max(1, client.machine.next_no))
                return orders_pb2.GetOrderRequest(order=orders_pb2.OrderRef(account=account, client_order_id=own_id))
            case _:
                cursor = dice.choice((0, 0, max(0, client.owner.delivered_seq - dice.randint(0, 20))))
                limit, min_seq = dice.randint(1, _MOST_ROWS), client.owner.delivered_seq
                return accounts_pb2.ListOpenOrdersRequest(account=account, cursor=cursor, limit=limit, min_seq=min_seq)

    def _come(self, question: Question, target: Host, answer: Done) -> None:
        assert isinstance(target, GatewayHost)
        target.post(("call", partial(self._serve, target, question, answer)))

    def _serve(self, gateway: GatewayHost, question: Question, answer: Done) -> None:
        """What the gateway's services do with it, but for who may ask."""
        driver, delivered = gateway.driver, gateway.delivery_note.delivered
        inquiry: Inquiry
        match question:
            case accounts_pb2.GetAccountRequest():
                inquiry = driver.look_up(replication_pb2.QueryRequest(account=question.account))
            case orders_pb2.GetOrderRequest():
                inquiry = driver.look_up(replication_pb2.QueryRequest(order=question.order))
            case _:
                asked = listings.ask_open_orders(question)
                inquiry = driver.one_page(asked, min_seq=question.min_seq, timeout_ns=_TIMEOUT_NS)

        def heard(todo: Todo) -> bool:
            if isinstance(todo.end, NoAnswer):
                answer(None, todo.end.text)
            elif todo.end is not None:
                said = _reply(question, todo.end)
                self._check_age(gateway.name, question, said, delivered)
                answer(said, "")
            return False

        gateway.ask(inquiry, heard)

    def _check_age(self, gateway: str, question: Question, said: Said, delivered: DeliveryMark) -> None:
        stamp, judge = DeliveryMark(said.stamp.epoch, said.stamp.seq), self._world.judge
        older = stamp.seq < delivered.seq or stamp.epoch < delivered.epoch
        if older and judge.loss_of(delivered.epoch, delivered.seq) is None:
            raise Violation(f"{gateway} has delivered {delivered}, and answers {type(question).__name__} as of {stamp}")
        if isinstance(question, accounts_pb2.ListOpenOrdersRequest) and stamp.seq < question.min_seq:
            raise Violation(f"{gateway} is asked for seq {question.min_seq} at least, and answers as of {stamp}")

    def _answered(self, gateway: str, question: Question, said: Said | None, failure: str) -> None:
        del failure
        if said is None:
            self.unanswered += 1
        else:
            self.answers.append(Answer(gateway, question, said))


def _reply(question: Question, found: replication_pb2.QueryReply) -> Said:
    match question:
        case accounts_pb2.GetAccountRequest():
            accounts = listings.accounts(found).accounts
            return accounts_pb2.GetAccountReply(stamp=found.stamp, account=accounts[0] if accounts else None)
        case orders_pb2.GetOrderRequest():
            return orders_pb2.GetOrderReply(stamp=found.stamp, order=listings.order(found, question.order))
        case _:
            return listings.open_orders(found)
