"""An attacker on the network of a cluster over two hosts that trades (`network_attacker.py`), and what came of it.

Keys of the links are rotated meanwhile. Prints one JSON object; this process gets a network of its own.

    python -m lockstep.trials.chaos.forged_run
"""

import argparse
import asyncio
import json
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from lockstep import tls_credentials
from lockstep.aio import AsyncClient
from lockstep.enums import EventKind
from lockstep.ops.local.etcd_server import LocalEtcdCluster
from lockstep.ops.local.plan import ClusterPlan
from lockstep.ops.local.ports import free_ports
from lockstep.ops.operator.link_rotation import Rotation, said_by
from lockstep.runtime.process import EnvironmentFault
from lockstep.runtime.tls.authority import CA
from lockstep.runtime.topology import Timing
from lockstep.stream.sealing import Drop
from lockstep.trials.chaos.hosted import HostedCluster
from lockstep.trials.chaos.hosts import OUTSIDE, Hosts
from lockstep.trials.chaos.load import TRADER
from lockstep.trials.chaos.network_attacker import Attacker, Wiretap

_PATIENCE_S: Final = 60.0


@dataclass
class Trading:
    """Orders, one after another, until it is stopped."""

    cluster: HostedCluster
    stop: threading.Event = field(default_factory=threading.Event)
    answers: Counter[str] = field(default_factory=Counter)
    longest_s: float = 0.0

    async def trade(self) -> None:
        """Place orders and wait for their answers; whatever is refused raises."""
        ca = self.cluster.topology.tls.cert_dir / CA
        async with AsyncClient(
            self.cluster.gateway_addresses,
            token=TRADER.token,
            client_number=TRADER.number,
            credentials=tls_credentials(ca),
            timeout_s=_PATIENCE_S,
        ) as client:
            session = await client.session(timeout_s=_PATIENCE_S)
            await (await session.define_account(account=1, name="A", unlimited_cash=True, unlimited_positions=True))
            await (await session.define_instrument(id=1, symbol="ACME", tick="0.01"))
            while not self.stop.is_set():
                begun_s = time.monotonic()
                handle = await session.place(
                    account=1, instrument=1, side="buy", quantity_lots=1, price_ticks=100, tif="ioc"
                )
                result = await asyncio.wait_for(asyncio.ensure_future(_answer(handle)), _PATIENCE_S)
                self.answers[EventKind(result.outcome.kind).name.lower()] += 1
                self.longest_s = max(self.longest_s, time.monotonic() - begun_s)
                await asyncio.sleep(0.01)
            await session.close()

    def wait_for(self, more: int) -> None:
        """Wait for so many more answers."""
        goal, deadline = sum(self.answers.values()) + more, time.monotonic() + _PATIENCE_S
        while sum(self.answers.values()) < goal:
            assert time.monotonic() < deadline, "trading does not go on"
            time.sleep(0.02)


async def _answer(handle: Any) -> Any:
    return await handle


def run(rounds: int) -> dict[str, Any]:
    """The whole trial.

    Raises:
        EnvironmentFault: this machine has no network namespaces, or the cluster does not start.
    """
    with ExitStack() as stack:
        hosts = stack.enter_context(Hosts(2))
        base = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lockstep-forged-")))
        etcd = stack.enter_context(LocalEtcdCluster.start(base / "etcd", 1, ports=free_ports(2), host=OUTSIDE))
        timing = Timing(heartbeat_ms=100, hang_ms=5_000, fence_ms=3_000, etcd_timeout_ms=10_000, bootstrap_ms=30_000)
        plan = ClusterPlan(
            gateways=2, data_dir=base / "cluster", etcd_endpoints=etcd.endpoints, clients=(TRADER,), secure=True,
            seal="hosts", timing=timing,
        )  # fmt: skip
        cluster = stack.enter_context(HostedCluster(plan, hosts))
        tap = Wiretap(["v1", "v2"], OUTSIDE)
        tap.start()
        stack.callback(tap.close)
        trading = Trading(cluster)
        thread = threading.Thread(target=lambda: asyncio.run(trading.trade()))
        thread.start()
        try:
            return _attack(cluster, tap, trading, rounds)
        finally:
            trading.stop.set()
            thread.join(_PATIENCE_S)


def _attack(cluster: HostedCluster, tap: Wiretap, trading: Trading, rounds: int) -> dict[str, Any]:
    steps: list[str] = []
    trading.wait_for(20)
    before = _look(cluster)
    with Attacker(cluster.topology, tap) as attacker:
        for number in range(rounds):
            attacker.strike()
            trading.wait_for(5)
            if number == rounds // 2:
                Rotation(cluster.topology, steps.append).run(_PATIENCE_S)
        trading.wait_for(20)
        after = _look(cluster)
    return {
        "answers": dict(trading.answers),
        "longest_answer_s": round(trading.longest_s, 3),
        "sent": dict(attacker.sent),
        "dropped": {why: after["dropped"][why] - before["dropped"][why] for why in after["dropped"]},
        "key epochs": [before["epochs"], after["epochs"]],
        "cluster epochs": [before["epoch"], after["epoch"]],
        "rotation": steps,
        "ended": [name for name in cluster.pids() if name != "etcd" and cluster.starts(name) != 1],
    }


def _look(cluster: HostedCluster) -> dict[str, Any]:
    status = cluster.status(timeout_s=_PATIENCE_S)
    dropped: Counter[str] = Counter()
    for member in status.members:
        assert member.reply is not None, member.error
        for why in Drop:
            dropped[why.value] += member.reply.counters[f"dropped_{why.value.replace(' ', '_')}"]
    leader = status.leader()
    assert leader is not None
    assert leader.reply is not None
    epochs = {keys.sending for keys in said_by(status).values() if keys is not None}
    return {"dropped": dropped, "epochs": sorted(epochs), "epoch": leader.reply.epoch}


def main() -> int:
    """For the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args().rounds
    try:
        found = run(rounds)
    except EnvironmentFault as error:
        found = {"impossible": str(error)}
    print(json.dumps(found))  # noqa: T201 - its result
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
