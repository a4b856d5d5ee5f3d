"""How a request finds a member that answers it: hedged and repeated, or once.

- `race` is for reads and for compare-and-swap, where doing it twice is harmless: the request goes to one member,
  after a short silence also to the next, and each is asked again until one answers. One frozen or dead member costs
  one stagger.
- `once` is for plain writes, where a late duplicate could overwrite a newer value: sent at most once.

Both keep the difference between "never sent" (`StoreUnavailable`) and "sent, outcome unknown" (`StoreAmbiguous`).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable

import grpc

from lockstep.runtime.etcd import etcd_subset_pb2 as pb
from lockstep.runtime.etcd.member import Member, Metadata, Verdict, describe, judge, names_ended_lease
from lockstep.runtime.etcd.options import EtcdOptions, TlsOptions
from lockstep.runtime.etcd.store import (
    StoreAmbiguous,
    StoreError,
    StoreLeaseEnded,
    StoreRefused,
    StoreUnavailable,
)

type Attempt[Answer] = Callable[[Member, float, Metadata], Awaitable[Answer]]
"""One try: (member, seconds left, metadata) -> answer."""

_LOG = logging.getLogger(__name__)
_RETRY_FIRST_S = 0.01
_RETRY_MOST_S = 0.04
# A try is abandoned and repeated long before the call's deadline: what a follower has forwarded to a leader that just
# died is lost, and the follower would wait some 7 s for it.
_TRY_FIRST_S = 0.1
_LOGIN_HEDGE_S = 1.0  # a login costs the server 65 ms of CPU: a second one is worth it only if the first is stuck


class _TryAgain(Exception):
    """One try came to nothing, for a reason that may pass."""


class _Trail:
    """What became of the tries of one call."""

    def __init__(self) -> None:
        self.unsettled = 0
        """Tries that were sent and of which we can't say that they were not applied, >= 0."""
        self.last_error = "never connected or never answered"


