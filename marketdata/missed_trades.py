"""The trades that a returning market-data subscriber has missed: fetched from the engines, or said to be gone.

Live trades wait in its tape meanwhile (see `tape.py`). It reads no further back than `SEQS_BACK`, and for few
subscribers at a time: an engine that searches its history has orders to match.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from lockstep.marketdata.books import trades_of
from lockstep.marketdata.market import Subscription
from lockstep.marketdata.tape import LAST_INDEX, Tape, TapeState
from lockstep.runtime.engines import Engines, EnginesUnavailable, EventsGone

SEQS_BACK: Final = 1_000_000
_AT_ONCE: Final = 2
_RETRY_PAUSE_S: Final = 0.05
_PATIENCE_S: Final = 3.0
_SEQS_IN_TURN: Final = 20_000
_TRADES_AHEAD: Final = 8_192


class MissedTrades:
    """Fetches for all subscribers of one gateway."""

    def __init__(self, engines: Engines, epoch: Callable[[], int]) -> None:
        self._engines = engines
        self._epoch = epoch
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def bring(self, subscription: Subscription, wake: asyncio.Event, last_epoch: int) -> str:
        """Put all trades since the last that the subscriber has into its tape, and let the live ones follow.

        `last_epoch`: the one under which it was delivered. `wake` is set whenever something was put in.

        Returns:
            Why they can't be had now; empty: they are in.
        """
        tape = subscription.tape
        give_up_s = _now_s() + _PATIENCE_S
        while tape.state in (TapeState.DOUBT, TapeState.CATCHING_UP):
            before = tape.after
            try:
                async with self._turns:
                    await self._step(tape, subscription.wanted, last_epoch)
            except EnginesUnavailable as error:
                # In the middle of a failover the engine that is left may not know yet what is committed; and one that
                # does not answer now may still have what the others have cut.
                if _now_s() < give_up_s:
                    await asyncio.sleep(_RETRY_PAUSE_S)
                    continue
                if isinstance(error, EventsGone):
                    _say_gone(tape, error)
                if tape.after == before:
                    return f"the trades after seq {tape.after[0]} can't be fetched now: {error}"
            give_up_s = _now_s() + _PATIENCE_S
            wake.set()
            while len(tape) > _TRADES_AHEAD and tape.state is TapeState.CATCHING_UP:  # noqa: ASYNC110 - seldom, and slow
                await asyncio.sleep(_RETRY_PAUSE_S)
        return ""

    async def _step(self, tape: Tape, instruments: frozenset[int], last_epoch: int) -> None:
        if tape.state is TapeState.DOUBT:
            diverged_at = await self._engines.diverged_at(
                delivered_epoch=last_epoch, delivered_seq=tape.after[0], min_epoch=self._epoch()
            )
            if diverged_at:
                text = f"from seq {diverged_at} on history is another one: an operator had the cluster go on without it"
                tape.void(diverged_at, text)
            else:
                tape.trust()
        farthest = tape.boundary - SEQS_BACK
        if farthest > 0:
            tape.miss(farthest, f"no more than {SEQS_BACK} commands are searched for trades")
        if tape.wanted:
            await self._fetch(tape, instruments)
        if not tape.wanted:
            tape.release()

    async def _fetch(self, tape: Tape, instruments: frozenset[int]) -> None:
        to_seq = min(tape.boundary, tape.after[0] + _SEQS_IN_TURN)
        async for events, through in self._engines.events(after=tape.after, to_seq=to_seq, min_epoch=self._epoch()):
            tape.on_fetched(trades_of(events, instruments), through)
        tape.on_fetched((), (to_seq, LAST_INDEX))


def _say_gone(tape: Tape, gone: EventsGone) -> None:
    through_seq = min(gone.first_seq - 1, tape.boundary) if gone.first_seq else tape.boundary
    tape.miss(max(through_seq, tape.after[0]), "they were cut from every engine's journal")


def _now_s() -> float:
    return asyncio.get_running_loop().time()
