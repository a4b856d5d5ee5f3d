"""How a session ends: loudly, for everybody who waits for it, and with the first reason for as long as it is asked."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lockstep import (
    AsyncClient,
    Checkpoint,
    Client,
    Code,
    CommandColumns,
    CommandRow,
    LockstepError,
    Refused,
    SessionEnded,
    Unavailable,
)
from lockstep.client_log import ClientLog
from lockstep.session_events import Parcel
from lockstep.v1 import common_pb2, orders_pb2

Run = Callable[..., Any]
TERMS: dict[str, Any] = {"account": 1, "instrument": 7, "side": "buy", "quantity_lots": 1, "price_ticks": 5}


async def until(reached: Callable[[], object]) -> None:
    while not reached():  # noqa: ASYNC110 - the test's own time limit bounds it
        await asyncio.sleep(0.01)


def refuse(gateway: Any, session_id: int, code: Any, text: str) -> None:
    refusal = orders_pb2.Refusal(code=code, text=text)
    say = gateway.outboxes[session_id].put_nowait
    (gateway.loop or asyncio.get_running_loop()).call_soon_threadsafe(say, orders_pb2.SessionResponse(refusal=refusal))


ASYNC_CALLS: dict[str, Callable[[Any], Any]] = {
    "place": lambda session: session.place(**TERMS),
    "cancel": lambda session: session.cancel(account=1, order_id=5),
    "replace": lambda session: session.replace(account=1, order_id=5, quantity_lots=1, price_ticks=4),
    "mass_cancel": lambda session: session.mass_cancel(account=1),
    "define_account": lambda session: session.define_account(account=4, name="four"),
    "submit": lambda session: session.submit(CommandRow(kind=1)),
    "submit untracked": lambda session: session.submit(CommandRow(kind=1), track=False),
    "submit_columns": lambda session: session.submit_columns(CommandColumns(count=2)),
    "drain": lambda session: session.drain(),
}


def test_every_later_call_says_why_the_session_failed_between_two_calls(run_with_gateways: Run) -> None:
    async def body(gateway: Any) -> None:
        async with AsyncClient(gateway.address) as client:
            session = await client.session()
            gateway.swallow_reports = True
            handle = await session.place(**TERMS)
            refuse(gateway, session.session_id, common_pb2.CODE_REPORTS_GONE, "what came from seq 7 on is void")
            await until(lambda: session.shell.machine.ended)
            for _ in range(2):
                for name, call in ASYNC_CALLS.items():
                    with pytest.raises(SessionEnded, match=r"REPORTS_GONE.*from seq 7 on is void") as caught:
                        await call(session)
                    assert isinstance(caught.value.__cause__, Refused), name
                    assert caught.value.__cause__.code == Code.REPORTS_GONE
                with pytest.raises(SessionEnded, match="from seq 7 on is void"):
                    await handle
                with pytest.raises(SessionEnded, match="from seq 7 on is void"):
                    await anext(session.reports())
                with pytest.raises(SessionEnded, match="from seq 7 on is void"):
                    await anext(session.batches())
            with pytest.raises(Unavailable, match=r"commands unanswered.*from seq 7 on is void"):
                await session.__aexit__(None, None, None)
            checkpoint = await session.close()
            assert Checkpoint.from_json(checkpoint.to_json()).unanswered[0].count == 1

    run_with_gateways(body)


def test_blocking_calls_say_so_too_and_those_that_wait_are_woken_with_the_reason(gateway_thread: Any) -> None:
    gateway_thread.swallow_reports = True
    with Client(gateway_thread.address) as client:
        session = client.session(max_unanswered=1)
        handle = session.place(**TERMS)
        waiting: dict[str, Callable[[], object]] = {
            "room": lambda: session.place(**TERMS),
            "drain": session.drain,
            "handle": handle.result,
            "reports": lambda: next(session.reports()),
        }
        said: dict[str, str] = {}

        def wait(name: str) -> None:
            try:
                waiting[name]()
            except SessionEnded as error:
                said[name] = str(error)

        threads = [threading.Thread(target=wait, args=(name,)) for name in waiting]
        for thread in threads:
            thread.start()
        refuse(gateway_thread, session.session_id, common_pb2.CODE_NOT_ENTITLED, "no more")
        for thread in threads:
            thread.join(10)
        assert set(said) == set(waiting)
        for _ in range(2):
            for call in (*waiting.values(), lambda: session.cancel(account=1, order_id=4)):
                with pytest.raises(SessionEnded, match=r"NOT_ENTITLED.*no more"):
                    call()
        assert session.checkpoint().to_json()


def test_session_that_was_closed_says_that_and_not_that_it_failed(run_with_gateways: Run) -> None:
    async def body(gateway: Any) -> None:
        async with AsyncClient(gateway.address) as client:
            session = await client.session()
            await session.close()
            for call in ASYNC_CALLS.values():
                if call is not ASYNC_CALLS["drain"]:
                    with pytest.raises(SessionEnded, match=r"^the session was closed$"):
                        await call(session)
            assert [row async for row in session.reports()] == []

    run_with_gateways(body)


# ---- tasks that break ----------------------------------------------------------------------------------------------


def test_writer_that_breaks_ends_the_session_with_its_reason(
    run_with_gateways: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(parcel: Parcel) -> bytes:
        raise OverflowError(f"command {parcel.first_no} does not fit")

    async def body(gateway: Any) -> None:
        async with AsyncClient(gateway.address) as client:
            session = await client.session()
            with monkeypatch.context() as patch:
                patch.setattr(Parcel, "encode", broken)
                handle = await session.place(**TERMS)
                with pytest.raises(SessionEnded, match="command 1 does not fit") as caught:
                    await asyncio.wait_for(_outcome(handle), 5)
            assert isinstance(caught.value.__cause__, LockstepError)
            with pytest.raises(SessionEnded, match="command 1 does not fit"):
                await session.place(**TERMS)
            with pytest.raises(SessionEnded, match="command 1 does not fit"):
                await session.drain()
            assert Checkpoint.from_json(session.checkpoint().to_json()).next_no == 2

    run_with_gateways(body)


async def _outcome(handle: Any) -> Any:
    return await handle


@pytest.mark.parametrize("part", ["sent", "reported"])
def test_session_whose_log_can_not_be_written_ends_with_that_reason(
    run_with_gateways: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, part: str
) -> None:
    # What is sent is written down by a timer, what is received by the reader of the stream.
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    async def body(gateway: Any) -> None:
        async with AsyncClient(gateway.address) as client:
            session = await client.session(log_dir=tmp_path)
            monkeypatch.setattr(ClientLog, part, full)
            handle = await session.place(**TERMS)
            with pytest.raises(SessionEnded, match="No space left on device"):
                await asyncio.wait_for(_outcome(handle), 5)
            with pytest.raises(SessionEnded, match="No space left on device"):
                await session.place(**TERMS)

    run_with_gateways(body)


def test_log_that_can_not_be_closed_keeps_nobody_waiting(
    run_with_gateways: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(_log: ClientLog) -> None:
        raise OSError(28, "No space left on device")

    async def body(gateway: Any) -> None:
        async with AsyncClient(gateway.address) as client:
            monkeypatch.setattr(ClientLog, "close", full)
            gateway.swallow_reports = True
            failed = await client.session(log_dir=tmp_path / "failed")
            handle = await failed.place(**TERMS)
            refuse(gateway, failed.session_id, Code.SESSION_OUT_OF_ORDER, "no")
            with pytest.raises(SessionEnded, match="no"):
                await asyncio.wait_for(_outcome(handle), 5)
            closed = await client.session(log_dir=tmp_path / "closed")
            handle = await closed.place(**TERMS)
            with pytest.raises(OSError, match="No space left on device"):
                await closed.close(drain_s=0)
            with pytest.raises(SessionEnded, match="closed"):
                await asyncio.wait_for(_outcome(handle), 5)
            # The client closes what is left of its sessions.
            monkeypatch.undo()

    run_with_gateways(body)


def test_open_that_its_caller_gives_up_leaves_nothing_running(run_with_gateways: Run) -> None:
    async def body(gateway: Any) -> None:
        gateway.slow_past_s = 30.0
        async with AsyncClient(gateway.address) as client:
            before = asyncio.all_tasks()
            opening = asyncio.ensure_future(client.session(resume=Checkpoint(77), timeout_s=20))
            await until(lambda: gateway.hellos)
            opening.cancel()
            await asyncio.wait((opening,))
            assert opening.cancelled()
            await until(lambda: not [task for task in asyncio.all_tasks() - before if "lockstep" in repr(task)])

    run_with_gateways(body)


# ---- values that the wire can't hold -------------------------------------------------------------------------------

UNFIT: dict[str, Any] = {
    "a row's negative account": CommandRow(kind=1, account=-1),
    "a row's quantity beyond 64 bits": CommandRow(kind=1, quantity_lots=2**63),
    "a row's fraction": CommandRow(kind=1, price_ticks=2.5),  # type: ignore[arg-type]
    "a row's text": CommandRow(kind=1, tag="7"),  # type: ignore[arg-type]
    "a row of too few values": (1, 2, 3),
}


@pytest.mark.parametrize("name", UNFIT)
def test_value_that_the_wire_can_not_hold_is_refused_at_the_call_and_uses_no_number(
    run_with_gateways: Run, exchange: Any, name: str
) -> None:
    async def body(gateway: Any) -> None:
        async with AsyncClient(gateway.address) as client, await client.session() as session:
            for track in (True, False):
                with pytest.raises((TypeError, ValueError)):
                    await session.submit(UNFIT[name], track=track)
            handle = await session.place(**TERMS)
            assert handle.session_no == 1
            await asyncio.wait_for(_outcome(handle), 5)
            assert session.checkpoint().to_json()
        assert [len(commands) for commands in exchange.executed.values()] == [1]

    run_with_gateways(body)


# ---- the client ----------------------------------------------------------------------------------------------------


def test_closed_client_opens_no_connection_any_more_and_says_so(run_with_gateways: Run) -> None:
    async def body(gateway: Any) -> None:
        client = AsyncClient(gateway.address)
        session, feed = await client.session(), await client.subscribe(["ACME"])
        await client.close()
        for call in (client.status, client.session, feed.next, lambda: session.place(**TERMS)):
            with pytest.raises(LockstepError, match="closed"):
                await asyncio.wait_for(call(), 3)
        await client.close()

    run_with_gateways(body)


def test_closing_the_blocking_client_wakes_those_who_wait_in_it(gateway_thread: Any) -> None:
    gateway_thread.swallow_reports = True
    client = Client(gateway_thread.address)
    session, feed = client.session(), client.subscribe(["ACME"])
    handle = session.place(**TERMS)
    said: list[str] = []

    def wait(call: Callable[[], object]) -> None:
        try:
            call()
        except LockstepError as error:
            said.append(str(error))

    threads = [threading.Thread(target=wait, args=(call,)) for call in (feed.next, session.drain, handle.result)]
    for thread in threads:
        thread.start()
    client.close()
    for thread in threads:
        thread.join(10)
    assert len(said) == 3
    assert all("closed" in each for each in said)
