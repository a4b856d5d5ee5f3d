"""Minding the etcd of a local cluster: started again after a death where nothing can be lost by it, else said aloud.

An etcd that loses acknowledged writes when it is killed (3.5.0 to 3.5.5, which is what pip has) must not go on with its
store: it could give out a revision twice, or forget an epoch. A new store can't be filled under a running cluster
either: a swap that a sequencer has sent to the old one, and doubts, could be done in the new one. So the cluster trades
on without automatic failover, and the next `lockstep up`, which builds the record from the journals, has it again
(docs/adr/0014).
"""

import time
from collections.abc import Callable
from typing import Final

from lockstep.ops.local.child import describe_exit
from lockstep.ops.local.etcd_server import LocalEtcd
from lockstep.runtime.realtime import REMEDY, give_realtime

_FIRST_RESTART_S: Final = 0.2
_LONGEST_RESTART_S: Final = 5.0
_SHORT_LIFE_S: Final = 5.0


class EtcdKeeper:
    """Called again and again by the supervisor. `note` takes a sentence for the operator.

    `realtime_priority`: see `Timing`.
    """

    def __init__(
        self, etcd: LocalEtcd, note: Callable[[str], None], *, restart: bool, realtime_priority: int = 0
    ) -> None:
        self._etcd = etcd
        self._note = note
        self._realtime_priority = realtime_priority
        self._hurry()
        self._restart = restart and etcd.may_go_on
        self._started_s = time.monotonic()
        self._delay_s = _FIRST_RESTART_S
        self._due_s: float | None = None
        """When to start it; None while it runs, or is no longer kept up."""
        self._down = False

    def mind(self) -> None:
        """Look, and do what is due."""
        code = self._etcd.exit_code()
        if code is None:
            self._down = False
            return
        now_s = time.monotonic()
        if not self._down:
            self._on_death(code, now_s)
        elif self._due_s is not None and now_s >= self._due_s:
            self._due_s = None
            self._down = False
            self._started_s = now_s
            self._etcd.start_again()
            self._hurry()
            self._note(f"started again (pid {self._etcd.pid})")

    def _hurry(self) -> None:
        if self._realtime_priority:
            refused = give_realtime(self._etcd.pid, self._realtime_priority)
            if refused:
                self._note(f"is not scheduled in real time, nor will the others be: {refused}; {REMEDY}")

    def _on_death(self, code: int, now_s: float) -> None:
        self._down = True
        text = describe_exit(code)
        if self._restart:
            short = now_s - self._started_s < _SHORT_LIFE_S
            self._delay_s = min(self._delay_s * 2, _LONGEST_RESTART_S) if short else _FIRST_RESTART_S
            self._due_s = now_s + self._delay_s
        elif self._etcd.may_go_on:
            text += ": no automatic failover until it is back"
        else:
            text += (
                f": etcd {self._etcd.version} can lose acknowledged writes when it is killed, so it is not started "
                "again; the cluster trades on, but there is no automatic failover until the next `lockstep up` (or use "
                "etcd 3.4.22+ or 3.5.6+ from the PATH)"
            )
        self._note(text)
