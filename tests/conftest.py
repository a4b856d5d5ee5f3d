"""The command line as a user runs it, and the flash1 vectors as flow files."""

import gc
import gzip
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, settings
from xdist.remote import Producer

from lockstep.ops.cli.main import run
from lockstep.ops.local import child
from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.plan import ClusterPlan
from tests import fork_server
from tests.calm import CALM
from tests.scheduling import LoadSharedScheduling

VECTORS = Path(__file__).resolve().parents[2] / "shared" / "vectors" / "flash1"

RunCli = Callable[..., subprocess.CompletedProcess[str]]


@dataclass(frozen=True, slots=True)
class Vector:
    """A flow file made of a vector, and the trades that the vector says it must lead to."""

    flow: Path
    trades: list[tuple[int, int, int, int]]
    """(taker id, maker id, price, quantity) in order."""


_LOG_LINES = 60
# How fast examples are made says something about the machine only.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")
child.launch = fork_server.launch


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadSharedScheduling | None:
    """Under `--dist loadfile`."""
    return LoadSharedScheduling(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure shows what the local clusters logged that run at that moment: their directories go with them."""
    report = yield
    if report.failed:
        for running in [one for one in gc.get_objects() if isinstance(one, LocalCluster)]:
            for log in sorted(running.data_dir.glob("logs/*.log")):
                tail = log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
                report.sections.append((f"{log.name} in {running.data_dir}", "\n".join(tail)))
    return report


@pytest.fixture(scope="session")
def run_cli() -> RunCli:
    """Run `lockstep` in a process of its own."""

    def run(*arguments: object, timeout: float = 60, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "lockstep.ops.cli.main", *map(str, arguments)]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=timeout, check=False, cwd=cwd, stdin=subprocess.DEVNULL
        )

    return run


@pytest.fixture(scope="session")
def run_here() -> Callable[..., subprocess.CompletedProcess[str]]:
    """`lockstep` in this process: starting Python takes longer than most commands. `run_cli` is the real thing."""

    def go(*arguments: object) -> subprocess.CompletedProcess[str]:
        words = list(map(str, arguments))
        with CliRunner().isolation() as (out, err, _):
            code = run(words)
            sys.stdout.flush()
            return subprocess.CompletedProcess(words, code, out.getvalue().decode(), err.getvalue().decode())

    return go


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """A running local cluster."""
    with LocalCluster(ClusterPlan(timing=CALM)) as running:
        yield running


@pytest.fixture
def flash1(tmp_path: Path) -> Callable[[str, int], Vector]:
    """Turn the first messages of a flash1 flow into FLOW.csv; skips where the vectors are absent."""

    def convert(name: str, messages: int) -> Vector:
        orders = VECTORS / f"{name}_first20000_orders.csv.gz"
        if not orders.exists():
            pytest.skip(f"THE FLASH1 VECTORS ARE ABSENT ({orders}): the replay was NOT compared with them")
        lines = [
            "# instrument: FLASH tick=1 lot=1",
            "# account: ALL cash=unlimited positions=unlimited",
            "action,order_id,account,instrument,side,type,tif,price,quantity",
        ]
        with gzip.open(orders, "rt") as rows:
            for row in rows:
                if row.startswith("#"):
                    continue
                kind, side, ioc, quantity, seq, order, price = row.strip().split(",")
                if int(seq) >= messages:
                    break
                action = "NCR"[int(kind)]
                tif = "ioc" if ioc == "1" else "gtc"
                entry = f"{'BS'[int(side)]},limit,{tif}" if action == "N" else ",,"
                lines.append(f"{action},{order},ALL,FLASH,{entry},{price},{quantity}")
        flow = tmp_path / f"{name}.csv"
        flow.write_text("\n".join(lines) + "\n")
        return Vector(flow, _trades(name, messages))

    return convert


def _trades(name: str, messages: int) -> list[tuple[int, int, int, int]]:
    trades = []
    with gzip.open(VECTORS / f"{name}_first20000_reports.txt.gz", "rt") as reports:
        for report in reports:
            kind, *fields = report.strip().split(",")
            if kind == "1" and int(fields[0]) < messages:
                _seq, price, quantity, maker, taker = map(int, fields)
                trades.append((taker, maker, price, quantity))
    return trades
