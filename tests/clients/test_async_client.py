"""The asyncio client against a real gRPC server that speaks the public protocol with the public messages."""

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lockstep import (
    AsyncClient,
    Checkpoint,
    Code,
    CommandColumns,
    EventKind,
    Refused,
    SessionEnded,
    SessionFull,
    Unavailable,
)

Run = Callable[..., Any]


async def until(reached: Callable[[], object]) -> None:
    """Give the loop turns until a state is reached that nothing announces; the test's own time limit bounds it."""
    while not reached():  # noqa: ASYNC110 - see above
        await asyncio.sleep(0.01)


def orders(count: int, first: int = 1) -> CommandColumns:
    ids = np.arange(first, first + count, dtype=np.uint64)
    return CommandColumns(
        side=1, order_type=1, tif=2, account=1, instrument=7, client_order_id=ids, price_ticks=100, quantity_lots=5
    )


def test_place_tells_what_the_order_did(run_with_gateways: Run) -> None:
    async def body(gateway: Any) -> None:
        async with AsyncClient(gateway.address) as client:
            done = await client.place(account=1, instrument="ACME", side="buy", quantity_lots=7, price="1.25")
            assert (done.outcome.kind, done.outcome.price_ticks) == (EventKind.ACCEPTED, 125)
            assert done.reports[1].kind == EventKind.TRADE

    run_with_gateways(body)


def test_refusal_by_the_engine_raises_with_code_text_and_remedy(run_with_gateways: Run) -> None:
    async def body(gateway: Any) -> None:
        async with AsyncClient(gateway.address) as client:
            with pytest.raises(Refused, match=r"INSUFFICIENT_CASH \(3002\).*remedy: lower price") as caught:
                await client.place(account=1, instrument=7, side="buy", quantity_lots=13, price_ticks=1)
            assert caught.value.report is not None

    run_with_gateways(body)


def test_single_call_that_got_lost_is_retried_with_its_key_and_executes_once(
    run_with_gateways: Run, exchange: Any
) -> None:
    async def body(gateway: Any) -> None:
        gateway.unary_failures = 2
        async with AsyncClient(gateway.address) as client:
            done = await client.place(account=1, instrument=7, side="buy", quantity_lots=5, price_ticks=1)
            await client.place(account=1, instrument=7, side="buy", quantity_lots=5, price_ticks=2)
        assert done.duplicate
        assert len(set(gateway.keys)) == 2
        assert len(gateway.keys) == 4
        assert [len(commands) for commands in exchange.executed.values()] == [2]

    run_with_gateways(body)


def test_no_gateway_within_the_timeout_raises_unavailable_with_the_address() -> None:
    async def body() -> None:
        async with AsyncClient("127.0.0.1:1", timeout_s=0.3) as client:
            with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1.*not known"):
                await client.place(account=1, instrument=7, side="buy", quantity_lots=5, price_ticks=1)
            with pytest.raises(Unavailable, match="no gateway took the session"):
                await client.session(timeout_s=0.3)

    asyncio.run(body())


def test_unknown_symbol_and_unknown_order_are_told_apart_from_failure(run_with_gateways: Run) -> None:
    async def body(gateway: Any) -> None:
        async with AsyncClient(gateway.address) as client:
            with pytest.raises(Refused, match="there are: ACME"):
                await client.place(account=1, instrument="NOPE", side="buy", quantity_lots=1, price="1")
            assert await client.order(account=1, order_id=5) is None
            assert (await client.status()).serving

    run_with_gateways(body)


def test_token_is_sent_with_every_call(run_with_gateways: Run) -> None:
    async def body(gateway: Any) -> None:
        async with (
            AsyncClient(gateway.address, token="secret", client_number=3) as client,
            await client.session() as session,
        ):
            assert session.session_id >> 32 == 3
        assert gateway.metadata[0]["authorization"] == "Bearer secret"

    run_with_gateways(body)


def test_session_lingers_single_commands_into_one_batch(run_with_gateways: Run) -> None:
    async def body(gateway: Any) -> None:
        async with AsyncClient(gateway.address) as client, await client.session(linger_ms=20) as session:
            handles = [
                await session.place(account=1, instrument="ACME", side="sell", quantity_lots=n, price="1.00")
                for n in range(1, 4)
            ]
            results = [await handle for handle in handles]
        assert gateway.batches == [(1, 3)]
        assert [result.outcome.session_no for result in results] == [1, 2, 3]
        assert [result.outcome.quantity_lots for result in results] == [1, 2, 3]

    run_with_gateways(body)


