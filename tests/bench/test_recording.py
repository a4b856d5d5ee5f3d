"""What a replay makes of the reports that come back."""

import csv
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from lockstep.bench.replay.recording import Recording, TradedInstrument
from lockstep.columns import ReportColumns, report_columns
from lockstep.enums import EventKind, Side
from lockstep.runtime.output import Output, WriteFault

INSTRUMENTS = {1: TradedInstrument("ABC", 10_000, 10)}
FIRST = 3


def batch(*rows: dict[str, int], epoch: int = 7) -> ReportColumns:
    names = {name for row in rows for name in row}
    return report_columns(epoch, 0, {name: [row.get(name, 0) for row in rows] for name in names}, len(rows))


def accepted(seq: int, number: int) -> dict[str, int]:
    return {"seq": seq, "kind": EventKind.ACCEPTED, "session_no": number}


def trade(seq: int, leg: int, client_order_id: int, index: int = 1) -> dict[str, int]:
    fields = {"seq": seq, "index": index, "leg": leg, "kind": EventKind.TRADE, "client_order_id": client_order_id}
    # The taker sells: each leg names its own side.
    fields |= {"side": Side.BUY if leg else Side.SELL, "timestamp_ns": 1_700_000_000_000_000_000 + seq}
    return fields | {"instrument": 1, "price_ticks": 1234, "quantity_lots": 5}


@contextmanager
def recording(**paths: Path) -> Iterator[Recording]:
    with ExitStack() as stack:
        streams = {}
        for name, path in paths.items():
            output = Output(f"--{name}", str(path))
            output.check()
            streams[name] = stack.enter_context(output.stream())
        made = Recording(INSTRUMENTS, first_no=FIRST, **streams)
        made.sent.add(FIRST, 1_000_000)
        yield made
        made.close_fill()


def test_both_legs_of_a_trade_make_one_fill_with_the_files_ids(tmp_path: Path) -> None:
    out = tmp_path / "fills.csv"
    with recording(fills=out) as found:
        found.on_batch(batch(accepted(5, FIRST), trade(5, 0, 2**64 - 1)), 2_000_000)
        found.on_batch(batch(trade(5, 1, 41), trade(5, 0, 2**64 - 1, index=2), trade(5, 1, 42, index=2)), 2_000_000)
    rows = list(csv.DictReader(out.open()))
    assert [(r["event_id"], r["taker_order_id"], r["maker_order_id"]) for r in rows] == [
        ("5-1", "0", "41"),
        ("5-2", "0", "42"),
    ]
    assert rows[0] | {"event_id": "", "taker_order_id": "", "maker_order_id": ""} == {
        "event_id": "",
        "seq": "5",
        "epoch": "7",
        "instrument": "ABC",
        "taker_order_id": "",
        "maker_order_id": "",
        "price": "12.34",
        "quantity": "50",
        "side": "S",
        "time_ns": "1700000000000000005",
    }
    assert (found.fills, found.filled_units) == (2, 100)


def test_side_of_somebody_elses_order_stays_empty(tmp_path: Path) -> None:
    out = tmp_path / "fills.csv"
    with recording(fills=out) as found:
        found.on_batch(batch(trade(5, 1, 41)), 0)
        found.on_batch(batch(trade(6, 0, 42)), 0)
    rows = list(csv.DictReader(out.open()))
    assert [(r["taker_order_id"], r["maker_order_id"]) for r in rows] == [("", "41"), ("42", "")]
    assert [r["side"] for r in rows] == ["S", "S"]


def test_repeat_and_gap_are_counted() -> None:
    with recording() as found:
        found.on_batch(batch(accepted(5, FIRST), accepted(6, FIRST + 1)), 2_000_000)
        assert (found.duplicates, found.gaps) == (0, 0)
        found.on_batch(batch(accepted(6, FIRST + 1)), 2_000_000)
        found.on_batch(batch(accepted(9, FIRST + 4)), 2_000_000)
    assert found.duplicates == 1
    assert found.gaps == 2


def test_definitions_before_the_file_do_not_count() -> None:
    with recording() as found:
        found.on_batch(batch(accepted(1, FIRST - 1)), 2_000_000)
        found.on_batch(batch(accepted(2, FIRST)), 2_000_000)
    assert (found.acknowledged, found.gaps) == (1, 0)


def test_latency_counts_from_the_send_of_the_commands_own_chunk() -> None:
    with recording() as found:
        found.sent.add(FIRST + 1, 3_000_000)
        found.on_batch(batch(accepted(5, FIRST), accepted(6, FIRST + 1)), 3_500_000)
    assert found.latency_us()["max"] in range(2400, 2600)
    assert found.latency_us()["p50"] in range(490, 510)


def test_an_outcome_behind_what_fell_due_before_it_counts() -> None:
    with recording() as found:
        expired = {"seq": 5, "kind": EventKind.CANCELED, "leg": 1, "code": 4008}
        found.on_batch(batch(expired, accepted(5, FIRST) | {"index": 1}), 2_000_000)
        found.on_batch(batch(accepted(6, FIRST + 1), trade(6, 0, 9) | {"session_no": FIRST + 1}), 2_000_000)
    assert (found.acknowledged, found.gaps, found.duplicates) == (2, 0, 0)


def test_a_command_of_many_reports_counts_once_in_however_many_batches() -> None:
    with recording() as found:
        for index in range(4):
            canceled = {"seq": 5, "index": index, "kind": EventKind.CANCELED, "session_no": FIRST}
            found.on_batch(batch(canceled), 2_000_000)
    assert (found.acknowledged, found.gaps, found.duplicates) == (1, 0, 0)


def test_refusals_are_counted_by_name() -> None:
    with recording() as found:
        found.on_batch(batch({"seq": 5, "kind": EventKind.REJECTED, "code": 3002, "session_no": FIRST}), 2_000_000)
    assert found.refusals == {"INSUFFICIENT_CASH": 1}


def test_every_report_is_written(tmp_path: Path) -> None:
    out = tmp_path / "reports.csv"
    with recording(reports=out) as found:
        found.on_batch(batch(accepted(5, FIRST), trade(5, 0, 9)), 2_000_000)
    rows = list(csv.DictReader(out.open()))
    assert [row["event_id"] for row in rows] == ["5-0", "5-1"]
    assert rows[1]["client_order_id"] == "9"
    assert [(row["kind"], row["side"], row["reason"]) for row in rows] == [("ACCEPTED", "", ""), ("TRADE", "S", "")]
    assert rows[0]["epoch"] == "7"
    assert np.array([int(row["seq"]) for row in rows]).tolist() == [5, 5]


def test_a_full_disk_is_kept_as_the_fault_and_the_rest_is_still_counted() -> None:
    full = Output("--reports", "/dev/full")
    full.check()
    stream = full.stream()
    found = Recording(INSTRUMENTS, first_no=FIRST, reports=stream)
    found.sent.add(FIRST, 1_000_000)
    for start in range(0, 5000, 1000):
        rows = [accepted(5 + at, FIRST + at) for at in range(start, start + 1000)]
        found.on_batch(batch(*rows), 2_000_000)
    stream.discard()
    assert isinstance(found.fault, WriteFault)
    assert "No space left on device; choose another --reports" in str(found.fault)
    assert (found.acknowledged, found.gaps) == (5000, 0)
