"""The implementations of the contract by the names that the configuration uses."""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    # Names and their check are for everybody who reads a configuration; records (and NumPy) are for engines.
    from lockstep.engine.contract import EngineType

DEFAULT: Final = "native"

_CLASSES: Final = {
    "native": ("lockstep.engine.native", "NativeEngine"),
    "reference": ("lockstep.engine.reference", "ReferenceEngine"),
}

NAMES: Final = tuple(_CLASSES)


class UnknownImplementation(ValueError):
    """There is no engine of that name here; the text says which there are."""


def implementation(name: str) -> "EngineType":
    """The class of the engine of that name. It is imported only now: one process needs one of them.

    Raises:
        UnknownImplementation: no such name, or the native core was not built on this machine.
    """
    if name not in _CLASSES:
        raise UnknownImplementation(f"unknown engine {name!r}; use one of: {', '.join(NAMES)}")
    module, attribute = _CLASSES[name]
    try:
        found: EngineType = getattr(import_module(module), attribute)
    except ImportError as error:
        raise UnknownImplementation(
            f"engine {name!r} is not built here ({error}); run `make setup`, or configure another: {', '.join(NAMES)}"
        ) from error
    return found
