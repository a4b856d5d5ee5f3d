"""Operator commands in this process, against one real cluster for each module."""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from lockstep.ops.cli.main import run
from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.plan import ClusterPlan
from tests.calm import CALM


@dataclass(frozen=True, slots=True)
class Done:
    """One command's end."""

    code: int
    out: str
    err: str
    result: dict[str, Any] = field(default_factory=dict)
    """What --json said."""

    @property
    def text(self) -> str:
        """All that a person sees, on one line."""
        return " ".join((self.out + self.err).split())


Operate = Callable[..., Done]


def invoke(arguments: list[str], stdin: str | None) -> Done:
    """`lockstep cluster ...` without a process of its own: starting Python takes longer than most commands."""
    with CliRunner().isolation(input=stdin) as (out, err, _):
        code = run(["cluster", *arguments])
        sys.stdout.flush()
        return Done(code, out.getvalue().decode(), err.getvalue().decode())


@pytest.fixture
def bare() -> Operate:
    """A command without a cluster's configuration."""

    def go(*arguments: object, stdin: str | None = None) -> Done:
        return invoke(list(map(str, arguments)), stdin)

    return go


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """A running local cluster, of three engines, that leaves dead processes dead."""
    with LocalCluster(
        ClusterPlan(engines=3, implementations=("native", "reference"), restart=False, timing=CALM)
    ) as running:
        yield running


@pytest.fixture
def operate(cluster: LocalCluster, tmp_path: Path) -> Operate:
    """A command on the module's cluster, with its --json result."""

    def go(*arguments: object, stdin: str | None = None) -> Done:
        out = tmp_path / "result.json"
        for _ in range(5):
            out.unlink(missing_ok=True)
            done = invoke([*map(str, arguments), "--config", str(cluster.config_path), "--json", str(out)], stdin)
            # On a busy machine a leader may be deposed under an operator's hands; he is asked to try again, and does.
            if "try again" not in done.err or "Nothing was changed" not in done.err:
                break
        return Done(done.code, done.out, done.err, json.loads(out.read_text()) if out.exists() else {})

    return go
