"""Real-time scheduling: on a busy host the threads that carry orders run first, and wait for nobody's time slice.

An order passes through five processes, and each of them sleeps until the one before it rings. A thread that wakes up
behind others which compute waits for them, so that a single busy program, of whatever niceness, shows in every hop.
Linux runs threads of a real-time class (here SCHED_RR) before all others. They sleep nearly all the time.

Where a host is full of them nothing else runs, and RocksDB's own threads, snapshotters and followers are needed, too.
So it is off unless the configuration asks for it, and only threads that exist when a process' loop begins have it:
what they start later, and what is named here, waits like everybody.
"""

import os
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from lockstep.runtime.faults import EnvironmentFault
from lockstep.runtime.process_log import ProcessLog

_WAITING: Final = ("operation", "snapshots", "scrub", "read-", "peer-fetch", "journal-fetch", "metrics", "asyncio_")
"""How the names of threads begin whose work may wait."""
_WAITING_NATIVE: Final = ("rocksdb",)
"""The same, of threads that Python does not know, by the names that the kernel shows."""
RIGHTS: Final = (
    "give the process the right to it (LimitRTPRIO= of its systemd unit, `ulimit -r`, the capability CAP_SYS_NICE)"
)
REMEDY: Final = f"{RIGHTS}, or set realtime_priority in [timing] to 0"


class RealTime:
    """Of one process. `priority`: 1 to 99; 0: it asks for nothing, and nothing changes."""

    def __init__(self, priority: int, log: ProcessLog) -> None:
        self._priority = priority
        self._log = log
        self._said = False

    def take(self) -> None:
        """For the calling thread and those that carry orders beside it. Call it again when such threads were added.

        A host that refuses is said once in the log, and the process runs on as it did.
        """
        if not self._priority:
            return
        refused = take_realtime(self._priority)
        if refused and not self._said:
            self._said = True
            self._log.warning("realtime_refused", why=refused, remedy=REMEDY)


def take_realtime(priority: int) -> str:
    """Schedule this process' threads that carry orders in real time; why the host refuses, or nothing.

    What the threads start later is scheduled as ever.
    """
    waiting = {thread.native_id for thread in threading.enumerate() if thread.name.startswith(_WAITING)}
    urgent = [
        task
        for task in _tasks_of(os.getpid())
        if task not in waiting and not _name_of(task).startswith(_WAITING_NATIVE)
    ]
    return _schedule(urgent, os.SCHED_RR | os.SCHED_RESET_ON_FORK, priority)


def give_realtime(pid: int, priority: int) -> str:
    """The same for all threads of another process, and for those that they start later: of a program of others."""
    return _schedule(_tasks_of(pid), os.SCHED_RR, priority)


def require_realtime(priority: int) -> None:
    """For what is worth nothing without it, as a measurement that says it has it.

    Raises:
        EnvironmentFault: the host refuses.
    """
    with ThreadPoolExecutor(1) as one:
        refused = one.submit(lambda: _schedule((threading.get_native_id(),), os.SCHED_RR, priority)).result()
    if refused:
        raise EnvironmentFault(f"this machine does not schedule in real time ({refused}): {RIGHTS}, or leave it out")


def _schedule(tasks: Iterable[int], policy: int, priority: int) -> str:
    for task in tasks:
        try:
            os.sched_setscheduler(task, policy, os.sched_param(priority))
        except ProcessLookupError:  # ended meanwhile
            continue
        except OSError as error:
            return error.strerror or str(error)
    return ""


def _tasks_of(pid: int) -> list[int]:
    try:
        return [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:  # ended meanwhile
        return []


def _name_of(task: int) -> str:
    try:
        return Path(f"/proc/self/task/{task}/comm").read_text().strip()
    except OSError:  # ended meanwhile
        return ""
