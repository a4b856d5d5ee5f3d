"""Simulated liveness links: each sequencer watches every engine and every other sequencer.

An end of file shows within a millisecond or so that a process died; silence beyond the deadline shows that it hangs or
is cut off. The outcome is computed from what is true at the moment, so nothing is sent while nothing happens.
"""

from dataclasses import dataclass
from typing import Final

from lockstep.sequencer import events as ev
from lockstep.trials.simulation.host import Host
from lockstep.trials.simulation.kernel import MS, US
from lockstep.trials.simulation.sequencer_host import SequencerHost
from lockstep.trials.simulation.world import World

_HANG_LOW_NS: Final = 200 * MS
_HANG_HIGH_NS: Final = 260 * MS
_STALL_NS: Final = 60 * MS


@dataclass(slots=True)
class _Watch:
    watcher: Host
    peer: Host
    watcher_life: int
    up: bool = False
    mute: bool = False
    """What the watcher knows of the peer's media driver."""
    known_life: int = 0
    reported_down: bool = False
    broken_since_ns: int | None = None


class Watching:
    """See the module."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._kernel = world.kernel
        self._watches: dict[tuple[str, str], _Watch] = {}

    def on_change(self, host: Host) -> None:
        """A process changed: whoever watches it, or is watched by it, looks."""
        kind = host.kind
        if kind not in ("sequencer", "engine"):
            return
        if kind == "sequencer":
            for peer in self._world.hosts.values():
                if peer is not host and peer.kind in ("sequencer", "engine"):
                    self._look(host, peer)
        for watcher in self._world.of_kind("sequencer"):
            if watcher is not host:
                self._look(watcher, host)

    def on_cut_change(self) -> None:
        """Partitions changed: everybody looks."""
        for watcher in self._world.of_kind("sequencer"):
            for peer in self._world.hosts.values():
                if peer is not watcher and peer.kind in ("sequencer", "engine"):
                    self._look(watcher, peer)

    def _look(self, watcher: Host, peer: Host) -> None:
        if watcher.responsive:
            self._kernel.after(self._kernel.between(100 * US, 2 * MS), self._evaluate, watcher, watcher.life, peer)

    def _path(self, watch: _Watch) -> bool:
        network = self._world.network
        return network.reaches(watch.watcher, watch.peer) and network.reaches(watch.peer, watch.watcher)

    def _evaluate(self, watcher: Host, life: int, peer: Host) -> None:
        if not watcher.alive or watcher.life != life:
            return
        if watcher.paused:
            return  # it looks when it goes on
        watch = self._watches.get((watcher.name, peer.name))
        if watch is None or watch.watcher_life != life:
            watch = self._watches[watcher.name, peer.name] = _Watch(watcher, peer, life)
        if watch.up:
            self._while_up(watch)
        else:
            self._while_down(watch)

    def _while_up(self, watch: _Watch) -> None:
        peer, kernel = watch.peer, self._kernel
        path = self._path(watch)
        if path and (not peer.alive or peer.life != watch.known_life):
            self._down(watch, ev.Down.EOF)
        elif path and peer.responsive:
            stood_ns = 0 if watch.broken_since_ns is None else kernel.now_ns - watch.broken_since_ns
            if stood_ns >= _STALL_NS and peer.kind == "engine":
                self._post(watch, ev.EngineStalled(peer.id, stood_ns))
            watch.broken_since_ns = None
            self._hear_mute(watch)
        elif watch.broken_since_ns is None:
            watch.broken_since_ns = kernel.now_ns
            patience_ns = kernel.between(_HANG_LOW_NS, _HANG_HIGH_NS)
            kernel.after(patience_ns, self._expire, watch, kernel.now_ns)

    def _expire(self, watch: _Watch, since_ns: int) -> None:
        watcher = watch.watcher
        if watch.up and watcher.responsive and watcher.life == watch.watcher_life and watch.broken_since_ns == since_ns:
            self._down(watch, ev.Down.HANG)

    def _while_down(self, watch: _Watch) -> None:
        peer, kernel = watch.peer, self._kernel
        if peer.responsive and self._path(watch):
            kernel.after(kernel.between(2 * MS, 60 * MS), self._connect, watch)
        elif not peer.alive and self._path(watch) and watch.known_life and watch.broken_since_ns is not None:
            # It hung before; now its connection has ended as well.
            watch.broken_since_ns = None
            self._post(watch, self._down_event(watch, ev.Down.EOF))
        elif not watch.known_life and not watch.reported_down:
            watch.reported_down = True
            self._post(watch, self._down_event(watch, ev.Down.UNREACHED))

    def _connect(self, watch: _Watch) -> None:
        peer, watcher = watch.peer, watch.watcher
        if not watcher.alive or watcher.life != watch.watcher_life or watch.up:
            return
        if not peer.responsive or not self._path(watch) or watcher.paused:
            return
        watch.up = True
        watch.known_life = peer.life
        watch.broken_since_ns = None
        if isinstance(watcher, SequencerHost):
            watcher.hear_clock(peer)
        epoch = peer.status_epoch()
        event = ev.EngineUp(peer.id, epoch) if peer.kind == "engine" else ev.SequencerUp(peer.id, epoch)
        watch.mute = False
        self._post(watch, event)
        self._hear_mute(watch)

    def _hear_mute(self, watch: _Watch) -> None:
        peer = watch.peer
        if watch.mute is not peer.mute:
            watch.mute = peer.mute
            self._post(watch, ev.SequencerMute(peer.id, peer.mute))

    def _down(self, watch: _Watch, reason: ev.Down) -> None:
        watch.up = False
        if reason is ev.Down.EOF:
            watch.broken_since_ns = None
        self._post(watch, self._down_event(watch, reason))
        self._look(watch.watcher, watch.peer)

    def _down_event(self, watch: _Watch, reason: ev.Down) -> ev.EngineDown | ev.SequencerDown:
        peer = watch.peer
        return ev.EngineDown(peer.id, reason) if peer.kind == "engine" else ev.SequencerDown(peer.id, reason)

    def _post(self, watch: _Watch, event: ev.Event) -> None:
        self._kernel.note(f"{watch.watcher.name} sees {event}")
        watch.watcher.post(event)
