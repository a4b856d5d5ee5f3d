"""Calls from where they could only hang: the loop's own thread, and processes that were forked."""

import asyncio
import functools
import queue
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lockstep import (
    AsyncClient,
    CalledFromCallback,
    Client,
    Feed,
    Report,
    SessionEnded,
)

Run = Callable[..., Any]


def order(session: Any, number: int = 1, **more: Any) -> Any:
    return session.place(
        account=1, instrument=7, side="buy", quantity_lots=1, price_ticks=5, client_order_id=number, **more
    )


# ---- callbacks -----------------------------------------------------------------------------------------------------

WAITING_CALLS: dict[str, Callable[[Client, Any, Any], object]] = {
    "Client.place": lambda client, _session, _feed: client.place(
        account=1, instrument=7, side="buy", quantity_lots=1, price_ticks=5
    ),
    "Client.status": lambda client, _session, _feed: client.status(),
    "Client.instruments": lambda client, _session, _feed: client.instruments(),
    "Client.session": lambda client, _session, _feed: client.session(),
    "Client.subscribe": lambda client, _session, _feed: client.subscribe(["NEW"]),
    "Client.close": lambda client, _session, _feed: client.close(),
    "Client.__exit__": lambda client, _session, _feed: client.__exit__(None, None, None),
    "Session.close": lambda _client, session, _feed: session.close(),
    "Session.__exit__": lambda _client, session, _feed: session.__exit__(None, None, None),
    "Session.drain": lambda _client, session, _feed: session.drain(1),
    "CommandHandle.result": lambda _client, session, _feed: order(session).result(1),
    "Subscription.next": lambda _client, _session, feed: feed.next(1),
    "Subscription.close": lambda _client, _session, feed: feed.close(),
}


@pytest.mark.parametrize(
    ("name", "kind"), [*((name, "on_report") for name in WAITING_CALLS), ("Session.drain", "on_batch")]
)
def test_call_that_waits_inside_a_callback_raises_and_says_what_to_do(
    gateway_thread: Any, name: str, kind: str
) -> None:
    said: queue.Queue[BaseException] = queue.Queue()
    with Client(gateway_thread.address) as client:
        feed = client.subscribe([7], feeds=[Feed.L1])
        opened: list[Any] = []

        def callback(_reported: object) -> None:
            if said.empty():
                try:
                    WAITING_CALLS[name](client, opened[0], feed)
                except CalledFromCallback as error:
                    said.put(error)

        callbacks: dict[str, Any] = {kind: callback}
        opened.append(client.session(**callbacks))
        order(opened[0], track=False)
        error = said.get(timeout=30)
        assert "event loop" in str(error)
        assert "queue.Queue" in str(error)
        opened[0].drain(5)
        opened[0].close()
        feed.close()


def test_blocking_call_in_a_callback_that_is_not_caught_ends_the_session_with_that_reason(gateway_thread: Any) -> None:
    with Client(gateway_thread.address) as client:
        session = client.session(on_report=lambda _report: client.close())
        with pytest.raises(SessionEnded, match=r"CalledFromCallback.*Client\.close\(\).*Hand the work to a thread"):
            order(session).result(10)


def test_callback_may_submit_as_long_as_there_is_room_and_is_told_where_there_is_none(gateway_thread: Any) -> None:
    submitted: list[int] = []
    said: queue.Queue[BaseException] = queue.Queue()
    with Client(gateway_thread.address) as client:
        opened: list[Any] = []

        def follow(report: Report) -> None:
            if report.client_order_id != 1:
                return
            gateway_thread.swallow_reports = True
            try:
                for number in range(2, 10):
                    submitted.append(order(opened[0], number, track=False).session_no)
            except CalledFromCallback as error:
                said.put(error)

        opened.append(client.session(on_report=follow, max_unanswered=4))
        order(opened[0], track=False)
        assert "no room" in str(said.get(timeout=30))
        assert submitted == [2, 3, 4, 5]
        opened[0].close(drain_s=0.0)


def test_awaited_handle_is_what_asyncio_code_is_told_to_use_instead_of_result(run_with_gateways: Run) -> None:
    async def body(gateway: Any) -> None:
        async with AsyncClient(gateway.address) as client, await client.session() as session:
            handle = await order(session)
            with pytest.raises(CalledFromCallback, match="await it"):
                handle.result(5)
            await handle
            assert handle.result().order_id, "once it is there, nobody waits"

    run_with_gateways(body)


async def _coroutine(_reported: object) -> None: ...


class _Awaited:
    async def __call__(self, _reported: object) -> None: ...

    async def method(self, _reported: object) -> None: ...

    @staticmethod
    async def static(_reported: object) -> None: ...


async def _generator(_reported: object) -> Any:
    yield 1


def _plain_generator(_reported: object) -> Any:
    yield 1


NEVER_AWAITED = {
    "coroutine function": _coroutine,
    "partial": functools.partial(_coroutine),
    "partial of a partial": functools.partial(functools.partial(_coroutine)),
    "callable object": _Awaited(),
    "partial of a callable object": functools.partial(_Awaited()),
    "bound method": _Awaited().method,
    "static method": _Awaited.static,
    "asynchronous generator": _generator,
    "generator": _plain_generator,
}


