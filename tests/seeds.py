"""What of many tests that are alike runs in `make test`: all run in `make acceptance`, of engines in `conformance`."""

from collections.abc import Iterable

import pytest


def seeds(count: int, *, quick: int = 1) -> list[object]:
    """`count` seeds from 0 on, of which all but the first `quick` are slow."""
    return [seed if seed < quick else pytest.param(seed, marks=pytest.mark.slow) for seed in range(count)]


def one_in(every: int, cases: Iterable[object]) -> list[object]:
    """`cases`, of which all but the first and each `every`-th behind it are slow."""
    return [
        case if place % every == 0 else pytest.param(case, marks=pytest.mark.slow) for place, case in enumerate(cases)
    ]
