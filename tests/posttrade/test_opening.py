"""Followers of a history that was cut: they begin with an engine's snapshot, say so, and are right from there on."""

import asyncio
import json
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lockstep.ops.cli.main import cli
from lockstep.posttrade.audit import manifest
from lockstep.posttrade.audit.trail import OPENING, AuditTrail
from lockstep.posttrade.audit.verify import prove, verify
from lockstep.posttrade.chunks import Chunk, check
from lockstep.posttrade.follower import HistoryGone, Sink
from lockstep.posttrade.ledger.beancount_export import beancount_lines
from lockstep.posttrade.ledger.digest import table_digests
from lockstep.posttrade.ledger.place import LedgerPlace, SqlitePlace, place_of
from lockstep.posttrade.ledger.process import serve
from lockstep.posttrade.ledger.queries import view_of
from lockstep.posttrade.ledger.rebuild import LosesHistory, rebuild_from_chunks, rebuild_from_engines
from lockstep.posttrade.ledger.sink import LedgerSink
from lockstep.posttrade.ledger.statement import NotKnown, statement_of
from lockstep.posttrade.ledger.statement_forms import as_csv, as_json, as_text
from lockstep.posttrade.ledger.store import Store
from lockstep.posttrade.ledger.store_postgres import PostgresStore
from lockstep.posttrade.ledger.store_sqlite import SqliteStore
from lockstep.posttrade.opening import opening_of
from lockstep.posttrade.opening_fetch import NoOpening
from lockstep.posttrade.shell import begin_with_snapshot
from lockstep.runtime.faults import EnvironmentFault
from lockstep.runtime.process_log import open_log
from lockstep.runtime.snapshot_reader import read_snapshot
from lockstep.runtime.stop_request import StopRequest
from lockstep.stream.digest import Digest
from tests.all_features import ACCOUNTS
from tests.posttrade.flows import History, history
from tests.posttrade.served import ServedEngine, digests_of, served, snapshot_of, topology_of
from tests.posttrade.test_ledger_fold import compare
from tests.posttrade.test_ledger_kills import STEPS

PATIENCE_S = 60.0
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
MADE = history(41, 260)
AT = len(MADE.batches) * 2 // 3
SEQ = MADE.batches[AT - 1].last_seq


def opening_at(made: History, batches: int):
    return opening_of(read_snapshot(snapshot_of(made, batches)[2]))


def begun(store, made: History, batches: int, size: int | tuple[int, ...] = 7) -> LedgerSink:
    """A ledger that begins behind so many batches, and has what follows."""
    sink = LedgerSink(store)
    sink.begin(opening_at(made, batches))
    for chunk in made.chunks(size, begin=batches):
        check(chunk, sink.position())
        sink.apply(chunk)
    return sink


@pytest.mark.parametrize("seed", range(4))
def test_balances_profit_and_live_orders_are_the_engines_from_the_snapshot_on(tmp_path, seed):
    made = History(seed)
    for _ in made.go_on(400):
        pass
    sink = LedgerSink(SqliteStore(tmp_path / "ledger.db"))
    begin = len(made.batches)
    opening = opening_at(made, begin)
    assert sink.begin(opening).seq == made.engine.last_seq
    compare(sink, made.engine)
    for index in made.go_on(400):
        if index % 9 == 0:
            chunk = made.chunk(begin, index)
            check(chunk, sink.position())
            sink.apply(chunk)
            begin = index + 1
            compare(sink, made.engine)
    # The fees below are those of the last command.
    if begin < len(made.batches):
        sink.apply(made.chunk(begin, len(made.batches) - 1))
        compare(sink, made.engine)
    rows = sink.store.rows
    for table, column in (("entries", "lots"), ("balances", "amount")):
        assert all(off == 0 for (off,) in rows(f"SELECT sum({column}) FROM {table} GROUP BY instrument"))
    assert rows("SELECT sum(cash_micros) FROM entries") == [(0,)]
    bad = "SELECT count(*) FROM orders WHERE quantity_lots != filled_lots + leaves_lots + canceled_lots"
    assert rows(bad) == [(0,)]
    assert rows("SELECT sum(amount) FROM balances WHERE account=-2") == [(made.engine.fees_micros,)]
    assert [one.epoch for one in sink.epochs()] == sorted({batch.epoch for batch in made.batches})
    sink.close()


