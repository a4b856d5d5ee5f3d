"""Reads all that is stored while the engine runs: damage is found before somebody needs the place that it is in.

A thread of its own, some batches at a time. Each batch of the journal is decoded (its checksum), has to follow the one
before and to be of the epoch that the epoch table says; its digest has to be the one before, chained with its commands
and its stored events. So no bit of commands, events or digests can differ unseen, and nothing is executed again.

The two databases are read one after the other while the engine writes, so a contradiction is looked at once more before
it counts.
"""

import threading
from collections.abc import Callable
from typing import Final

from lockstep.replica.divergence import epoch_at
from lockstep.replica.journal import Journal
from lockstep.replica.rocks import DerivedDamaged, JournalDamaged, JournalFault
from lockstep.stream.digest import GENESIS, Digest, next_digest
from lockstep.stream.values import frozen

_FIRST_S: Final = 20.0
_EVERY_S: Final = 6 * 3600.0
# Less than half a millisecond of work between pauses: the main loop must not wait for the interpreter.
_STEP_BATCHES: Final = 8
_STEP_PAUSE_S: Final = 0.02


@frozen
class Damage:
    """What was found. `derived`: only what can be made again from the journal."""

    derived: bool
    why: str


class _Contradiction(Exception):
    """Two places do not fit together."""

    def __init__(self, why: str, *, derived: bool, seq: int) -> None:
        super().__init__(why)
        self.damage = Damage(derived, why)
        self.seq = seq


class Scrubber:
    """Goes over a journal and its derived data again and again until it is closed or has found something."""

    def __init__(self, journal: Journal, committed_seq: Callable[[], int], *, first_s: float = _FIRST_S) -> None:
        """`committed_seq`: what is behind it may still be discarded, and is left alone."""
        self._journal = journal
        self._committed_seq = committed_seq
        self._first_s = first_s
        self.found: Damage | None = None
        """The thread has ended then."""
        self.batches = 0
        """Looked at so far."""
        self.rounds = 0
        """Whole rounds done."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="scrub", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the thread."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        pause_s = self._first_s
        while not self._stop.wait(pause_s):
            pause_s = _EVERY_S
            try:
                self.found = scrub(self._journal, self._committed_seq(), self._pause)
            except JournalFault as fault:
                # The main loop has met it as well, or will.
                self.found = None if self._stop.is_set() else Damage(derived=False, why=str(fault))
            if self.found is not None:
                return
            self.rounds += 1

    def _pause(self) -> bool:
        self.batches += _STEP_BATCHES
        return not self._stop.wait(_STEP_PAUSE_S)


def scrub(journal: Journal, to_seq: int, pause: Callable[[], bool] = lambda: True) -> Damage | None:
    """Look at everything up to `to_seq`; what is wrong, or None.

    `pause` is called every few batches; false ends it.

    Raises:
        JournalFault: the disk fails otherwise than by damage.
    """
    at, misses, anew = 0, 0, True
    while True:
        try:
            _go_over(journal, at, to_seq, pause)
        except DerivedDamaged as damage:
            return Damage(derived=True, why=damage.why)
        except JournalDamaged as damage:
            return Damage(derived=False, why=damage.why)
        except _Contradiction as found:
            # The journal may have been cut, or begun anew, between two reads.
            misses = misses + 1 if found.seq == at and not anew else 1
            if misses > 2:
                return found.damage
            at, anew = found.seq, False
            if not pause():
                return None
            continue
        return None


def _go_over(journal: Journal, from_seq: int, to_seq: int, pause: Callable[[], bool]) -> None:
    base_seq = journal.base_seq
    first = max(from_seq, base_seq + 1)
    kept_from = journal.derived.first_seq
    kept_to = min(journal.derived.last_kept_seqs()[1], to_seq)
    digest: Digest | None = GENESIS if first == 1 else journal.derived.digest(first - 1)
    results, digests = journal.derived.events_from(first), journal.derived.digests_from(first)
    epochs, expected = journal.epochs(), first
    for count, batch in enumerate(journal.batches(first), start=1):
        if batch.last_seq > to_seq or journal.base_seq != base_seq:
            return
        if batch.first_seq != expected and not (batch.first_seq < expected <= batch.last_seq):
            raise _Contradiction(
                f"the batch at seq {batch.first_seq} follows seq {expected - 1}", derived=False, seq=expected
            )
        if epoch_at(epochs, batch.first_seq) != batch.epoch:
            raise _Contradiction(
                f"the batch at seq {batch.first_seq} is of epoch {batch.epoch}, its epoch table says "
                f"{epoch_at(epochs, batch.first_seq)}",
                derived=False,
                seq=batch.first_seq,
            )
        if kept_from and kept_from <= batch.first_seq and batch.last_seq <= kept_to:
            events = next((raw for seq, raw in results if seq == batch.first_seq), None)
            stored = next((one for seq, one in digests if seq == batch.last_seq), None)
            if events is None or stored is None:
                text = f"no results are stored of the batch at seq {batch.first_seq}"
                raise _Contradiction(text, derived=True, seq=batch.first_seq)
            if digest is not None and stored != next_digest(digest, batch.raw, events):
                text = f"the results stored of the batch at seq {batch.first_seq} are not those that were acknowledged"
                raise _Contradiction(text, derived=True, seq=batch.first_seq)
            digest = stored
        else:
            digest = None
        expected = batch.last_seq + 1
        if count % _STEP_BATCHES == 0 and not pause():
            return
    if expected <= min(to_seq, journal.marks.tip.seq) and journal.base_seq == base_seq:
        raise _Contradiction(f"nothing is stored after seq {expected - 1}", derived=False, seq=expected)
