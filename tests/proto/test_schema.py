"""The generator of proto/: what contradicts itself is refused, and what is stale is named."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def proto(tmp_path: Path) -> Path:
    """The schema and its generator, in a tree of their own."""
    for name in ("proto", "stream", "docs", "clients/python/lockstep", "engine"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "proto"


def _change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def _generate(proto: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(proto / "generate.py"), *arguments], capture_output=True, text=True, check=False
    )


def test_a_new_field_of_a_command_is_in_every_file_after_one_run(proto: Path) -> None:
    _change(proto / "records.toml", '_reserved2 = "reserved 40"', 'limit_ticks = "i64"\n_reserved2 = "reserved 32"')
    stale = _generate(proto, "--check")
    assert stale.returncode == 1
    carriers = ("stream/layouts.py", "engine/native/include/lockstep/records.hpp", "docs/records.md")
    for name in carriers:
        assert name in stale.stderr
    assert _generate(proto).returncode == 0
    for name in carriers:
        assert "limit_ticks" in (proto.parent / name).read_text()
    assert _generate(proto, "--check").returncode == 0


def test_a_new_column_is_in_the_protocol_and_in_the_client(proto: Path) -> None:
    _change(
        proto / "columns.toml",
        '"trail_ticks", "tag",\n  "parent_id",\n]',
        '"trail_ticks", "tag",\n  "parent_id", "received_ns",\n]',
    )
    assert _generate(proto).returncode == 0
    for name, line in (
        ("proto/lockstep/v1/orders.proto", "repeated sfixed64 received_ns = 22;"),
        ("proto/lockstep/wire/v1/columns.proto", "bytes received_ns = 22;"),
        ("clients/python/lockstep/rows.py", "    received_ns: int = 0"),
    ):
        assert line in (proto.parent / name).read_text()


@pytest.mark.parametrize(
    ("file", "old", "new", "text"),
    [
        (
            "records.toml",
            '_reserved2 = "reserved 40"',
            '_reserved2 = "reserved 41"',
            "SETTING has 129 bytes instead",
        ),
        ("records.toml", '_reserved2 = "reserved 40"', '_reserved2 = "u33"', "_reserved2 is 'u33'; a type is u8"),
        ("records.toml", 'CANCEL = ["account"', 'CANCEL = ["acount"', "CANCEL reads acount, which is no field of it"),
        ("enums.toml", 'public = ["NEW_ORDER"', 'public = ["NEW_ORDR"', "public has NEW_ORDR, which is no value of it"),
        ("enums.toml", 'protobuf = "common"', 'protobuf = "comon"', "protobuf is 'comon'"),
        ("enums.toml", "ADJUST_CASH = 66", "ADJUST_CASH = 65", "2 values have the number 65"),
        ("enums.toml", "ADJUST_CASH = 66", "ADJUST_CASH = 449", "ADJUST_CASH is 449, no number of 8 bits"),
        ("enums.toml", "ADJUST_CASH = 66", 'ADJUST_CASH = "66"', "ADJUST_CASH is '66', no number"),
        ("codes.toml", "SESSION_GAP = 1101", "SESSION_GAP = 1201", "SESSION_GAP is 1201, outside the stage 1100-1199"),
        ("columns.toml", 'enum = "Side"', 'enum = "Syde"', "side is of enum Syde, which there is not"),
        ("columns.toml", 'index = "u32"', 'index = "text 8"', "index is text 8, and a column is a number"),
        ("columns.toml", '"tif", "stp"', '"tif", "tif", "stp"', "tif stands there twice"),
        ("columns.toml", 'client_order_id = "Unique', 'client_ordr = "Unique', "a note for client_ordr"),
        ("columns.toml", 'note = "Stamped', 'nota = "Stamped', "timestamp_ns says nota"),
        ("records.toml", "REFUSED = []\n", "", "not every CommandKind has one record"),
        ("records.toml", '"GROWN", ', "", "not every EventKind has one record"),
        ("columns.toml", '"tif", "stp"', '"time", "stp"', "columns.toml: time: no field of COMMAND"),
    ],
)
def test_a_schema_that_contradicts_itself_is_refused(proto: Path, file: str, old: str, new: str, text: str) -> None:
    _change(proto / file, old, new)
    before = (proto.parent / "stream/layouts.py").read_text()
    failed = _generate(proto)
    assert failed.returncode == 2
    assert text in failed.stderr
    assert "Traceback" not in failed.stderr
    assert (proto.parent / "stream/layouts.py").read_text() == before


def test_a_word_that_it_does_not_know_writes_nothing(proto: Path) -> None:
    layouts = proto.parent / "stream/layouts.py"
    layouts.write_text("by hand")
    failed = _generate(proto, "--chek")
    assert (failed.returncode, failed.stderr) == (2, "usage: generate.py [--check]\n")
    assert layouts.read_text() == "by hand"