def test_the_rows_are_the_same_in_both_databases_and_however_the_rest_is_cut(tmp_path, postgres):
    with closing(begun(SqliteStore(tmp_path / "a.db"), MADE, AT)) as one:
        expected = table_digests(one.store)
    with closing(begun(SqliteStore(tmp_path / "b.db"), MADE, AT, (1, 3, 50))) as two:
        assert table_digests(two.store) == expected
    with closing(begun(PostgresStore(postgres.url, "opened"), MADE, AT, 20)) as three:
        assert table_digests(three.store) == expected
    with pytest.raises(AssertionError, match="has begun"), closing(LedgerSink(SqliteStore(tmp_path / "a.db"))) as again:
        again.begin(opening_at(MADE, AT))


class Died(Exception):
    """Where a process dies."""


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_wherever_it_dies_while_it_begins_nothing_is_there_and_it_begins_again(tmp_path, request, database):
    armed: list[str] = []

    def step(what: str) -> None:
        if armed and armed[0] == what:
            raise Died

    if database == "sqlite":
        store: Store = SqliteStore(tmp_path / "ledger.db", step)
    else:
        store = PostgresStore(request.getfixturevalue("postgres").url, "dies", step)
    with closing(store):
        empty = table_digests(store)
        opening = opening_at(MADE, AT)
        for what in STEPS[:-1]:
            armed[:] = [what]
            with pytest.raises(Died):
                LedgerSink(store).begin(opening)
            assert table_digests(store) == empty, what
        armed.clear()
        assert LedgerSink(store).begin(opening) == opening.position


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """A ledger that has everything, and one that begins with a snapshot."""
    whole, part = SqlitePlace(tmp_path_factory.mktemp("whole")), SqlitePlace(tmp_path_factory.mktemp("part"))
    sink = LedgerSink(whole.open(1))
    for chunk in MADE.chunks(25):
        sink.apply(chunk)
    sink.close()
    begun(part.open(1), MADE, AT).close()
    return whole, part


def test_portfolios_and_statements_are_those_of_a_ledger_that_has_everything_and_say_where_they_begin(both):
    readers = [place.reader(1) for place in both]
    stamp = MADE.batches[AT - 1].timestamp_ns
    with view_of(readers[0]) as whole, view_of(readers[1]) as part:
        assert whole.opening() is None
        for account in ACCOUNTS:
            one, other = whole.portfolio(account), part.portfolio(account)
            assert (one.cash, one.equity, one.reserved) == (other.cash, other.equity, other.reserved)
            average = [(held.instrument, held.lots, held.cost, held.realised, held.unrealised) for held in one.holdings]
            assert average == [(h.instrument, h.lots, h.cost, h.realised, h.unrealised) for h in other.holdings]
            assert other.opened is not None
            assert other.opened.seq == SEQ
            late, same = statement_of(whole, account, stamp + 1, 0), statement_of(part, account, stamp + 1, 0)
            assert (late.opening, late.movements, late.closing) == (same.opening, same.movements, same.closing)
            made = statement_of(part, account, 0, 0)
            assert made.opening == {}
            assert made.taken_over == late.opening.get(0, 0)
            in_and_out = made.taken_over + made.paid_in - made.paid_out - made.bought + made.sold - made.fees
            assert made.closing.get(0, 0) == in_and_out
            words = f"opening balances from the snapshot at seq {SEQ}"
            assert words in as_text(made)
            assert words in as_text(same), "also of a period behind it"
            assert words not in as_text(late)
            assert json.loads(as_json(made))["begins_with"]["seq"] == SEQ
            assert ",snapshot," in as_csv(made)
        lines = list(beancount_lines(part))
        assert any(' * "snapshot ' in line for line in lines)
    for reader in readers:
        reader.dispose()


def said(*arguments: object) -> str:
    done = CliRunner().invoke(cli, [str(one) for one in arguments], standalone_mode=False)
    assert done.exception is None, done.exception
    return done.output


def test_status_portfolio_and_statement_on_the_command_line_say_it(both):
    _, part = both
    words = f"opening balances from the snapshot at seq {SEQ}, epoch "
    for command in (("status",), ("portfolio", 1), ("statement", 1)):
        assert words in said("ledger", *command, "--data-dir", part.directory)


