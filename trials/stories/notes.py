"""What the simulated processes note, as lines of a story; what they send says most of it better."""

import re
from ast import literal_eval
from typing import Final

Line = tuple[str, str, str]
"""Kind of process, its number, what it does."""

_SUBJECT: Final = re.compile(r"(sequencer|engine|gateway|client)-(\d+)(?:'s|:)? (.+)")
_DOWN: Final = re.compile(r"sees (Engine|Sequencer)Down\(\w+=(\d+), reason=<Down.\w+: '(\w+)'>\)")
_DIGEST: Final = re.compile(r"\b[0-9a-f]{32}\b")
_HOW: Final = {"eof": "its link ended", "hang": "it is silent", "unreached": "never reached"}
_MUTE: Final = re.compile(r"sees SequencerMute\(sequencer=(\d+), mute=(True|False)\)")
_WORDS: Final = {
    "dies": "is killed",
    "pauses": "stands still",
    "goes on": "goes on",
    "hears CasAmbiguous": "hears from etcd: unknown whether the swap was done",
    "hears CasLost": "hears from etcd: another was faster",
    "hears StoreDown": "hears that etcd cannot be reached",
}
_DROPPED: Final = (
    "hears", "sees", "claiming the cluster", "config swap", "config changed", "stepping down", "engine lost", "open {",
    "HALTED", "learner ", "in-sync engines did not answer", "has replayed", "restored",
    "new leading sequencer",
)  # fmt: skip


def in_words(text: str) -> Line | None:
    """A line for the transcript; None: not worth one."""
    found = _SUBJECT.fullmatch(text)
    if found is None:
        return None
    kind, number, what = found.groups()
    event = _seen(what)
    if event is None and what.startswith(_DROPPED):
        return None
    return kind, number, _DIGEST.sub("(digest)", event or _with_fields(what))


def _with_fields(what: str) -> str:
    text, brace, fields = what.partition(" {")
    if not brace:
        return what
    values = literal_eval("{" + fields)
    shown = ", ".join(f"{name} {value}" for name, value in values.items() if value not in ("", "()"))
    return f"{text} ({shown})" if shown else text


def _seen(what: str) -> str | None:
    if what in _WORDS:
        return _WORDS[what]
    if down := _DOWN.fullmatch(what):
        return f"sees that {down[1].lower()} {down[2]} is down: {_HOW[down[3]]}"
    if mute := _MUTE.fullmatch(what):
        return f"hears that sequencer {mute[1]} {'has lost its' if mute[2] == 'True' else 'has a'} media driver"
    return None
