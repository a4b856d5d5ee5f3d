"""A real Prometheus with the shipped configuration and rules."""

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
DEPLOY = ROOT / "ops" / "deploy" / "prometheus"

Sample = dict[str, Any]


def find_tool(name: str) -> Path:
    """A tool of Prometheus, from the PATH or build/; skips where there is none."""
    found = shutil.which(name) or shutil.which(name, path=str(ROOT / "build" / "tools" / "usr" / "bin"))
    if found is None:
        pytest.skip(f"THERE IS NO {name}: the rules and panels were NOT checked (ops/setup/get-tools fetches it)")
    return Path(found)


@pytest.fixture(scope="session")
def deploy() -> Path:
    """Where the shipped Prometheus files are."""
    return DEPLOY


@pytest.fixture(scope="session")
def promtool() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run promtool."""
    tool = find_tool("promtool")

    def run(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [tool, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False, cwd=cwd
        )

    return run


@dataclass(frozen=True, slots=True)
class RunningPrometheus:
    """A Prometheus and its HTTP interface."""

    port: int
    directory: Path

    def _get(self, path: str, **parameters: str) -> Any:
        query = urllib.parse.urlencode(parameters)
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{query}"
        try:
            with urllib.request.urlopen(url, timeout=20) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{parameters} is refused: {error.read().decode()}") from error

    def query(self, expression: str) -> list[Sample]:
        """The samples of an expression now."""
        found: list[Sample] = self._get("query", query=expression)["result"]
        return found

    def values(self, expression: str) -> list[float]:
        """The finite values of an expression now."""
        values = [float(sample["value"][1]) for sample in self.query(expression)]
        return [value for value in values if value == value and abs(value) != float("inf")]

    def rules(self) -> list[dict[str, Any]]:
        """All rules as Prometheus has loaded them."""
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]

    def firing(self) -> set[str]:
        """Names of the alerts that fire now."""
        return {alert["labels"]["alertname"] for alert in self._get("alerts")["alerts"] if alert["state"] == "firing"}

    def wait_for(self, what: str, condition: Callable[[], bool], timeout_s: float = 150) -> None:
        """Until the condition holds; fails after the timeout with what fires."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, f"{what}: not within {timeout_s} s; firing: {sorted(self.firing())}"
            time.sleep(0.5)


@pytest.fixture(scope="module")
def start_prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], RunningPrometheus]]:
    """Start Prometheus on the shipped files, with given targets, scraping each second instead of each fifth."""
    started: list[subprocess.Popen[bytes]] = []

    def start(targets: str) -> RunningPrometheus:
        tool = find_tool("prometheus")
        directory = tmp_path_factory.mktemp("prometheus")
        text = (DEPLOY / "prometheus.yml").read_text()
        faster = text.replace("interval: 5s", "interval: 1s").replace("scrape_timeout: 4s", "scrape_timeout: 1s")
        assert faster.count("interval: 1s") == 2
        (directory / "prometheus.yml").write_text(faster)
        shutil.copy(DEPLOY / "rules.yml", directory)
        (directory / "targets.json").write_text(targets)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        with (directory / "log").open("wb") as log:
            process = subprocess.Popen(
                [
                    tool,
                    f"--config.file={directory / 'prometheus.yml'}",
                    f"--storage.tsdb.path={directory / 'tsdb'}",
                    f"--web.listen-address=127.0.0.1:{port}",
                ],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        started.append(process)
        running = RunningPrometheus(port, directory)
        deadline = time.monotonic() + 30
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=2):
                    return running
            except OSError:
                assert process.poll() is None, (directory / "log").read_text()
                assert time.monotonic() < deadline, "Prometheus is not ready"
                time.sleep(0.1)

    yield start
    for process in started:
        process.terminate()
        process.wait(20)