def test_a_statement_of_a_time_that_the_ledger_does_not_know_is_refused(both):
    reader = both[1].reader(1)
    stamp = MADE.batches[AT - 1].timestamp_ns
    words = f"nothing is known before seq {SEQ}, "
    with view_of(reader) as part:
        for begin, end in ((1, stamp - 5), (1, stamp), (0, stamp), (stamp - 1, 0), (1, 2**62)):
            with pytest.raises(NotKnown, match=words) as refused:
                statement_of(part, 1, begin, end)
        made = statement_of(part, 1, refused.value.from_ns, 0)
        assert made == replace(statement_of(part, 1, 0, 0), from_ns=stamp)
    reader.dispose()
    done = CliRunner().invoke(
        cli, ["ledger", "statement", "1", "--from", "1999-01-01", "--data-dir", str(both[1].directory)]
    )
    assert done.exit_code == 2
    assert f"give --from {stamp}" in done.output


def engines_of_cut_history() -> tuple[ServedEngine, ServedEngine]:
    """Two that have cut what is before the snapshot that one of them has."""
    one, two = ServedEngine(1, MADE, len(MADE.batches)), ServedEngine(2, MADE, len(MADE.batches))
    one.cut_seq, two.cut_seq = MADE.batches[AT - 5].last_seq, MADE.batches[AT - 9].last_seq
    two.snapshot = snapshot_of(MADE, AT)
    return one, two


def run_ledger(topology, place, *, from_snapshot: bool, until_seq: int):
    """The ledger process' work until it stores a seq, or ends; what it ended with."""
    stop = StopRequest()
    ended: list[BaseException | None] = []

    def work() -> None:
        try:
            ended.append(asyncio.run(serve(topology, place, stop, from_snapshot=from_snapshot)))
        except Exception as error:  # noqa: BLE001 - the test judges it
            ended.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    deadline = time.monotonic() + PATIENCE_S
    while not ended and ((found := place.reached(1)) is None or found.position.seq < until_seq):
        assert time.monotonic() < deadline, "the ledger neither comes nor ends"
        time.sleep(0.05)
    stop.request("test ends")
    thread.join(PATIENCE_S)
    return ended[0]


def test_a_ledger_of_cut_history_says_the_remedy_and_the_remedy_works(tmp_path, both):
    engines = engines_of_cut_history()
    place = SqlitePlace(tmp_path / "ledger")
    topology = topology_of(place.directory, *engines)
    last = MADE.batches[-1].last_seq
    with served(*engines):
        failure = run_ledger(topology, place, from_snapshot=False, until_seq=last)
        assert isinstance(failure, HistoryGone)
        assert "was cut from every journal" in str(failure)
        assert "`lockstep ledger rebuild --from-snapshot`" in str(failure)
        position = rebuild_from_engines(topology, place, StopRequest(), lambda *_: None, from_snapshot=True)
        assert (position.seq, place.current()) == (last, 2)
        fresh = SqlitePlace(tmp_path / "fresh")
        assert run_ledger(topology, fresh, from_snapshot=True, until_seq=last) is None
        # It goes on from there, and begins no second time.
        assert run_ledger(topology, fresh, from_snapshot=True, until_seq=last) is None
    with (
        closing(place.open(2, write=False)) as one,
        closing(fresh.open(1, write=False)) as two,
        closing(both[1].open(1, write=False)) as three,
    ):
        assert table_digests(one) == table_digests(two) == table_digests(three)


def begin(topology, sink: Sink) -> None:
    asyncio.run(begin_with_snapshot(sink, topology, open_log("test")))


def test_nothing_begins_where_engines_differ_or_have_no_snapshot(tmp_path):
    one, two = engines_of_cut_history()
    topology = topology_of(tmp_path, one, two)
    with closing(LedgerSink(SqliteStore(tmp_path / "ledger.db"))) as sink, served(one, two):
        one.digests[SEQ] = Digest(bytes(16))
        with pytest.raises(NoOpening, match=f"engines 2 and 1 differ at seq {SEQ}"):
            begin(topology, sink)
        one.digests = digests_of(MADE)
        assert two.snapshot is not None
        seq, digest, raw = two.snapshot
        two.snapshot = seq, digest, raw[:-1] + bytes([raw[-1] ^ 1])
        with pytest.raises(NoOpening, match="engine 2: the checksum of its state is wrong"):
            begin(topology, sink)
        two.snapshot = None
        with pytest.raises(NoOpening, match="`lockstep cluster snapshot` takes one"):
            begin(topology, sink)
        assert sink.position().seq == 0


