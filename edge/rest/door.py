"""The REST door: routes, who may come in, bounds, and answers, on the server of a feed. See docs/rest.md."""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from hashlib import blake2b
from importlib.resources import files
from typing import Any, Final

from aiohttp import web

from lockstep.edge.rest.answers import Answer, Answers, Asked
from lockstep.edge.rest.inputs import body_of, body_schema, checked, key_of, parameters_of
from lockstep.edge.rest.operations import KEY_HEADER, OPERATIONS, PREFIX, Operation
from lockstep.edge.rest.principal import principal_of, require_account, require_role
from lockstep.edge.rest.problems import TYPE, Problem
from lockstep.marketdata.shell import FeedShell
from lockstep.runtime.budget import Budget, Cost, Left, used_up
from lockstep.runtime.http_connections import SERVER, pause_s, strange_host
from lockstep.runtime.process_log import open_log
from lockstep.runtime.rate import Rate
from lockstep.runtime.topology import Principal
from lockstep.stream.codes import Code

MAX_BODY_BYTES: Final = 16 << 10
BODY_S: Final = 5.0
"""A body that is not there by then is not waited for."""
MAX_REQUESTS: Final = 512
"""Under way at once, of all."""
MAX_REQUESTS_OF_ONE: Final = 128
"""Under way at once, of one client."""
LOGINS_PER_S: Final = 50
LOGIN_BURST: Final = 200
"""Of those that failed, of all callers: tokens are not to be guessed at leisure."""
CANCELS: Final = frozenset({"cancelOrder", "massCancel"})
"""They may spend what a budget keeps for them."""
_MS: Final = 1_000_000
_JSON: Final = "application/json"
_HEADERS: Final = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff", "Server": SERVER}
_PAGE_HEADERS: Final = {
    **_HEADERS,
    "Content-Security-Policy": "default-src 'none'; connect-src 'self'; script-src 'self'; style-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
}
_FILES: Final = {
    "/openapi.json": ("openapi.json", _JSON),
    "/docs": ("viewer.html", "text/html"),
    "/docs/viewer.js": ("viewer.js", "text/javascript"),
    "/docs/viewer.css": ("viewer.css", "text/css"),
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class RestDoor:
    """One door of a feed. Belongs to the feed's loop."""

    def __init__(self, shell: FeedShell) -> None:
        self._shell = shell
        self._answers = Answers(shell)
        self._under_way: Counter[str] = Counter()
        self._failed_logins = Rate(LOGINS_PER_S, LOGIN_BURST)
        self._log = open_log(shell.member.name)
        self.counters = {"rest_requests": 0, "rest_turned_away": 0}

    def add_to(self, application: web.Application) -> None:
        """Put the door's paths into a server that is not set up yet."""
        inner = web.Application(middlewares=[self._explained])
        for operation in OPERATIONS:
            handler = partial(self._serve, operation)
            inner.router.add_route(operation.method, operation.path, handler)
            if operation.method == "GET":
                inner.router.add_route("HEAD", operation.path, handler)
        application.add_subapp(PREFIX, inner)
        folder = files("lockstep.edge.rest")
        for path, (name, kind) in _FILES.items():
            page = partial(_page, (folder / name).read_bytes(), kind)
            application.router.add_get(path, page)

    async def close(self) -> None:
        """End what the door has open."""
        await self._answers.close()

    # ---- one request ---------------------------------------------------------------------------------------------

    @web.middleware
    async def _explained(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Whatever ends a request is a problem document."""
        self.counters["rest_requests"] += 1
        try:
            return await handler(request)
        except Problem as problem:
            return _problem(problem)
        except web.HTTPException as error:
            headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
            text = f"there is no {request.method} {request.path[:200]}"
            remedy = "see /openapi.json for what there is"
            return _problem(Problem(Code.NOT_SUPPORTED, text, status=error.status, headers=headers, remedy=remedy))
        except Exception:  # noqa: BLE001 - the top of a shell
            # A fault of the door's own. What others read and trade here goes on.
            self._log.exception("a request failed", method=request.method, path=request.path[:200])
            return _problem(Problem(Code.UNAVAILABLE, "the door failed; the log says how", status=500))

    async def _serve(self, operation: Operation, request: web.Request) -> web.StreamResponse:
        client, authorization = await self._who(operation, request)
        name = client.name
        if self._under_way.total() >= MAX_REQUESTS or self._under_way[name] >= MAX_REQUESTS_OF_ONE:
            self.counters["rest_turned_away"] += 1
            raise Problem(Code.BUSY, "too many requests are under way; nothing was executed")
        budget = self._shell.entitlements.budgets.of(client)
        limits = {} if budget is None else self._spend(budget, client, operation)
        self._under_way[name] += 1
        try:
            answer = await self._answered(operation, request, client, authorization)
            answer.headers.update(limits)
            return answer
        except Problem as problem:
            problem.headers.update(limits)
            raise
        finally:
            self._under_way[name] -= 1
            if not self._under_way[name]:
                del self._under_way[name]

    async def _who(self, operation: Operation, request: web.Request) -> tuple[Principal, str | None]:
        shell = self._shell
        strange = strange_host(request, open_to_all=shell.entitlements.open, host=shell.member.host)
        if strange:
            raise Problem(Code.NOT_ENTITLED, strange, remedy="use the door's address, or list clients with tokens")
        origin = request.headers.get("Origin")
        if origin is not None and origin.partition("://")[2] != request.host:
            text = f"pages of {origin[:200]} may not use this door; serve them from {request.host[:200]}"
            remedy = "serve the page from the door's own host, or call from a program, which sends no Origin"
            raise Problem(Code.NOT_ENTITLED, text, remedy=remedy)
        try:
            client, authorization = await principal_of(request.headers, self._shell.entitlements)
        except Problem as problem:
            self._shell.trail.refusal(operation.path, "", str(request.remote), problem.text)
            wait_ns = self._failed_logins.wait_ns(time.monotonic_ns())
            if wait_ns:
                raise self._too_fast(wait_ns, "too many requests without a known token") from None
            raise
        try:
            require_role(client, operation)
        except Problem as problem:
            self._shell.trail.refusal(operation.path, client.name, str(request.remote), problem.text)
            raise
        return client, authorization

    def _spend(self, budget: Budget, client: Principal, operation: Operation) -> dict[str, str]:
        """Take the request out of its client's budget; the headers that say what is left.

        Raises:
            Problem: 429, with the time after which it is within the budget.
        """
        now_ns = time.monotonic_ns()
        cost = Cost.KEYED if operation.keyed else Cost.QUERY
        wait_ns = budget.take(cost, now_ns, cancels=operation.name in CANCELS)
        left = budget.left(now_ns)
        limits = limit_headers(left)
        if wait_ns:
            text = f"{used_up(client.name, budget)}; nothing was executed"
            more = {"budget": {"left": left.points, "per_s": left.per_s, "at_once": left.at_once, "cost": int(cost)}}
            raise self._too_fast(wait_ns, text, limits, **more)
        return limits

    def _too_fast(self, wait_ns: int, text: str, headers: Mapping[str, str] | None = None, **more: Any) -> Problem:
        self.counters["rest_turned_away"] += 1
        pause_ms = -(-wait_ns // _MS)
        return Problem(
            Code.BUSY, text, retry_after_s=pause_s(wait_ns), headers=headers, retry_after_ms=pause_ms, **more
        )

    async def _answered(
        self, operation: Operation, request: web.Request, client: Principal, authorization: str | None
    ) -> web.StreamResponse:
        values = parameters_of(operation, request.match_info, list(request.query.items()))
        if "account" in values:
            require_account(client, values["account"])
        key, body = "", {}
        if operation.keyed:
            keys = request.headers.getall(KEY_HEADER, [None])
            if len(keys) > 1:
                raise Problem(Code.FIELD_OUT_OF_RANGE, f"{KEY_HEADER} stands twice", field=KEY_HEADER)
            key = key_of(keys[0])
            raw = await _body(request, json_wanted=bool(operation.body))
            if operation.body:
                body = checked(body_schema(operation.body), body_of(raw), "")
        answer = await self._answers.of(Asked(operation, client, authorization, values, key, body))
        return _respond(operation, request, answer)


def limit_headers(left: Left) -> dict[str, str]:
    """What is left of a budget, as the IETF's draft of `RateLimit` fields has it (httpapi-ratelimit-headers)."""
    window_s = -(-left.at_once // left.per_s)
    return {
        "RateLimit-Policy": f'"principal";q={left.at_once};w={window_s};qu="points"',
        "RateLimit": f'"principal";r={left.points};t={left.full_in_s}',
    }


async def _body(request: web.Request, *, json_wanted: bool) -> bytes:
    """What was sent, bounded in bytes and time."""
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Problem(Code.MALFORMED_BATCH, "send the body as it is, without Content-Encoding", status=415)
    if json_wanted and request.content_type != _JSON:
        raise Problem(Code.MALFORMED_BATCH, f"the body has to be {_JSON}", status=415)
    text = f"a body has at most {MAX_BODY_BYTES} bytes"
    too_long = Problem(Code.BATCH_TOO_LARGE, text, status=413, remedy="send one command in a body, and nothing else")
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise too_long
    parts: list[bytes] = []
    length = 0
    try:
        async with asyncio.timeout(BODY_S):
            async for part in request.content.iter_any():
                parts.append(part)
                length += len(part)
                if length > MAX_BODY_BYTES:
                    raise too_long
    except TimeoutError:
        raise Problem(Code.MALFORMED_BATCH, f"the body did not come within {BODY_S:.0f} s", status=408) from None
    return b"".join(parts)


def _respond(operation: Operation, request: web.Request, answer: Answer) -> web.Response:
    raw = json.dumps(answer.body, separators=(",", ":")).encode()
    headers = {**_HEADERS, "Lockstep-Epoch": str(answer.epoch), "Lockstep-Seq": str(answer.seq)}
    if operation.keyed:
        return web.Response(
            body=raw, status=operation.status, headers={**headers, **answer.headers}, content_type=_JSON
        )
    headers["ETag"] = tag = f'"{blake2b(raw, digest_size=12).hexdigest()}"'
    wanted = {one.strip().removeprefix("W/") for one in request.headers.get("If-None-Match", "").split(",")}
    if tag in wanted or "*" in wanted:
        return web.Response(status=304, headers=headers)
    return web.Response(body=raw, headers=headers, content_type=_JSON)


def _problem(problem: Problem) -> web.Response:
    # Those who are refused together are not to come again together.
    problem.retry_after_ms += random.randrange(1 + problem.retry_after_ms // 4)  # noqa: S311 - keeps no secret
    headers = {**_HEADERS, **problem.headers}
    return web.Response(body=problem.body(), status=problem.status, headers=headers, content_type=TYPE)


async def _page(raw: bytes, kind: str, request: web.Request) -> web.Response:
    del request
    return web.Response(body=raw, content_type=kind, charset=None if kind == _JSON else "utf-8", headers=_PAGE_HEADERS)
