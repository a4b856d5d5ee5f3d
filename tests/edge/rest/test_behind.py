"""A feed that is behind the gateways: nothing wrong is said of prices and orders, 503 at the worst."""

import asyncio
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from lockstep.edge.rest import reads
from lockstep.edge.rest.answers import Answers, Asked
from lockstep.edge.rest.market import Behind, MarketJson
from lockstep.edge.rest.operations import OPERATIONS
from lockstep.edge.rest.problems import Problem
from lockstep.edge.rest.reads import Reads
from lockstep.runtime.engines import EventsGone
from lockstep.runtime.tokens import OPEN_CLIENT
from lockstep.stream.codes import Code
from lockstep.v1 import accounts_pb2, common_pb2, orders_pb2
from tests.edge.rest.world import ACCOUNT, INSTRUMENT, Engines, World, buy

TICK = 10_000
OWNER, OTHER = 8, 9


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    monkeypatch.setattr(reads, "MIN_SEQ_S", 0.2)


class Gateways:
    """They know what the engine knows."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.live: list[orders_pb2.Order] = []
        self.positions: list[accounts_pb2.Position] = []

    async def call(self, _service: str, method: str, request: Any, _who: Any, *, patience_s: float) -> Any:
        del patience_s
        stamp = common_pb2.Stamp(epoch=1, seq=len(self.world.log))
        if method == "ListAccounts":
            account = accounts_pb2.Account(account=ACCOUNT, name="A", positions=self.positions)
            return accounts_pb2.ListAccountsReply(accounts=[account], stamp=stamp)
        orders = [order for order in self.live if order.order_id > request.cursor][: request.limit]
        return accounts_pb2.ListOpenOrdersReply(orders=orders, stamp=stamp)

    async def close(self) -> None: ...


class Feed:
    """A feed at some seq, that knows some instruments."""

    def __init__(self, world: World, seq: int, ticks: dict[int, int]) -> None:
        one = {number: SimpleNamespace(symbol="ACME", tick_micros=tick, lot_units=1) for number, tick in ticks.items()}
        self.definitions = one
        fold = SimpleNamespace(
            statuses=SimpleNamespace(definitions=one),
            days=SimpleNamespace(of=lambda *_: SimpleNamespace(bar=SimpleNamespace(close_ticks=10_150))),
            timestamp_ns=1,
        )
        hub = SimpleNamespace(fold=fold)
        self.machine = SimpleNamespace(epoch=1, seq=seq, hub=hub, serves=True)
        self.engines = Engines(world)
        self.topology = SimpleNamespace(gateways=())
        self.member = SimpleNamespace(id=1, host="127.0.0.1")

    def why_not_serving(self) -> str:
        return ""


class Site:
    """A resting buy of 3 lots that is taken whole, by default."""

    def __init__(self) -> None:
        self.world = world = World(Random(1))
        own: dict[str, Any] = {"account": ACCOUNT, "instrument": INSTRUMENT}
        world._admin(adjust_position=orders_pb2.AdjustPosition(**own, quantity_lots=9))
        world.apply(OWNER, orders_pb2.Command(session_no=1, new_order=buy(3).order))
        self.order = len(world.log)
        terms: dict[str, Any] = {**own, "order_type": 1, "tif": 2, "price_ticks": 100, "side": 2, "quantity_lots": 3}
        self.take = orders_pb2.Command(session_no=1, new_order=orders_pb2.NewOrder(**terms))
        self.cancel = orders_pb2.Command(
            session_no=2,
            cancel=orders_pb2.CancelOrder(order=orders_pb2.OrderRef(account=ACCOUNT, order_id=self.order)),
        )
        self.gateways: Any = Gateways(world)

    def answers(self, feed: Feed) -> Answers:
        made = Answers(feed)  # type: ignore[arg-type]
        made._gateways = self.gateways
        made._reads = Reads(feed, self.gateways, made._market.tick_of)  # type: ignore[arg-type]
        return made


def get(answers: Answers, name: str, **values: Any) -> dict[str, Any]:
    (operation,) = [one for one in OPERATIONS if one.name == name]
    said = {"account": ACCOUNT, "min_seq": "0", "cursor": "0", "limit": 10, **values}
    return dict(asyncio.run(answers.of(Asked(operation, OPEN_CLIENT, None, said, "", {}))).body)


def refusal(answers: Answers, name: str, **values: Any) -> Problem:
    with pytest.raises(Problem) as refused:
        get(answers, name, **values)
    return refused.value


@pytest.mark.parametrize(("ends", "status"), [("take", "filled"), ("cancel", "canceled")])
@pytest.mark.parametrize("behind", [0, 1, 2])
def test_what_became_of_an_order_does_not_depend_on_how_far_the_feed_is(ends: str, status: str, behind: int):
    site = Site()
    if ends == "take":
        site.world.apply(OTHER, site.take)
    else:
        site.world.apply(OWNER, site.cancel)
    answers = site.answers(Feed(site.world, len(site.world.log) - behind, {INSTRUMENT: TICK}))
    shown = get(answers, "getOrder", order_id=str(site.order))
    assert (shown["status"], shown["price"], shown["leaves_lots"]) == (status, "1", 0)
    history = get(answers, "getOrderHistory", order_id=str(site.order))["reports"]
    assert [one["kind"] for one in history] == ["accepted", "trade" if ends == "take" else "canceled"]


def test_an_order_whose_end_is_not_there_is_not_called_canceled():
    site = Site()
    problem = refusal(
        site.answers(Feed(site.world, site.order, {INSTRUMENT: TICK})), "getOrder", order_id=str(site.order)
    )
    assert (problem.status, problem.headers["Retry-After"]) == (503, "1")


@pytest.mark.parametrize("name", ["listOpenOrders", "getOrder", "getOrderHistory", "getAccount", "getPortfolio"])
def test_prices_of_an_instrument_that_the_feed_has_not_heard_of_are_not_guessed(name: str):
    site = Site()
    site.gateways.live = [
        orders_pb2.Order(account=ACCOUNT, instrument=INSTRUMENT, order_id=site.order, price_ticks=100, leaves_lots=3)
    ]
    site.gateways.positions = [accounts_pb2.Position(instrument=INSTRUMENT, quantity_lots=3, cost_micros=3)]
    values = {"order_id": str(site.order)} if "rder" in name and name != "listOpenOrders" else {}
    for seq in (0, len(site.world.log)):
        problem = refusal(site.answers(Feed(site.world, seq, {})), name, **values)
        assert (problem.code, problem.status, problem.headers["Retry-After"]) == (Code.UNAVAILABLE, 503, "1")
        assert problem.document()["remedy"]


def test_a_feed_that_is_a_moment_behind_is_waited_for(monkeypatch):
    monkeypatch.setattr(reads, "MIN_SEQ_S", 30)
    site = Site()
    site.gateways.live = [orders_pb2.Order(instrument=INSTRUMENT, order_id=site.order, price_ticks=100)]
    feed = Feed(site.world, 0, {})
    answers = site.answers(feed)
    (operation,) = [one for one in OPERATIONS if one.name == "listOpenOrders"]
    values = {"account": ACCOUNT, "min_seq": "0", "cursor": "0", "limit": 10}

    async def run() -> Any:
        def come() -> None:
            feed.definitions[INSTRUMENT] = SimpleNamespace(tick_micros=TICK)
            feed.machine.seq = len(site.world.log)

        asyncio.get_running_loop().call_later(0.05, come)
        return await answers.of(Asked(operation, OPEN_CLIENT, None, values, "", {}))

    assert asyncio.run(run()).body["orders"][0]["price"] == "1"


def test_a_portfolio_has_no_prices_from_before_its_positions():
    site = Site()
    site.gateways.positions = [accounts_pb2.Position(instrument=INSTRUMENT, quantity_lots=3, cost_micros=3)]
    late = Feed(site.world, len(site.world.log) - 1, {INSTRUMENT: TICK})
    assert refusal(site.answers(late), "getPortfolio").status == 503
    assert get(site.answers(late), "getAccount")["positions"], "no price of the market is in it"
    late.machine.seq += 1
    assert get(site.answers(late), "getPortfolio")["positions"][0]["price"] == "101.5"


def test_no_instrument_has_a_tick_of_one_and_an_unknown_one_has_none():
    market = MarketJson(Feed(World(Random(1)), 5, {INSTRUMENT: TICK}))  # type: ignore[arg-type]
    assert (market.tick_of(0), market.tick_of(INSTRUMENT)) == (1, TICK)
    with pytest.raises(Behind, match="instrument 7"):
        market.tick_of(7)


# ---- an order that is older than the history that is kept ------------------------------------------------------------


class Cut(Engines):
    async def events(self, **_words: Any) -> Any:
        raise EventsGone("cut", 1000, everywhere=True)
        yield


def request(answers: Answers, order: int) -> tuple[str, Any]:
    (operation,) = [one for one in OPERATIONS if one.name == "replaceOrder"]
    values = {"account": ACCOUNT, "order_id": str(order)}
    asked = Asked(operation, OPEN_CLIENT, None, values, "key", {"price": "1.01", "quantity_lots": 2})
    return asyncio.run(answers._request(asked))


def test_a_live_order_can_be_replaced_though_its_acceptance_is_kept_no_more():
    site = Site()
    feed = Feed(site.world, len(site.world.log), {INSTRUMENT: TICK})
    feed.engines = Cut(site.world)
    answers = site.answers(feed)
    with pytest.raises(Problem) as gone:
        request(answers, site.order)
    assert (gone.value.code, gone.value.status) == (Code.UNKNOWN_ORDER, 404)
    site.gateways.live = [orders_pb2.Order(account=ACCOUNT, instrument=INSTRUMENT, order_id=site.order)]
    method, made = request(answers, site.order)
    assert (method, made.replace.price_ticks, made.replace.quantity_lots) == ("Replace", 101, 2)
