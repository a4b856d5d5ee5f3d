"""The door's bounds, in one process without a cluster: budgets, requests under way, own faults, idle connections."""

import asyncio
import contextlib
import socket
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from lockstep.edge.http import websocket
from lockstep.edge.http.websocket import WebSocketDoor
from lockstep.edge.rest import door
from lockstep.edge.rest.door import RestDoor
from lockstep.ops.local.ports import free_ports
from lockstep.runtime import budget, half_open, http_connections, tokens
from lockstep.runtime.access.cluster_key import ClusterKeys
from lockstep.runtime.access.registry import Credential, Entry, Registry
from lockstep.runtime.access.roles import Role
from lockstep.runtime.access.secret_hash import hash_secret, make_key
from lockstep.runtime.budget import Budgets
from lockstep.runtime.topology import Client
from lockstep.stream.codes import Code
from lockstep.v1 import feed_pb2
from tests.edge.http.test_websocket import Shell, ask

CLIENTS = (Client("alice", "alice-token", 1, (1,)), Client("bob", "bob-token", 2, (2,)))
WATCHER = Client("watcher", "watcher-token", 3, (), roles=(Role.MONITOR,))


def served(test: Any, clients: tuple[Client, ...] = CLIENTS) -> None:
    """Run `await test(site)` at a door that has market data and no gateway."""

    async def run() -> None:
        shell: Any = Shell(clients=clients)
        shell.topology = SimpleNamespace(gateways=())
        shell.member = SimpleNamespace(id=1, name="feed-1", host="127.0.0.1")
        shell.why_not_serving = lambda: ""
        rest = RestDoor(shell)
        server = WebSocketDoor(shell, also=(rest.add_to,))
        (port,) = free_ports(1)
        await server.open("127.0.0.1", port)
        try:
            async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http, asyncio.timeout(60):
                await test(SimpleNamespace(rest=rest, http=http, port=port, shell=shell, server=server))
        finally:
            for task in shell.tasks:
                task.cancel()
            await server.close()
            await rest.close()

    asyncio.run(run())


async def get(site: Any, path: str, who: str = "alice") -> tuple[int, dict[str, Any], Any]:
    async with site.http.get(path, headers={"Authorization": f"Bearer {who}-token"}) as answer:
        return answer.status, await answer.json(content_type=None), answer.headers


def test_a_client_beyond_its_budget_is_429_at_every_door_and_others_are_not(monkeypatch):
    monkeypatch.setattr(budget, "SECONDS_AT_ONCE", 3_400)

    async def test(site: Any) -> None:
        site.shell.entitlements.budgets = Budgets(1)
        status, _, headers = await get(site, "/v1/cluster")
        assert (status, headers["RateLimit-Policy"]) == (200, '"principal";q=3400;w=3400;qu="points"')
        assert headers["RateLimit"].startswith('"principal";r=3150;t=')
        shown = {"Authorization": "Bearer alice-token"}
        # A WebSocket is paid for by the same budget: now there is nothing left for reads, and for a second one.
        async with site.http.ws_connect("/feed", headers=shown):
            for _ in range(2):
                status, problem, headers = await get(site, "/v1/cluster")
                if status == 429:
                    break
            assert (status, problem["code"]) == (429, "BUSY")
            assert 100 <= int(headers["Retry-After"]) <= 192
            assert 100_000 <= problem["retry_after_ms"] <= 240_000
            assert problem["budget"].items() >= {"per_s": 1, "at_once": 3_400, "cost": 250}.items()
            assert problem["budget"]["left"] < 250 + 340, "a tenth is for cancels"
            assert headers["RateLimit"].startswith('"principal";r=')
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await site.http.ws_connect("/feed", headers=shown)
            assert refused.value.status == 429
        assert (await get(site, "/v1/cluster", "bob"))[0] == 200

    served(test)


def test_too_many_wrong_secrets_of_one_key_are_429_with_a_pause_at_every_http_door(monkeypatch):
    token, key_id = make_key(7)
    entry = Entry("desk", ("trader",), 7, (), (Credential(key_id, "key", hash_secret(token)),))
    hashed = []

    def wrong(secret: str, _stored: str) -> bool:
        hashed.append(secret)
        return False

    monkeypatch.setattr(tokens, "matches", wrong)
    monkeypatch.setattr(tokens, "GUESSES_PER_S", 0.000001)

    async def test(site: Any) -> None:
        site.shell.entitlements.replace(Registry(1, (entry,)))
        for number in range(tokens.GUESSES_AT_ONCE + 5):
            shown = {"Authorization": f"Bearer {token}{number}"}
            late = number >= tokens.GUESSES_AT_ONCE
            path = "/feed" if number % 2 else "/v1/cluster"
            async with site.http.get(path, headers=shown) as answer:
                assert answer.status == (429 if late else 401), number
                assert answer.headers.get("Retry-After") == ("1" if late else None)
                if late and path != "/feed":
                    assert (await answer.json(content_type=None))["code"] == "BUSY"
        assert len(hashed) == tokens.GUESSES_AT_ONCE
        assert (await get(site, "/v1/cluster"))[0] == 200, "others do not notice"

    served(test)


