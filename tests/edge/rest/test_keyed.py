"""Keys at several doors that fail: each is executed once, and answered the same by every door."""

import asyncio
import time
from random import Random
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from lockstep.edge.rest import keyed
from lockstep.edge.rest.gateways import CallEnded
from lockstep.edge.rest.keyed import KeyedCommands, KeyReused, Unanswered
from lockstep.edge.rest.lanes import FILLER, Lane, name_of, session_of
from lockstep.edge.rest.problems import Problem
from lockstep.runtime.engines import EventsGone
from lockstep.runtime.tokens import OPEN_CLIENT
from lockstep.stream.codes import Code
from lockstep.v1 import orders_pb2
from tests.edge.rest.world import ACCOUNT, INSTRUMENT, Gateway, World, accepted, buy, shell_of


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    """Time in which other doors may come is drawn, not waited for."""
    for name, value in {"_PAUSE_S": 0.0005, "_LOOK_S": 0.0005, "_FOREIGN_S": 0.002}.items():
        monkeypatch.setattr(keyed, name, value)


def door(world: World) -> KeyedCommands:
    return KeyedCommands(shell_of(world), Gateway(world))  # type: ignore[arg-type]


async def place(at: KeyedCommands, key: str, lots: int = 1):
    async def make() -> tuple[str, Any]:
        return "Place", buy(lots)

    return await at.execute(OPEN_CLIENT, None, name_of(key, str(lots).encode()), make)


async def impossible() -> tuple[str, Any]:
    """What the request means can't be said: the instrument is gone, say, or the order's history."""
    raise Problem(Code.UNKNOWN_ORDER, "gone")


def said(outcome):
    return [report.SerializeToString() for report in outcome.reports]


def test_a_key_is_executed_once_and_has_the_same_outcome_at_every_door():
    async def run():
        world = World(Random(1))
        doors = [door(world), door(world)]
        first = await place(doors[0], "a")
        again = [await place(one, "a") for one in (*doors, door(world))]
        assert not first.repeated
        assert all(one.repeated for one in again)
        assert {tuple(said(one)) for one in again} == {tuple(said(first))}
        assert accepted(world) == 1

    asyncio.run(run())


def test_what_others_do_to_a_lanes_orders_under_numbers_of_theirs_is_no_number_of_the_lane():
    async def run():
        world = World(Random(1))
        own: dict[str, Any] = {"account": ACCOUNT, "instrument": INSTRUMENT}
        world._admin(adjust_position=orders_pb2.AdjustPosition(**own, quantity_lots=9))
        doors = [door(world), door(world)]
        first = await place(doors[0], "a", 3)
        resting = first.reports[0].order_id
        other = 99
        terms: dict[str, Any] = {**own, "order_type": 1, "tif": 2, "price_ticks": 100}
        for number in range(1, 9):
            side: Any = 1 if number < 6 else 2
            command: dict[str, Any] = {"new_order": orders_pb2.NewOrder(quantity_lots=1, side=side, **terms)}
            if number == 8:
                order = orders_pb2.OrderRef(account=ACCOUNT, order_id=resting)
                command = {"cancel": orders_pb2.CancelOrder(order=order)}
            world.apply(other, orders_pb2.Command(session_no=number, **command))
        for one in (*doors, door(world)):
            assert said(await place(one, "a", 3)) == said(first)
        for number, one in enumerate((*doors, door(world))):
            assert not (await place(one, f"b{number}")).repeated

    asyncio.run(run())


@pytest.mark.parametrize("everywhere", [False, True])
def test_what_an_engine_that_is_down_may_have_is_not_taken_for_gone(monkeypatch, everywhere):
    async def run():
        world = World(Random(1))
        await place(door(world), "a")
        late = door(world)
        whole = late._shell.engines.events

        async def events(*, after, **words):
            if after[0] < world.last_no(7):
                raise EventsGone("cut", len(world.log) + 1, everywhere=everywhere)
            async for page in whole(after=after, **words):
                yield page

        monkeypatch.setattr(late._shell.engines, "events", events)
        monkeypatch.setattr(keyed, "PATIENCE_S", 0.2)
        if everywhere:
            assert not (await place(late, "a")).repeated, "nobody knows of it any more"
        else:
            with pytest.raises(Unanswered):
                await place(late, "a")
        assert accepted(world) == 1 + everywhere

    asyncio.run(run())


