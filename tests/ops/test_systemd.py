"""The units of `ops/deploy/systemd`: systemd reads them, they start what there is, and they may do little."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from lockstep.ops.cli.main import cli
from lockstep.runtime import config

UNITS = Path(config.__file__).resolve().parents[1] / "ops/deploy/systemd"
NAMES = sorted(path.name for path in UNITS.glob("*.service"))
EXPOSURE = 20
"""Tenths, of 100: what `systemd-analyze security` may find a unit to be exposed at the most; below 20 it says OK."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine that has the units and the program."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze")
    shutil.copytree(UNITS, tmp_path / "etc/systemd/system")
    program = tmp_path / "opt/lockstep/bin/lockstep"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    targets = tmp_path / "usr/lib/systemd/system"
    targets.mkdir(parents=True)
    for name in ("network-online", "network", "multi-user", "sysinit", "basic", "shutdown"):
        (targets / f"{name}.target").write_text("[Unit]\nDescription=of the machine\n")
    return tmp_path


def analyze(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = ("systemd-analyze", *words)
    environment = {**os.environ, "SYSTEMD_PAGER": ""}
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("name", NAMES)
def test_systemd_finds_nothing_wrong_and_the_unit_little_exposed(root: Path, name: str) -> None:
    unit = name.replace("@.", "@1.")
    read = analyze(root, "verify", f"--root={root}", unit)
    assert (read.returncode, read.stdout + read.stderr) == (0, "")
    found = analyze(root, "security", "--offline=true", f"--root={root}", f"--threshold={EXPOSURE}", unit)
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.parametrize("name", NAMES)
def test_a_unit_starts_a_command_that_there_is(name: str) -> None:
    started = re.findall(r"^ExecStart=/opt/lockstep/bin/lockstep (.+)$", (UNITS / name).read_text(), flags=re.M)
    assert len(started) == 1
    words = started[0].replace("%i", "1").split()
    command: click.Command = cli
    while isinstance(command, click.Group):
        found = command.get_command(click.Context(command), words.pop(0))
        assert found is not None
        command = found
    command.make_parser(click.Context(command)).parse_args(words)


def test_every_command_that_runs_until_it_is_stopped_has_a_unit() -> None:
    """`lockstep up` starts whole clusters; it and what ends by itself have none."""
    roles = {"driver", "engine", "feed", "gateway", "sequencer", "snapshotter"}
    clocks = {"clocks"}
    """`audit clocks --every`."""
    context = click.Context(cli)
    groups = {name: cli.get_command(context, name) for name in cli.list_commands(context)}
    followers = {
        name for name, one in groups.items() if isinstance(one, click.Group) and "run" in one.list_commands(context)
    }
    assert {name.removeprefix("lockstep-").split(".")[0].rstrip("@") for name in NAMES} == roles | followers | clocks
