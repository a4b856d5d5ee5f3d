"""What SQLite raises because of a disk or another program is no broken invariant: it is said, with place and remedy."""

import resource
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing

import pytest
from sqlalchemy import text

from lockstep.posttrade.ledger import schema
from lockstep.posttrade.ledger.digest import table_digests
from lockstep.posttrade.ledger.place import SqlitePlace
from lockstep.posttrade.ledger.queries import TooSlow, view_of
from lockstep.posttrade.ledger.sink import LedgerSink
from lockstep.posttrade.ledger.store import LedgerAway
from lockstep.posttrade.ledger.store_sqlite import SqliteStore
from lockstep.runtime.ending import exit_code
from lockstep.runtime.faults import EXIT_ENVIRONMENT, EXIT_INVARIANT
from tests.posttrade.flows import history

MADE = history(8, 200)
FIRST, REST = MADE.chunk(0, 9), MADE.chunk(10, len(MADE.batches) - 1)


def refused(sink: LedgerSink) -> Exception:
    """What storing the rest of the history raises."""
    with pytest.raises(Exception) as caught:
        sink.apply(REST)
    return caught.value


@pytest.mark.parametrize(
    ("pragma", "remedy"), [("max_page_count={}", "free room"), ("query_only=ON", "mount it writable")]
)
def test_a_full_or_read_only_disk_is_environment_with_place_and_remedy(tmp_path, pragma, remedy):
    store = SqliteStore(tmp_path / "ledger.db")
    sink = LedgerSink(store)
    sink.apply(FIRST)
    pages = store.rows("PRAGMA page_count")[0][0]
    store._db.execute(f"PRAGMA {pragma.format(pages + 5)}")
    raised = refused(sink)
    assert exit_code(raised) == EXIT_ENVIRONMENT
    assert str(store.path) in str(raised)
    assert remedy in str(raised)
    # Nothing of the chunk is there, and the same process goes on once there is room.
    assert store.position() == FIRST.end()
    store._db.execute("PRAGMA max_page_count=1000000")
    store._db.execute("PRAGMA query_only=OFF")
    sink.reload()
    assert sink.apply(REST) == REST.end()
    sink.close()


def test_a_lock_of_another_program_is_waited_for_by_whoever_applies(tmp_path):
    sink = LedgerSink(SqliteStore(tmp_path / "ledger.db", patience_s=0.1))
    sink.apply(FIRST)
    with closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        raised = refused(sink)
        assert isinstance(raised, LedgerAway)
        assert f"{tmp_path / 'ledger.db'} is locked by another program; end that one" in str(raised)
        with pytest.raises(LedgerAway):
            SqliteStore(tmp_path / "ledger.db", patience_s=0.1)
        # Who only reads does not mind.
        with closing(SqliteStore(tmp_path / "ledger.db", write=False)) as reader:
            assert reader.position() == FIRST.end()
        other.execute("ROLLBACK")
    sink.close()
    sink = LedgerSink(SqliteStore(tmp_path / "ledger.db"))
    assert sink.apply(REST) == REST.end()
    sink.close()


def test_a_damaged_file_is_environment_and_a_wrong_query_is_not(tmp_path):
    path = tmp_path / "ledger.db"
    store = SqliteStore(path)
    with pytest.raises(sqlite3.OperationalError) as wrong:
        store.rows("SELEC 1")
    assert exit_code(wrong.value) == EXIT_INVARIANT
    store.close()
    path.write_bytes(b"not a database at all" * 500)
    with pytest.raises(Exception, match="`lockstep ledger rebuild` makes it anew") as damaged:
        SqliteStore(path)
    assert exit_code(damaged.value) == EXIT_ENVIRONMENT
    assert str(path) in str(damaged.value)


def test_looking_at_a_ledger_writes_nothing_into_it(tmp_path):
    place = SqlitePlace(tmp_path / "ledger")
    sink = LedgerSink(place.open(1))
    sink.apply(FIRST)
    sink.close()
    before = place.path(1).stat().st_mtime_ns
    with closing(place.open(1, write=False)) as store:
        assert len(table_digests(store)) == len(schema.DIGESTED)
    assert place.path(1).stat().st_mtime_ns == before


_CHILD = """
import resource, signal, sys
from pathlib import Path
from lockstep.posttrade.ledger.sink import LedgerSink
from lockstep.posttrade.ledger.store_sqlite import SqliteStore
from lockstep.runtime.ending import run_to_end
from lockstep.runtime.process_log import open_log
from tests.posttrade.flows import history

def work():
    sink = LedgerSink(SqliteStore(Path(sys.argv[1])))
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
    for chunk in history(8, 200).chunks(20):
        sink.apply(chunk)

sys.exit(run_to_end("ledger", open_log("ledger"), work))
"""


def test_a_process_whose_disk_refuses_ends_with_exit_code_1_and_one_line(tmp_path):
    path = tmp_path / "ledger.db"
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, str(path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == EXIT_ENVIRONMENT, done.stderr
    assert f"lockstep ledger: cannot write the ledger {path}: " in done.stderr
    assert "Traceback" not in done.stderr
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 200_000, "only of the child"
    shutil.copy(path, tmp_path / "copy.db")


def test_an_answer_that_takes_too_long_is_ended(tmp_path):
    place = SqlitePlace(tmp_path)
    LedgerSink(place.open(1)).close()
    reader = place.reader(1)
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    begin_s = time.monotonic()
    with pytest.raises(TooSlow, match=r"longer than 0\.3 s"), view_of(reader, 0.3) as view:
        view.connection.execute(text(endless))
    assert time.monotonic() - begin_s < 30
    with view_of(reader, 5.0) as view:
        assert view.position.seq == 0
    reader.dispose()
    assert not [one for one in threading.enumerate() if one.name == "ledger-limit"]
