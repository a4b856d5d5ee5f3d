"""Seeds of tests that are the same for each: the first in `make test`, all of them in `make acceptance`."""

import pytest


def seeds(count: int, *, quick: int = 1) -> list[object]:
    """`count` seeds from 0 on, of which all but the first `quick` are slow."""
    return [seed if seed < quick else pytest.param(seed, marks=pytest.mark.slow) for seed in range(count)]