def test_a_rebuild_from_a_history_behind_a_snapshot_is_measured_as_any_other(tmp_path, both):
    place = SqlitePlace(tmp_path)
    position = rebuild_from_chunks(place, MADE.chunks(30, begin=AT), opening=opening_at(MADE, AT))
    assert position.seq == MADE.batches[-1].last_seq
    with closing(place.open(2, write=False)) as made, closing(both[1].open(1, write=False)) as other:
        assert table_digests(made) == table_digests(other)


def behind(place: LedgerPlace, batches: int, *, lose_history: bool = False) -> None:
    opening = opening_at(MADE, batches)
    rebuild_from_chunks(place, MADE.chunks(30, begin=batches), opening=opening, lose_history=lose_history)


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_a_ledger_that_begins_earlier_is_replaced_on_request_only_and_never_removed(tmp_path, request, database):
    url = request.getfixturevalue("postgres").url if database == "postgres" else ""
    place = place_of(url, tmp_path)
    rebuild_from_chunks(place, MADE.chunks(30))
    assert place.current() == 2, "an empty one is no loss"
    with pytest.raises(LosesHistory, match=f"begins with the first command, .* behind seq {SEQ}: nothing was swapped"):
        behind(place, AT)
    assert (place.current(), place.reached(3)) == (2, None)
    behind(place, AT, lose_history=True)
    with pytest.raises(LosesHistory, match=f"begins behind seq {SEQ}"):
        behind(place, AT + 3)
    for _ in range(2):
        behind(place, AT)
    kept = {number: found.begins_behind for number in range(1, 6) if (found := place.reached(number)) is not None}
    assert kept == {2: 0, 4: SEQ, 5: SEQ}


def test_a_rebuild_from_the_engines_snapshot_does_not_replace_whole_history(tmp_path):
    engines = engines_of_cut_history()
    place = SqlitePlace(tmp_path)
    rebuild_from_chunks(place, MADE.chunks(30))
    topology = topology_of(tmp_path, *engines)
    with served(*engines):
        with pytest.raises(LosesHistory, match="add --lose-history"):
            rebuild_from_engines(topology, place, StopRequest(), lambda *_: None, from_snapshot=True)
        assert (place.current(), place.reached(3)) == (2, None)
        rebuild_from_engines(topology, place, StopRequest(), lambda *_: None, from_snapshot=True, lose_history=True)
    assert place.current() == 3


# ---- the audit trail ---------------------------------------------------------------------------------------------


def trail_behind(directory: Path, size: int = 5) -> AuditTrail:
    trail = AuditTrail(directory, KEY, segment_commands=150)
    if not trail.position().seq:
        trail.begin(opening_at(MADE, AT))
    for chunk in MADE.chunks(size, begin=AT):
        if chunk.first_seq > trail.position().seq:
            trail.apply(chunk)
    trail.close()
    return trail


def test_a_trail_behind_a_snapshot_says_so_and_verifies_from_its_files(tmp_path):
    directory = tmp_path / "trail"
    trail_behind(directory)
    verdict = verify(directory)
    assert verdict.findings == ()
    assert (verdict.begins_behind, verdict.first_seq) == (SEQ, SEQ + 1)
    newest = sorted(directory.glob("manifest-*.json"))[-1]
    body, _ = manifest.read(newest.read_bytes())
    assert body["engine_digest"] == digests_of(MADE)[body["last_seq"]].hex()
    assert body["opening"]["engine_digest"] == digests_of(MADE)[SEQ].hex()
    assert "what lies before is not in this trail" in said("audit", "verify", directory)
    assert prove(directory, str(SEQ + 1))
    # The records are those of a trail that has everything: instruments are known from before.
    whole = AuditTrail(tmp_path / "whole", KEY, segment_commands=10**6)
    for chunk in MADE.chunks(40):
        whole.apply(chunk)
    whole.close()
    lines = [line for path in (tmp_path / "whole").glob("*.jsonl") for line in path.read_bytes().splitlines()]
    expected = [line for line in lines if SEQ < json.loads(line)["seq"] <= verdict.last_seq]
    found = [line for path in sorted(directory.glob("*.jsonl")) for line in path.read_bytes().splitlines()]
    assert [line for line in found if json.loads(line)["seq"] <= verdict.last_seq] == expected


