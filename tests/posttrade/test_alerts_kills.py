"""The alerts' process is killed with SIGKILL at every step of its storing: each alert has fired once all the same."""

import os
import signal
from contextlib import closing
from pathlib import Path

import pytest

from lockstep.posttrade.alerts.digest import table_digests
from lockstep.posttrade.alerts.machine import Request
from lockstep.posttrade.alerts.rules import Definition, Kind
from lockstep.posttrade.alerts.sink import AlertsSink
from lockstep.posttrade.alerts.store import Store
from tests.fork_server import forked
from tests.posttrade.flows import START_NS, history
from tests.posttrade.kill_steps import Step, kill_at_every_step
from tests.posttrade.test_alerts_fold import MIXED, give_requests

STEPS = ["begin", "position", "requests", "world", "orders", "alerts", "firings", "commit", "committed"]
SEED, BURSTS, SIZE = 11, 200, 20
REQUESTS = [Request(place, 1, 20 * place, START_NS, 1, one) for place, one in enumerate(MIXED, 1)]


def open_sink(place: str, step: Step) -> AlertsSink:
    return AlertsSink(Path(place), step)


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """Digests behind each chunk of alerts that nobody killed, by seq."""
    path = tmp_path_factory.mktemp("never") / "alerts.db"
    give_requests(path, REQUESTS)
    with closing(AlertsSink(path)) as sink:
        digests = {0: table_digests(sink.store)}
        for chunk in history(SEED, BURSTS).chunks(SIZE):
            sink.apply(chunk)
            digests[chunk.through_seq] = table_digests(sink.store)
        assert sink.rows > 50
    return digests


def test_whole_chunks_are_there_wherever_it_is_killed(tmp_path, expected):
    path = tmp_path / "alerts.db"
    give_requests(path, REQUESTS)

    def look() -> None:
        with closing(Store(path)) as store:
            assert table_digests(store) == expected[store.position()[0].seq]

    died = kill_at_every_step(
        "tests.posttrade.test_alerts_kills:open_sink", str(path), seed=SEED, bursts=BURSTS, size=SIZE, look=look,
        steps=len(STEPS),
    )  # fmt: skip
    assert set(died) == set(STEPS)
    with closing(Store(path)) as store:
        assert table_digests(store) == expected[max(expected)]


@pytest.mark.slow
@pytest.mark.parametrize("kill_at", range(1, len(STEPS) + 1))
def test_a_request_is_there_or_not_wherever_it_is_killed(tmp_path, kill_at):
    path = tmp_path / "alerts.db"
    with closing(AlertsSink(path)) as sink:
        for chunk in history(SEED, 20).chunks(SIZE):
            sink.apply(chunk)
    assert forked(create, str(path), kill_at, out=1, timeout=60) == -signal.SIGKILL
    with closing(AlertsSink(path)) as sink:
        there = STEPS[kill_at - 1] == "committed"
        assert len(sink.machine.alerts) == there == len(sink.store.requests(0))
        assert sink.create(1, Definition(Kind.FILL, account=1)) == 1 + there


def create(_: int, path: str, kill_at: int) -> None:
    """In a child that ends at its step `kill_at`."""
    left = kill_at

    def step(_what: str) -> None:
        nonlocal left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    AlertsSink(Path(path), step).create(1, Definition(Kind.FILL, account=1))
