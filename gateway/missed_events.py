"""Committed events that RELEASE frames did not bring: fetched from the engines, or found to be gone for good.

A gateway can't go on where they were cut from every journal, or where the cluster goes on without commands that it has
told of. It starts anew at what is committed then; its clients ask for what they know when they resume.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Final

from lockstep.gateway.downlink import Fetch
from lockstep.runtime.engines import Engines, EnginesUnavailable, EventsGone, HistoryParted
from lockstep.stream.records import Events

_PAUSE_S: Final = 0.1
# An engine that does not answer now may still have what the others have cut.
_GONE_PATIENCE_S: Final = 3.0


class MissedEvents:
    """Fetches for one life of a gateway."""

    def __init__(self, engines: Engines, log: Any, accepted: Callable[[int], bool] = lambda _epoch: False) -> None:
        """`accepted`: whether an operator accepted the loss of what was told under an epoch, as far as is known."""
        self._engines = engines
        self._accepted = accepted
        self._log = log
        self._gone_since_s = 0.0
        self.left_behind = False
        """The gateway has to start anew."""

    async def fetch(self, wanted: Fetch) -> Events | None:
        """The events; None if they can't be had now (after a pause), or at all (`left_behind`)."""
        started_ns = time.monotonic_ns()
        try:
            events = await self._engines.fetch(
                after_seq=wanted.after_seq,
                to_seq=wanted.to_seq,
                first=wanted.engine,
                min_epoch=wanted.epoch,
                told_epoch=wanted.told_epoch,
            )
        except HistoryParted:
            self.told_of_lost(wanted.after_seq, wanted.told_epoch, wanted.epoch)
            return None
        except EnginesUnavailable as error:
            self._log.warning("missed events can't be fetched now", said=str(error))
            if not isinstance(error, EventsGone) or not self._given_up(error, wanted.after_seq):
                await asyncio.sleep(_PAUSE_S)
            return None
        self._gone_since_s = 0.0
        took_us = (time.monotonic_ns() - started_ns) // 1000
        self._log.info("missed events fetched", **asdict(wanted), took_us=took_us)
        return events

    def told_of_lost(self, told_seq: int, told_epoch: int, epoch: int) -> None:
        """The cluster goes on, in `epoch`, without some of the commands up to `told_seq`, which were told here."""
        if self.left_behind:
            return
        self.left_behind = True
        self._log.error(
            "the cluster goes on without commands that were told here, as an operator has accepted: starting anew at "
            "what is committed now; clients that know of them are told to reconcile"
            if self._accepted(told_epoch)
            else "the cluster goes on without commands that were told here, and no operator is known to have accepted "
            "that: the sequencers are told; see `lockstep cluster status`",
            told_seq=told_seq,
            epoch=epoch,
        )

    def _given_up(self, gone: EventsGone, after_seq: int) -> bool:
        now_s = time.monotonic()
        self._gone_since_s = self._gone_since_s or now_s
        if now_s - self._gone_since_s < _GONE_PATIENCE_S:
            return False
        self.left_behind = True
        self._log.error(
            "events were cut from every journal before this gateway had them: starting anew at what is committed now; "
            "clients resume, or are told from where to reconcile",
            after_seq=after_seq,
            first_seq=gone.first_seq,
        )
        return True
