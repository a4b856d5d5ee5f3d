"""Kill at every step: what every follower inherits.

A child process applies chunks of a history to a real sink, and kills itself with SIGKILL at the n-th step of its
storing, n = 1, 2, 3 ... What it leaves must be the output of some whole number of chunks; the next child goes on from
there. So each step of one chunk is the last one of some process, and the end must be equal to that of a process that
was never killed.

Run as a program, it is that child: `python -m tests.posttrade.kill_steps FOLLOWER PLACE SEED BURSTS SIZE KILL_AT`.
"""

import importlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from lockstep.posttrade.follower import Sink
from tests.posttrade.flows import history

ROOT = Path(__file__).resolve().parents[2]
Step = Callable[[str], None]


def run_child(follower: str, place: str, *, seed: int, bursts: int, size: int, kill_at: int) -> tuple[int, str]:
    """`follower`: `module:function`, that opens a sink at a place with a step hook. Exit code, and the last step."""
    command = [
        sys.executable, "-m", "tests.posttrade.kill_steps", follower, place, str(seed), str(bursts), str(size),
        str(kill_at),
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    steps = done.stdout.split("\n")
    last = steps[-2] if len(steps) > 1 else ""
    if done.returncode not in (0, -signal.SIGKILL):
        raise AssertionError(f"child ended with {done.returncode}: {done.stderr}")
    return done.returncode, last


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


def main() -> None:
    follower, place, seed, bursts, size, kill_at = sys.argv[1:]
    module, _, name = follower.partition(":")
    left = int(kill_at)

    def step(what: str) -> None:
        nonlocal left
        sys.stdout.write(f"{what}\n")
        sys.stdout.flush()
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    made = history(int(seed), int(bursts))
    sink: Sink = getattr(importlib.import_module(module), name)(place, step)
    position = sink.position()
    for chunk in made.chunks(int(size)):
        if chunk.through_seq > position.seq:
            assert chunk.first_seq == position.seq + 1, "what is stored ends in the middle of a chunk"
            position = sink.apply(chunk)
    sink.close()


if __name__ == "__main__":
    main()
