"""Shell completion: click's own, through the command groups that import their commands late."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lockstep.runtime import config

EXAMPLE = Path(config.__file__).resolve().parent / "cluster.example.toml"
SCRIPT = "from lockstep.ops.cli.main import cli; cli(prog_name='lockstep')"


@pytest.fixture
def complete() -> Callable[[str], list[str]]:
    """What bash would offer after some words; the last one is being typed."""

    def offered(line: str) -> list[str]:
        words = line.split(" ")
        environment = {
            **os.environ,
            "_LOCKSTEP_COMPLETE": "bash_complete",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(words) - 1),
        }
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=False
        )
        return [row.partition(",")[2] for row in done.stdout.splitlines()]

    return offered


def test_commands_options_and_values_are_completed(complete: Callable[[str], list[str]]) -> None:
    assert complete("lockstep clus") == ["cluster"]
    assert complete("lockstep cluster sw") == ["switchover"]
    assert complete("lockstep cluster switchover --ca") == ["--candidate"]
    assert complete("lockstep cluster ack-policy r") == ["replicated"]
    assert complete("lockstep cluster journal v") == ["verify"]


@pytest.mark.slow
def test_engines_of_the_configuration_are_completed(complete: Callable[[str], list[str]]) -> None:
    assert complete(f"lockstep cluster fence --config {EXAMPLE} eng") == ["engine-1", "engine-2"]
    assert not any(complete("lockstep cluster fence --config nowhere.toml eng"))


def test_the_completion_command_prints_what_a_shell_reads() -> None:
    for shell, reported in (("bash", "complete -o nosort"), ("zsh", "compdef"), ("fish", "complete --no-files")):
        command = [sys.executable, "-m", "lockstep.ops.cli.main", "completion", shell]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert reported in done.stdout
        assert "_LOCKSTEP_COMPLETE" in done.stdout


def test_bash_gets_a_script_to_source() -> None:
    environment = {**os.environ, "_LOCKSTEP_COMPLETE": "bash_source"}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=False)
    assert "complete -o nosort -F _lockstep_completion lockstep" in done.stdout