def test_a_key_that_nobody_can_verify_now_is_503_with_a_pause_at_every_http_door():
    token, _ = make_key(7)

    async def test(site: Any) -> None:
        # As of a process that has the cluster's key and has heard of no document yet.
        site.shell.entitlements.rekey(ClusterKeys(b"k" * 32))
        site.shell.entitlements._unknown = True
        site.shell.entitlements.not_believed()
        for path in ("/feed", "/v1/cluster"):
            async with (
                asyncio.timeout(2.9),
                site.http.get(path, headers={"Authorization": f"Bearer {token}"}) as answer,
            ):
                assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
                assert "can't verify stored principals now" in await answer.text()
            async with site.http.get(path, headers={"Authorization": "Bearer nonsense"}) as answer:
                assert answer.status == 401
        assert (await get(site, "/v1/cluster"))[0] == 200, "clients of the configuration do not notice"
        site.shell.entitlements.replace(Registry())
        async with site.http.get("/v1/cluster", headers={"Authorization": f"Bearer {token}"}) as answer:
            assert answer.status == 401, "now it is known that it is nobody's"

    served(test)


def test_requests_that_wait_are_bounded_for_one_and_for_all(monkeypatch):
    monkeypatch.setattr(door, "MAX_REQUESTS_OF_ONE", 2)
    monkeypatch.setattr(door, "MAX_REQUESTS", 3)

    async def test(site: Any) -> None:
        waiting = [asyncio.ensure_future(get(site, "/v1/cluster?min_seq=999999999")) for _ in range(2)]
        while site.rest.counters["rest_requests"] < 2:  # noqa: ASYNC110 - a counter has none
            await asyncio.sleep(0.005)
        status, problem, _ = await get(site, "/v1/cluster")
        assert (status, problem["code"]) == (429, "BUSY")
        assert 1_000 <= problem["retry_after_ms"] <= 1_250
        other = asyncio.ensure_future(get(site, "/v1/cluster?min_seq=999999999", "bob"))
        while site.rest.counters["rest_requests"] < 4:  # noqa: ASYNC110 - a counter has none
            await asyncio.sleep(0.005)
        assert (await get(site, "/v1/cluster", "bob"))[0] == 429
        assert {(await one)[0] for one in (*waiting, other)} == {409}
        assert (await get(site, "/v1/cluster"))[0] == 200, "nothing is left of those that are over"

    served(test)


def test_a_fault_of_the_door_is_500_and_says_nothing_of_itself():
    async def test(site: Any) -> None:
        site.shell.machine.hub.fold.statuses = None
        status, problem, _ = await get(site, "/v1/instruments")
        assert (status, problem["status"]) == (500, 500)
        assert "NoneType" not in str(problem)

    served(test)


def test_a_connection_that_has_asked_stays_and_one_that_has_not_is_closed(monkeypatch):
    monkeypatch.setattr(http_connections, "HELLO_S", 0.3)
    monkeypatch.setattr(websocket, "_IDLE_S", 0.3)

    async def test(site: Any) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        for _ in range(4):
            writer.write(b"GET /v1/cluster HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer alice-token\r\n\r\n")
            assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200")
            await asyncio.sleep(0.15)
        # Half of a request is no request.
        writer.write(b"GET /v1/clus")
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()

    served(test)


@pytest.mark.parametrize(
    "before", [b"", b"GET /v1/cluster HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer alice-token\r\n\r\n"]
)
def test_a_request_that_comes_a_letter_at_a_time_is_waited_for_no_longer_than_one_that_stays_away(monkeypatch, before):
    monkeypatch.setattr(http_connections, "HELLO_S", 0.5)
    monkeypatch.setattr(websocket, "_IDLE_S", 0.5)

    async def test(site: Any) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        if before:
            writer.write(before)
            await reader.readuntil(b"}")
        writer.write(b"GET /v1/cluster HTTP/1.1\r\nX: ")
        ended = asyncio.ensure_future(reader.read())
        for _ in range(200):
            writer.write(b"a")
            await asyncio.sleep(0.05)
            if ended.done():
                break
        assert ended.done()
        writer.close()

    served(test)


