"""Commands of a journal, picked out of their batches: what `journal dump` lists. Pure."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from lockstep.ops.operator.record_json import batch_to_json, command_to_json, event_to_json
from lockstep.ops.operator.record_text import describe_command, describe_event
from lockstep.stream.batch import Batch
from lockstep.stream.records import Events


@dataclass(frozen=True, slots=True)
class Listed:
    """One command, and the batch that it stands in."""

    seq: int
    batch: Batch
    events: Events | None = None
    """What the engine had computed of it; None: not asked for, or not kept."""

    @property
    def record(self) -> Any:
        """The COMMAND record."""
        return self.batch.records[self.seq - self.batch.first_seq]

    @property
    def text(self) -> str:
        """In words."""
        return describe_command(self.record)

    def event_texts(self) -> list[str]:
        """Its events in words."""
        return [] if self.events is None else [describe_event(event) for event in self.events]

    def to_json(self) -> dict[str, object]:
        """Every field."""
        fields = command_to_json(self.record)
        row: dict[str, object] = {
            "seq": self.seq,
            "epoch": self.batch.epoch,
            "timestamp_ns": str(self.batch.timestamp_ns),
            "kind": fields["kind"],
            "command": self.text,
            "fields": fields,
        }
        if self.events is not None:
            row["events"] = [
                {"event": text, "fields": event_to_json(event)}
                for text, event in zip(self.event_texts(), self.events, strict=True)
            ]
        return row


@dataclass(slots=True)
class Listing:
    """Some commands in order, and the batches that they are of."""

    rows: list[Listed] = field(default_factory=list)
    batches: list[Batch] = field(default_factory=list)

    def to_json(self, digest: Callable[[int], bytes | None] = lambda _: None) -> dict[str, object]:
        """`digest`: the engine's after the batch that ends at a seq, if it is kept."""
        return {
            "batches": [batch_to_json(batch, digest(batch.last_seq)) for batch in self.batches],
            "commands": [row.to_json() for row in self.rows],
        }


def list_commands(
    batches: Iterable[Batch], start: int, limit: int, events: Callable[[int], Events | None] = lambda _: None
) -> Listing:
    """At most `limit` commands from seq `start` on. `events`: those of the batch that begins at a seq."""
    listing = Listing()
    for batch in batches:
        seqs = range(max(start, batch.first_seq), batch.last_seq + 1)[: max(0, limit - len(listing.rows))]
        if not seqs:
            if batch.first_seq >= start:
                break
            continue
        listing.batches.append(batch)
        kept = events(batch.first_seq)
        listing.rows += [Listed(seq, batch, None if kept is None else kept[kept["seq"] == seq]) for seq in seqs]
    return listing
