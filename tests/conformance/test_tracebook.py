"""A judge that knows nothing of this project finds both engines conformant: `tracebook-conformance` from PyPI."""

import shlex
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lockstep.engine.implementations import NAMES
from lockstep.stream.records import CommandKind

judge = pytest.importorskip(
    "tracebook.conformance",
    reason="NOT CHECKED by the outside judge: `pip install tracebook-conformance` (extra `dev`) to run these tests",
)

from tracebook.conformance.cli import main as judge_cli  # noqa: E402 - only there if the judge is

from tests.conformance import tracebook_adapter as adapter  # noqa: E402 - imports the judge
from tests.seeds import one_in  # noqa: E402

PROFILES = ("fifo-limit-v1", "fifo-full-v1", "fifo-partial-fill-v1")
SELF_TRADE_CASES = ("stp-cancel-resting", "stp-cancel-resting-deep", "stp-cancel-incoming")
ADAPTER = Path(__file__).with_name("tracebook_adapter.py")


@pytest.fixture(params=NAMES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def candidate(engine: str) -> Callable[[Any], Any]:
    """The candidate inside this process: the same translation without pipes, many times faster."""
    return lambda config: adapter.LockstepAdapter(config, engine)


def qualify(candidate: Callable[[Any], Any], profile: str, seed: int, traces: int) -> None:
    result = judge.run_qualification(candidate, profile, seed=seed, traces=traces)
    report = result.to_dict()
    assert result.qualified, (report["checks"], report["campaign"].get("failure"))
    assert len(result.campaign.traces) == traces


@pytest.mark.parametrize("profile", one_in(3, PROFILES))
def test_engine_qualifies_for_the_profile(candidate: Callable[[Any], Any], profile: str) -> None:
    qualify(candidate, profile, seed=42, traces=2)


@pytest.mark.parametrize("suite_version", judge.BUNDLED_SUITE_VERSIONS)
def test_fixed_cases_of_self_trade_prevention_pass(
    candidate: Callable[[Any], Any], suite_version: str, tmp_path: Path
) -> None:
    suite = judge.copy_bundled_conformance_suite(tmp_path / "suite", suite_version=suite_version)
    cases = tuple(case for case in suite.cases if case.name in SELF_TRADE_CASES)
    assert len(cases) == (3 if suite_version == "v2" else 2)
    report = judge.run_conformance_suite(replace(suite, cases=cases), candidate)
    assert report["conformant"], [case["report"] for case in report["cases"] if not case["report"]["conformant"]]


def run_cli(engine: str, output: Path, profile: str, traces: int) -> int:
    """The judge's own program, which starts the adapter as a process for each trace."""
    command = ["--candidate-cmd", shlex.join([sys.executable, str(ADAPTER), "--engine", engine])]
    campaign = ["--profile", profile, "--seed", "7", "--traces", str(traces), "--output-dir", str(output)]
    # Its own 5 seconds for an adapter to start are too few on a busy machine.
    return int(judge_cli(["qualify", *command, *campaign, "--timeout", "300"]))


@pytest.mark.parametrize("engine", ["native", pytest.param("reference", marks=pytest.mark.slow)], indirect=True)
def test_judges_own_program_qualifies_the_engine_as_a_process(engine: str, tmp_path: Path) -> None:
    assert run_cli(engine, tmp_path / "verdict", "fifo-full-v1", traces=1) == 0
    assert (tmp_path / "verdict" / "qualification.json").is_file()


def test_judge_catches_an_engine_that_sends_a_replaced_order_to_the_wrong_place(engine: str) -> None:
    class KeepsPlace(adapter.LockstepAdapter):
        """Sends every `replace` as REPLACE, whose lessening form keeps its place: wrong by the judge's rules."""

        def _change(self, event: Any) -> Any:
            if event.op != "replace" or event.quantity is None or event.price is None:
                return super()._change(event)
            client_order_id = self._ids.number((event.symbol, event.order_id))
            return self._send(
                CommandKind.REPLACE,
                account=self._owner_of.get(client_order_id, 1),
                client_order_id=client_order_id,
                price_ticks=self._ticks(event.price),
                quantity_lots=self._lots(event.quantity),
            )

    result = judge.run_qualification(lambda config: KeepsPlace(config, engine), "fifo-limit-v1", seed=42, traces=2)
    assert not result.qualified
    assert result.campaign.failure is not None


@pytest.mark.slow
@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("seed", [1, 7, 42, 1337, 2**63])
def test_engine_qualifies_on_many_traces(candidate: Callable[[Any], Any], profile: str, seed: int) -> None:
    qualify(candidate, profile, seed, traces=25)


@pytest.mark.slow
@pytest.mark.parametrize("profile", PROFILES)
def test_judges_own_program_qualifies_the_engine_on_many_traces(engine: str, profile: str, tmp_path: Path) -> None:
    assert run_cli(engine, tmp_path / "verdict", profile, traces=10) == 0
