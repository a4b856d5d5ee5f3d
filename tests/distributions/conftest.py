"""Both distributions as they are published, and empty environments to install them into."""

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD_S = 900


@dataclass(frozen=True, slots=True)
class Built:
    """A source distribution, and the wheel that was built of it alone."""

    sdist: Path
    wheel: Path


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment. Nothing of this process's own environment variables says where modules are."""

    folder: Path

    def run(self, *command: object, cwd: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment; the first word is its name."""
        program = self.folder / "bin" / str(command[0])
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
        return subprocess.run(
            [program, *map(str, command[1:])],
            capture_output=True, text=True, check=False, timeout=BUILD_S, cwd=cwd or self.folder, env=kept | variables,
        )  # fmt: skip

    def install(self, *what: object, cwd: Path | None = None, **variables: str) -> None:
        """`pip install` of wheels alone; skips the test where no package index can be reached."""
        pip = ("python", "-m", "pip", "install", "--disable-pip-version-check", "--only-binary", ":all:")
        done = self.run(*pip, *what, cwd=cwd, **variables)
        if done.returncode and "No matching distribution found" in done.stderr and "--no-deps" not in what:
            asked = self.run("python", "-m", "pip", "download", "--no-deps", "-d", self.folder / "asked", "numpy")
            if asked.returncode:
                pytest.skip(f"NOT CHECKED, no package index can be reached: {asked.stderr}")
        assert done.returncode == 0, done.stderr

    def packages(self) -> set[str]:
        """Names of what is installed, pip and what came with the interpreter aside."""
        listed = self.run("python", "-m", "pip", "list", "--format", "freeze", "--disable-pip-version-check").stdout
        return {line.split("=")[0] for line in listed.splitlines()} - {"pip", "setuptools"}


def build(project: Path, output: Path, *options: str) -> Built:
    """`python -m build`: an sdist, and a wheel from that sdist, not from the checkout."""
    command = [sys.executable, "-m", "build", "--outdir", str(output), *options, str(project)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=BUILD_S)
    assert done.returncode == 0, done.stdout + done.stderr
    (sdist,), (wheel,) = output.glob("*.tar.gz"), output.glob("*.whl")
    return Built(sdist, wheel)


@pytest.fixture(scope="session")
def client(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The client's distribution."""
    return build(ROOT / "clients/python", tmp_path_factory.mktemp("client"), "--no-isolation")


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The cluster's; its build requirements are fetched into an environment of their own."""
    return build(ROOT, tmp_path_factory.mktemp("cluster"))


@pytest.fixture
def empty(tmp_path: Path) -> Callable[..., Environment]:
    """Makes an empty environment, with this interpreter or another one."""

    def make(name: str = "environment", python: Path | None = None) -> Environment:
        folder = tmp_path / name
        if python is None:
            venv.create(folder, with_pip=True)
        else:
            subprocess.run([python, "-m", "venv", folder], check=True, timeout=BUILD_S)
        return Environment(folder)

    return make


@pytest.fixture
def interpreter() -> Callable[[str], Path]:
    """Finds another CPython by its version; skips where this machine has none."""

    def find(version: str) -> Path:
        pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
        on_path = shutil.which(f"python{version}")
        for path in (*([Path(on_path)] if on_path else ()), *pyenv.glob(f"{version}.*/bin/python")):
            # A name on PATH proves nothing: pyenv leaves shims for versions that are not active.
            asked = subprocess.run([path, "-c", "import venv, ensurepip"], capture_output=True, check=False, timeout=60)
            if asked.returncode == 0:
                return path
        pytest.skip(f"NOT CHECKED: there is no Python {version} here")

    return find
