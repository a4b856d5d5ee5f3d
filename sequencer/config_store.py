"""This sequencer's hold on the config key: what it last saw there, and the one swap that is under way.

A swap's end can be learnt in three ways (its own answer, the watch, which is often faster, or a read after an ambiguous
answer); whichever comes first settles it, once. An ambiguous swap is never guessed: the key is read again, and if it
has not moved, the *same* attempt is repeated, which is safe because its value is unique.
"""

from dataclasses import dataclass
from enum import Enum

from lockstep.sequencer.config_record import ConfigRecord
from lockstep.sequencer.events import (
    Cas,
    CasAmbiguous,
    CasLost,
    CasWon,
    ConfigSeen,
    ConfigUnreadable,
    Level,
    Outbox,
    StoreDown,
)
from lockstep.sequencer.settings import MS
from lockstep.stream.values import frozen

_RETRY_NS = 50 * MS


class Purpose(Enum):
    """What a swap is for."""

    TAKEOVER = "takeover"
    FENCE_RESULT = "fence result"
    SHRINK = "shrink"
    SWITCH = "switch"
    GROW = "grow"
    EVICT = "evict"
    """Engines leave and are kept out."""
    SETTING = "setting"


class Verdict(Enum):
    """How a swap ended."""

    WON = "won"
    LOST = "lost"
    UNREACHED = "unreached"
    """Not applied: etcd could not be reached."""


@dataclass(slots=True)
class InFlight:
    """The swap under way."""

    record: ConfigRecord
    purpose: Purpose
    expected: int
    since_ns: int
    ambiguous: bool = False


@frozen
class Settled:
    """A swap has ended."""

    record: ConfigRecord
    purpose: Purpose
    verdict: Verdict
    took_ns: int


StoreEvent = ConfigSeen | ConfigUnreadable | CasWon | CasLost | CasAmbiguous | StoreDown


class ConfigStore:
    """See the module. `identity` names this process's attempts."""

    __slots__ = (
        "_attempts", "_guard", "_identity", "config", "fault", "heard", "in_flight", "mod_revision", "not_before_ns",
        "uuid",
    )  # fmt: skip

    def __init__(self, identity: str) -> None:
        self._identity = identity
        self._attempts = 0
        self._guard = 0  # expected mod revision of the next swap; 0: the key must not exist
        self.config: ConfigRecord | None = None
        self.mod_revision = 0
        """Revision of the newest look; never falls."""
        self.heard = False
        """Whether etcd has ever said what stands in the key."""
        self.uuid = ""
        """The cluster's, once seen; never changes."""
        self.fault = ""
        """Why this etcd can't be trusted with changes; empty: it can."""
        self.in_flight: InFlight | None = None
        self.not_before_ns = 0
        """No new swap before this time."""

    def next_attempt(self) -> str:
        """A name for the next swap."""
        self._attempts += 1
        return f"{self._identity}.{self._attempts}"

    def may_propose(self, now_ns: int) -> bool:
        """Whether a swap may be proposed now."""
        return self.in_flight is None and not self.fault and self.heard and now_ns >= self.not_before_ns

    def propose(self, record: ConfigRecord, purpose: Purpose, now_ns: int, out: Outbox) -> None:
        """Order a swap of the config as last seen."""
        assert self.in_flight is None, "a swap is under way already"
        self.in_flight = InFlight(record, purpose, self._guard, now_ns)
        out.swap(Cas(record, self._guard))

    def on_event(self, event: StoreEvent, now_ns: int, out: Outbox) -> Settled | None:
        """Take a store's answer in; returns the swap that it settles, if any."""
        flight = self.in_flight
        if isinstance(event, ConfigSeen):
            return self._on_seen(event, now_ns, out)
        if isinstance(event, ConfigUnreadable):
            return self._on_unreadable(event, now_ns, out)
        if flight is None or event.attempt != flight.record.attempt:
            return None
        if isinstance(event, CasWon):
            self._observe(flight.record, event.mod_revision, out)
            return self._settle(Verdict.WON, now_ns)
        if isinstance(event, CasLost):
            self._observe(event.record, event.mod_revision, out)
            self.not_before_ns = now_ns + _RETRY_NS // 10
            return self._settle(Verdict.LOST, now_ns)
        if isinstance(event, StoreDown):
            self.not_before_ns = now_ns + _RETRY_NS
            return self._settle(Verdict.UNREACHED, now_ns)
        flight.ambiguous = True
        out.read()
        out.note("config swap is ambiguous: reading again", Level.WARNING, attempt=event.attempt)
        return None

    def _on_seen(self, event: ConfigSeen, now_ns: int, out: Outbox) -> Settled | None:
        if self.heard and event.mod_revision < self.mod_revision:
            return None  # an older look that arrives late
        self._observe(event.record, event.mod_revision, out)
        flight = self.in_flight
        if flight is None:
            return None
        if event.record is not None and event.record.attempt == flight.record.attempt:
            return self._settle(Verdict.WON, now_ns)
        if self._guard != flight.expected:
            return self._settle(Verdict.LOST, now_ns)
        if flight.ambiguous:
            flight.ambiguous = False
            out.swap(Cas(flight.record, flight.expected))
        return None

    def _on_unreadable(self, event: ConfigUnreadable, now_ns: int, out: Outbox) -> Settled | None:
        """The last good record stays in force: who leads goes on, and nothing is changed until it is repaired."""
        if self.heard and event.mod_revision < self.mod_revision:
            return None
        self.heard = True
        self.mod_revision = self._guard = event.mod_revision
        if self.config is None and event.last_good is not None:
            self.config, self.uuid = event.last_good, event.last_good.uuid
        fault = f"etcd's config key can't be read ({event.why}): run `lockstep cluster repair-config`"
        if fault != self.fault:
            out.note("the config record is damaged: nothing can be changed", Level.ERROR, why=fault)
        self.fault = fault
        flight = self.in_flight
        moved = flight is not None and flight.expected != self._guard
        return self._settle(Verdict.LOST, now_ns) if moved else None

    def _observe(self, record: ConfigRecord | None, mod_revision: int, out: Outbox) -> None:
        fault = ""
        if record is None and self.uuid:
            fault = (
                "the config key has vanished from etcd: restore it, or start a new cluster with new data directories"
            )
        elif record is not None and self.uuid and record.uuid != self.uuid:
            fault = f"etcd holds the config of another cluster ({record.uuid}, not {self.uuid})"
        elif self.heard and mod_revision < self.mod_revision:
            fault = f"etcd was wiped or restored: its revision is {mod_revision} after {self.mod_revision}"
        if fault:
            if fault != self.fault:
                out.note("etcd is not trusted with changes", Level.ERROR, why=fault)
            self.fault = fault
            return
        self.fault = ""
        self.heard = True
        self.config = record
        self.mod_revision = mod_revision
        self._guard = 0 if record is None else mod_revision
        if record is not None:
            self.uuid = record.uuid

    def _settle(self, verdict: Verdict, now_ns: int) -> Settled:
        flight = self.in_flight
        assert flight is not None, "no swap to settle"
        self.in_flight = None
        return Settled(flight.record, flight.purpose, verdict, now_ns - flight.since_ns)
