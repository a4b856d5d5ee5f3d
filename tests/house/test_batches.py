"""A batch is encoded in one place, no field has two meanings, and docs/protocol.md has the layouts as they are."""

import ast
import dataclasses
import re

import numpy as np
from crc32c import crc32c

from lockstep.stream import batch, messages
from lockstep.stream.records import COMMAND, LAYOUT_VERSION
from tests.house.core import ROOT
from tests.house.test_rooms import modules

from .syntax import nodes

STAMPS = {
    "sequencer/window.py": "the sequencer stamps",
    "ops/operator/record_json.py": "a journal's entry made again from a dump, for whoever rebuilds one",
}
"""Who may call `stamp_batch`, beside those that play a sequencer: trials, benchmarks and tests."""
PLAYERS = ("trials", "bench", "tests")
PROTOCOL = (ROOT / "docs" / "protocol.md").read_text()


def _calls(name: str) -> set[str]:
    """Modules that call a function or class of this name."""
    found = set()
    for path in modules().values():
        for node in nodes(path):
            if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == name:
                found.add(path.relative_to(ROOT).as_posix())
    return {path for path in found if not path.startswith(PLAYERS)}


def test_nobody_but_the_sequencer_that_stamps_a_batch_encodes_one() -> None:
    assert _calls("stamp_batch") == set(STAMPS)
    assert _calls("Batch") == {"stream/batch.py"}


def test_nobody_makes_a_batch_whose_fields_are_not_those_of_its_bytes() -> None:
    """`dataclasses.replace` would leave `raw` as it was."""
    stamp = {"first_seq", "timestamp_ns", "records", "raw"}
    for path in modules().values():
        for node in nodes(path):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "replace":
                assert not stamp & {keyword.arg for keyword in node.keywords}, f"{path}:{node.lineno}"


def test_the_journal_is_given_the_bytes_of_the_batch() -> None:
    journal = (ROOT / "replica" / "journal.py").read_text()
    assert "stamped.raw" in journal
    assert not re.search(r"\b(encode|stamp_batch|pack)\(.*batch", journal)


def test_no_field_of_a_message_is_named_for_nothing() -> None:
    kinds = [batch.Batch, *messages.LAYOUTS]
    names = {one.name for kind in kinds for one in dataclasses.fields(kind)}
    assert not names & {"aux", "flags", "extra", "value", "data", "field"}
    for path in modules().values():
        if path.relative_to(ROOT).parts[0] in ("stream", "replica", "gateway"):
            assert not re.search(r"\baux\b", path.read_text()), path


def _table(title: str) -> list[tuple[str, str]]:
    """(Field, type) of a table of docs/protocol.md."""
    _, found, rest = PROTOCOL.partition(f"| {title}: field | type | holds |\n| --- | --- | --- |\n")
    assert found, f"docs/protocol.md has no table of {title}"
    rows = rest.split("\n\n")[0].splitlines()
    return [(cells[1].strip(" `"), cells[2].strip()) for cells in (row.split("|") for row in rows)]


def test_the_tables_of_messages_are_true() -> None:
    assert _table("message") == list(messages.PREFIX)
    for layout in messages.LAYOUTS.values():
        assert _table(f"{layout.name} ({layout.kind}, version {layout.version})") == list(layout.fields)
        if layout.payload is not None:
            sizes = {"SUBMIT": "commands", "ACK": f"entries of {layout.payload.itemsize} bytes", "RELEASE": "events"}
            assert f"Its payload is {sizes[layout.name]}" in PROTOCOL
    assert np.dtype([("last_seq", "<u8"), ("digest", "V16")]) == messages.ACK_ENTRY


def test_the_table_of_the_batch_is_true() -> None:
    """The order, types and offsets of its header, read from a batch whose fields are all different."""
    widths = {"u16": 2, "u32": 4, "u64": 8, "i64": 8}
    table = _table(f"batch (version {batch.BATCH_VERSION})")
    assert sum(widths[type_] for _, type_ in table) == batch.HEADER_SIZE
    raw = batch.stamp_batch(np.zeros(3, COMMAND), epoch=5, first_seq=7, timestamp_ns=-9).raw
    read, at = {}, 0
    for name, type_ in table:
        read[name] = int.from_bytes(raw[at : at + widths[type_]], "little", signed=type_ == "i64")
        at += widths[type_]
    crc = read.pop("crc")
    assert read == {
        "magic": int.from_bytes(b"LKSB", "little"),
        "version": batch.BATCH_VERSION,
        "records_version": LAYOUT_VERSION,
        "count": 3,
        "epoch": 5,
        "first_seq": 7,
        "timestamp_ns": -9,
    }
    assert crc == crc32c(raw[8:])
