"""The trading page's server over real sockets: files, who may come in, sessions passed to gateways, questions."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import grpc
import pytest

from lockstep.edge.http import page_socket
from lockstep.edge.http.page import Page
from lockstep.edge.http.websocket import WebSocketDoor
from lockstep.ops.local.ports import free_ports
from lockstep.runtime import http_connections
from lockstep.runtime.topology import Client, Member, ProcessKind, Topology
from lockstep.stream.codes import CODE_METADATA, RETRY_METADATA, Code
from lockstep.v1 import accounts_pb2, common_pb2, feed_pb2, orders_pb2, page_pb2
from tests.edge.http.test_websocket import Shell

SECRET = Client("desk", "secret", 7)


class Gateway:
    """A gRPC server in a gateway's place, which keeps what it is sent; a session says Welcome, then repeats numbers."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.hellos: list[orders_pb2.Hello] = []
        self.tokens: list[str] = []
        self.numbers: list[int] = []
        self.end: tuple[grpc.StatusCode, str, Code] | None = None

    async def start(self) -> int:
        self.server = grpc.aio.server()
        calls = {"Session": grpc.stream_stream_rpc_method_handler(self.session)}
        read, write = accounts_pb2.GetAccountRequest.FromString, accounts_pb2.GetAccountReply.SerializeToString
        account = {"GetAccount": grpc.unary_unary_rpc_method_handler(self.account, read, write)}
        for service, handlers in (("OrderEntry", calls), ("Accounts", account)):
            handler = grpc.method_handlers_generic_handler(f"lockstep.v1.{service}", handlers)
            self.server.add_generic_rpc_handlers((handler,))
        port = self.server.add_insecure_port("127.0.0.1:0")
        await self.server.start()
        return port

    async def session(self, requests: Any, context: Any) -> None:
        self.tokens.append(dict(context.invocation_metadata()).get("authorization", ""))
        async for raw in requests:
            request = orders_pb2.SessionRequest.FromString(raw)
            if request.HasField("hello"):
                self.hellos.append(request.hello)
                said = orders_pb2.SessionResponse(welcome=orders_pb2.Welcome(gateway=self.number, credit=8))
            else:
                self.numbers.append(request.command.session_no)
                report = common_pb2.ExecutionReport(session_no=request.command.session_no)
                said = orders_pb2.SessionResponse(reports=orders_pb2.Reports(reports=[report]))
            await context.write(said.SerializeToString())
            if self.end is not None:
                status, text, code = self.end
                await context.abort(status, text, ((CODE_METADATA, str(int(code))), (RETRY_METADATA, "70")))

    async def account(self, request: accounts_pb2.GetAccountRequest, context: Any) -> accounts_pb2.GetAccountReply:
        self.tokens.append(dict(context.invocation_metadata()).get("authorization", ""))
        if request.account == 404:
            metadata = ((CODE_METADATA, str(int(Code.UNKNOWN_ACCOUNT))),)
            await context.abort(grpc.StatusCode.NOT_FOUND, "there is no account 404", metadata)
        return accounts_pb2.GetAccountReply(account=accounts_pb2.Account(account=request.account, name="demo"))


def served(test: Any, *, clients: tuple[Client, ...] = (), gateways: int = 1) -> None:
    """Run a test of a page that is served: `await test(site)`."""

    async def run() -> None:
        async with AsyncExitStack() as stack:
            servers = [Gateway(number) for number in range(1, gateways + 1)]
            ports = [await server.start() for server in servers]
            for server in servers:
                stack.push_async_callback(server.server.stop, None)
            (port,) = free_ports(1)
            shell: Any = Shell(clients)
            shell.member = Member(ProcessKind.FEED, 1, "127.0.0.1", 1, http_port=port)
            members = tuple(Member(ProcessKind.GATEWAY, at, "127.0.0.1", one) for at, one in enumerate(ports, 1))
            shell.topology = Topology("venue", ("127.0.0.1:1",), Path(), (), (), members, clients=clients)
            shell.why_not_serving = lambda: ""
            page = Page(shell)
            door = WebSocketDoor(shell, also=(page.add_to,))
            page.start(door)
            await door.open("127.0.0.1", port)
            stack.push_async_callback(page.close)
            stack.push_async_callback(door.close)
            http = await stack.enter_async_context(aiohttp.ClientSession())
            try:
                async with asyncio.timeout(60):
                    await test(
                        SimpleNamespace(shell=shell, url=f"http://127.0.0.1:{port}", http=http, gateways=servers)
                    )
            finally:
                for task in shell.tasks:
                    task.cancel()

    asyncio.run(run())


