"""Kill at every step: what every follower inherits.

A child process applies chunks of a history to a real sink, and kills itself with SIGKILL at the n-th step of its
storing, n = 1, 2, 3 ... What it leaves must be the output of some whole number of chunks; the next child goes on from
there. So each step of one chunk is the last one of some process, and the end must be equal to that of a process that
was never killed. The children are forked by the fork server, which has imported everything.
"""

import importlib
import os
import signal
import tempfile
from collections.abc import Callable

from lockstep.posttrade.follower import Sink
from tests.fork_server import forked
from tests.posttrade.flows import history

_LONGEST_S = 300
Step = Callable[[str], None]


def run_child(follower: str, place: str, *, seed: int, bursts: int, size: int, kill_at: int) -> tuple[int, str]:
    """`follower`: `module:function`, that opens a sink at a place with a step hook. Exit code, and the last step."""
    with tempfile.TemporaryFile("w+") as said:
        code = forked(_apply, follower, place, seed, bursts, size, kill_at, out=said.fileno(), timeout=_LONGEST_S)
        said.seek(0)
        steps = said.read().split("\n")
    if code not in (0, -signal.SIGKILL):
        raise AssertionError(f"child ended with {code}, its last step was {steps[-2:]}")
    return code, steps[-2] if len(steps) > 1 else ""


def kill_at_every_step(
    follower: str, place: str, *, seed: int, bursts: int, size: int, look: Callable[[], None], steps: int
) -> list[str]:
    """Children one after another, each killed one step later than the one before; the steps at which they died.

    `look` is called behind each; `steps`: how many steps storing one chunk has, all of which must come up.
    """
    died: list[str] = []
    for kill_at in range(1, steps + 3):
        code, last = run_child(follower, place, seed=seed, bursts=bursts, size=size, kill_at=kill_at)
        look()
        if code == 0:
            break
        died.append(last)
    code, _ = run_child(follower, place, seed=seed, bursts=bursts, size=size, kill_at=0)
    assert code == 0
    look()
    return died


def _apply(said: int, follower: str, place: str, seed: int, bursts: int, size: int, kill_at: int) -> None:
    """In the child; each step is written to the descriptor `said`. `kill_at` 0: never."""
    module, _, name = follower.partition(":")
    left = kill_at

    def step(what: str) -> None:
        nonlocal left
        os.write(said, f"{what}\n".encode())
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    made = history(seed, bursts)
    sink: Sink = getattr(importlib.import_module(module), name)(place, step)
    position = sink.position()
    for chunk in made.chunks(size):
        if chunk.through_seq > position.seq:
            assert chunk.first_seq == position.seq + 1, "what is stored ends in the middle of a chunk"
            position = sink.apply(chunk)
    sink.close()
