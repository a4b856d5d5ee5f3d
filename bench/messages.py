"""What a STREAM costs in CPU from the stamp to the journal's bytes, and other messages. `python bench/messages.py`."""

import time
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np

from lockstep.stream.arrival import decode_from
from lockstep.stream.batch import decode_batch, stamp_batch
from lockstep.stream.digest import GENESIS, next_digest
from lockstep.stream.messages import ACK_ENTRY, Ack, Receipt, Release, Stream, Submit, encode
from lockstep.stream.records import COMMAND, EVENT, CommandKind, EventKind

_RUNS: Final = 7
_NS: Final = 200_000_000
"""Of CPU, for each run."""


def cost(call: Callable[[], object]) -> float:
    """CPU ns of a call: the best of some runs."""
    rounds, spent = 1, 0
    while spent < _NS // 10:
        rounds *= 2
        spent = _spent(call, rounds)
    rounds = max(1, rounds * _NS // spent)
    return min(_spent(call, rounds) / rounds for _ in range(_RUNS))


def _spent(call: Callable[[], object], rounds: int) -> int:
    began = time.process_time_ns()
    for _ in range(rounds):
        call()
    return time.process_time_ns() - began


def _stream(count: int) -> Iterator[tuple[str, Callable[[], object]]]:
    records, events = np.zeros(count, COMMAND), bytes(EVENT.itemsize * count)
    stamp = {"epoch": 4, "first_seq": 9, "timestamp_ns": 5}
    sent = Stream(1, 4, 8, stamp_batch(records, **stamp))
    raw, journaled = encode(sent), sent.batch.raw
    yield "stamp and encode", lambda: encode(Stream(1, 4, 8, stamp_batch(records, **stamp)))
    yield "encode again, as to be sent again", lambda: encode(sent)
    yield "decode, held to its bounds", lambda: decode_from(raw, Stream, 1)
    yield "from the wire to the journal's bytes", lambda: decode_from(raw, Stream, 1).batch.raw
    yield "decode a journal's bytes", lambda: decode_batch(journaled)
    yield "digest", lambda: next_digest(GENESIS, journaled, events)


def _others(count: int) -> Iterator[tuple[str, Callable[[], object]]]:
    commands = np.zeros(count, COMMAND)
    commands["kind"], commands["gateway"] = CommandKind.NEW_ORDER, 1
    events = np.zeros(count, EVENT)
    events["kind"], events["seq"] = EventKind.ACCEPTED, np.arange(1, count + 1)
    submit, release = Submit(1, 4, 4, 1, 9, False, commands), Release(1, 4, 0, 1, count, count, events)
    yield "SUBMIT, encode", lambda: encode(submit)
    raw_submit, raw_release = encode(submit), encode(release)
    yield "SUBMIT, decode", lambda: decode_from(raw_submit, Submit, 1)
    yield "RELEASE, encode", lambda: encode(release)
    yield "RELEASE, decode", lambda: decode_from(raw_release, Release, 1)


def main() -> None:
    """Measure and print."""
    for count in (1, 512):
        for what, call in (*_stream(count), *_others(count)):
            print(f"{count:>4} records  {what:<40} {cost(call):9.0f} ns")
    ack = Ack(1, 4, 9, 7, 8, unjoined=False, rewinds=False, entries=np.zeros(1, ACK_ENTRY))
    ack.entries["last_seq"] = 9
    receipt = Receipt(1, 4, 4, 1, 100, 8, 9, opens=True, rewinds=False)
    raw_ack, raw_receipt = encode(ack), encode(receipt)
    print(f"   1 entry    {'ACK, encode':<40} {cost(lambda: encode(ack)):9.0f} ns")
    print(f"   1 entry    {'ACK, decode':<40} {cost(lambda: decode_from(raw_ack, Ack, 1)):9.0f} ns")
    print(f"              {'RECEIPT, encode':<40} {cost(lambda: encode(receipt)):9.0f} ns")
    print(f"              {'RECEIPT, decode':<40} {cost(lambda: decode_from(raw_receipt, Receipt, 1)):9.0f} ns")


if __name__ == "__main__":
    main()
