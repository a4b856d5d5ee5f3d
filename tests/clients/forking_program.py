"""A program that forks with clients open: `forking_program.py ADDRESS WHAT HOW`. See test_ownership.py."""

import asyncio
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from lockstep import AsyncClient, Client, CommandColumns, Feed

TERMS: dict[str, Any] = {"account": 1, "instrument": 7, "side": "buy", "quantity_lots": 1, "price_ticks": 5}


def said_by(call: Callable[[], object]) -> str:
    """Its exception's name and text, or its result."""
    try:
        return f"returned {call()!r}"
    except BaseException as error:  # noqa: BLE001 - the test judges it
        return f"{type(error).__name__}: {error}"


def in_a_child(how: str, body: Callable[[], object]) -> None:
    """Run `body` in a forked process, which must end by itself."""

    def child() -> None:
        threading.Timer(20, os._exit, (9,)).start()
        body()
        sys.stdout.flush()
        os._exit(0)

    if how == "multiprocessing":
        process = multiprocessing.get_context("fork").Process(target=child)
        process.start()
        process.join()
        code = process.exitcode
    else:
        pid = os.fork()
        if pid == 0:
            child()
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code != 0:
        sys.exit(f"the child ended with {code}")


def calls(client: Client, how: str) -> None:
    """Each blocking call, in the child, on what the parent opened."""
    session = client.session()
    feed = client.subscribe(["ACME"], feeds=[Feed.L1])
    handle = session.place(**TERMS)
    report = session.reports()
    next(report)
    each: tuple[Callable[[], object], ...] = (
        lambda: client.place(**TERMS),
        client.status,
        client.instruments,
        client.session,
        lambda: client.subscribe(["ACME"]),
        client.close,
        client.__enter__,
        lambda: session.place(**TERMS),
        lambda: session.submit_columns(CommandColumns(count=2)),
        session.drain,
        session.checkpoint,
        session.close,
        lambda: next(session.reports()),
        lambda: next(session.batches()),
        lambda: next(report),
        handle.result,
        handle.done,
        feed.next,
        feed.close,
        lambda: next(iter(feed)),
    )
    in_a_child(how, lambda: [print(said_by(call), flush=True) for call in each])
    handle.result(5)
    session.place(**TERMS).result(5)
    session.close()


async def asyncio_calls(address: str, how: str) -> None:
    """Each call of the asyncio client, likewise."""
    async with AsyncClient(address) as client, await client.session() as session:
        feed = await client.subscribe(["ACME"], feeds=[Feed.L1])
        each: tuple[Callable[[], Any], ...] = (
            lambda: client.place(**TERMS),
            client.status,
            client.session,
            client.subscribe,
            client.close,
            lambda: session.place(**TERMS),
            session.close,
            feed.next,
            feed.close,
        )

        def drive(call: Callable[[], Any]) -> object:
            return call().send(None)

        in_a_child(how, lambda: [print(said_by(partial(drive, call)), flush=True) for call in each])
        await (await session.place(**TERMS))


def leave(client: Client, how: str) -> None:
    """The child leaves the parent's `with` blocks by an exit."""

    session = client.session()

    def body() -> None:
        try:
            raise SystemExit(4)
        finally:
            session.__exit__(None, None, None)
            client.__exit__(None, None, None)

    in_a_child(how, lambda: print(said_by(body), flush=True))
    session.close()


def own(client: Client, address: str, how: str) -> None:
    """The child makes a client of its own."""

    def body() -> str:
        with Client(address, timeout_s=10) as mine, mine.session() as session:
            handle = session.place(**TERMS)
            return f"child {mine.status().serving} {handle.result(10).order_id > 0}"

    in_a_child(how, lambda: print(said_by(body).removeprefix("returned '"), flush=True))


def main() -> None:
    address, what, how = sys.argv[1:]
    client = Client(address, timeout_s=10)
    if what != "own-unused":
        client.status()
    if what == "own-closed":
        client.close()
    if what == "calls":
        calls(client, how)
    elif what == "asyncio-calls":
        asyncio.run(asyncio_calls(address, how))
    elif what == "leave":
        leave(client, how)
    else:
        own(client, address, how)
    if what == "own-closed":
        client = Client(address, timeout_s=10)
    print("parent goes on:", client.status().serving, flush=True)
    client.close()


if __name__ == "__main__":
    main()