def test_columns_go_out_and_come_back_with_equal_values(run_with_gateways: Run, exchange: Any) -> None:
    async def body(gateway: Any) -> None:
        async with AsyncClient(gateway.address) as client, await client.session() as session:
            assert await session.submit_columns(orders(300)) == 1
            seen: list[int] = []
            async for batch in session.batches():
                seen.extend(batch.client_order_id.tolist())
                assert set(batch.price_ticks.tolist()) == {100}
                if len(seen) == 300:
                    break
            assert seen == list(range(1, 301))
        (executed,) = exchange.executed.values()
        assert [order.client_order_id for order in executed] == list(range(1, 301))

    run_with_gateways(body)


def test_rows_instead_of_columns_are_understood_as_well(run_with_gateways: Run) -> None:
    async def body(gateway: Any) -> None:
        gateway.rows_not_columns = True
        async with AsyncClient(gateway.address) as client, await client.session() as session:
            handle = await session.place(account=1, instrument=7, side="buy", quantity_lots=7, price_ticks=5)
            result = await handle
        assert [row.kind for row in result.reports] == [EventKind.ACCEPTED, EventKind.TRADE]

    run_with_gateways(body)


def test_batches_stay_within_what_the_gateway_takes(run_with_gateways: Run) -> None:
    async def body(gateway: Any) -> None:
        gateway.max_batch, gateway.credit = 40, 100
        async with AsyncClient(gateway.address) as client, await client.session() as session:
            await session.submit_columns(orders(500))
            await session.drain()
        assert max(count for _, count in gateway.batches) == 40

    run_with_gateways(body)


def test_stream_that_breaks_is_resumed_at_the_next_gateway_and_nothing_is_lost_or_doubled(
    run_with_gateways: Run, exchange: Any
) -> None:
    async def body(first: Any, second: Any) -> None:
        first.break_after_commands = 150
        second.break_after_commands = 80
        addresses = [first.address, second.address]
        async with AsyncClient(addresses) as client, await client.session(cancel_on_disconnect_s=60) as session:
            for start in range(1, 1001, 100):
                await session.submit_columns(orders(100, start))
            await session.drain()
            await session.close()
            seen = [row.client_order_id async for row in session.reports()]
        assert seen == list(range(1, 1001))
        (executed,) = exchange.executed.values()
        assert [order.client_order_id for order in executed] == list(range(1, 1001))
        assert len(first.hellos) + len(second.hellos) == 3
        assert second.hellos[0].last_seen.seq > 0
        numbers = [hello.connection for hello in (first.hellos[0], second.hellos[0], first.hellos[1])]
        assert numbers == sorted(set(numbers))

    run_with_gateways(body, 2)


def test_commands_whose_answers_got_lost_are_sent_again_and_repeats_are_not_handed_out(
    run_with_gateways: Run, exchange: Any
) -> None:
    async def body(gateway: Any) -> None:
        gateway.swallow_reports = True
        async with AsyncClient(gateway.address) as client, await client.session() as session:
            handle = await session.place(account=1, instrument=7, side="buy", quantity_lots=7, price_ticks=5)
            await until(lambda: exchange.history)
            gateway.swallow_reports = False
            gateway.outboxes[session.session_id].put_nowait(None)
            result = await handle
            await until(lambda: session.counters.duplicate_answers)
            await session.close()
            rows = [(row.kind, row.leg) async for row in session.reports()]
        assert result.outcome.kind == EventKind.ACCEPTED
        assert (EventKind.ACCEPTED, 0) in rows
        assert EventKind.DUPLICATE not in {kind for kind, _ in rows}

    run_with_gateways(body)


def test_reports_that_come_twice_are_handed_out_once(run_with_gateways: Run) -> None:
    async def body(gateway: Any) -> None:
        gateway.repeat_reports = True
        async with AsyncClient(gateway.address) as client, await client.session() as session:
            for _ in range(5):
                await (await session.place(account=1, instrument=7, side="buy", quantity_lots=7, price_ticks=5))
            await session.close()
            ids = [(row.seq, row.index, row.leg) async for row in session.reports()]
            assert len(ids) == len(set(ids)) == 15
            assert session.counters.repeated_rows >= 12

    run_with_gateways(body)


