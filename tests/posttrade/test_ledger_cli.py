"""`lockstep ledger` and `lockstep audit` on the command line: what they print, write, and refuse."""

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from lockstep.ops.cli.main import cli
from lockstep.posttrade.audit.manifest import signing_key
from lockstep.posttrade.audit.trail import AuditTrail
from lockstep.posttrade.ledger.place import SqlitePlace
from lockstep.posttrade.ledger.queries import view_of
from lockstep.posttrade.ledger.sink import LedgerSink
from tests.posttrade.flows import history

MADE = history(21, 300)


@pytest.fixture(scope="module")
def directory(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("cli")
    place = SqlitePlace(directory / "ledger")
    sink = LedgerSink(place.open(1))
    trail = AuditTrail(directory / "trail", signing_key(directory / "key.pem"), segment_commands=300)
    for chunk in MADE.chunks(30):
        sink.apply(chunk)
        trail.apply(chunk)
    sink.close()
    trail.close()
    return directory


def said(*arguments: object, code: int = 0) -> str:
    done = CliRunner().invoke(cli, [str(argument) for argument in arguments], standalone_mode=False)
    # What a command returns is its exit code; what it raises says its own.
    found = getattr(done.exception, "exit_code", 1) if done.exception else done.return_value
    said = done.output + (done.exception.format_message() if isinstance(done.exception, click.ClickException) else "")
    assert found == code, said
    return said


def test_portfolio_says_what_the_engine_has(directory):
    account = MADE.engine.account(1)
    assert account is not None
    content = json.loads(said("ledger", "portfolio", 1, "--data-dir", directory / "ledger", "--json", "-"))
    assert content["cash"] == account.cash_micros
    assert {one["instrument"]: one["lots"] for one in content["holdings"]} == {
        one.instrument: one.quantity_lots for one in account.positions
    }
    text = said("ledger", "portfolio", 1, "--data-dir", directory / "ledger", "--fifo")
    assert "buying power" in text
    assert "without bound" in text


def test_orders_go_on_where_the_cursor_says(directory):
    common = ("--data-dir", directory / "ledger", "--limit", 5, "--json", "-")
    first = json.loads(said("ledger", "orders", 1, *common))
    second = json.loads(said("ledger", "orders", 1, *common, "--cursor", first["next_cursor"]))
    assert len(first["rows"]) == 5
    assert max(row["order_id"] for row in second["rows"]) < min(row["order_id"] for row in first["rows"])
    life = said("ledger", "order", first["rows"][0]["order_id"], "--data-dir", directory / "ledger")
    assert "ACCEPTED" in life or "REJECTED" in life
    assert "none that a ledger gave" in said("ledger", "orders", 1, *common, "--cursor", "x", code=2)


@pytest.mark.parametrize("command", ["trades", "days", "orders"])
def test_histories_are_shown_to_people(directory, command):
    assert said("ledger", command, 2, "--data-dir", directory / "ledger").count("\n") > 3


def test_lots_explain_a_position(directory):
    assert "closings, newest first" in said("ledger", "lots", 1, 7, "--data-dir", directory / "ledger")


def test_instruments_are_named_by_symbol_or_number(directory):
    common = (2, "--data-dir", directory / "ledger")
    rows = json.loads(said("ledger", "trades", *common, "--json", "-"))["rows"]
    number = rows[0]["instrument"]
    with view_of(SqlitePlace(directory / "ledger").reader(1)) as view:
        symbol = view.instruments()[number].symbol
    by_number = said("ledger", "trades", *common, "--instrument", number)
    assert said("ledger", "trades", *common, "--instrument", symbol) == by_number
    assert said("ledger", "lots", 2, symbol, *common[1:]) == said("ledger", "lots", 2, number, *common[1:])
    for wrong in ("NONE", "4242", "9" * 5000):
        assert "this ledger has no instrument" in said("ledger", "orders", *common, "--instrument", wrong, code=2)


@pytest.mark.parametrize("form", ["text", "csv", "json", "pdf"])
def test_statements_are_written_in_every_form(directory, tmp_path, form):
    out = tmp_path / "statement"
    said("ledger", "statement", 1, "--data-dir", directory / "ledger", "--format", form, "--out", out)
    content = out.read_bytes()
    begins = {"text": b"account", "csv": b"time,event", "json": b"{", "pdf": b"%PDF-"}
    assert content.startswith(begins[form])
    if form == "pdf":
        # Not one byte is changed on the way into the file.
        place = int(content[content.rindex(b"startxref") + 9 :].split()[0])
        assert content[place:].startswith(b"xref")


def test_a_statement_of_an_account_that_is_not_there_is_refused(directory):
    assert "no account 77" in said("ledger", "statement", 77, "--data-dir", directory / "ledger", code=1)
    assert "name it with --out" in said(
        "ledger", "statement", 1, "--data-dir", directory / "ledger", "--format", "pdf", code=2
    )
    assert "there is no ledger" in said("ledger", "portfolio", 1, "--data-dir", directory / "nowhere", code=1)


@pytest.mark.parametrize("time", ["2500-01-01", "9223372036854775808", "9" * 5000, "1969-12-31"])
def test_times_that_64_bits_do_not_hold_are_refused(directory, time):
    for option in ("--from", "--to"):
        for command in ("statement", "trades", "days"):
            text = said("ledger", command, 1, "--data-dir", directory / "ledger", option, time, code=2)
            assert "write a time from 1970 to 2262" in text


def test_a_period_that_is_not_over_is_said(directory):
    common = ("ledger", "statement", 1, "--data-dir", directory / "ledger")
    assert "more may come into the period" in said(*common, "--to", "2262-01-01")
    assert json.loads(said(*common, "--to", "2262-01-01", "--format", "json"))["over"] is False
    assert "more may come" not in said(*common)
    assert "more may come" not in said(*common, "--to", MADE.batches[-1].timestamp_ns)


def test_status_shows_digests_and_export_writes_all(directory):
    content = json.loads(said("ledger", "status", "--digest", "--data-dir", directory / "ledger", "--json", "-"))
    assert content["seq"] == MADE.engine.last_seq
    assert len(content["digests"]["entries"]) == 64
    assert " open Assets:A1:Cash" in said("ledger", "export", "--data-dir", directory / "ledger")


def test_a_trail_is_verified_a_record_proven_and_the_proof_checked(directory, tmp_path):
    trail = directory / "trail"
    verdict = json.loads(said("audit", "verify", trail, "--json", "-"))
    assert verdict["findings"] == []
    assert "no findings" in said("audit", "verify", trail, "--fingerprint", verdict["fingerprint"])
    head = json.loads(said("audit", "head", trail, "--json", "-"))
    assert said("audit", "head", trail).startswith(head["hash"])
    assert "no findings" in said("audit", "verify", trail, "--head", head["hash"], "--last-seq", head["last_seq"])
    assert "was cut off" in said("audit", "verify", trail, "--last-seq", head["last_seq"] + 1, code=1)
    assert "no end that can be named" in said("audit", "head", tmp_path, code=1)
    proof = tmp_path / "proof.json"
    said("audit", "prove", trail, 5, "--out", proof)
    assert '"seq": 5' in said("audit", "check", proof, "--fingerprint", verdict["fingerprint"])
    assert "another key" in said("audit", "check", proof, "--fingerprint", "00" * 32, code=1)
    assert "no sealed segment" in said("audit", "prove", trail, "99999999", code=1)


def test_a_fingerprint_or_head_that_is_none_is_no_accusation(directory, tmp_path):
    trail, proof = directory / "trail", tmp_path / "proof.json"
    verdict = json.loads(said("audit", "verify", trail, "--json", "-"))
    own, head = verdict["fingerprint"], verdict["head"]
    said("audit", "prove", trail, 5, "--out", proof)
    for wrong in ("", own[:16], own + "0", "x" * 64):
        for words in (
            ("verify", trail, "--fingerprint"),
            ("verify", trail, "--head"),
            ("check", proof, "--fingerprint"),
        ):
            assert "give all of its 64 hexadecimal digits" in said("audit", *words, wrong, code=2)
    colons = ":".join(own[at : at + 2] for at in range(0, 64, 2)).upper()
    assert "no findings" in said("audit", "verify", trail, "--fingerprint", colons, "--head", head.upper())
    said("audit", "check", proof, "--fingerprint", colons)
    assert f"key {own}" in said("audit", "verify", trail, "--fingerprint", "0" * 64, code=1)
    proof.write_text("[" * 100_000)
    said("audit", "check", proof, code=1)


def test_a_tampered_trail_is_exit_code_1_and_named(directory, tmp_path):
    import shutil

    trail = Path(shutil.copytree(directory / "trail", tmp_path / "trail"))
    path = sorted(trail.glob("segment-*.jsonl"))[0]
    lines = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join(lines[:10] + lines[11:]) + b"\n")
    text = said("audit", "verify", trail, code=1)
    assert "record 11: dropped" in text
    assert "no such directory" in said("audit", "verify", tmp_path / "nowhere", code=2)
