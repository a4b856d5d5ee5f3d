"""Pauses before a new try: they double up to a bound, and half of each is chance: clients don't come in step."""

from typing import Final

_MILLION: Final = 1_000_000
_MASK: Final = 2**64 - 1


def spread(identity: int, turn: int) -> int:
    """A number of 0..999 999 that looks like chance, from session to session and from turn to turn.

    The session machine is pure and throws no dice; the ids of sessions differ by chance, which is all that is needed.
    """
    # The mixing steps of SplitMix64.
    mixed = (identity + turn * 0x9E3779B97F4A7C15) & _MASK
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & _MASK
    return (mixed ^ mixed >> 31) % _MILLION


def pause_s(first_s: float, most_s: float, tries: int, chance: float) -> float:
    """Seconds to wait after `tries` failed tries (0: the first has just failed). `chance`: 0.0 to 1.0."""
    return min(first_s * 2.0 ** min(tries, 20), most_s) * (0.5 + chance / 2)


class Patience:
    """How soon a connection whose gateway is silent is abandoned: one for each gateway. Pure; seconds of one clock.

    On a host that is not starved half a second distinguishes a dead gateway from a live one. After a connection was
    abandoned for silence, the next gets more time: with many clients on a busy host, giving up too soon makes the work
    (new connections, sessions opened anew) that keeps the host busy.
    """

    STEPS: Final = ((500, 500), (1000, 2000), (2000, 5000))
    """Milliseconds: a ping after so long without any message, and so long for its answer."""

    def __init__(self, now_s: float) -> None:
        self._step = 0
        self._since_s = now_s

    @property
    def ping_ms(self) -> tuple[int, int]:
        """What holds for a connection that is made now; see `STEPS`."""
        return self.STEPS[self._step]

    def on_silence(self, now_s: float) -> bool:
        """A stream ended because its gateway was silent; whether the next connection is to get more time.

        Many streams of one connection end at once; they count once.
        """
        first_possible_s = self._since_s + sum(self.ping_ms) / 1000
        if self._step == len(self.STEPS) - 1 or now_s < first_possible_s:
            return False
        self._step += 1
        self._since_s = now_s
        return True
