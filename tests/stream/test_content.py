"""What is content of a command and what is not, and that both engines keep the same of it."""

import numpy as np
import pytest

from lockstep.engine.native import NativeEngine
from lockstep.engine.reference import ReferenceEngine
from lockstep.stream.content import NO_CONTENT, contents_of
from lockstep.stream.records import ADMIN, COMMAND, LIMITS, SETTING, CommandKind

NAMES = tuple(COMMAND.names or ())
ORDER = {"account", "client_order_id"}
WANTED = {
    CommandKind.NEW_ORDER: {
        *ORDER, "kind", "side", "order_type", "tif", "stp", "flags", "instrument", "price_ticks", "stop_price_ticks",
        "quantity_lots", "display_lots", "min_lots", "expire_ns", "trail_ticks", "parent_id",
    },
    CommandKind.CANCEL: {*ORDER, "kind", "order_id"},
    CommandKind.REPLACE: {*ORDER, "kind", "flags", "order_id", "price_ticks", "stop_price_ticks", "quantity_lots"},
    CommandKind.MASS_CANCEL: {"kind", "side", "flags", "account", "instrument", "order_id"},
    CommandKind.ADJUST_CASH: set(NAMES) - {"gateway", "session_id", "session_no", "received_ns", "tag"},
}  # fmt: skip


def content(row):
    (value,) = contents_of(row).tolist()
    return value


@pytest.mark.parametrize("kind", WANTED)
def test_each_field_that_an_engine_reads_is_content_and_no_other(kind):
    pick = np.random.default_rng(kind)
    for _ in range(20):
        row = np.frombuffer(pick.bytes(COMMAND.itemsize), dtype=COMMAND).copy()
        row["kind"] = kind
        changed = set()
        for name in NAMES:
            other = row.copy()
            # The kinds beside it: another content in any case.
            other[name] = other[name] ^ other[name].dtype.type(1 << int(pick.integers(0, 8)))
            if name == "kind" and other["kind"] in (CommandKind.REFUSED, kind):
                continue
            if content(other) != content(row):
                changed.add(name)
        assert changed | {"kind"} == WANTED[kind]


def test_every_single_bit_of_content_counts():
    row = np.zeros(1, dtype=COMMAND)
    row["kind"] = CommandKind.NEW_ORDER
    seen = {content(row)}
    for name in sorted(WANTED[CommandKind.NEW_ORDER] - {"kind"}):
        for bit in range(8 * row.dtype[name].itemsize):
            other = row.copy()
            raw = other[name].view(f"u{row.dtype[name].itemsize}")
            raw |= raw.dtype.type(1 << bit)
            seen.add(content(other))
    assert len(seen) == 1 + sum(8 * row.dtype[name].itemsize for name in WANTED[CommandKind.NEW_ORDER] - {"kind"})


@pytest.mark.parametrize(
    ("layout", "kind", "field"),
    [
        (ADMIN, CommandKind.DEFINE_ACCOUNT, "name"),
        (ADMIN, CommandKind.DEFINE_INSTRUMENT, "lot_units"),
        (SETTING, CommandKind.SET_PHASE, "next_value"),
        (LIMITS, CommandKind.SET_RISK_LIMITS, "max_concentration_ppm"),
    ],
)
def test_fields_of_overlays_are_content_too(layout, kind, field):
    row = np.zeros(1, dtype=layout)
    row["kind"] = kind
    other = row.copy()
    other[field] = 1
    assert content(row.view(COMMAND)) != content(other.view(COMMAND))


def test_what_a_gateway_could_not_pass_on_has_no_content():
    row = np.zeros(1, dtype=COMMAND)
    row["kind"], row["tag"], row["account"] = CommandKind.REFUSED, 1006, 5
    assert content(row) == NO_CONTENT != content(np.zeros(1, dtype=COMMAND))


def test_an_empty_batch_has_no_contents():
    assert contents_of(np.zeros(0, dtype=COMMAND)).tolist() == []


def test_both_engines_keep_the_same_content_of_any_bytes():
    """Each command in a session of its own, so that the snapshot holds what is kept of it."""
    rows = np.frombuffer(np.random.default_rng(5).bytes(COMMAND.itemsize * 1_500), dtype=COMMAND).copy()
    rows["kind"][:1_000] = np.tile(np.arange(1, 6), 200)
    rows["kind"][1_000:] %= 192
    rows["session_id"] = np.arange(1, len(rows) + 1)
    rows["session_no"] = 1
    engines = ReferenceEngine(), NativeEngine()
    delivered = [engine.apply(rows, first_seq=1, timestamp_ns=5).tobytes() for engine in engines]
    assert delivered[0] == delivered[1]
    assert engines[0].snapshot() == engines[1].snapshot()
    again = [engine.apply(rows, first_seq=len(rows) + 1, timestamp_ns=5)["kind"].tolist() for engine in engines]
    assert again[0] == again[1] == [8] * len(rows)