@pytest.mark.parametrize("code", [Code.BUSY, Code.UNAVAILABLE, Code.SESSION_GAP])
def test_retryable_refusal_makes_the_session_go_back_and_send_again(
    run_with_gateways: Run, exchange: Any, code: Code
) -> None:
    async def body(gateway: Any) -> None:
        gateway.refusals = [(120, int(code)), (120, int(code)), (250, int(code))]
        async with AsyncClient(gateway.address) as client, await client.session() as session:
            for start in range(1, 401, 50):
                await session.submit_columns(orders(50, start))
            await session.drain()
        (executed,) = exchange.executed.values()
        assert [order.client_order_id for order in executed] == list(range(1, 401))

    run_with_gateways(body)


def test_refusal_that_stays_ends_the_session_loudly(run_with_gateways: Run) -> None:
    async def body(gateway: Any) -> None:
        gateway.refusals = [(1, int(Code.NOT_ENTITLED))]
        async with AsyncClient(gateway.address) as client:
            session = await client.session()
            handle = await session.place(account=1, instrument=7, side="buy", quantity_lots=5, price_ticks=5)
            with pytest.raises(SessionEnded, match="NOT_ENTITLED"):
                await handle
            with pytest.raises(SessionEnded):
                await session.place(account=1, instrument=7, side="buy", quantity_lots=5, price_ticks=5)

    run_with_gateways(body)


def test_session_that_another_stream_took_over_says_so(run_with_gateways: Run) -> None:
    async def body(gateway: Any) -> None:
        async with AsyncClient(gateway.address) as client:
            session = await client.session()
            thief = await client.session(resume=Checkpoint(session.session_id))
            with pytest.raises(SessionEnded, match="SESSION_TAKEN_OVER"):
                async for _ in session.reports():
                    pass
            await thief.close()

    run_with_gateways(body)


def test_full_session_raises_if_it_was_asked_to(run_with_gateways: Run) -> None:
    async def body(gateway: Any) -> None:
        gateway.swallow_reports = True
        async with AsyncClient(gateway.address) as client:
            session = await client.session(max_unanswered=10, on_full="raise")
            await session.submit_columns(orders(10))
            with pytest.raises(SessionFull, match="10 commands unanswered"):
                await session.place(account=1, instrument=7, side="buy", quantity_lots=5, price_ticks=5)
            with pytest.raises(ValueError, match="submit it in parts"):
                await session.submit_columns(orders(11))
            checkpoint = await session.close(drain_s=0.0)
            assert checkpoint.next_no == 11

    run_with_gateways(body)


def test_checkpoint_lets_another_process_go_on(run_with_gateways: Run, exchange: Any) -> None:
    async def body(gateway: Any) -> None:
        async with AsyncClient(gateway.address) as client:
            session = await client.session()
            await session.submit_columns(orders(20))
            await session.drain()
            gateway.swallow_reports = True
            await session.submit_columns(orders(5, 21))
            saved = (await session.close(drain_s=0.05)).to_json()
        gateway.swallow_reports = False
        async with (
            AsyncClient(gateway.address) as client,
            await client.session(resume=Checkpoint.from_json(saved)) as session,
        ):
            assert await session.submit_columns(orders(5, 26)) == 26
            await session.drain()
        (executed,) = exchange.executed.values()
        assert [order.client_order_id for order in executed] == list(range(1, 31))

    run_with_gateways(body)


@pytest.mark.parametrize("slow_past_s", [0.0, 0.5])
@pytest.mark.parametrize("executed", [1, 5, 60])
def test_session_taken_up_from_its_first_checkpoint_goes_on_behind_what_was_executed(
    run_with_gateways: Run, exchange: Any, executed: int, slow_past_s: float
) -> None:
    async def body(gateway: Any) -> None:
        gateway.slow_past_s = slow_past_s
        async with AsyncClient(gateway.address) as client:
            session = await client.session()
            checkpoint = Checkpoint.from_json(session.checkpoint().to_json())
            await session.submit_columns(orders(executed))
            await session.close()
            async with await client.session(resume=checkpoint) as again:
                handle = await again.place(account=1, instrument=7, side="buy", quantity_lots=7, price_ticks=5)
                assert handle.session_no == executed + 1
                result = await handle
                assert result.outcome.quantity_lots == 7, "the outcome is this order's"
        (done,) = exchange.executed.values()
        assert len(done) == executed + 1

    run_with_gateways(body)


