"""A market for a first look: a market maker and noise traders, through the SDK like everybody else, and a demo account.

It is bounded (so many commands a second, orders that replace each other) and ends with who started it. The flow has a
seed; when its commands reach the cluster has none.
"""

import asyncio
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from lockstep.admin import SetRiskLimits
from lockstep.aio import AsyncClient
from lockstep.enums import Code, Phase
from lockstep.errors import LockstepError, Refused
from lockstep.rows import CommandRow
from lockstep.session import AsyncSession
from lockstep.trials.demo_flow import Listing, MakerFlow, NoiseFlow, is_end
from lockstep.values import Report

DEMO_RATE: Final = 120
DEMO: Final = 1
"""The account of whoever looks at the page."""
MAKER: Final = 900
NOISE: Final = (901, 902)
LISTINGS: Final = (
    Listing(1, "ACME", "0.01", 10_150),
    Listing(2, "BOREAL", "0.01", 4_820),
    Listing(3, "CINDER", "0.05", 4_248, spread_ticks=1),
    Listing(4, "DELTA", "0.50", 2_768),
    Listing(5, "EMBER", "0.001", 7_635, spread_ticks=4, step_ticks=2),
    Listing(6, "FJORD", "0.01", 32_790, spread_ticks=4, step_ticks=2),
)
AUCTIONED: Final = 6
"""This one has an auction now and then, so that there is one to see."""
AUCTION_S: Final = 20
AUCTION_EVERY_S: Final = 150
TURNS_PER_S: Final = 20
_CASH: Final = "1000000"
_TAKER_PPM: Final = 150
_BAND_PPM: Final = 100_000
_DEMO_LIMITS: Final = SetRiskLimits(DEMO, max_order_lots=20_000, orders_per_second=50, burst_orders=100)
_NOISE_SHARE: Final = 0.3
_FIRST_ID: Final = 1 << 40
"""Of the flow's client order ids: far from those that people use."""
_OPEN_S: Final = 20.0


class MarketTaken(Exception):
    """The cluster has other instruments or clients; the text says what to do."""


@dataclass(frozen=True, slots=True)
class DemoMarketPlan:
    """How much of it."""

    addresses: tuple[str, ...] = ()
    """The gateways."""
    seed: int = 1
    rate: int = DEMO_RATE
    """Commands a second, all together."""
    instruments: tuple[int, ...] = tuple(one.id for one in LISTINGS)
    """Where the flow goes."""
    auctions: bool = True