def test_a_key_for_another_request_is_refused_at_every_door():
    async def run():
        world = World(Random(1))
        doors = [door(world), door(world)]
        await place(doors[0], "a", 1)
        for one in doors:
            with pytest.raises(KeyReused):
                await place(one, "a", 2)
        assert accepted(world) == 1

    asyncio.run(run())


@pytest.mark.parametrize("seed", range(40))
def test_doors_that_lose_calls_and_die_execute_each_key_once(seed):
    """Four doors, a few keys that share lanes, each asked for many times; doors die in the middle of what they do."""

    async def run():
        dice = Random(seed)
        world = World(dice, loss=dice.choice((0.0, 0.1, 0.3)))
        doors = [door(world) for _ in range(4)]
        keys = [f"key {number}" for number in range(dice.randint(1, 40))]
        outcomes: dict[str, set[tuple[bytes, ...]]] = {}

        async def client(number: int) -> None:
            own = Random(seed * 100 + number)
            for _ in range(12):
                key, at = own.choice(keys), own.randrange(len(doors))
                task = asyncio.ensure_future(place(doors[at], key))
                try:
                    outcome = await asyncio.wait_for(task, own.choice((0.003, 5)))
                except TimeoutError:
                    # It dies with what it had in hand; another one has its address.
                    doors[at] = door(world)
                    continue
                except Unanswered:
                    continue
                outcomes.setdefault(key, set()).add(tuple(said(outcome)))

        await asyncio.gather(*(client(number) for number in range(6)))
        world.loss = 0.0
        for key in keys:
            for _ in range(2):
                outcomes.setdefault(key, set()).add(tuple(said(await place(door(world), key))))
        while world.late:
            await world.pause()
        assert all(len(one) == 1 for one in outcomes.values()), outcomes
        assert accepted(world) == len(keys)

    asyncio.run(asyncio.wait_for(run(), 60))


def test_a_note_whose_door_died_is_passed_after_a_while_and_its_key_is_free():
    async def run():
        world = World(Random(3))
        dead, other = name_of("dead", b"1"), None
        for number in range(1000):
            other = name_of(f"other {number}", b"1")
            if other.lane == dead.lane:
                break
        session_id = session_of(0, dead.lane)
        note = orders_pb2.Note(high=dead.high, low=dead.low)
        world.apply(session_id, orders_pb2.Command(session_no=1, note=note))
        await place(door(world), f"other {number}")
        assert world.last_no(session_id) == 4, "the dead one's note, a filler, the other's note and command"
        late = world.apply(session_id, orders_pb2.Command(session_no=2, new_order=buy().order))
        assert late.rows["original_seq"][0], "what comes late has no effect"
        assert accepted(world) == 1
        await place(door(world), "dead")
        assert accepted(world) == 2

    asyncio.run(run())


def test_as_many_keys_are_known_as_are_promised_and_later_ones_make_room(monkeypatch):
    monkeypatch.setattr("lockstep.edge.rest.lanes.KEPT_KEYS", 3)
    lane = Lane()
    names = [name_of(f"{number}", b"") for number in range(6)]
    for at, name in enumerate(names):
        lane.on_outcome(2 * at + 1, 2 * at + 1, name.high, name.low, Code.NOTED)
        lane.on_outcome(2 * at + 2, 2 * at + 2, 9, 0, 0)
    assert [lane.find(name.key) is not None for name in names] == [False] * 3 + [True] * 3
    assert len(lane) == 3


def test_names_are_told_apart_and_none_is_the_filler():
    names = [name_of(f"{number}", b"x") for number in range(20_000)]
    assert len({(name.high, name.low) for name in names}) == len(names)
    assert all((name.high, name.low) != FILLER for name in names)
    counts = [sum(name.lane == lane for name in names) for lane in range(16)]
    assert min(counts) > 1_000, "keys spread over all lanes"
    assert name_of("1", b"x").high != name_of("1", b"y").high


def test_a_repeated_key_has_its_outcome_whatever_the_request_would_mean_now():
    async def run():
        world = World(Random(1))
        first, name = await place(door(world), "a"), name_of("a", b"1")
        for one in (door(world), door(world)):
            assert said(await one.execute(OPEN_CLIENT, None, name, impossible)) == said(first)
            with pytest.raises(KeyReused):
                await one.execute(OPEN_CLIENT, None, name_of("a", b"2"), impossible)

    asyncio.run(run())