def connect(site: Any, origin: str | None = None) -> Any:
    return site.http.ws_connect(
        f"{site.url}/page", headers={"Origin": origin or site.url}, protocols=("lockstep.page",)
    )


async def send(ws: Any, **request: Any) -> None:
    await ws.send_bytes(page_pb2.PageRequest(**request).SerializeToString())


async def take(ws: Any, kind: str) -> Any:
    """The next frame of a kind."""
    while True:
        message = await ws.receive()
        assert message.type is aiohttp.WSMsgType.BINARY, message
        frame = page_pb2.PageFrame.FromString(message.data)
        if frame.WhichOneof("frame") == kind:
            return getattr(frame, kind)


async def closing(ws: Any) -> Any:
    while not (feed := await take(ws, "feed")).HasField("closing"):
        pass
    return feed.closing


def hello(number: int = 1) -> orders_pb2.SessionRequest:
    return orders_pb2.SessionRequest(hello=orders_pb2.Hello(session_id=number))


def command(number: int) -> orders_pb2.SessionRequest:
    return orders_pb2.SessionRequest(command=orders_pb2.Command(session_no=number))


# ---- files -----------------------------------------------------------------------------------------------------------


def test_files_are_served_with_a_policy_that_allows_no_other_host_and_no_inline_script() -> None:
    async def test(site: Any) -> None:
        async with site.http.get(site.url) as answer:
            text = await answer.text()
            policy = dict(part.split(" ", 1) for part in answer.headers["Content-Security-Policy"].split("; "))
        assert policy["default-src"] == "'none'"
        assert {policy[name] for name in ("script-src", "style-src", "connect-src", "worker-src")} == {"'self'"}
        assert policy["frame-ancestors"] == "'none'"
        assert "<script>" not in text
        assert "<style" not in text
        async with site.http.get(f"{site.url}/app.js") as answer:
            assert answer.headers["Content-Type"].startswith("text/javascript")
            etag = answer.headers["ETag"]
        async with site.http.get(f"{site.url}/app.js", headers={"If-None-Match": etag}) as answer:
            assert answer.status == 304
        for path in ("/package.json", "/../site.py", "/nothing.js"):
            async with site.http.get(f"{site.url}{path}") as answer:
                assert answer.status == 404

    served(test)


# ---- who may come in -------------------------------------------------------------------------------------------------


def test_only_the_page_itself_may_connect() -> None:
    async def test(site: Any) -> None:
        for headers in ({}, {"Origin": "https://elsewhere.example"}, {"Origin": "null"}):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await site.http.ws_connect(f"{site.url}/page", headers=headers)
            assert refused.value.status == 403

    served(test)


def test_without_tokens_a_name_that_anybody_may_have_is_not_served() -> None:
    async def test(site: Any) -> None:
        for path in ("/", "/page"):
            headers = {"Host": "rebound.example", "Origin": "http://rebound.example"}
            async with site.http.get(site.url + path, headers=headers) as answer:
                assert answer.status == 421
                assert "list clients with tokens" in await answer.text()
        async with site.http.get(site.url, headers={"Host": "localhost"}) as answer:
            assert answer.status == 200

    served(test)


def test_with_tokens_any_name_is_served_since_no_page_of_another_has_the_token() -> None:
    async def test(site: Any) -> None:
        async with site.http.get(site.url, headers={"Host": "trade.example"}) as answer:
            assert answer.status == 200

    served(test, clients=(SECRET,))


def test_in_an_open_cluster_a_page_is_signed_in_at_once() -> None:
    async def test(site: Any) -> None:
        async with connect(site) as ws:
            greeting = await take(ws, "greeting")
            assert (greeting.cluster, greeting.needs_token) == ("venue", False)
            assert (await take(ws, "signed_in")).any_number

    served(test)