def test_a_client_that_takes_no_answer_is_gone_after_a_while(monkeypatch):
    """It asks for much and reads nothing: the door would keep the answers for ever."""
    monkeypatch.setattr(half_open, "GONE_AFTER_S", 3)

    async def test(site: Any) -> None:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
        with sock:
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", site.port))
            for _ in range(200):
                with contextlib.suppress(BlockingIOError):
                    sock.send(b"GET /openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 4)
            while not site.server._runner.server.connections:  # noqa: ASYNC110 - the server has no event
                await asyncio.sleep(0.01)
            async with asyncio.timeout(40):
                while site.server._runner.server.connections:  # noqa: ASYNC110 - the server has no event
                    await asyncio.sleep(0.1)

    served(test)


def test_one_client_has_a_bounded_number_of_websockets(monkeypatch):
    monkeypatch.setattr(websocket, "MAX_READERS_OF_ONE", 2)

    async def test(site: Any) -> None:
        def shown(who: str) -> dict[str, str]:
            return {"Authorization": f"Bearer {who}-token"}

        first = await site.http.ws_connect("/feed", headers=shown("alice"))
        async with site.http.ws_connect("/feed", headers=shown("alice")):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await site.http.ws_connect("/feed", headers=shown("alice"))
            assert refused.value.headers is not None
            assert (refused.value.status, refused.value.headers["Retry-After"]) == (429, "5")
            async with site.http.ws_connect("/feed", headers=shown("bob")):
                await first.close()
            async with asyncio.timeout(20):
                while site.server._readers["alice"] > 1:  # noqa: ASYNC110 - the door has no event
                    await asyncio.sleep(0.01)
            async with site.http.ws_connect("/feed", headers=shown("alice")):
                pass

    served(test)


def test_what_is_no_http_is_refused_and_not_written_into_the_log(caplog):
    async def test(site: Any) -> None:
        for said in (b"secret" * 4_000, b"GET / HTTP/1.1\r\nX: " + b"secret" * 4_000 + b"\r\n\r\n"):
            reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
            writer.write(said)
            assert b" 400 " in await reader.readline()
            writer.close()

    served(test)
    assert not caplog.records


@pytest.mark.parametrize("path", ["/openapi.json", "/docs", "/docs/viewer.js", "/docs/viewer.css"])
def test_pages_are_served_from_memory_without_a_token(path):
    async def test(site: Any) -> None:
        async with site.http.get(path) as answer:
            assert answer.status == 200
            assert answer.headers["X-Content-Type-Options"] == "nosniff"

    served(test)


@pytest.mark.parametrize(
    "asked",
    [b"GET /feed HTTP/1.1", b"GET /nothing HTTP/1.1", b"GET /v1/cluster HTTP/1.1", b"OPTIONS * HTTP/1.1",
     b"CONNECT a:1 HTTP/1.1", b"TRACE /feed HTTP/1.1", b"<b>x / HTTP/1.1", b"GET / HTTP/9.9", b"GET /" + b"x" * 9000,
     b"GET /feed HTTP/1.1\r\nExpect: x", b"GET /feed HTTP/1.1\r\nX: <b>\x01"],
)  # fmt: skip
def test_no_answer_says_a_version_or_what_was_sent(asked: bytes) -> None:
    async def test(site: Any) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(asked + b"\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = await reader.read(9_000)
        writer.close()
        assert b"\r\nServer: lockstep\r\n" in answer
        assert b"\r\nX-Content-Type-Options: nosniff\r\n" in answer
        for word in (b"Python/", b"aiohttp", b"text/html", b"Traceback", *([b"<b>"] if b"<b>" in asked else [])):
            assert word not in answer, answer

    served(test)


def test_a_body_that_is_not_the_gzip_that_it_says_leaves_no_line(caplog: pytest.LogCaptureFixture) -> None:
    async def test(site: Any) -> None:
        for path in ("/nope", "/v1/nope", "/v1/accounts/1/orders", "/feed"):
            for length in (b"Content-Length: 2\r\n\r\nxx", b"Transfer-Encoding: chunked\r\n\r\n2\r\nxx\r\n0\r\n\r\n"):
                reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
                writer.write(b"POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\n" % path.encode())
                writer.write(b"Content-Encoding: gzip\r\n" + length)
                assert b"HTTP/1.1 4" in await reader.readline()
                writer.close()
        await asyncio.sleep(0.1)

    served(test)
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "remedy"),
    [
        ("GET", "/v1/accounts/1", {"Authorization": "Bearer watcher-token"}, 403, "roles administrator, auditor"),
        ("GET", "/v1/accounts/2", {}, 403, "/v1/accounts lists them"),
        ("GET", "/v1/cluster", {"Origin": "http://evil.example"}, 403, "sends no Origin"),
        ("GET", "/v1/cluster", {"Authorization": "Bearer eyJ.eyJ.x"}, 401, "sign a new JWT"),
        ("GET", "/v1/cluster", {"Authorization": "Bearer lk1.7.x"}, 401, "`lockstep access issue`"),
        ("GET", "/v1/cluster", {"Authorization": ""}, 401, "show a token"),
        ("GET", "/v1/cluster?min_seq=999999999", {}, 409, "ask again in a second"),
        ("POST", "/v1/accounts/1/orders", {"Idempotency-Key": "k"}, 413, "one command in a body"),
    ],
)
def test_a_remedy_is_of_the_cause(method: str, path: str, headers: dict[str, str], status: int, remedy: str) -> None:
    async def test(site: Any) -> None:
        shown = {"Authorization": "Bearer alice-token", "Content-Type": "application/json", **headers}
        data = b" " * (door.MAX_BODY_BYTES + 1) if method == "POST" else None
        async with site.http.request(method, path, headers=shown, data=data) as answer:
            problem = await answer.json(content_type=None)
            assert (answer.status, problem["status"]) == (status, status)
            assert remedy in problem["remedy"]
            assert answer.headers.get("Retry-After") == ("1" if status == 409 else None)

    served(test, (*CLIENTS, WATCHER))