@pytest.mark.parametrize("behind", [1, 2, 5])
def test_a_repeated_key_has_its_outcome_also_where_the_feed_is_behind_it(behind: int):
    async def run():
        world = World(Random(1))
        first, late = await place(door(world), "a"), door(world)
        machine: Any = SimpleNamespace(epoch=1, seq=len(world.log) - behind)
        late._shell.machine = machine
        assert said(await late.execute(OPEN_CLIENT, None, name_of("a", b"1"), impossible)) == said(first)
        with pytest.raises(Problem):
            await late.execute(OPEN_CLIENT, None, name_of("b", b"1"), impossible)

    asyncio.run(run())


def test_what_can_not_be_asked_for_uses_up_no_key():
    async def run():
        world = World(Random(1))
        at, name = door(world), name_of("a", b"1")
        with pytest.raises(Problem):
            await at.execute(OPEN_CLIENT, None, name, impossible)
        assert world.last_no(session_of(0, name.lane)) == 0
        assert not (await place(at, "a")).repeated

    asyncio.run(run())


@pytest.mark.parametrize(
    ("room_for", "lost", "code"),
    [(0, 0, Code.BUSY), (0, 1, Code.UNAVAILABLE), (1, 0, Code.UNAVAILABLE)],
    ids=["nothing was carried out", "one call was not heard to the end", "the key was noted"],
)
def test_a_used_up_budget_is_busy_as_long_as_nothing_was_carried_out(monkeypatch, room_for, lost, code):
    """So it is 429 and not 503, which says that a command may have been executed."""
    monkeypatch.setattr(keyed, "PATIENCE_S", 0.02)

    async def run():
        world = World(Random(1))
        at = door(world)
        real, left = at._gateways.call, [lost, room_for]

        async def call(*arguments, **named):
            if left[0]:
                left[0] -= 1
                raise CallEnded(grpc.StatusCode.UNAVAILABLE, Code.UNAVAILABLE, "lost on its way")
            if left[1]:
                left[1] -= 1
                return await real(*arguments, **named)
            raise CallEnded(grpc.StatusCode.RESOURCE_EXHAUSTED, Code.BUSY, "this client's budget is used up", 40)

        monkeypatch.setattr(at._gateways, "call", call)
        with pytest.raises(Unanswered, match="budget is used up") as ended:
            await place(at, "a")
        assert (ended.value.code, ended.value.retry_after_ms) == (code, 40)
        monkeypatch.setattr(at._gateways, "call", real)
        assert not (await place(at, "a")).repeated
        assert accepted(world) == 1

    asyncio.run(run())


def kept(at: KeyedCommands) -> int:
    return sum(len(one.lane) for one in at._lanes.values())


def test_keys_in_memory_are_bounded_whether_or_not_a_lane_is_opened(monkeypatch):
    monkeypatch.setattr(keyed, "_MOST_KEYS", 20)

    async def run():
        world = World(Random(1))
        at = door(world)
        outcomes = {}
        for number in range(120):
            outcomes[f"key {number}"] = said(await place(at, f"key {number}"))
            assert kept(at) == at._keys <= 20
        for key, outcome in outcomes.items():
            assert said(await place(at, key)) == outcome
            assert kept(at) == at._keys <= 20
        assert accepted(world) == 120

    asyncio.run(run())


def test_lanes_in_memory_are_bounded(monkeypatch):
    monkeypatch.setattr(keyed, "_MOST_LANES", 4)

    async def run():
        world = World(Random(1))
        at = door(world)
        for number in range(60):
            await place(at, f"key {number}")
            assert len(at._lanes) < 4
        assert accepted(world) == 60

    asyncio.run(run())


def test_where_all_lanes_are_in_use_and_full_no_other_one_is_opened(monkeypatch):
    monkeypatch.setattr(keyed, "_MOST_KEYS", 0)

    async def run():
        world = World(Random(1))
        at = door(world)
        held = name_of("a", b"1")
        other = next(f"{number}" for number in range(1000) if name_of(f"{number}", b"1").lane != held.lane)
        async with at._turn(session_of(0, held.lane), time.monotonic() + 60) as lane:
            lane.lane.on_outcome(1, 1, held.high, held.low, Code.NOTED)
            at._count(lane)
            with pytest.raises(Unanswered) as full:
                await place(at, other)
            assert full.value.code is Code.BUSY
        assert not at._lanes
        assert not (await place(at, other)).repeated

    asyncio.run(run())