def test_a_token_comes_first_where_one_is_needed_and_goes_to_the_gateway_with_each_call() -> None:
    async def test(site: Any) -> None:
        async with connect(site) as ws:
            assert (await take(ws, "greeting")).needs_token
            await send(ws, sign_in=page_pb2.SignIn(token="secret"))
            said = await take(ws, "signed_in")
            assert (said.name, said.client_number, said.any_number) == ("desk", 7, False)
            await send(ws, session=hello())
            await take(ws, "session")
            await send(ws, question=page_pb2.Question(id=1, account=accounts_pb2.GetAccountRequest(account=1)))
            await take(ws, "answer")
        assert site.gateways[0].tokens == ["Bearer secret"] * 2

    served(test, clients=(SECRET,))


@pytest.mark.parametrize(
    "request_",
    [
        {"sign_in": page_pb2.SignIn(token="wrong")},
        {"sign_in": page_pb2.SignIn(token="sécret")},
        {"session": hello()},
        {"feed": feed_pb2.FeedRequest(ping=1)},
        {"question": page_pb2.Question(id=1)},
    ],
)
def test_who_does_not_sign_in_is_sent_away(request_: dict[str, Any]) -> None:
    async def test(site: Any) -> None:
        async with connect(site) as ws:
            await send(ws, **request_)
            said = await closing(ws)
            assert said.code == int(Code.UNAUTHENTICATED)
        assert not site.gateways[0].hellos

    served(test, clients=(SECRET,))


def test_a_token_that_does_not_come_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_socket, "SIGN_IN_S", 0.05)

    async def test(site: Any) -> None:
        async with connect(site) as ws:
            assert (await closing(ws)).code == int(Code.UNAUTHENTICATED)

    served(test, clients=(SECRET,))


def test_a_stranger_hears_names_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_socket, "SIGN_IN_S", 0.3)

    async def test(site: Any) -> None:
        async with connect(site) as ws:
            first = page_pb2.PageFrame.FromString((await ws.receive()).data)
            assert first.greeting.needs_token
            assert [field.name for field, _ in first.greeting.ListFields()] == ["cluster", "needs_token", "feed"]
            site.shell.trade()
            site.shell.driver.on_tick()
            second = page_pb2.PageFrame.FromString((await ws.receive()).data)
            assert second.feed.HasField("closing")

    served(test, clients=(SECRET,))
    for page in ("docs/access.md", "SECURITY.md"):
        assert "`/page`" in (Path(__file__).parents[3] / page).read_text()


# ---- market data -----------------------------------------------------------------------------------------------------


def test_market_data_comes_over_the_same_connection() -> None:
    async def test(site: Any) -> None:
        async with connect(site) as ws:
            asked = feed_pb2.Subscription(feed="FEED_INSTRUMENTS")
            await send(ws, feed=feed_pb2.FeedRequest(subscribe=asked))
            while not (frame := await take(ws, "feed")).updates:
                pass
            assert frame.updates[0].definition.symbol == "I7"
            await send(ws, feed=feed_pb2.FeedRequest(subscribe=feed_pb2.Subscription(feed="FEED_L2", depth=3)))
            assert "no depth 3" in (await closing(ws)).reason

    served(test)


def test_what_is_no_request_ends_the_connection_with_a_reason() -> None:
    async def test(site: Any) -> None:
        async with connect(site) as ws:
            await ws.send_bytes(b"\xff\xff")
            assert (await closing(ws)).code == int(Code.MALFORMED_BATCH)
        async with connect(site) as ws:
            await ws.send_bytes(b"")
            assert (await closing(ws)).code == int(Code.MISSING_FIELD)

    served(test)


# ---- sessions --------------------------------------------------------------------------------------------------------


def test_a_sessions_messages_go_through_as_they_are_in_order() -> None:
    async def test(site: Any) -> None:
        async with connect(site) as ws:
            await send(ws, session=hello(2**63 + 5))
            assert (await take(ws, "session")).welcome.gateway == 1
            for number in range(1, 6):
                await send(ws, session=command(number))
            for number in range(1, 6):
                assert (await take(ws, "session")).reports.reports[0].session_no == number
        assert [one.session_id for one in site.gateways[0].hellos] == [2**63 + 5]

    served(test)


