"""Frames, records of the config and messages of a session in the field's words."""

from collections import Counter
from collections.abc import Iterable
from itertools import groupby

import numpy as np

from lockstep.replica.log import control_records
from lockstep.sequencer.config_record import ConfigRecord
from lockstep.sequencer.events import EpochCause
from lockstep.stream.batch import Batch
from lockstep.stream.codes import Code
from lockstep.stream.messages import Ack
from lockstep.stream.records import CommandKind, Commands, EventKind
from lockstep.v1 import orders_pb2


def numbers(first: int, last: int) -> str:
    """`7`, or `7..9`."""
    return str(first) if first == last else f"{first}..{last}"


def listed(members: Iterable[int]) -> str:
    """`1 2 3`, or `nobody`."""
    return " ".join(map(str, members)) or "nobody"


def commands(records: Commands) -> str:
    """`NEW_ORDER`, or `3 NEW_ORDER, CANCEL`."""
    kinds = Counter(CommandKind(kind).name for kind in records["kind"].tolist())
    return ", ".join(kind if count == 1 else f"{count} {kind}" for kind, count in kinds.items())


def stamped(batch: Batch) -> str:
    """What a batch with records brings."""
    first = control_records(batch)[0]
    match int(first["kind"]):
        case CommandKind.EPOCH_START:
            members = listed(bit for bit in range(8) if int(first["in_sync"]) >> bit & 1)
            return (
                f"EPOCH_START of epoch {int(first['epoch'])}, primary {int(first['primary'])}, in sync {members}, "
                f"{EpochCause(int(first['cause'])).name}"
            )
        case CommandKind.GROW | CommandKind.GROW_REVOKED as kind:
            return f"{CommandKind(kind).name}: engine {int(first['member'])} with journal {int(first['journal'])}"
        case _:
            return f"{commands(batch.records)}, in epoch {batch.epoch}"


def config(before: ConfigRecord | None, record: ConfigRecord) -> str:
    """A config record that was written."""
    parts = [
        f"epoch {record.epoch}",
        f"sequencer {record.sequencer}",
        f"primary {record.primary}",
        f"in sync {listed(record.in_sync)}",
    ]
    if record.founding:
        parts.append("founding")
    if record.fenced:
        parts.append(f"kept out {listed(record.fenced)}")
    if record.paused:
        parts.append("automatic failover off")
    if record.data_loss:
        parts.append("LOSS ACCEPTED")
    if before is not None and record.ack_policy != before.ack_policy:
        parts.append(f"ack policy {record.ack_policy.name}")
    return "config: " + ", ".join(parts)


def said_by_client(message: orders_pb2.SessionRequest) -> str:
    """A message of a session towards the gateway."""
    match message.WhichOneof("message"):
        case "hello":
            hello = message.hello
            return f"Hello: next number {hello.next_no}, has seen events up to seq {hello.last_seen.seq}"
        case "batch":
            batch = message.batch
            return f"numbers {numbers(batch.first_no, batch.first_no + batch.count - 1)}"
        case kind:
            return str(kind)


def said_to_client(message: orders_pb2.SessionResponse) -> str:
    """A message of a session towards the client."""
    match message.WhichOneof("message"):
        case "welcome":
            return f"Welcome: epoch {message.welcome.stamp.epoch}, credit {message.welcome.credit}"
        case "refusal":
            refusal = message.refusal
            again = "for now" if refusal.retryable else "for good"
            return f"refused from number {refusal.from_no} on {again}: {Code(refusal.code).name}"
        case "next_number":
            return f"the next number is {message.next_number.next_no}"
        case "report_batch":
            batch = message.report_batch
            rows = zip(_column(batch.seq, batch.count), _column(batch.kind, batch.count),
                       _column(batch.session_no, batch.count), strict=True)  # fmt: skip
            return "reports: " + ", ".join(_reports(list(rows)))
        case _:
            return "reports: " + ", ".join(
                _reports([(one.event_id.seq, one.kind, one.session_no) for one in message.reports.reports])
            )


def _column(values: Iterable[int], count: int) -> list[int]:
    return list(values) or [0] * count


def _reports(rows: list[tuple[int, int, int]]) -> Iterable[str]:
    for kind, group in groupby(rows, lambda row: row[1]):
        of = list(group)
        seqs = numbers(of[0][0], of[-1][0])
        yield f"{EventKind(kind).name} at seq {seqs}" + (
            f" for number {numbers(of[0][2], of[-1][2])}" if of[0][2] else ""
        )


def digest_of(ack: Ack) -> bytes:
    """The newest digest that an ACK names."""
    return bytes(np.asarray(ack.entries["digest"][-1]).tobytes())
