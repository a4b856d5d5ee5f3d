"""The alerts' server, its WebSocket and its webhooks, over engines that a test serves."""

import asyncio
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from lockstep.alerts import AlertsClient, AsyncAlertsClient, definition
from lockstep.errors import Refused, Unavailable
from lockstep.ops.local.ports import HOST, free_ports
from lockstep.posttrade.alerts import socket_door
from lockstep.posttrade.alerts.process import FILE, serve
from lockstep.posttrade.alerts.rebuild import place_webhooks, take_over
from lockstep.posttrade.alerts.sink import AlertsSink
from lockstep.posttrade.alerts.store import Store
from lockstep.runtime import http_connections
from lockstep.runtime.budget import Cost
from lockstep.runtime.process import open_log
from lockstep.runtime.stop_request import StopRequest
from lockstep.runtime.topology import Access, Alerts, Client, Limits, Topology
from tests.posttrade.flows import History, history
from tests.posttrade.patience import wait_for
from tests.posttrade.served import ServedEngine, served, topology_of

PATIENCE_S = 60.0
TOKENS = {1: "token-one", 2: "token-two"}


class Receiver:
    """A web server that remembers what it was sent. `answers` come first, then 200; None: it does not answer."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.got.append(({key.lower(): value for key, value in self.headers.items()}, body))
                status = receiver.answers.pop(0) if receiver.answers else 200
                self.send_response(status)
                if status == 302:
                    self.send_header("location", "http://169.254.169.254/")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_args: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer((HOST, 0), Handler)
        self.url = f"http://{HOST}:{self.server.server_address[1]}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class Running:
    """An alerts process in a thread, on one directory."""

    def __init__(self, directory: Path, engine: ServedEngine) -> None:
        grpc_port, http_port = free_ports(2)
        self.address = f"{HOST}:{grpc_port}"
        self.socket = f"http://{HOST}:{http_port}/alerts"
        self.path = directory / FILE
        clients = (
            Client("one", TOKENS[1], 1, accounts=(1, 2)), Client("two", TOKENS[2], 2, accounts=(3,)),
        )  # fmt: skip
        alerts = Alerts(
            data_dir=directory, grpc_port=grpc_port, http_port=http_port, webhook_hosts="127.0.0.1 hooks.example.com",
            webhook_networks="127.0.0.0/8",
        )  # fmt: skip
        self.topology: Topology = replace(
            topology_of(directory, engine), alerts=alerts, clients=clients,
            access=Access(key_file=directory / "key", audit_dir=directory / "audit"),
        )  # fmt: skip
        self.failures: list[Any] = []

    @contextmanager
    def up(self) -> Iterator["Running"]:
        stop = StopRequest()
        work = serve(self.topology, self.path, stop, open_log("alerts"))
        thread = threading.Thread(target=lambda: self.failures.append(asyncio.run(work)))
        thread.start()
        try:
            with self.client() as client:
                wait_for(lambda: answers(client), "the alerts")
            yield self
        finally:
            stop.request("test ends")
            thread.join(PATIENCE_S)
        assert self.failures == [None]
        self.failures.clear()

    def client(self, number: int = 1) -> AlertsClient:
        return AlertsClient(self.address, token=TOKENS[number])


def has(got: list[Any], many: int) -> bool:
    return len(got) >= many


def delivered(client: AlertsClient, last: int) -> bool:
    return bool(client.webhooks()[0].delivered == last)


def answers(client: AlertsClient) -> bool:
    try:
        client.alerts()
    except Unavailable:
        return False
    return True


@pytest.fixture(scope="module")
def made() -> History:
    return history(4, 260)


@pytest.fixture
def engine(made) -> Iterator[ServedEngine]:
    one = ServedEngine(1, made, 60)
    with served(one):
        yield one


@pytest.fixture
def running(tmp_path, engine) -> Iterator[Running]:
    with Running(tmp_path / "alerts", engine).up() as one:
        reach(one, engine)
        yield one


def reach(running: Running, engine: ServedEngine, batches: int = 0) -> None:
    """Have it come as far as the engine."""
    engine.batches = batches or engine.batches
    with running.client() as client:

        def there() -> bool:
            try:
                client.firings(min_seq=engine.committed_seq)
            except Unavailable:
                return False
            return True

        wait_for(there, f"seq {engine.committed_seq}")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    one = Receiver()
    yield one
    one.close()


def test_what_fires_comes_to_its_owner_alone_and_in_order(running, engine):
    with running.client(1) as one, running.client(2) as two:
        first = one.create(definition("fill", account=1, note="mine"))
        two.create(definition("order_state", account=3, states=["accepted"]))
        one.create(definition("order_state", account=2, states=["rejected", "canceled"], once=True))
        assert [alert.number for alert in one.alerts()] == [1, 3]
        assert (first.armed, first.after_seq) == (True, engine.committed_seq)
        reach(running, engine, 140)
        page = one.firings(limit=1000)
        assert [firing.number for firing in page.firings] == list(range(1, page.last + 1))
        assert {firing.account for firing in page.firings} == {1, 2}
        assert {firing.account for firing in two.firings().firings} == {3}
        assert {firing.note for firing in page.firings if firing.alert == 1} == {"mine"}
        ended = next(alert for alert in one.alerts() if alert.number == 3)
        assert (ended.status, ended.count) == (2, 1)
        # Account 3 is not the first one's: as if there were none.
        with pytest.raises(Refused, match="no account 3"):
            one.create(definition("fill", account=3))
        with pytest.raises(Refused, match="no alert 2"):
            one.remove(2)
        one.remove(1)
        last = one.firings().last
        reach(running, engine, 200)
        assert one.firings().last == last
        assert two.firings().last > 0


def test_what_was_taken_from_an_owner_shows_in_no_list(tmp_path, engine, receiver):
    """Neither how many fired, nor where a webhook stands, nor whether the alert is armed."""
    running = Running(tmp_path / "alerts", engine)
    with running.up(), running.client() as client:
        hidden = client.create(definition("fill", account=1))
        seen = client.create(definition("order_state", account=2, states=["accepted", "rejected", "canceled"]))
        client.create_webhook(receiver.url)
        reach(running, engine, 200)
        whole = client.firings(limit=1000)
        mine = [one.number for one in whole.firings if one.account == 2]
        assert 0 < len(mine) < whole.last
        wait_for(lambda: client.webhooks()[0].delivered == whole.last, "the webhook has all")
    one, two = running.topology.clients
    running.topology = replace(running.topology, clients=(replace(one, accounts=(2,)), two))
    with running.up(), running.client() as client:
        page = client.firings(limit=1000)
        assert [one.number for one in page.firings] == mine
        assert (page.first, page.last) == (mine[0], mine[-1])
        assert [one.number for one in client.firings(after=mine[0], limit=2).firings] == mine[1:3]
        alerts = {one.number: one for one in client.alerts()}
        assert alerts[hidden.number] == type(hidden)(
            number=hidden.number, definition=hidden.definition, after_seq=hidden.after_seq
        )
        assert alerts[seen.number].count == len(mine)
        (hook,) = client.webhooks()
        assert (hook.delivered, hook.waiting) == (mine[-1], 0)
    running.topology = replace(running.topology, clients=(replace(one, accounts=(9,)), two))
    with running.up(), running.client() as client:
        page = client.firings()
        assert (list(page.firings), page.first, page.last) == ([], 0, 0)


def test_a_stream_goes_on_over_the_end_of_the_process(tmp_path, engine):
    running = Running(tmp_path / "alerts", engine)
    got: list[int] = []

    async def follow() -> None:
        async with AsyncAlertsClient(running.address, token=TOKENS[1]) as client:
            async for firing in client.follow(after=0):
                got.append(firing.number)

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    following = asyncio.run_coroutine_threadsafe(follow(), loop)
    try:
        for batches in (60, 120, 180, 240):
            with running.up():
                reach(running, engine, batches)
                with running.client() as client:
                    if batches == 60:
                        client.create(definition("fill", account=1))
                    last = client.firings().last
                    wait_for(partial(has, got, last), f"firing {last}")
        assert got == list(range(1, last + 1))
        assert last > 10
    finally:
        following.cancel()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def test_the_websocket_gives_each_firing_once_to_whom_it_belongs(running, engine):
    with running.client() as client:
        client.create(definition("fill", account=1))
        reach(running, engine, 160)
        last = client.firings().last
        assert last > 3

    async def read(after: int, until: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        headers = {"Authorization": f"Bearer {TOKENS[1]}"}
        async with (
            asyncio.timeout(PATIENCE_S),
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{running.socket}?after={after}", headers=headers) as socket,
        ):
            while not found or int(found[-1]["number"]) < until:
                found.append(json.loads(await socket.receive_str()))
        return found

    async def status(**more: Any) -> int:
        async with aiohttp.ClientSession() as session:
            try:
                async with session.ws_connect(running.socket, **more):
                    return 101
            except aiohttp.WSServerHandshakeError as error:
                return error.status

    first = asyncio.run(read(0, last))
    assert [int(one["number"]) for one in first] == list(range(1, last + 1))
    assert first[0]["kind"] == "ALERT_KIND_FILL"
    assert [one["number"] for one in asyncio.run(read(last - 1, last))] == [str(last)]
    assert asyncio.run(status()) == 401
    assert asyncio.run(status(headers={"Authorization": "Bearer wrong"})) == 401
    assert asyncio.run(status(protocols=("lockstep.alerts", f"bearer.{TOKENS[2]}"))) == 101
    headers = {"Authorization": f"Bearer {TOKENS[1]}", "Origin": "https://elsewhere.example"}
    assert asyncio.run(status(headers=headers)) == 403


def test_websockets_and_connections_of_one_are_bounded(tmp_path, engine, monkeypatch):
    monkeypatch.setattr(socket_door, "MOST_OF_HOST", 3)
    monkeypatch.setattr(http_connections, "HELLO_S", 1.0)

    async def test(running: Running) -> None:
        host, port = running.socket.removeprefix("http://").removesuffix("/alerts").split(":")
        held = [await asyncio.open_connection(host, int(port)) for _ in range(3)]
        reader, writer = await asyncio.open_connection(host, int(port))
        assert await asyncio.wait_for(reader.read(), PATIENCE_S) == b"", "it is closed as soon as it is made"
        writer.close()
        for silent, other in held:
            assert await asyncio.wait_for(silent.read(), PATIENCE_S) == b"", "it has asked for nothing"
            other.close()
        headers = {"Authorization": f"Bearer {TOKENS[1]}"}
        async with asyncio.timeout(PATIENCE_S), aiohttp.ClientSession() as session:
            for _ in range(100):
                async with session.get(running.socket, headers=headers) as answer:
                    # This is no WebSocket; what each costs is taken before that is seen.
                    if answer.status == 429:
                        assert int(answer.headers["Retry-After"]) >= 1
                        return
                    assert answer.status == 426
        pytest.fail("a hundred logins cost nothing")

    running = Running(tmp_path / "alerts", engine)
    running.topology = replace(running.topology, limits=Limits(budget_per_s=Cost.LOGIN))
    with running.up():
        asyncio.run(test(running))


def test_a_webhook_gets_each_firing_signed_in_order_and_again_after_failures(running, engine, receiver):
    receiver.answers = [500, 503]
    with running.client() as client:
        secret = client.create_webhook(receiver.url)
        client.create(definition("fill", account=1))
        reach(running, engine, 120)
        last = client.firings().last
        assert last > 3
        wait_for(lambda: client.webhooks()[0].delivered == last, "all deliveries")
        assert not client.webhooks()[0].failing_since_ns
        ids = [firing.id for firing in client.firings(limit=1000).firings]
    # Two failures: the first one came three times, under one id.
    assert [headers["webhook-id"] for headers, _ in receiver.got] == [ids[0], ids[0], *ids]
    judge = Webhook(secret.secret)
    for headers, body in receiver.got:
        assert judge.verify(body, headers)["data"]["id"] == headers["webhook-id"] == headers["idempotency-key"]
    headers, body = receiver.got[0]
    with pytest.raises(WebhookVerificationError):
        judge.verify(body + b" ", headers)


def test_a_webhook_goes_on_where_it_was_after_the_end_of_the_process(tmp_path, engine, receiver):
    running = Running(tmp_path / "alerts", engine)
    with running.up():
        reach(running, engine)
        with running.client() as client:
            client.create_webhook(receiver.url)
            client.create(definition("fill", account=1))
    for batches in (100, 140):
        with running.up():
            reach(running, engine, batches)
            with running.client() as client:
                last = client.firings().last
                wait_for(partial(delivered, client, last), "deliveries")
    assert [json.loads(body)["data"]["number"] for _, body in receiver.got] == [str(n) for n in range(1, last + 1)]


def test_a_dead_webhook_and_one_that_refuses_hold_nobody_up(running, engine, receiver, monkeypatch):
    monkeypatch.setattr("lockstep.posttrade.alerts.webhook.FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr("lockstep.posttrade.alerts.webhook.LONGEST_PAUSE_S", 0.05)
    (closed,) = free_ports(1)
    refusing = Receiver()
    refusing.answers = [302] + [410] * 9 + [200] * 1_000
    try:
        with running.client() as client:
            for url in (f"http://{HOST}:{closed}/", refusing.url, receiver.url):
                client.create_webhook(url)
            client.create(definition("fill", account=1))
            reach(running, engine, 120)
            last = client.firings().last
            wait_for(lambda: [one.delivered for one in client.webhooks()[1:]] == [last, last], "the living ones")
            dead, refused, good = client.webhooks()
            assert (dead.delivered, dead.waiting) == (0, last)
            assert dead.failing_since_ns
            assert "can't be reached" in dead.last_error
            assert (refused.discarded, good.discarded) == (1, 0)
            client.remove_webhook(dead.number)
            assert [one.number for one in client.webhooks()] == [2, 3]
    finally:
        refusing.close()
    # A redirect was not followed, and ten refusals of the first firing were enough.
    assert len(refusing.got) == 10 + last - 1


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("https://10.0.0.1/", "not named"),
        ("https://elsewhere.example/", "not named"),
        ("http://hooks.example.com:80@127.0.0.1/", "no user"),
        ("ftp://hooks.example.com/", "no https"),
        ("https://hooks.example.com/#x", "no user, password or fragment"),
        ("nothing", "no https"),
    ],
)
def test_webhooks_go_where_the_operator_allows_alone(running, url, text):
    with running.client() as client, pytest.raises(Refused, match=text):
        client.create_webhook(url)


@pytest.mark.parametrize("number", [77, 2**63 - 1, 2**63, 2**64 - 1])
def test_a_webhook_that_there_is_not_is_named_as_it_was_asked_for(running, number):
    with running.client() as client, pytest.raises(Refused, match=f"you have no webhook {number}$"):
        client.remove_webhook(number)


def test_watchlists_and_their_quotes(running, engine):
    with running.client(1) as one, running.client(2) as two:
        one.put_watchlist("main", [8, 7])
        one.put_watchlist("main", [8])
        one.put_watchlist("both", [7, 8])
        assert one.watchlists() == {"both": [7, 8], "main": [8]}
        assert two.watchlists() == {}
        quotes = one.quotes("both", min_seq=engine.committed_seq)
        assert [(quote.instrument, quote.symbol) for quote in quotes.quotes] == [(7, "I7"), (8, "I8")]
        assert quotes.stamp.seq == engine.committed_seq
        assert all(quote.last_ticks for quote in quotes.quotes)
        one.remove_watchlist("main")
        for wrong, text in (
            (lambda: two.quotes("both"), "no watchlist"),
            (lambda: one.remove_watchlist("main"), "no watchlist"),
            (lambda: one.put_watchlist("", [7]), "a watchlist's name"),
            (lambda: one.put_watchlist("x", [99]), "no instrument 99"),
            (lambda: one.put_watchlist("x", [7, 7]), "each instrument once"),
            (lambda: one.put_watchlist("x", list(range(1, 600))), "at most 500"),
        ):
            with pytest.raises(Refused, match=text):
                wrong()
        for number in range(49):
            one.put_watchlist(f"list {number}", [7])
        with pytest.raises(Refused, match="which is all"):
            one.put_watchlist("one more", [7])


def test_what_a_rebuild_takes_over(tmp_path, engine, receiver, made):
    running = Running(tmp_path / "alerts", engine)
    with running.up():
        reach(running, engine)
        with running.client() as client:
            client.create_webhook(receiver.url)
            client.put_watchlist("kept", [7])
            client.create(definition("fill", account=1))
            reach(running, engine, 120)
            last = client.firings().last
            wait_for(lambda: client.webhooks()[0].delivered == last, "deliveries")
    new = tmp_path / "alerts" / "new.db"
    store = Store(new)
    take_over(store, running.path)
    store.close()
    sink = AlertsSink(new)
    for chunk in made.chunks(1_000):
        sink.apply(chunk)
    sink.settle()
    sink.close()
    store = Store(new)
    place_webhooks(store, running.path)
    assert store.rows("SELECT delivered FROM endpoints") == [(last,)]
    assert store.rows("SELECT name FROM watchlists") == [("kept",)]
    both = "SELECT number, id FROM firings WHERE number <= ? ORDER BY number"
    again = store.rows(both, (last,))
    store.close()
    old = Store(running.path)
    assert old.rows(both, (last,)) == again
    old.close()
