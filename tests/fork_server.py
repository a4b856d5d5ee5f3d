"""Children of a local cluster forked from a process that has imported everything, in place of started anew.

What a process of the cluster imports costs a third of a second of CPU, and tests start a thousand of them: half of
their time. `multiprocessing`'s fork server imports it once. Each child is a process of its own, as it would be
otherwise: session, signals, exit code, log, environment; only its command line in `ps` is the fork server's. Clusters
that tests start through the command line are started as users start them.
"""

import contextlib
import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from signal import Signals
from typing import Final

from lockstep.ops.cli.main import run
from lockstep.ops.local.child import Process, execute

_CONTEXT: Final = multiprocessing.get_context("forkserver")
# The command line comes first: it says what gRPC reads when it is imported.
_CONTEXT.set_forkserver_preload(
    [
        "lockstep.ops.cli.main",
        "lockstep.ops.cli.driver",
        "lockstep.replica.process",
        "lockstep.replica.snapshotter",
        "lockstep.sequencer.process",
        "lockstep.gateway.process",
        "lockstep.edge.fix",
        "lockstep.edge.soup",
        "lockstep.marketdata.process",
        "lockstep.edge.http.door",
        "lockstep.ops.cli.reconcile",
        "lockstep.reconciler.process",
        "lockstep.posttrade.ledger.process",
        "lockstep.posttrade.alerts.process",
        "lockstep.posttrade.audit.process",
    ]
)
# multiprocessing looks at all children whenever one starts, and a status is read once.
_LOCK: Final = threading.RLock()


def launch(arguments: Sequence[str], environment: Mapping[str, str], log: int, prefix: Sequence[str]) -> Process:
    """As `ops.local.child.execute`, which it leaves those to that need a command before theirs."""
    return execute(arguments, environment, log, prefix) if prefix else Forked(arguments, environment, log)


class Forked:
    """A child: a `Process`."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], log: int) -> None:
        """`arguments` of the `lockstep` command; `log`: descriptor of its output."""
        stdin, write_end = os.pipe()
        self.stdin = os.fdopen(write_end, "wb", buffering=0)
        inherited = Connection(stdin, writable=False), Connection(os.dup(log), readable=False)
        # A daemon in the sense of multiprocessing: nobody waits for it when this process ends.
        made = _CONTEXT.Process(target=_become, args=(tuple(arguments), dict(environment), *inherited), daemon=True)
        with _LOCK:
            made.start()
        for end in inherited:
            end.close()
        self._process: ForkServerProcess = made
        assert made.pid is not None, "started"
        self.pid: int = made.pid

    def poll(self) -> int | None:
        """Exit code, -N for signal N; None while it runs."""
        with _LOCK:
            return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end. Raises TimeoutExpired, as Popen does."""
        if self.poll() is None:
            wait([self._process.sentinel], timeout)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired("lockstep", timeout or 0)
        return code

    def send_signal(self, number: Signals) -> None:
        """Send a signal, if it runs. It may have ended without anybody knowing yet: the fork server waits for it."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def forked(target: Callable[..., None], *arguments: object, out: int, timeout: float) -> int:
    """Run `target(descriptor, *arguments)` in a child, to which `out` is inherited; its exit code, -N for signal N.

    Raises:
        TimeoutExpired: it was killed.
    """
    inherited = Connection(os.dup(out), readable=False)
    made = _CONTEXT.Process(target=_call, args=(target, inherited, arguments))
    with _LOCK:
        made.start()
    inherited.close()
    wait([made.sentinel], timeout)
    with _LOCK:
        if made.exitcode is not None:
            return made.exitcode
    made.kill()
    raise subprocess.TimeoutExpired(target.__name__, timeout)


def _call(target: Callable[..., None], out: Connection, arguments: tuple[object, ...]) -> None:
    target(out.fileno(), *arguments)


def _become(arguments: tuple[str, ...], environment: dict[str, str], stdin: Connection, log: Connection) -> None:
    """In the child."""
    os.setsid()
    os.dup2(stdin.fileno(), 0)
    for output in (1, 2):
        os.dup2(log.fileno(), output)
    stdin.close()
    log.close()
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["lockstep", *arguments]
    sys.exit(run(arguments))
