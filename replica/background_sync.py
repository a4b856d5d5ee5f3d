"""The disk's side of the ack policy REPLICATED: what was acked from memory is synced soon afterwards."""

import threading
from typing import Final

from lockstep.replica.journal import Journal
from lockstep.replica.rocks import JournalFault

# Under the policy SYNCED nothing is ever unsynced, and looking costs the main loop time.
_IDLE_S: Final = 0.05


class BackgroundSync:
    """Syncs a journal every few ms from a thread of its own, if there is anything unsynced."""

    def __init__(self, journal: Journal, interval_s: float = 0.005) -> None:
        self._journal = journal
        self._interval_s = interval_s
        self._stop = threading.Event()
        self.fault: JournalFault | None = None
        """Why it ended, if a sync failed; the owner must stop."""
        self._thread = threading.Thread(target=self._run, name="journal-sync", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends after one more sync."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._stop.wait(self._interval_s if self._journal.unsynced else _IDLE_S):
                if self._journal.unsynced:
                    self._journal.sync()
            self._journal.sync()
        except JournalFault as fault:
            self.fault = fault
