"""The commands of docs/rest.md, as they stand there, against a cluster as `lockstep up` makes it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.plan import ClusterPlan
from tests.calm import CALM
from tests.edge.rest.conftest import Caller, base_of

ROOT = Path(__file__).resolve().parents[3]


def commands() -> list[str]:
    page = (ROOT / "docs/rest.md").read_text()
    section = page.partition("## Trade with curl")[2].partition("\n## ")[0]
    return re.findall(r"```sh\n(.*?)```", section, re.DOTALL)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_commands_of_the_page_do_what_it_says(tmp_path):
    assert len(commands()) == 6
    with LocalCluster(ClusterPlan(timing=CALM, feeds=1)) as cluster:
        example = ROOT / "clients/python/examples/quick_start.py"
        subprocess.run([sys.executable, example, cluster.gateway_addresses[0]], check=True, timeout=60)
        script = "set -euo pipefail\n" + "\necho\n".join(commands())
        done = subprocess.run(
            ["bash", "-c", script], cwd=tmp_path, env={**os.environ, "REST": base_of(cluster)}, capture_output=True,
            text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert '"symbol":"ACME"' in done.stdout
        assert '"kind":"replaced"' in done.stdout
        assert '"kind":"canceled"' in done.stdout
        nobody = Caller(base_of(cluster), None)
        assert nobody.get("/v1/accounts/1/orders").json["orders"] == []
        # A page whose name was made to resolve to this machine, where everybody may do everything.
        strange = nobody.get("/v1/accounts/1/orders", Host="evil.example", Origin="http://evil.example")
        assert (strange.status, strange.json["code"]) == (403, "NOT_ENTITLED")
