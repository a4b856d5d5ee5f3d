"""One page's WebSocket: market data, its session's stream and its questions, over one connection."""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import grpc
from aiohttp import WSMsgType, web
from google.protobuf.message import DecodeError

from lockstep.edge.http.frames import frame_of
from lockstep.edge.http.page_frames import answer, failure, page_frame
from lockstep.edge.http.relay import Gateways, Overfull, Relay, ended
from lockstep.edge.http.websocket import (
    GONE,
    MESSAGE_BURST,
    MESSAGES_PER_S,
    SocketWriter,
    WebSocketDoor,
)
from lockstep.marketdata.candle_query import listed_candles
from lockstep.marketdata.feed_events import Refusal
from lockstep.marketdata.feed_subscriptions import FeedRefused
from lockstep.marketdata.shell import FeedShell
from lockstep.runtime.access.callers import OPEN_CLIENT, NotLookedAt, TooManyLogins, Unauthenticated
from lockstep.runtime.access.instruments import why_not
from lockstep.runtime.access.permissions import FEED_SOCKET
from lockstep.runtime.budget import BYTES_PER_POINT, Cost
from lockstep.runtime.http_connections import pause_s
from lockstep.runtime.rate import Rate
from lockstep.runtime.topology import Principal
from lockstep.stream.codes import Code
from lockstep.v1 import page_pb2

_PATH: Final = "/page"
QUESTIONS_AT_ONCE: Final = 4
SIGN_IN_S: Final = 10.0
_DRAIN_PAUSE_S: Final = 0.01
_METHODS: Final = {
    "account": "Accounts/GetAccount",
    "accounts": "Accounts/ListAccounts",
    "open_orders": "Accounts/ListOpenOrders",
}
"""Questions that a gateway answers, and by which call."""