def test_session_taken_up_while_a_command_of_its_former_owner_is_in_flight_waits_for_its_answer(
    run_with_gateways: Run, exchange: Any
) -> None:
    async def body(gateway: Any) -> None:
        async with AsyncClient(gateway.address) as client:
            session = await client.session()
            checkpoint = session.checkpoint()
            await session.submit_columns(orders(2))
            await session.close()
            gateway.in_flight_no = 4
            opening = asyncio.ensure_future(client.session(resume=checkpoint))
            await until(lambda: len(gateway.hellos) == 2)
            await asyncio.sleep(0.3)
            assert not opening.done()
            exchange.execute(session.session_id, 3, object())
            again = await opening
            assert (
                await again.place(account=1, instrument=7, side="buy", quantity_lots=1, price_ticks=5)
            ).session_no == 4
            await again.close()

    run_with_gateways(body)


def test_session_that_can_not_learn_how_far_it_had_come_says_so_when_the_time_is_over(run_with_gateways: Run) -> None:
    async def body(gateway: Any) -> None:
        gateway.in_flight_no = 9
        async with AsyncClient(gateway.address) as client:
            with pytest.raises(Unavailable, match="how far the session's former owner had come"):
                await client.session(resume=Checkpoint(77), timeout_s=0.5)

    run_with_gateways(body)


def test_gateway_that_does_not_say_how_far_a_session_had_come_is_waited_for_until_it_is_quiet(
    run_with_gateways: Run,
) -> None:
    async def body(gateway: Any) -> None:
        gateway.tells_next_no = False
        async with AsyncClient(gateway.address) as client:
            session = await client.session()
            checkpoint = session.checkpoint()
            await session.submit_columns(orders(5))
            await session.close()
            again = await client.session(resume=checkpoint)
            assert await again.submit_columns(orders(1)) == 6
            await again.close()

    run_with_gateways(body)


def test_callback_that_raises_ends_the_session_instead_of_hanging_it(run_with_gateways: Run) -> None:
    async def body(gateway: Any) -> None:
        def bad(batch: object) -> None:
            raise KeyError("owner's own fault")

        async with AsyncClient(gateway.address) as client:
            session = await client.session(on_batch=bad)
            handle = await session.place(account=1, instrument=7, side="buy", quantity_lots=5, price_ticks=5)
            with pytest.raises(SessionEnded, match="owner's own fault"):
                await handle

    run_with_gateways(body)


def test_administration_travels_in_the_session(run_with_gateways: Run, exchange: Any) -> None:
    async def body(gateway: Any) -> None:
        async with AsyncClient(gateway.address) as client, await client.session() as session:
            await (await session.define_instrument(id=9, symbol="NEW", tick="0.005"))
            await (await session.define_account(account=4, name="four", unlimited_cash=True))
            await (await session.adjust_cash(account=4, amount="-12.5"))
            await (await session.adjust_position(account=4, instrument="ACME", quantity_lots=3))
        (executed,) = exchange.executed.values()
        assert executed[0].define_instrument.instrument.tick_micros == 5_000
        assert executed[1].define_account.unlimited_cash
        assert executed[2].adjust_cash.amount_micros == -12_500_000
        assert executed[3].adjust_position.instrument == 7

    run_with_gateways(body)


def test_session_that_a_gateway_turns_away_comes_again_when_it_was_told_to(run_with_gateways: Run) -> None:
    async def body(gateway: Any) -> None:
        gateway.turn_away = [400, 300]
        loop = asyncio.get_running_loop()
        async with AsyncClient(gateway.address) as client:
            before = loop.time()
            session = await client.session()
            assert loop.time() - before >= 0.7
            assert len(gateway.turned_away_at) == 2
            await session.close()

    run_with_gateways(body)
