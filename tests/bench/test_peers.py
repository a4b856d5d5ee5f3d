"""Other systems under the load that Lockstep gets: each that can be had here, and what is said of one that can't."""

import asyncio
from collections import Counter

import numpy as np
import pytest

from lockstep.bench.cluster import Phase
from lockstep.bench.peers import compare
from lockstep.bench.peers.compare import LOCKSTEP, PeersPlan, measure_peer, run_peers_bench
from lockstep.bench.peers.load import PeerSession, Records
from lockstep.bench.peers.servers import LeftOut, find_program
from lockstep.bench.peers.systems import SYSTEMS
from lockstep.stream.records import COMMAND, CommandKind

RATES = {"single": 200, "batched": 5_000}
SHORT = PeersPlan(rates=RATES, duration_s=1, warm_up_s=0.2, rounds=1)


@pytest.mark.slow
@pytest.mark.parametrize("name", SYSTEMS)
def test_a_peer_answers_all_that_it_is_offered_and_its_log_has_it(name: str) -> None:
    """That the log has it, the load generator sees to."""
    try:
        about, phases = measure_peer(SHORT, name)
    except LeftOut as reason:
        if "there is no" in str(reason):
            pytest.skip(f"THE LOG OF {name} WAS NOT MEASURED: {reason}")
        raise
    assert any(digit.isdigit() for digit in about), "the version is said"
    for phase in phases:
        assert phase.orders == RATES[phase.name]
        assert phase.unanswered == 0
        assert phase.latency_us["max"] >= phase.latency_us["p50"] > 0
        servers = {name.split("/")[0] for name in phase.cpu_us_per_order} - {"total", "load generator"}
        assert len(servers) == (3 if name == "nats" else 2)


def test_what_can_not_be_had_is_named_and_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(plan, name="lockstep"):
        if name == "redis":
            raise LeftOut("there is none")
        phases = [
            Phase(
                name=mode, offered_per_s=100, sent_per_s=100, answered_per_s=90 + round_no, orders=100, unanswered=1,
                latency_us={"p50": 10.0 * round_no, "p99": 100.0, "max": 200.0}, p99_by_second_us=(),
                machine_stalls=None, cpu_us_per_order={"a": 5.0, "load generator": 2.0, "total": 7.0}, hops_us={},
                refused={}, fills=0, other_cores=0.1 if quiet == "all" or round_no < 3 else 1.5,
            )
            for mode in plan.modes
        ]  # fmt: skip
        return f"{name} 1", phases

    said = []
    round_no, quiet = 1, "all"
    monkeypatch.setattr(compare, "_lockstep", measured)
    monkeypatch.setattr(compare, "measure_peer", measured)

    def say(text):
        nonlocal round_no
        said.append(text)
        round_no = int(text.split()[1]) if text.startswith("round") else round_no

    result = run_peers_bench(PeersPlan(peers=("nats", "redis"), rounds=3), say)
    assert result.not_measured == {"redis": "there is none"}
    assert said.count("redis is left out: there is none") == 1
    assert [(one.system, one.mode) for one in result.figures] == [
        (LOCKSTEP, "single"), ("nats", "single"), (LOCKSTEP, "batched"), ("nats", "batched"),
    ]  # fmt: skip
    figures = result.of("nats", "batched")
    assert figures is not None
    assert (figures.answered_per_s, figures.unanswered, figures.p50_us) == (92, 3, 20.0)
    assert (figures.servers_us_per_record, figures.load_us_per_record, figures.rounds) == (5.0, 2.0, 3)
    quiet = "not the last"
    figures = run_peers_bench(PeersPlan(peers=("nats",), rounds=3), say).of("nats", "batched")
    assert figures is not None
    assert (figures.p50_us, figures.unanswered, figures.rounds) == (15.0, 3, 2)


def test_a_program_that_is_not_here_is_named_with_what_fetches_it() -> None:
    with pytest.raises(LeftOut, match="no such-server here; `ops/setup/get-peers`"):
        find_program("such-server")


class Log:
    """A lane that is answered when it is told to."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.answers: list[asyncio.Future[None]] = []

    async def append(self, records: bytes) -> None:
        self.messages.append(records)
        answer = asyncio.get_running_loop().create_future()
        self.answers.append(answer)
        await answer


def rows(log: Log) -> list[int]:
    return [len(message) // COMMAND.itemsize for message in log.messages]


async def turn() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_records_go_at_once_while_a_lane_is_free_and_those_that_wait_go_together() -> None:
    async def scene() -> None:
        log = Log()
        session = PeerSession([log.append, log.append], seed=1)
        session.measure()
        for due in range(1, 2_001):
            await session.send(np.array([due]))
            await turn() if due <= 2 else None
        await turn()
        assert rows(log) == [1, 1]
        assert session.unanswered == session.orders == 2_000
        log.answers[0].set_result(None)
        await turn()
        assert rows(log) == [1, 1, 1_024]
        for number in (1, 2, 3):
            log.answers[number].set_result(None)
            await turn()
        assert rows(log) == [1, 1, 1_024, 974]
        await session.drain()
        session.end(2**62)
        session.count()
        assert (session.unanswered, session.answered_in_time, session.messages) == (0, 2_000, 4)
        assert sum(len(part) for parts in session.seconds.values() for part in parts) == 2_000

    asyncio.run(scene())


def test_what_a_client_of_a_peer_raises_ends_the_load() -> None:
    async def broken(_records: bytes) -> None:
        raise ConnectionError("gone")

    async def scene() -> None:
        session = PeerSession([broken], seed=1)
        await session.send(np.array([1]))
        with pytest.raises(ConnectionError):
            await session.drain()
        with pytest.raises(ConnectionError):
            await session.send(np.array([2]))

    asyncio.run(scene())


def test_records_are_commands_of_the_mix() -> None:
    records = Records(seed=1)
    found = np.frombuffer(b"".join(records.take(1_000) for _ in range(70)), COMMAND)
    assert len(found) == 70_000
    kinds = Counter(found["kind"].tolist())
    assert kinds[CommandKind.NEW_ORDER] > kinds[CommandKind.CANCEL] > kinds[CommandKind.REPLACE] > 0
    assert np.array_equal(found["session_no"][:1_000], np.arange(1, 1_001))
