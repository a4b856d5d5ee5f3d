"""Puts another build of the native core in the place of the installed one, for one process.

As a pytest plugin: `pytest -p tests.native_core --native-core FILE ...`. As a program: `native_core.py FILE
ARGUMENT ...` runs the `lockstep` command with these arguments.
"""

import importlib.util
import sys
from importlib.machinery import ExtensionFileLoader

import pytest

NAME = "lockstep.engine.native._core"


def use(path: str) -> None:
    """Load the extension before anybody imports the installed one.

    Raises:
        RuntimeError: somebody has imported it already. The two would share their types, so the other build would stand
            in the place of the installed one and never run.
    """
    if NAME in sys.modules:
        raise RuntimeError(f"{NAME} was imported before {path} could take its place")
    loader = ExtensionFileLoader(NAME, path)
    spec = importlib.util.spec_from_loader(NAME, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    sys.modules[NAME] = module


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--native-core FILE`."""
    parser.addoption("--native-core", help="another build of the native core")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Before any conftest is imported: those of the engine's tests import the core."""
    path = early_config.known_args_namespace.native_core
    if path:
        use(path)


if __name__ == "__main__":
    use(sys.argv[1])
    from lockstep.ops.cli.main import main

    sys.argv[1:2] = []
    main()