class DemoMarket:
    """Runs in a thread of its own from `start` to `stop`."""

    def __init__(self, plan: DemoMarketPlan, say: Callable[[str], None]) -> None:
        """`say`: called, from its thread, with what went wrong for good."""
        self._plan = plan
        self._say = say
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="demo-market", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """End it and wait for that."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            asyncio.run(self._trade())
        except (MarketTaken, LockstepError) as error:
            if not self._stop.is_set():
                self._say(f"the demo market has ended: {error}")

    async def _trade(self) -> None:
        async with AsyncClient(self._plan.addresses) as client:
            await _set_up(client)
            flow = _Flow(self._plan)
            sessions = [await client.session(on_report=flow.on_report, timeout_s=_OPEN_S) for _ in (MAKER, *NOISE)]
            admin = await client.session(timeout_s=_OPEN_S)
            # What an earlier market left would stand there for ever.
            for account, session in zip((MAKER, *NOISE), sessions, strict=True):
                await (await session.mass_cancel(account=account))
            await _turns(flow, sessions, admin, self._plan, self._stop)


class _Flow:
    """Whose turn it is, and what each has in the book."""

    def __init__(self, plan: DemoMarketPlan) -> None:
        self._chance = random.Random(plan.seed)  # noqa: S311 - a repeatable flow, not a secret
        listed = [one for one in LISTINGS if one.id in plan.instruments]
        base = _FIRST_ID + (time.time_ns() >> 20 << 12)
        self.makers = [
            MakerFlow(one, MAKER, base + (one.id << 56), random.Random(f"{plan.seed}/{one.symbol}"))  # noqa: S311
            for one in listed
        ]
        self.noise = [
            NoiseFlow(account, base + (account << 52), random.Random(f"{plan.seed}/{account}"))  # noqa: S311
            for account in NOISE
        ]
        self._turn = 0

    def on_report(self, report: Report) -> None:
        """Of any of the sessions."""
        if is_end(report.kind, report.leaves_lots):
            flows: list[MakerFlow | NoiseFlow] = [*self.makers, *self.noise]
            for flow in flows:
                flow.on_ended(report.client_order_id)

    def step(self) -> None:
        """Prices go on."""
        for maker in self.makers:
            maker.fair.step()

    def next_maker(self) -> MakerFlow:
        """In turn."""
        self._turn = (self._turn + 1) % len(self.makers)
        return self.makers[self._turn]

    def pick(self) -> tuple[int, MakerFlow]:
        """A noise trader and the instrument that it trades in; the first ones are busier."""
        at = min(int(self._chance.expovariate(1.0) * len(self.makers) / 3), len(self.makers) - 1)
        return self._chance.randrange(len(self.noise)), self.makers[at]


async def _turns(
    flow: _Flow, sessions: Sequence[AsyncSession], admin: AsyncSession, plan: DemoMarketPlan, stop: threading.Event
) -> None:
    per_turn = plan.rate / TURNS_PER_S
    owed, auction_until_s, next_auction_s = 0.0, 0.0, time.monotonic() + 5.0
    due_s = time.monotonic()
    while not stop.is_set():
        now_s = time.monotonic()
        if plan.auctions and now_s >= next_auction_s and AUCTIONED in plan.instruments:
            next_auction_s, auction_until_s = now_s + AUCTION_EVERY_S, now_s + AUCTION_S
            await _call_auction(admin)
        flow.step()
        # What could not be sent meanwhile, in a failover for example, is not sent later.
        owed = min(owed + per_turn, 2 * per_turn + 1)
        quotes = owed * (1 - _NOISE_SHARE)
        for command in _quotes(flow, int(quotes)):
            await sessions[0].submit(command, track=False)
            owed -= 1
        while owed >= 1:
            trader, maker = flow.pick()
            auction = maker.listing.id == AUCTIONED and now_s < auction_until_s
            await sessions[1 + trader].submit(flow.noise[trader].next(maker, auction=auction), track=False)
            owed -= 1
        due_s = max(due_s + 1 / TURNS_PER_S, now_s)
        await asyncio.sleep(max(0.0, due_s - time.monotonic()))


def _quotes(flow: _Flow, most: int) -> list[CommandRow]:
    commands: list[CommandRow] = []
    for _ in flow.makers:
        commands += flow.next_maker().next(most - len(commands))
        if len(commands) >= most:
            break
    return commands


async def _call_auction(admin: AsyncSession) -> None:
    until_ns = time.time_ns() + AUCTION_S * 1_000_000_000
    await admin.set_phase(
        Phase.VOLATILITY_AUCTION, instrument=AUCTIONED, next_phase=Phase.CONTINUOUS, until_ns=until_ns
    )


async def _set_up(client: AsyncClient) -> None:
    """Define what is missing. Raises MarketTaken: something else is there."""
    known = {one.id: one.symbol for one in await client.instruments()}
    wrong = [known[one.id] for one in LISTINGS if known.get(one.id, one.symbol) != one.symbol]
    if wrong:
        raise MarketTaken(f"the cluster has instruments of its own ({', '.join(wrong)}); choose another --data-dir")
    async with await client.session(timeout_s=_OPEN_S) as admin:
        for one in LISTINGS:
            if one.id not in known:
                await (await admin.define_instrument(id=one.id, symbol=one.symbol, tick=one.tick))
                await (await admin.set_fees(instrument=one.id, maker_fee_ppm=0, taker_fee_ppm=_TAKER_PPM))
                phase = Phase.CONTINUOUS
                await (await admin.set_phase(phase, instrument=one.id, reference_price_ticks=one.start_ticks))
                await (await admin.set_price_limits(instrument=one.id, band_ppm=_BAND_PPM))
        if await _defined(admin, DEMO, "demo"):
            await (await admin.adjust_cash(account=DEMO, amount=_CASH))
            await (await admin.set_risk_limits(_DEMO_LIMITS))
        for account, name in ((MAKER, "market-maker"), *((account, f"noise-{account - MAKER}") for account in NOISE)):
            await _defined(admin, account, name, unlimited=True)


async def _defined(admin: AsyncSession, account: int, name: str, *, unlimited: bool = False) -> bool:
    """Open an account; whether it was not there before."""
    try:
        await (
            await admin.define_account(
                account=account, name=name, unlimited_cash=unlimited, unlimited_positions=unlimited
            )
        )
    except Refused as error:
        if error.code != Code.ALREADY_DEFINED:
            raise
        return False
    return True
