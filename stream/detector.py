"""Decides when silence means failure: a heartbeat deadline that follows the gaps really seen. Pure.

A fixed deadline is wrong on one of two sides: too short on a busy host, where it accuses peers that were only waiting
for a core, or too long on a calm one. Here the deadline is a multiple of the largest recent gap, which rises at once
and decays slowly, between a floor and a cap.

The watcher may itself have been stopped (a busy core, SIGSTOP, a suspended machine). Time in which it could not look
is no evidence against a peer: `note_tick` and `on_self_pause` take it out of the account.
"""

from __future__ import annotations

_DECAY_SHIFT = 4  # the remembered peak loses a sixteenth per heartbeat: half of it in eleven


class HeartbeatDetector:
    """The deadline for one peer's next heartbeat. All times in ns of one monotonic clock, integers only.

    `interval_ns` is how often the peer sends; `floor_ns` and `cap_ns` bound the silence that is tolerated; `factor`
    multiplies the largest recent gap. `pause_ns` is the gap between the watcher's own ticks from which the watcher
    counts as paused.
    """

    __slots__ = ("_cap_ns", "_excused_ns", "_factor", "_floor_ns", "_last_ns", "_pause_ns", "_peak_ns", "_tick_ns")

    def __init__(
        self,
        *,
        interval_ns: int,
        floor_ns: int,
        factor: int = 4,
        cap_ns: int = 250_000_000,
        pause_ns: int | None = None,
    ) -> None:
        """Raises ValueError where the numbers contradict each other."""
        if interval_ns <= 0 or factor < 1:
            raise ValueError(f"interval_ns ({interval_ns}) and factor ({factor}) must be positive")
        if not interval_ns < floor_ns <= cap_ns:
            raise ValueError(f"need interval_ns < floor_ns <= cap_ns, not {interval_ns}, {floor_ns}, {cap_ns}")
        self._floor_ns = floor_ns
        self._factor = factor
        self._cap_ns = cap_ns
        self._pause_ns = floor_ns // 2 if pause_ns is None else pause_ns
        self._peak_ns = interval_ns  # >= 0: the largest recent gap, decayed
        self._last_ns: int | None = None  # last evidence of life; None: not armed
        self._tick_ns: int | None = None  # the watcher's last tick
        self._excused_ns = 0  # >= 0: the watcher's own pauses since `_last_ns`

    @property
    def timeout_ns(self) -> int:
        """The silence tolerated now: between floor and cap."""
        return min(self._cap_ns, max(self._floor_ns, self._factor * self._peak_ns))

    @property
    def deadline_ns(self) -> int | None:
        """When silence becomes failure; None before `arm` or the first heartbeat."""
        return None if self._last_ns is None else self._last_ns + self._excused_ns + self.timeout_ns

    def arm(self, now_ns: int) -> None:
        """Starts to wait for a heartbeat, with nothing learnt from the time before (a new connection)."""
        self._last_ns = now_ns
        self._excused_ns = 0

    def on_heartbeat(self, now_ns: int) -> int:
        """A heartbeat arrived. The gap before it is learnt, unless it was so long that it was a failure.

        Returns the gap in ns, the watcher's own pauses left out; 0 for the first.
        """
        gap_ns = 0
        if self._last_ns is not None:
            gap_ns = max(0, now_ns - self._last_ns - self._excused_ns)
            decayed_ns = self._peak_ns - (self._peak_ns >> _DECAY_SHIFT)
            self._peak_ns = decayed_ns if gap_ns > self._cap_ns else max(decayed_ns, gap_ns)
        self.arm(now_ns)
        return gap_ns

    def note_tick(self, now_ns: int) -> int:
        """The watcher looks now. Call it once per poll, before `expired`. Returns the pause found, in ns, or 0."""
        gap_ns = 0 if self._tick_ns is None else now_ns - self._tick_ns
        self._tick_ns = now_ns
        if gap_ns < self._pause_ns:
            return 0
        self.on_self_pause(gap_ns)
        return gap_ns

    def on_self_pause(self, gap_ns: int) -> None:
        """The watcher could not look for `gap_ns`: the deadline moves by as much."""
        self._excused_ns += gap_ns

    def expired(self, now_ns: int) -> bool:
        """True if the peer has been silent beyond its deadline. Feed what has arrived before asking."""
        deadline_ns = self.deadline_ns
        return deadline_ns is not None and now_ns > deadline_ns
