"""The reference engine: the executable specification of `lockstep.engine.contract`, in plain Python.

It is written to be obviously right before anything else, so that another implementation (or a reader) can be held
against it. Every rule it implements is listed in `docs/engine.md`.
"""

from lockstep.engine.reference.engine import ReferenceEngine
from lockstep.engine.reference.invariants import InvariantBroken, check_invariants

__all__ = ["InvariantBroken", "ReferenceEngine", "check_invariants"]
