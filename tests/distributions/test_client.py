"""The client, as a trader installs it."""

import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.distributions.conftest import ROOT, Built, Environment

NEEDED = {"lockstep-client", "grpcio", "numpy", "protobuf", "typing_extensions"}
IMPORTS_ALL = """
import pkgutil, sys
import lockstep
from lockstep import *
from importlib.util import find_spec

(folder,) = lockstep.__path__
assert folder.startswith(sys.prefix), folder
for found in pkgutil.walk_packages([folder], "lockstep."):
    __import__(found.name)
assert "lockstep.session_shell" in sys.modules
assert find_spec("lockstep.engine") is None
try:
    Client("127.0.0.1:1", timeout_s=0.3).status()
except Unavailable:
    print("asked, and nobody was there")
"""


def test_wheel_and_sdist_hold_the_client_and_nothing_else(client: Built) -> None:
    assert client.wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(client.wheel) as wheel:
        files = wheel.namelist()
    assert {name.split("/")[0] for name in files} == {"lockstep", "lockstep_client-0.1.0.dist-info"}
    assert {"lockstep/py.typed", "lockstep/v1/orders_pb2.pyi"} <= set(files)
    assert not [name for name in files if name.startswith(("lockstep/engine", "lockstep/ops")) or name.endswith(".so")]
    with tarfile.open(client.sdist) as sdist:
        names = {name.split("/", 1)[1] for name in sdist.getnames()}
    assert {"LICENSE", "README.md", "pyproject.toml", "examples/quick_start.py"} <= names


@pytest.mark.slow
def test_it_installs_into_an_empty_environment_without_a_compiler(
    client: Built, empty: Callable[..., Environment], tmp_path: Path
) -> None:
    environment = empty()
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    environment.install(client.wheel, PATH=str(nothing), CC="/nonexistent", CXX="/nonexistent")
    assert environment.packages() == NEEDED
    done = environment.run("python", "-I", "-c", IMPORTS_ALL)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "asked, and nobody was there\n"


@pytest.mark.slow
@pytest.mark.parametrize("version", ["3.10", "3.11"])
def test_its_own_tests_pass_on_pythons_that_the_cluster_does_not_run_on(
    version: str,
    client: Built,
    empty: Callable[..., Environment],
    interpreter: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    environment = empty(python=interpreter(version))
    environment.install(client.wheel, "pytest", "hypothesis")
    tests = tmp_path / "tests"
    shutil.copytree(ROOT / "tests/clients", tests / "clients", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "docs").mkdir()
    shutil.copy(ROOT / "docs/feed.md", tmp_path / "docs")
    (tests / "pytest.ini").write_text("[pytest]\nmarkers = slow\naddopts = --import-mode=importlib\n")
    done = environment.run("python", "-m", "pytest", "-q", "-m", "not slow", tests, cwd=tests)
    assert done.returncode == 0, done.stdout[-5000:]
    assert " passed" in done.stdout
