"""Simulated etcd: one key, linearizable, that can be slow, out of reach, or silent about a write that it has made.

A swap that ends in `CasAmbiguous` may have been applied, may never be, or may be applied *later*: all three happen.
"""

from typing import Final

from lockstep.sequencer import events as ev
from lockstep.sequencer.config_record import ConfigRecord, decode_config, encode_config
from lockstep.trials.simulation.host import Host
from lockstep.trials.simulation.kernel import MS, SECOND, US
from lockstep.trials.simulation.world import World

ETCD: Final = "etcd"
_LEASE_NS: Final = 2 * SECOND
_RETRY_NS: Final = 50 * MS


class Store:
    """See the module."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._kernel = world.kernel
        self.available = True
        self.slow_ns = 0
        """Added to every request."""
        self.reply_loss = 0
        """Answers lost, per thousand."""
        self.swallow = 0
        """So many of the next swaps are neither done nor answered."""
        self._value: bytes | None = None
        self.revision = 0
        """Mod revision of the key."""
        self._present: dict[int, bool] = {}
        self._seen: dict[str, tuple[int, int]] = {}  # watcher -> (life, revision delivered)

    @property
    def record(self) -> ConfigRecord | None:
        """What stands in the key."""
        return None if self._value is None else decode_config(self._value)

    def _reached(self, host: Host) -> bool:
        network = self._world.network
        return self.available and network.name_reaches(host.name, ETCD) and network.name_reaches(ETCD, host.name)

    def _delay_ns(self) -> int:
        kernel = self._kernel
        if self.slow_ns:
            return kernel.between(self.slow_ns // 4, self.slow_ns)
        return kernel.between(300 * US, 3 * MS)

    # ---- swaps ---------------------------------------------------------------------------------------------------

    def swap(self, host: Host, cas: ev.Cas) -> None:
        """Start a swap for a sequencer."""
        kernel, life = self._kernel, host.life
        timeout_ns = self._world.topology.timing.etcd_timeout_ms * MS
        attempt = cas.record.attempt
        if self.swallow:
            self.swallow -= 1
            self._later(host, life, timeout_ns, ev.CasAmbiguous(attempt))
            return
        if not self._reached(host):
            if kernel.chance(1, 2):
                self._later(host, life, self._delay_ns(), ev.StoreDown(attempt))
            else:
                # The request hangs on its way: it may still arrive.
                self._later(host, life, timeout_ns, ev.CasAmbiguous(attempt))
                if kernel.chance(1, 2):
                    kernel.after(kernel.between(timeout_ns // 4, timeout_ns * 2), self._apply_late, cas)
            return
        kernel.after(self._delay_ns(), self._apply, host, life, cas)

    def _apply(self, host: Host, life: int, cas: ev.Cas) -> None:
        kernel, attempt = self._kernel, cas.record.attempt
        if not self.available:
            self._later(host, life, self._world.topology.timing.etcd_timeout_ms * MS, ev.CasAmbiguous(attempt))
            return
        won = self._try(cas)
        if not self._reached(host) or kernel.chance(self.reply_loss, 1000):
            self._later(host, life, self._world.topology.timing.etcd_timeout_ms * MS, ev.CasAmbiguous(attempt))
        elif won:
            self._later(host, life, self._delay_ns(), ev.CasWon(attempt, self.revision))
        else:
            self._later(host, life, self._delay_ns(), ev.CasLost(attempt, self.record, self.revision))

    def _apply_late(self, cas: ev.Cas) -> None:
        if self.available:
            self._try(cas)

    def _try(self, cas: ev.Cas) -> bool:
        if cas.expected_mod_revision != (self.revision if self._value is not None else 0):
            return False
        before = self.record
        self.revision += 1
        self._value = encode_config(cas.record)
        record = cas.record
        self._kernel.note(
            f"etcd: rev {self.revision} epoch {record.epoch} sequencer {record.sequencer} primary {record.primary} "
            f"in_sync {record.in_sync} by {record.attempt}"
        )
        self._world.judge.on_config(before, record)
        for watcher in self._world.of_kind("sequencer"):
            if watcher.alive:
                self._kernel.after(self._delay_ns(), self._tell, watcher, watcher.life)
        return True

    # ---- reads and watches ---------------------------------------------------------------------------------------

    def read(self, host: Host) -> None:
        """Read the key for a sequencer, however long that takes."""
        self._kernel.after(self._delay_ns(), self._read, host, host.life)

    def _read(self, host: Host, life: int) -> None:
        if not host.alive or host.life != life:
            return
        if not self._reached(host):
            self._kernel.after(_RETRY_NS, self._read, host, life)
            return
        self._later(host, life, self._delay_ns(), ev.ConfigSeen(self.record, self.revision))

    def _tell(self, host: Host, life: int) -> None:
        """The watch: the newest value; what lies between two looks may be left out."""
        if not host.alive or host.life != life:
            return
        if not self._reached(host):
            self._kernel.after(_RETRY_NS, self._tell, host, life)
            return
        reported_life, revision = self._seen.get(host.name, (0, -1))
        if reported_life != life or revision < self.revision:
            self._seen[host.name] = (life, self.revision)
            host.post(ev.ConfigSeen(self.record, self.revision))

    def _later(self, host: Host, life: int, delay_ns: int, event: ev.Event) -> None:
        self._kernel.after(delay_ns, self._post, host, life, event)

    def _post(self, host: Host, life: int, event: ev.Event) -> None:
        if host.alive and host.life == life:
            self._kernel.note(f"{host.name} hears {type(event).__name__}")
            host.post(event)

    # ---- presence ------------------------------------------------------------------------------------------------

    def on_change(self, host: Host) -> None:
        """A sequencer started (it takes its lease) or died (its lease ends by itself)."""
        if host.kind != "sequencer":
            return
        if host.alive:
            self._kernel.after(self._delay_ns(), self._tell, host, host.life)
            self._kernel.after(self._delay_ns(), self._lease, host, host.life)
            for other in self._world.of_kind("sequencer"):
                if other is not host:
                    self._later(host, host.life, self._delay_ns(), ev.PresenceSeen(other.id, self._holds(other)))
        else:
            self._kernel.after(_LEASE_NS, self._expire, host, host.life)

    def _holds(self, host: Host) -> bool:
        return self._present.get(host.id, False)

    def _lease(self, host: Host, life: int) -> None:
        if host.alive and host.life == life:
            self._set_present(host, True)

    def _expire(self, host: Host, life: int) -> None:
        if not host.alive and host.life == life:
            self._set_present(host, False)

    def _set_present(self, host: Host, present: bool) -> None:
        self._present[host.id] = present
        for other in self._world.of_kind("sequencer"):
            if other is not host and other.alive:
                self._later(other, other.life, self._delay_ns(), ev.PresenceSeen(host.id, present))