@pytest.mark.parametrize("kind", ["on_report", "on_batch"])
@pytest.mark.parametrize("name", NEVER_AWAITED)
def test_callback_that_would_have_to_be_awaited_is_refused_when_the_session_is_opened(
    gateway_thread: Any, name: str, kind: str
) -> None:
    callbacks: dict[str, Any] = {kind: NEVER_AWAITED[name]}
    with (
        Client(gateway_thread.address) as client,
        pytest.raises(TypeError, match=rf"{kind} is a (coroutine|generator) function.*reports\(\)"),
    ):
        client.session(**callbacks)
    assert not gateway_thread.hellos


@pytest.mark.parametrize("kind", ["on_report", "on_batch"])
def test_callback_that_can_not_be_called_is_refused(run_with_gateways: Run, kind: str) -> None:
    async def body(gateway: Any) -> None:
        callbacks: dict[str, Any] = {kind: "print"}
        async with AsyncClient(gateway.address) as client:
            with pytest.raises(TypeError, match=f"{kind} is 'print'"):
                await client.session(**callbacks)

    run_with_gateways(body)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", ["on_report", "on_batch"])
def test_coroutine_that_only_shows_when_the_callback_returns_it_ends_the_session_loudly(
    gateway_thread: Any, kind: str
) -> None:
    for made, what in ((_coroutine, "coroutine"), (_plain_generator, "generator")):
        callbacks: dict[str, Any] = {kind: lambda reported, made=made: made(reported)}
        with Client(gateway_thread.address) as client:
            session = client.session(**callbacks)
            with pytest.raises(SessionEnded, match=f"returned a {what}"):
                order(session).result(10)


def test_callback_that_returns_a_task_it_started_itself_is_left_alone(run_with_gateways: Run) -> None:
    async def body(gateway: Any) -> None:
        reported: list[Report] = []

        async def keep(report: Report) -> None:
            reported.append(report)

        async with AsyncClient(gateway.address) as client:
            callbacks: dict[str, Any] = {"on_report": lambda report: asyncio.ensure_future(keep(report))}
            session = await client.session(**callbacks)
            await (await order(session))
            await session.close()
        await asyncio.sleep(0)
        assert [report.session_no for report in reported] == [1]

    run_with_gateways(body)


@pytest.mark.parametrize("raised", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError(), GeneratorExit()])
def test_callback_that_exits_ends_its_session_and_leaves_the_client_usable(
    gateway_thread: Any, raised: BaseException
) -> None:
    def leave(_report: Report) -> None:
        raise raised

    with Client(gateway_thread.address) as client:
        session = client.session(on_report=leave)
        with pytest.raises(SessionEnded, match=type(raised).__name__):
            order(session).result(10)
        assert client.status().serving


# ---- forked processes ----------------------------------------------------------------------------------------------

PROGRAM = Path(__file__).with_name("forking_program.py")


def run_program(gateway: Any, *words: str) -> list[str]:
    """Lines that the program says. It forks, which this process must not: it has been through many servers."""
    command = (sys.executable, "-W", "ignore", str(PROGRAM), gateway.address, *words)
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("how", ["os.fork", "multiprocessing"])
def test_every_call_on_what_belongs_to_the_parent_raises_at_once_in_a_forked_child(
    gateway_thread: Any, how: str
) -> None:
    *said, parent = run_program(gateway_thread, "calls", how)
    assert len(said) == 20
    assert [line for line in said if "Make a client of this process's own" not in line] == []
    assert parent == "parent goes on: True"


@pytest.mark.parametrize("how", ["os.fork", "multiprocessing"])
def test_every_call_of_the_asyncio_client_raises_at_once_in_a_forked_child(gateway_thread: Any, how: str) -> None:
    *said, parent = run_program(gateway_thread, "asyncio-calls", how)
    assert len(said) == 9
    assert [line for line in said if "Make a client of this process's own" not in line] == []
    assert parent == "parent goes on: True"


def test_child_that_leaves_the_parents_with_block_keeps_its_own_exception(gateway_thread: Any) -> None:
    assert run_program(gateway_thread, "leave", "os.fork") == ["SystemExit: 4", "parent goes on: True"]


@pytest.mark.parametrize("how", ["os.fork", "multiprocessing"])
@pytest.mark.parametrize(
    ("state", "child"),
    [
        ("unused", "child True True"),
        ("closed", "CalledAfterFork: process"),
        ("open", "CalledAfterFork: process"),
    ],
)
def test_client_made_in_a_child_works_unless_the_parent_had_used_one_and_then_says_so(
    gateway_thread: Any, state: str, child: str, how: str
) -> None:
    said, parent = run_program(gateway_thread, f"own-{state}", how)
    assert said.startswith(child)
    assert parent == "parent goes on: True"
    if state != "unused":
        assert 'multiprocessing.get_context("spawn")' in said
