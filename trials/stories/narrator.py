"""Writes a story down: when, who, what. Lines of one kind of process that say the same become one line."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from lockstep.trials.simulation.kernel import MS, US, Kernel

_TOGETHER_NS: Final = 1_500 * US
_LOOK_BACK: Final = 6
_WIDTH: Final = 120


@dataclass(slots=True)
class _Line:
    at_ns: int
    kind: str
    who: list[str]
    text: str


class Narrator:
    """Silent until `begin`."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._lines: list[_Line] = []
        self._began_ns: int | None = None
        self.before: Callable[[], None] = lambda: None
        """Done before each line: what has changed by itself is written first."""
        self._telling = False

    def begin(self) -> None:
        """The story starts here: time 0."""
        self._began_ns = self._kernel.now_ns

    def tell(self, kind: str, who: str, text: str) -> None:
        """One line; `who` is the member's number, empty for what has none."""
        now_ns = self._kernel.now_ns
        if self._began_ns is None:
            return
        if not self._telling:
            self._telling = True
            self.before()
            self._telling = False
        for line in reversed(self._lines[-_LOOK_BACK:]):
            if line.kind != kind or now_ns - line.at_ns > _TOGETHER_NS:
                break
            if line.text == text:
                line.who += [who] if who not in line.who else []
                return
        self._lines.append(_Line(now_ns, kind, [who], text))

    def text(self) -> str:
        """All lines: milliseconds, who, what."""
        began_ns = self._began_ns or 0
        rows = []
        for line in self._lines:
            names = " ".join((line.kind, ",".join(sorted(line.who)))).strip()
            text = line.text if len(line.text) <= _WIDTH else f"{line.text[: line.text.rindex(' ', 0, _WIDTH)]} ..."
            rows.append(f"{(line.at_ns - began_ns) / MS:8.1f}  {names:<16}{text}")
        return "\n".join(rows) + "\n"