def test_who_is_limited_to_instruments_reads_prices_of_no_others_at_any_http_door() -> None:
    async def test(site: Any) -> None:
        own, other = sorted(site.shell.machine.hub.fold.statuses.definitions)[:2]
        assert own == 7
        for path in ("book", "trades", "candles?seconds=60", ""):
            assert (await get(site, f"/v1/instruments/{own}/{path}".rstrip("/"), "dora"))[0] == 200
            status, problem, _ = await get(site, f"/v1/instruments/{other}/{path}".rstrip("/"), "dora")
            assert (status, problem["code"]) == (403, "NOT_ENTITLED")
        for _ in range(100):
            site.shell.trade()
        listed = {}
        for who in ("alice", "dora", "nemo"):
            status, page, _ = await get(site, "/v1/instruments", who)
            assert status == 200, "which there are is no secret"
            listed[who] = {one["id"]: one for one in page["instruments"]}
        assert all(float(one["last_price"]) > 0 for one in listed["alice"].values())
        assert listed["dora"][own] == listed["alice"][own]
        assert listed["dora"][other] == listed["nemo"][other]
        assert listed["nemo"] == {number: {**one, "last_price": "0"} for number, one in listed["alice"].items()}
        headers = {"Authorization": "Bearer dora-token"}
        for named, right in (([own], True), ([own, other], False), ([], False)):
            async with site.http.ws_connect("/feed", headers=headers) as ws:
                await ws.send_bytes(ask(feed="FEED_L2", depth=5, instruments=named))
                frame = feed_pb2.FeedFrame.FromString((await ws.receive()).data)
                assert frame.HasField("closing") is not right
                if not right:
                    assert frame.closing.code == int(Code.NOT_ENTITLED)

    limited = ("dora", 4, (7,)), ("nemo", 5, ())
    served(
        test,
        (*CLIENTS, *(Client(name, f"{name}-token", no, (no,), instruments=own) for name, no, own in limited)),
    )


def test_one_address_has_a_bounded_number_of_connections_and_they_are_free_again(monkeypatch) -> None:
    monkeypatch.setattr(websocket, "MAX_OF_HOST", 3)

    async def test(site: Any) -> None:
        held = [await asyncio.open_connection("127.0.0.1", site.port) for _ in range(3)]
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        assert await asyncio.wait_for(reader.read(), 10) == b"", "it is closed as soon as it is made"
        writer.close()
        held[0][1].close()
        async with asyncio.timeout(20):
            while site.server.connections.of["127.0.0.1"] > 2:  # noqa: ASYNC110 - the door has no event
                await asyncio.sleep(0.01)
        assert (await get(site, "/v1/cluster"))[0] == 200
        for _, one in held:
            one.close()
        await site.http.close()
        async with asyncio.timeout(20):
            while site.server.connections.of or site.server.connections._host_of:  # noqa: ASYNC110 - the door has no event
                await asyncio.sleep(0.01)

    served(test)


def test_where_all_connections_are_taken_the_oldest_that_only_connects_gives_way(monkeypatch) -> None:
    monkeypatch.setattr(websocket, "MAX_CONNECTIONS", 3)

    async def test(site: Any) -> None:
        assert (await get(site, "/v1/cluster"))[0] == 200, "this connection stays: it has asked"
        silent = [await asyncio.open_connection("127.0.0.1", site.port) for _ in range(4)]
        for reader, _ in silent[:2]:
            assert await asyncio.wait_for(reader.read(), 3) == b""
        silent[3][1].write(b"GET /v1/cluster HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer alice-token\r\n\r\n")
        assert (await silent[3][0].readline()).startswith(b"HTTP/1.1 200")
        assert (await get(site, "/v1/cluster"))[0] == 200
        for _, writer in silent:
            writer.close()

    served(test)
