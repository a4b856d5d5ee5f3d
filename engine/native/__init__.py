"""The native engine: the rules of `docs/engine.md` in C++20, equal to the reference engine event for event."""

from lockstep.engine.native.engine import NativeEngine, Sizes

__all__ = ["NativeEngine", "Sizes"]