class PageSocket:
    """From the handshake to the end. Nothing of it outlives the connection: what is kept, the page keeps."""

    def __init__(
        self,
        shell: FeedShell,
        door: WebSocketDoor,
        gateways: Gateways,
        request: web.Request,
        connection: web.WebSocketResponse,
        on_signed_in: "Callable[[PageSocket], None]",
    ) -> None:
        """`on_signed_in`: called once, when it is known who it is for."""
        transport: Any = request.transport
        self.writer = SocketWriter(door.blocked, transport, self._framed)
        self._shell = shell
        self._door = door
        self._gateways = gateways
        self._connection = connection
        self._peer = str(request.remote)
        self._token = ""
        self._client: Principal | None = None
        self._on_signed_in = on_signed_in
        self._relay: Relay | None = None
        self._relaying: asyncio.Task[None] | None = None
        self._unwatch: Callable[[], None] = _nothing
        self._questions: set[asyncio.Task[None]] = set()
        self._last = self._last_framed = b""

    def _framed(self, frame: bytes) -> bytes:
        if frame is not self._last:
            self._last, self._last_framed = frame, frame_of(page_frame("feed", frame))
        return self._last_framed

    async def run(self) -> None:
        """Serve it."""
        if not self._door.enter(self.writer):
            return
        patience = asyncio.get_running_loop().call_later(SIGN_IN_S, self._expect_sign_in)
        try:
            self._greet()
            await self._listen()
        finally:
            patience.cancel()
            self._unwatch()
            for task in (*self._questions, *filter(None, (self._relaying,))):
                task.cancel()
            await self._door.leave(self._connection, self.writer)

    def _greet(self) -> None:
        greeting = page_pb2.Greeting(
            cluster=self._shell.topology.name,
            needs_token=not self._shell.entitlements.open,
            feed=self._shell.member.name,
        )
        self.writer.say(page_frame("greeting", greeting.SerializeToString()))
        if self._shell.entitlements.open:
            self._enter(OPEN_CLIENT)

    def _enter(self, client: Principal) -> None:
        self._client = client
        said = page_pb2.SignedIn(name=client.name, client_number=client.number, any_number=client is OPEN_CLIENT)
        self.writer.say(page_frame("signed_in", said.SerializeToString()))
        self._on_signed_in(self)

    def _expect_sign_in(self) -> None:
        if self._client is None:
            self._end(Code.UNAUTHENTICATED, f"no token came within {SIGN_IN_S:g} s; sign in again")

    def _end(self, code: Code, text: str, retry_after_ms: int = 0) -> None:
        self._door.end(self.writer, Refusal(int(code), text, retry_after_ms))

    async def _listen(self) -> None:
        rate = Rate(MESSAGES_PER_S, MESSAGE_BURST)
        async for message in self._connection:
            if message.type is not WSMsgType.BINARY:
                return
            if rate.wait_ns(time.monotonic_ns()):
                self._end(Code.BUSY, f"more than {MESSAGES_PER_S} messages a second from this page", 1_000)
                return
            points = Cost.MESSAGE + len(message.data) // BYTES_PER_POINT
            wait_ns = 0 if self._client is None else self._door.spend(self._client, points)
            if wait_ns:
                self._end(Code.BUSY, "the budget of this client is used up; ask for less", 1_000 * pause_s(wait_ns))
                return
            try:
                refusal = await self._on_request(page_pb2.PageRequest.FromString(message.data))
            except DecodeError:
                refusal = Refusal(int(Code.MALFORMED_BATCH), "no PageRequest; load the page again", 0)
            except FeedRefused as refused:
                refusal = Refusal(int(refused.code), str(refused), refused.retry_after_ms)
            if refusal is not None:
                self._door.end(self.writer, refusal)
                return

    async def _on_request(self, request: page_pb2.PageRequest) -> Refusal | None:
        """Do what the page asks for; why the connection ends, if it does."""
        asked = request.WhichOneof("request")
        if asked == "sign_in":
            return await self._on_sign_in(request.sign_in.token)
        if self._client is None:
            return Refusal(int(Code.UNAUTHENTICATED), "the first message is a SignIn with the client's token", 0)
        match asked:
            case "feed":
                return self._door.on_request(self.writer, request.feed, self._client)
            case "session":
                return self._on_session(request.session.SerializeToString(), request.session.HasField("hello"))
            case "leave_session":
                self._leave_session()
            case "question":
                self._on_question(request.question)
            case _:
                return Refusal(int(Code.MISSING_FIELD), "a PageRequest asks for something; load the page again", 0)
        return None

    async def _on_sign_in(self, token: str) -> Refusal | None:
        entitlements, trail = self._shell.entitlements, self._shell.trail
        try:
            # Metadata takes no other characters, and no token has them.
            client = await entitlements.identify(f"Bearer {token}" if token.isascii() else None)
        except Unauthenticated as error:
            trail.refusal(_PATH, "", self._peer, str(error))
            if isinstance(error, NotLookedAt):
                code = Code.BUSY if isinstance(error, TooManyLogins) else Code.UNAVAILABLE
                return Refusal(int(code), str(error), 1_000 * error.RETRY_S)
            return Refusal(int(Code.UNAUTHENTICATED), str(error), 0)
        if not client.may(FEED_SOCKET):
            text = f"{client.name!r} has no role that may read market data"
            trail.refusal(_PATH, client.name, self._peer, text)
            return Refusal(int(Code.NOT_ENTITLED), text, 0)
        wait_ns = self._door.spend(client, Cost.LOGIN)
        if wait_ns:
            return Refusal(int(Code.BUSY), f"the budget of {client.name!r} is used up", 1_000 * pause_s(wait_ns))
        if self._client is None:
            self._token = token
            self._unwatch = entitlements.watch(client, lambda: self._door.end(self.writer, GONE))
            self._enter(client)
        return None

    # ---- the session ---------------------------------------------------------------------------------------------

    def _on_session(self, message: bytes, is_hello: bool) -> Refusal | None:
        if is_hello:
            self._leave_session()
            relay = self._relay = Relay(self._gateways, self._token, self._say_session)
            self._relaying = asyncio.ensure_future(self._run_relay(relay))
        if self._relay is None:
            # Its stream has just ended; the page is being told, and sends it again behind its next Hello.
            return None
        try:
            self._relay.put(message)
        except Overfull:
            return Refusal(int(Code.BUSY), "the gateway does not take what this page sends", 1_000)
        return None

    def _leave_session(self) -> None:
        if self._relaying is not None:
            self._relaying.cancel()
        self._relay = self._relaying = None

    async def _run_relay(self, relay: Relay) -> None:
        how = await relay.run()
        if self._relay is relay:
            self._relay = self._relaying = None
            self.writer.say(page_frame("session_ended", how.SerializeToString()))

    async def _say_session(self, message: bytes) -> None:
        self.writer.say(page_frame("session", message))
        # The transport tells aiohttp alone when it has room again.
        while self.writer.full:  # noqa: ASYNC110
            # The gateway holds back what this page does not take, up to its bound.
            await asyncio.sleep(_DRAIN_PAUSE_S)

    # ---- questions -----------------------------------------------------------------------------------------------

    def _on_question(self, question: page_pb2.Question) -> None:
        asked = question.WhichOneof("question")
        if asked is None:
            self.writer.say(failure(question.id, int(Code.MISSING_FIELD), "the question asks for nothing"))
        elif asked == "candles":
            self._guarded_answer(question.id, partial(self._candles, question))
        elif len(self._questions) >= QUESTIONS_AT_ONCE:
            text = f"{QUESTIONS_AT_ONCE} questions wait for their answers already"
            self.writer.say(failure(question.id, int(Code.BUSY), text, 200))
        else:
            raw = getattr(question, asked).SerializeToString()
            task = asyncio.ensure_future(self._ask(question.id, asked, raw))
            self._questions.add(task)
            task.add_done_callback(self._questions.discard)

    def _candles(self, question: page_pb2.Question) -> bytes:
        assert self._client is not None, "signed in"
        why = why_not(self._client, (question.candles.instrument,))
        if why:
            raise FeedRefused(Code.NOT_ENTITLED, why)
        return answer(question.id, "candles", listed_candles(self._shell, question.candles).SerializeToString())

    def _guarded_answer(self, number: int, make: Callable[[], bytes]) -> None:
        try:
            self.writer.say(make())
        except FeedRefused as refused:
            self.writer.say(failure(number, int(refused.code), str(refused), refused.retry_after_ms))

    async def _ask(self, number: int, asked: str, request: bytes) -> None:
        try:
            reply = await self._gateways.ask(_METHODS[asked], request, self._token)
        except grpc.aio.AioRpcError as error:
            how = ended(error)
            self.writer.say(failure(number, how.code, how.text, how.retry_after_ms))
        else:
            self.writer.say(answer(number, asked, reply))


def _nothing() -> None:
    """Nobody is signed in yet."""