def test_the_end_of_a_stream_is_told_as_it_was_and_the_next_hello_goes_to_the_next_gateway() -> None:
    async def test(site: Any) -> None:
        for gateway in site.gateways:
            gateway.end = (grpc.StatusCode.UNAVAILABLE, "being stopped", Code.SHUTTING_DOWN)
        async with connect(site) as ws:
            await send(ws, session=hello())
            ended = await take(ws, "session_ended")
            assert (ended.status, ended.code, ended.retry_after_ms) == ("UNAVAILABLE", int(Code.SHUTTING_DOWN), 70)
            # A command behind the end goes nowhere: the page sends it again behind its next Hello.
            await send(ws, session=command(1))
            await send(ws, session=hello())
            await take(ws, "session_ended")
        assert [len(gateway.hellos) for gateway in site.gateways] == [1, 1]
        assert not any(gateway.numbers for gateway in site.gateways)

    served(test, gateways=2)


def test_a_gateway_that_is_gone_is_said_to_be_so() -> None:
    async def test(site: Any) -> None:
        await site.gateways[0].server.stop(None)
        async with connect(site) as ws:
            await send(ws, session=hello())
            assert (await take(ws, "session_ended")).code == int(Code.UNAVAILABLE)
            await send(ws, question=page_pb2.Question(id=4, account=accounts_pb2.GetAccountRequest(account=1)))
            answer = await take(ws, "answer")
            assert (answer.id, answer.failure.code) == (4, int(Code.UNAVAILABLE))

    served(test)


def test_another_hello_replaces_the_stream_and_leaving_ends_it() -> None:
    async def test(site: Any) -> None:
        async with connect(site) as ws:
            await send(ws, session=hello(1))
            await take(ws, "session")
            await send(ws, session=hello(2))
            await take(ws, "session")
            await send(ws, session=command(1))
            assert (await take(ws, "session")).reports.reports[0].session_no == 1
            await send(ws, leave_session=page_pb2.LeaveSession())
            await send(ws, session=command(2))
            await send(ws, question=page_pb2.Question(id=1, account=accounts_pb2.GetAccountRequest(account=1)))
            await take(ws, "answer")
        assert site.gateways[0].numbers == [1]

    served(test)


# ---- questions -------------------------------------------------------------------------------------------------------


def test_questions_are_answered_with_their_number_or_a_reason() -> None:
    async def test(site: Any) -> None:
        async with connect(site) as ws:
            ask = accounts_pb2.GetAccountRequest
            await send(ws, question=page_pb2.Question(id=9, account=ask(account=3)))
            answer = await take(ws, "answer")
            assert (answer.id, answer.account.account.name) == (9, "demo")
            await send(ws, question=page_pb2.Question(id=10, account=ask(account=404)))
            answer = await take(ws, "answer")
            assert (answer.failure.code, answer.failure.text) == (int(Code.UNKNOWN_ACCOUNT), "there is no account 404")
            asked = feed_pb2.ListCandlesRequest(instrument=7, candle_s=60)
            await send(ws, question=page_pb2.Question(id=11, candles=asked))
            assert (await take(ws, "answer")).candles.seq == site.shell.machine.seq
            asked = feed_pb2.ListCandlesRequest(instrument=99, candle_s=60)
            await send(ws, question=page_pb2.Question(id=12, candles=asked))
            assert (await take(ws, "answer")).failure.code == int(Code.UNKNOWN_INSTRUMENT)
            await send(ws, question=page_pb2.Question(id=13))
            assert (await take(ws, "answer")).failure.code == int(Code.MISSING_FIELD)

    served(test)


def test_a_browsers_connection_that_has_asked_is_kept_for_its_next_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_connections, "HELLO_S", 0.1)

    async def test(site: Any) -> None:
        port = int(site.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for pause_s in (0.0, 0.4):
            await asyncio.sleep(pause_s)
            writer.write(b"GET /theme.js HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            (length,) = (line for line in head.split(b"\r\n") if line.startswith(b"Content-Length"))
            await reader.readexactly(int(length.split(b":")[1]))
        writer.close()

    served(test)
