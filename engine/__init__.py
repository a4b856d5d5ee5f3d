"""The matching engine: one contract (`lockstep.engine.contract`), and the implementations of it.

This module is the whole surface for programs that drive an engine alone, without a cluster (`docs/engine-alone.md`):

* `NativeEngine(Sizes(...))`, the fast one: give it the sizes of your flow, or its tables grow in the middle of it;
  `ReferenceEngine()`, the same in plain Python; both are a `MatchingEngine`, with the same answers and snapshots;
* `EngineDriver(engine)` numbers, stamps and applies; `CommandBuilder` is its half that makes command records;
* `engine.best`, `.depth`, `.queue`, `.order`, `.account` ... are queries; `each_event` iterates over events.

Example:
    >>> from lockstep.engine import EngineDriver, NativeEngine, Side, Sizes
    >>> driver = EngineDriver(NativeEngine(Sizes(orders=100_000)))
    >>> driver.commands.define_instrument(instrument=1, symbol="ACME", tick_micros=10_000)
    1
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lockstep.engine.commands import CommandBuilder
    from lockstep.engine.contract import (
        AccountView,
        BestView,
        BookLevel,
        BookView,
        DepthLevel,
        DepthView,
        InstrumentView,
        MatchingEngine,
        OrderView,
        PositionView,
        QueueView,
        StreamGap,
    )
    from lockstep.engine.driver import EngineDriver
    from lockstep.engine.events import (
        AnyEvent,
        ControlEvent,
        DefinitionEvent,
        Event,
        OrderEvent,
        SettingEvent,
        each_event,
    )
    from lockstep.engine.implementations import UnknownImplementation, implementation
    from lockstep.engine.native import NativeEngine, Sizes
    from lockstep.engine.reference import ReferenceEngine
    from lockstep.engine.snapshot_format import SnapshotError
    from lockstep.stream.codes import Code
    from lockstep.stream.records import (
        COMMAND,
        EVENT,
        AccountStatus,
        CommandKind,
        Commands,
        EventFlag,
        EventKind,
        Events,
        OrderFlag,
        OrderType,
        Phase,
        SelfTradePrevention,
        Side,
        TimeInForce,
    )

__all__ = [
    "COMMAND",
    "EVENT",
    "AccountStatus",
    "AccountView",
    "AnyEvent",
    "BestView",
    "BookLevel",
    "BookView",
    "Code",
    "CommandBuilder",
    "CommandKind",
    "Commands",
    "ControlEvent",
    "DefinitionEvent",
    "DepthLevel",
    "DepthView",
    "EngineDriver",
    "Event",
    "EventFlag",
    "EventKind",
    "Events",
    "InstrumentView",
    "MatchingEngine",
    "NativeEngine",
    "OrderEvent",
    "OrderFlag",
    "OrderType",
    "OrderView",
    "Phase",
    "PositionView",
    "QueueView",
    "ReferenceEngine",
    "SelfTradePrevention",
    "SettingEvent",
    "Side",
    "Sizes",
    "SnapshotError",
    "StreamGap",
    "TimeInForce",
    "UnknownImplementation",
    "each_event",
    "implementation",
]

# Loaded when they are first used: whoever reads a configuration passes here too, and needs neither NumPy nor engines.
_HOMES = {
    "lockstep.engine.commands": ("CommandBuilder",),
    "lockstep.engine.contract": (
        "AccountView",
        "BestView",
        "BookLevel",
        "BookView",
        "DepthLevel",
        "DepthView",
        "InstrumentView",
        "MatchingEngine",
        "OrderView",
        "PositionView",
        "QueueView",
        "StreamGap",
    ),
    "lockstep.engine.driver": ("EngineDriver",),
    "lockstep.engine.events": (
        "AnyEvent",
        "ControlEvent",
        "DefinitionEvent",
        "Event",
        "OrderEvent",
        "SettingEvent",
        "each_event",
    ),
    "lockstep.engine.implementations": (
        "UnknownImplementation",
        "implementation",
    ),
    "lockstep.engine.native": (
        "NativeEngine",
        "Sizes",
    ),
    "lockstep.engine.reference": ("ReferenceEngine",),
    "lockstep.engine.snapshot_format": ("SnapshotError",),
    "lockstep.stream.codes": ("Code",),
    "lockstep.stream.records": (
        "COMMAND",
        "EVENT",
        "AccountStatus",
        "CommandKind",
        "Commands",
        "EventFlag",
        "EventKind",
        "Events",
        "OrderFlag",
        "OrderType",
        "Phase",
        "SelfTradePrevention",
        "Side",
        "TimeInForce",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
