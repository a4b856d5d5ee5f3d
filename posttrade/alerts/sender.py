"""Sends what fires to webhooks: a task for each, that has one connection and waits for nobody else's.

A firing that a webhook has taken is written down behind that; a crash in between sends it again, with the same id. One
that does not answer is tried again for ever, ever less often, and firings that are no longer kept meanwhile are counted
as discarded; one that refuses a firing ten times loses that one.
"""

import asyncio
import random
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from lockstep.posttrade.alerts import messages, webhook
from lockstep.posttrade.alerts.addresses import NotAllowed, Rules, check_address, check_url
from lockstep.posttrade.alerts.desk import Desk, Endpoint, Hook, Page
from lockstep.posttrade.alerts.hub import Hub, pause, visible
from lockstep.posttrade.alerts.machine import Firing
from lockstep.posttrade.alerts.webhook import ATTEMPT_S, MOST_REFUSALS, Verdict, verdict_of
from lockstep.runtime.process_log import ProcessLog
from lockstep.runtime.topology import Principal

_NOBODY_S: Final = 5.0
"""Between two looks whether the owner of a webhook is one again."""


class Asker:
    """What the desk is asked, in its thread."""

    def __init__(self, ask: Callable[[Callable[[Desk], Any]], Awaitable[Any]]) -> None:
        self.ask = ask

    async def __call__[T](self, work: Callable[[Desk], T]) -> T:
        """What `work` finds there."""
        found: T = await self.ask(work)
        return found


class CheckedResolver(AbstractResolver):
    """Names as the system resolves them, if all their addresses may be called."""

    def __init__(self, rules: Rules, *, plain: bool) -> None:
        self._rules = rules
        self._plain = plain

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """See aiohttp."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family)
        results = []
        for one_family, _, proto, _, address in found:
            literal = str(address[0])
            check_address(ip_address(literal.partition("%")[0]), self._rules, plain=self._plain)
            results.append(
                ResolveResult(
                    hostname=host, host=literal, port=port, family=one_family, proto=proto,
                    flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
                )
            )  # fmt: skip
        return results

    async def close(self) -> None:
        """See aiohttp."""


class Sender:
    """See the module. Belongs to one loop."""

    def __init__(
        self,
        ask: Asker,
        hub: Hub,
        rules: Rules,
        cluster: str,
        owner_of: Callable[[int], Principal | None],
        log: ProcessLog,
        *,
        trusted: ssl.SSLContext | None = None,
    ) -> None:
        """`owner_of`: who has a number now; None: nobody. `trusted`: for https; None:
        the system's."""
        self._ask = ask
        self._hub = hub
        self._rules = rules
        self._cluster = cluster
        self._owner_of = owner_of
        self._log = log
        self._trusted = trusted or ssl.create_default_context()
        self._tasks: dict[Hook, asyncio.Task[None]] = {}
        self._sessions: dict[str, aiohttp.ClientSession] = {}
        self._draw = random.Random()  # noqa: S311 - it spreads attempts
        self.delivered = 0
        self.failures = 0
        self.discarded = 0
        self.failing: set[Hook] = set()
        """Those whose last attempt was none."""
        self.failed = asyncio.Event()
        self.failure: BaseException | None = None

    async def start(self) -> None:
        """Go on where each webhook was."""
        for plain in (False, True):
            connector = aiohttp.TCPConnector(
                resolver=CheckedResolver(self._rules, plain=plain), use_dns_cache=False, limit=0, limit_per_host=0,
                ssl=self._trusted, keepalive_timeout=15,
            )  # fmt: skip
            self._sessions["http" if plain else "https"] = aiohttp.ClientSession(
                connector=connector, timeout=aiohttp.ClientTimeout(total=ATTEMPT_S), trust_env=False,
                cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False,
            )  # fmt: skip
        for one in await self._ask(Desk.endpoints):
            self.add(one)

    @property
    def hooks(self) -> int:
        """How many webhooks there are."""
        return len(self._tasks)

    def add(self, one: Endpoint) -> None:
        """Begin to send to a webhook."""
        task = asyncio.get_running_loop().create_task(self._serve(one))
        self._tasks[one.owner, one.number] = task
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None and self.failure is None:
            self.failure = task.exception()
            self.failed.set()

    def remove(self, hook: Hook) -> None:
        """Send nothing to it any more."""
        task = self._tasks.pop(hook, None)
        self.failing.discard(hook)
        if task is not None:
            task.cancel()

    async def close(self) -> None:
        """End all; what is under way may arrive, and is sent again then."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for session in self._sessions.values():
            await session.close()

    # ---- one webhook -----------------------------------------------------------------------------------------------

    async def _serve(self, one: Endpoint) -> None:
        hook, discarded = (one.owner, one.number), one.discarded
        with self._hub.waiting(one.owner) as event:
            while True:
                event.clear()
                page, now = await self._ask(lambda desk: desk.waiting(hook))
                if now is None:
                    return
                if now.discarded > discarded:
                    self._log.warning("webhook_loses", owner=one.owner, number=one.number, discarded=now.discarded)
                    discarded = now.discarded
                if not page.firings:
                    await pause(event)
                    continue
                owner = self._owner_of(one.owner)
                if owner is None:
                    await asyncio.sleep(_NOBODY_S)
                    continue
                await self._next(hook, now, page, owner)

    async def _next(self, hook: Hook, one: Endpoint, page: Page, owner: Principal) -> None:
        ((firing, id_),) = page.firings
        if not visible(page, owner):
            await self._ask(lambda desk: desk.took(hook, firing.number))
            return
        verdict, text = await self._attempt(one, firing, id_)
        if verdict is Verdict.TAKEN:
            await self._ask(lambda desk: desk.took(hook, firing.number))
            self.delivered += 1
            self.failing.discard(hook)
            return
        self.failures += 1
        self.failing.add(hook)
        if not one.attempts:
            self._log.warning("webhook_fails", owner=one.owner, number=one.number, said=text)
        if verdict is Verdict.REFUSED and one.attempts + 1 >= MOST_REFUSALS:
            self.discarded += 1
            await self._ask(lambda desk: desk.took(hook, firing.number, discarded=True))
            return
        await self._ask(lambda desk: desk.failed(hook, text, time.time_ns()))
        await asyncio.sleep(webhook.pause_s(one.attempts + 1, self._draw.random()))

    async def _attempt(self, one: Endpoint, firing: Firing, id_: str) -> tuple[Verdict, str]:
        body = messages.delivery(firing, id_, self._cluster)
        try:
            # What is allowed may have changed since it was made.
            url = check_url(one.url, self._rules)
            headers = webhook.headers_of(id_, int(time.time()), body, one.secret)
            session = self._sessions[url.scheme]
            async with session.post(url, data=body, headers=headers, allow_redirects=False) as answer:
                verdict = verdict_of(answer.status)
                return verdict, f"it answers {answer.status}"
        except NotAllowed as refused:
            return Verdict.AGAIN, str(refused)
        except TimeoutError:
            return Verdict.AGAIN, f"it does not answer within {ATTEMPT_S:.0f} s"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Verdict.AGAIN, f"it can't be reached: {str(error)[:150] or type(error).__name__}"
