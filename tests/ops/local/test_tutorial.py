"""The tutorial does what it says, in the order in which a reader does it."""

import re
import subprocess
import sys
from pathlib import Path

from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.plan import ClusterPlan

TUTORIAL = (Path(__file__).resolve().parents[3] / "docs/tutorial.md").read_text()
BLOCKS = re.findall(r"(?m)^```(python)?\n([\s\S]*?)^```", TUTORIAL)


def test_a_reader_of_the_tutorial_sees_what_it_promises(tmp_path: Path) -> None:
    names: dict[str, object] = {}
    commands: list[list[str]] = []
    with LocalCluster(ClusterPlan(data_dir=tmp_path / "lockstep-data")) as cluster:
        for language, text in BLOCKS:
            if language:
                exec(text.replace("127.0.0.1:7450", cluster.gateway_addresses[0]), names)
            elif "kill -9" in text:
                cluster.kill(cluster.find("primary"))
            else:
                lines = [line.removeprefix("$ .venv/bin/lockstep ").split() for line in text.splitlines()]
                commands += [line for line in lines if line and line[0] == "cluster"]
    assert [" ".join(words[:3]) for words in commands] == [
        "cluster status", "cluster journal verify", "cluster journal diff",
    ]  # fmt: skip
    for words in commands[1:]:
        ended = subprocess.run(
            [sys.executable, "-m", "lockstep.ops.cli.main", *words], cwd=tmp_path, capture_output=True, text=True,
            timeout=120, check=False,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stdout + ended.stderr