def test_such_a_trail_goes_on_where_it_began_and_not_without_its_beginning(tmp_path):
    directory = tmp_path / "trail"
    trail = AuditTrail(directory, KEY, segment_commands=150)
    trail.begin(opening_at(MADE, AT))
    trail.close()
    # Nothing is sealed yet, and it begins there all the same.
    trail_behind(directory)
    other = tmp_path / "other"
    trail_behind(other, size=1)
    names = {path.name for path in directory.glob("manifest-*.json")} | {OPENING}
    assert len(names) > 2
    assert all((directory / name).read_bytes() == (other / name).read_bytes() for name in names)
    raw = (directory / OPENING).read_bytes()
    (directory / OPENING).write_bytes(raw.replace(b'"seq":', b'"seq":1', 1))
    assert {(one.place, one.what) for one in verify(directory).findings} == {(OPENING, "changed")}
    with pytest.raises(EnvironmentFault, match="restore it"):
        AuditTrail(directory, KEY)
    (directory / OPENING).unlink()
    assert {(one.place, one.what) for one in verify(directory).findings} == {(OPENING, "dropped")}
    with pytest.raises(EnvironmentFault, match="restore it"):
        AuditTrail(directory, KEY)


def test_a_trail_that_begins_in_the_middle_without_a_word_is_found(tmp_path):
    directory = tmp_path / "trail"
    trail_behind(directory)
    paths = sorted(directory.glob("manifest-*.json"))
    previous = manifest.NOTHING
    for path in paths:
        body, _ = manifest.read(path.read_bytes())
        del body["opening"]
        raw = manifest.sign(body | {"previous": previous}, KEY)
        previous = manifest.hash_of(raw)
        path.write_bytes(raw)
    assert ["nothing says what lies before it" in one.text for one in verify(directory).findings] == [True]


def test_the_audit_process_begins_behind_a_snapshot_of_served_engines(tmp_path):
    engines = engines_of_cut_history()
    topology = topology_of(tmp_path, *engines)
    trail = AuditTrail(tmp_path / "trail", KEY)
    with served(*engines):
        begin(topology, trail)
    assert trail.position() == replace(opening_at(MADE, AT).position)
    trail.close()


def test_an_opening_that_somebody_has_put_there_is_not_where_a_trail_begins(tmp_path):
    """Before the first manifest nothing names it, and anybody who can write there can make one."""
    begun, other = tmp_path / "begun", tmp_path / "other"
    for directory, key in ((begun, KEY), (other, Ed25519PrivateKey.generate())):
        trail = AuditTrail(directory, key, segment_commands=150)
        trail.begin(opening_at(MADE, AT))
        trail.close()
    AuditTrail(begun, KEY).close()
    planted = tmp_path / "planted"
    planted.mkdir()
    shutil.copy(begun / "opening.json", planted)
    with pytest.raises(EnvironmentFault, match=r"no manifest names it.*begin again"):
        AuditTrail(planted, KEY)
    shutil.copy(other / "opening-signed.json", planted)
    with pytest.raises(EnvironmentFault, match="not where a trail with this key"):
        AuditTrail(planted, KEY)
    shutil.copy(begun / "opening-signed.json", planted)
    said = json.loads((planted / "opening.json").read_bytes())
    (planted / "opening.json").write_bytes(manifest.canonical(said | {"seq": said["seq"] + 1}))
    with pytest.raises(EnvironmentFault, match="not where a trail with this key"):
        AuditTrail(planted, KEY)


def test_the_loss_of_history_is_looked_at_again_before_the_swap(tmp_path, monkeypatch):
    """What counts may have been restored while the new one was made."""
    place = SqlitePlace(tmp_path)
    rebuild_from_chunks(place, MADE.chunks(30, begin=AT), opening=opening_at(MADE, AT))
    before = place.current()
    reached = place.reached

    def chunks() -> Iterator[Chunk]:
        yield from MADE.chunks(30, begin=AT)
        there = reached(before)
        assert there is not None
        whole = replace(there, begins_behind=0)
        monkeypatch.setattr(SqlitePlace, "reached", lambda _, number: whole if number == before else reached(number))

    with pytest.raises(LosesHistory, match="nothing was swapped"):
        rebuild_from_chunks(place, chunks(), opening=opening_at(MADE, AT))
    assert place.current() == before
    assert not place.path(before + 1).exists()