class Caller:
    """Sends requests to the members; owns the login token. `open` it inside the event loop, `close` it in the end."""

    def __init__(self, options: EtcdOptions) -> None:
        self._options = options
        self._members: tuple[Member, ...] = ()
        self._preferred = 0
        """Index of the member that answered last, 0 <= _preferred < len(_members): asked first."""
        self._token = ""
        """Login token, "" while there is none or no login is needed."""
        self._login_lock = asyncio.Lock()
        self._refreshers: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Begin to connect to every member and log in if there are credentials.

        Raises `StoreRefused` for wrong credentials, `StoreUnavailable` if nobody could check them in time.
        """
        self._members = tuple(Member(endpoint, self._options) for endpoint in self._options.endpoints)
        for member in self._members:
            _ = member.connected  # starts the connection attempt
        if self._options.user is not None:
            await self.renew_token(stale="")
            self._refreshers.append(asyncio.create_task(self._refresh_token()))
        if self._options.newer_tls is not None:
            self._refreshers.append(asyncio.create_task(self._follow_tls(self._options.newer_tls)))

    async def close(self) -> None:
        for task in self._refreshers:
            task.cancel()
        await asyncio.gather(*self._refreshers, return_exceptions=True)
        await asyncio.gather(*(member.close() for member in self._members))

    @property
    def members(self) -> tuple[Member, ...]:
        """Every member, in the order of the endpoints."""
        return self._members

    @property
    def metadata(self) -> Metadata:
        """What has to go with a request now."""
        return (("token", self._token),) if self._token else ()

    @property
    def token(self) -> str:
        """The login token in use; hand it back to `renew_token` when the server refuses it."""
        return self._token

    async def race[Answer](
        self, attempt: Attempt[Answer], timeout_s: float, *, writes: bool = False, hedge_after_s: float | None = None
    ) -> Answer:
        """The first answer of any member. Raises `StoreRefused`, `StoreUnavailable`; if it writes, `StoreAmbiguous`."""
        stagger_s = self._options.hedge_after_s if hedge_after_s is None else hedge_after_s
        patience_s = max(_TRY_FIRST_S, stagger_s)
        deadline = asyncio.get_running_loop().time() + timeout_s
        trail = _Trail()
        tries = [
            asyncio.create_task(self._persist(index, attempt, place * stagger_s, patience_s, deadline, trail))
            for place, index in enumerate(self._order())
        ]
        try:
            done, _ = await asyncio.wait(tries, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tries:
                task.cancel()
            await asyncio.gather(*tries, return_exceptions=True)
        if not done:
            raise self._gave_up(trail, timeout_s, writes=writes)
        # Two tasks may end in the same turn of the loop: an answer counts more than a refusal.
        best = next((task for task in tries if task in done and task.exception() is None), None)
        return (best or next(iter(done))).result()

    async def once[Answer](self, attempt: Attempt[Answer], timeout_s: float) -> Answer:
        """The answer of one member, the request having been sent to no other. Raises as a `race` that writes."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        trail = _Trail()
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    member = await self.connected_member(self._order())
                    try:
                        return await self._try(member, attempt, deadline, trail)
                    except _TryAgain:
                        if trail.unsettled:
                            raise self._gave_up(trail, timeout_s, writes=True) from None
                    await asyncio.sleep(_RETRY_FIRST_S)
        except TimeoutError:
            raise self._gave_up(trail, timeout_s, writes=True) from None

    def order_from(self, first: int) -> list[int]:
        """Indices of all members, beginning at this one (taken modulo their number)."""
        count = len(self._members)
        return [(first + offset) % count for offset in range(count)]

    async def connected_member(self, order: Iterable[int]) -> Member:
        """The first connected member in this order of indices; waits, without limit, if there is none."""
        for index in order:
            if self._members[index].connected:
                return self._members[index]
        waits = {asyncio.create_task(member.until_connected()): member for member in self._members}
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            return waits[done.pop()]
        finally:
            for task in waits:
                task.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def renew_token(self, *, stale: str) -> None:
        """Log in again unless somebody else has replaced the stale token meanwhile. Raises as `race`."""
        async with self._login_lock:
            if self._token == stale:
                self._token = await self.race(self._log_in, self._options.call_timeout_s, hedge_after_s=_LOGIN_HEDGE_S)

    async def renew_or_wait(self, stale: str) -> None:
        """`renew_token`, but "the login found nobody" is only logged: what comes next will find out. Raises
        `StoreRefused`."""
        try:
            await self.renew_token(stale=stale)
        except StoreUnavailable as error:
            _LOG.warning("etcd login failed, trying again: %s", error)

    async def _log_in(self, member: Member, timeout_s: float, _metadata: Metadata) -> str:
        request = pb.AuthenticateRequest(name=self._options.user or "", password=self._options.password or "")
        try:
            return (await member.authenticate(request, timeout_s)).token
        except grpc.aio.AioRpcError as error:
            if judge(error) is Verdict.TRANSIENT:
                raise
            raise StoreRefused(
                f"etcd {member.endpoint} refuses the login of user {self._options.user!r} ({describe(error)}): "
                "check user and password, and that authentication is enabled there"
            ) from error

    async def _refresh_token(self) -> None:
        while True:
            await asyncio.sleep(self._options.token_refresh_s)
            try:
                await self.renew_token(stale=self._token)
            except StoreError as error:
                # The old token may live on; if not, the call that finds out logs in by itself.
                _LOG.warning("etcd login not renewed, trying again later: %s", error)

    async def _follow_tls(self, newer: Callable[[], TlsOptions | None]) -> None:
        """Connect anew when certificates were replaced: with the first ones nobody would be let in for ever."""
        used: dict[Member, TlsOptions | None] = dict.fromkeys(self._members, self._options.tls)
        while True:
            await asyncio.sleep(self._options.tls_look_s)
            try:
                tls = newer()
                behind = [member for member in self._members if used[member] != tls]
                done = await asyncio.gather(*(member.renew(tls) for member in behind))
            except Exception:  # noqa: BLE001 - the top of a task that must not end
                _LOG.exception("etcd: the replaced certificate can't be used, trying again")
                continue
            for member, renewed in zip(behind, done, strict=True):
                if renewed:
                    used[member] = tls
                else:
                    _LOG.warning("etcd %s does not answer by the replaced certificate, trying again", member.endpoint)

    def _order(self) -> list[int]:
        """Indices of all members, the preferred one first."""
        return self.order_from(self._preferred)

    async def _persist[Answer](
        self,
        index: int,
        attempt: Attempt[Answer],
        delay_s: float,
        patience_s: float,
        deadline: float,
        trail: _Trail,
    ) -> Answer:
        """Ask one member again and again until it answers or refuses; the caller ends it at the deadline."""
        now = asyncio.get_running_loop().time
        if delay_s:
            await asyncio.sleep(delay_s)
        pause_s = _RETRY_FIRST_S
        while True:
            await self._members[index].until_connected()
            try:
                try_until = min(deadline, now() + patience_s)
                answer = await self._try(self._members[index], attempt, try_until, trail)
                self._preferred = index
                return answer
            except _TryAgain:
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _RETRY_MOST_S)
                patience_s *= 2  # an overloaded server must get through in the end

    async def _try[Answer](self, member: Member, attempt: Attempt[Answer], deadline: float, trail: _Trail) -> Answer:
        token = self._token
        left_s = max(deadline - asyncio.get_running_loop().time(), 0.001)
        trail.unsettled += 1  # stays counted if this is cancelled: then nobody knows
        try:
            answer = await attempt(member, left_s, self.metadata)
        except grpc.aio.AioRpcError as error:
            trail.last_error = f"{member.endpoint}: {describe(error)}"
            verdict = judge(error)
            if verdict is Verdict.TRANSIENT:
                raise _TryAgain from error
            trail.unsettled -= 1
            if verdict is Verdict.LOGIN and self._options.user is not None:
                await self.renew_or_wait(token)
                raise _TryAgain from error
            refusal = StoreLeaseEnded if names_ended_lease(error) else StoreRefused
            raise refusal(f"etcd {trail.last_error}") from error
        trail.unsettled -= 1
        return answer

    def _gave_up(self, trail: _Trail, timeout_s: float, *, writes: bool) -> StoreAmbiguous | StoreUnavailable:
        endpoints, last = self._options.endpoints, trail.last_error
        where = f"etcd at {', '.join(endpoints)}"
        if len(endpoints) == 1:
            last = last.removeprefix(f"{endpoints[0]}: ")
        if writes and trail.unsettled:
            return StoreAmbiguous(f"{where}: outcome unknown after {timeout_s:g} s ({last})")
        return StoreUnavailable(f"{where}: no answer within {timeout_s:g} s ({last}); is it running?")
