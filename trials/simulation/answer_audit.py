"""Whether answers about accounts and orders were true: each against the audit's own engine, as it was at the stamp."""

from collections.abc import Sequence
from dataclasses import fields

from lockstep.engine.contract import AccountView, MatchingEngine, OrderView
from lockstep.stream.records import AccountFlag
from lockstep.trials.simulation.enquiries import Answer
from lockstep.trials.simulation.world import Violation
from lockstep.v1 import accounts_pb2, orders_pb2


class AnswerAudit:
    """Of the answers of one history. Each has to be of a state that its engines were in, between two batches."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        self._due: dict[int, list[Answer]] = {}
        for answer in answers:
            self._due.setdefault(answer.said.stamp.seq, []).append(answer)

    def on_state(self, engine: MatchingEngine, seq: int, epoch: int) -> None:
        """The state after a seq, whose record is of this epoch. Raises Violation."""
        for answer in self._due.pop(seq, ()):
            if answer.said.stamp.epoch < epoch:
                raise _differs(answer, f"seq {seq} is of epoch {epoch}")
            _check(engine, answer)

    def end(self) -> None:
        """All states were seen. Raises Violation."""
        for seq, answers in self._due.items():
            raise _differs(answers[0], f"no engine ever stood at seq {seq}")


def _differs(answer: Answer, truth: object) -> Violation:
    said = str(answer.said).replace("\n", " ")
    asked = f"{type(answer.question).__name__}({str(answer.question).replace(chr(10), ' ')})"
    return Violation(f"{answer.gateway} answers {asked} with {said}; {truth}")


def _check(engine: MatchingEngine, answer: Answer) -> None:
    match answer.question, answer.said:
        case accounts_pb2.GetAccountRequest() as question, accounts_pb2.GetAccountReply() as said:
            view = engine.account(question.account)
            if said.HasField("account") is (view is None) or (view is not None and said.account != _account(view)):
                raise _differs(answer, view)
        case orders_pb2.GetOrderRequest() as question, orders_pb2.GetOrderReply() as said:
            found = engine.order_by_client_id(question.order.account, question.order.client_order_id)
            if said.HasField("order") is (found is None) or (found is not None and said.order != _order(found)):
                raise _differs(answer, found)
        case accounts_pb2.ListOpenOrdersRequest() as question, accounts_pb2.ListOpenOrdersReply() as said:
            live = [_order(one) for one in engine.open_orders(question.account) if one.order_id > question.cursor]
            page = live if not said.next_cursor else [one for one in live if one.order_id <= said.next_cursor]
            if len(said.orders) > question.limit or list(said.orders) != page:
                raise _differs(answer, live)
        case _:
            raise _differs(answer, "that is no answer to it")


def _order(view: OrderView) -> orders_pb2.Order:
    return orders_pb2.Order(**{one.name: getattr(view, one.name) for one in fields(view)})


def _account(view: AccountView) -> accounts_pb2.Account:
    held = [
        accounts_pb2.Position(**{one.name: getattr(position, one.name) for one in fields(position)})
        for position in view.positions
    ]
    return accounts_pb2.Account(
        account=view.account,
        name=view.name,
        unlimited_cash=bool(view.flags & AccountFlag.UNLIMITED_CASH),
        unlimited_positions=bool(view.flags & AccountFlag.UNLIMITED_POSITIONS),
        cash_micros=view.cash_micros,
        reserved_micros=view.reserved_micros,
        positions=held,
        status=view.status,  # type: ignore[arg-type]  # by number
        margin=bool(view.flags & AccountFlag.MARGIN),
        short_sales=bool(view.flags & AccountFlag.SHORT_SALES),
        day_trade_rule=bool(view.flags & AccountFlag.DAY_TRADE_RULE),
    )
