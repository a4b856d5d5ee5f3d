"""Changing the master key of a key store: killed at any step, some key fits; followers go on; nothing is left."""

import os
import signal
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner

from lockstep.ops.cli.main import cli
from lockstep.posttrade.audit import keystore_log
from lockstep.posttrade.audit.keystore import KeyStore, KeyStoreAway, MasterKeyChanged
from lockstep.posttrade.audit.master import coming_key, former_of, master_key, next_of
from lockstep.posttrade.audit.naming import Keys, names_of
from lockstep.posttrade.audit.pseudonyms import Pseudonyms
from lockstep.posttrade.audit.rekey import prepare, rekey
from lockstep.posttrade.audit.subjects import Subject, Wanted
from lockstep.posttrade.audit.trail import AuditTrail
from lockstep.posttrade.audit.verify import verify
from lockstep.posttrade.follower import Sink
from lockstep.posttrade.shell import FollowerShell
from lockstep.runtime.faults import EnvironmentFault
from lockstep.runtime.process import open_log
from tests.fork_server import forked
from tests.posttrade.test_audit import COMMANDS, KEY, sealed
from tests.posttrade.test_audit_keys import the_history

STEPS = ["made", "keys", "log", "committed", "finished", "linked", "replaced", "zeroed"]
SUBJECTS = [Subject("account", 1), Subject("account", 2), Subject("client", 1)]


def a_store(url: str, master: Path) -> dict[Subject, str]:
    """A key store with three keys; their pseudonyms."""
    wanted = [Wanted(one, 5, f"5.C.{one.text}", from_beginning=True) for one in SUBJECTS]
    with closing(KeyStore(url, master_key(master, make=True), make=True)) as store:
        return {one.subject: name.pseudonym for one, name in zip(wanted, store.resolve(wanted), strict=True)}


def opened(url: str, master: Path) -> KeyStore:
    """As whoever has a master key opens it."""
    return KeyStore(url, master_key(master, make=False), coming=coming_key(master))


def pseudonyms(url: str, master: Path) -> dict[Subject, str]:
    with closing(opened(url, master)) as store:
        found = {one: [name.pseudonym for name in store.pseudonyms_of(one)] for one in SUBJECTS}
        assert all(store.subject_of(names[0]) == one for one, names in found.items())
        assert keystore_log.broken(store.lines()) == 0
    return {one: names[0] for one, names in found.items()}


def secrets_of(url: str) -> list[bytes]:
    with closing(sqlite3.connect(url)) as look:
        return [row[0] for row in look.execute("SELECT secret FROM audit_keys_keys")]


def _killed(said: int, url: str, master: str, kill_at: int) -> None:
    left = kill_at

    def step(what: str) -> None:
        nonlocal left
        os.write(said, f"{what}\n".encode())
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    rekey(url, Path(master), "somebody left", step)


@pytest.mark.parametrize("kill_at", range(1, len(STEPS) + 1))
def test_killed_at_any_step_a_key_fits_and_the_same_command_finishes(tmp_path, kill_at):
    url, master = str(tmp_path / "t.keys.db"), tmp_path / "t.master.key"
    before, old = a_store(url, master), master.read_text()
    wrapped = secrets_of(url)
    with tempfile.TemporaryFile("w+") as said:
        code = forked(_killed, url, str(master), kill_at, out=said.fileno(), timeout=60)
        said.seek(0)
        assert said.read().split() == STEPS[:kill_at]
    assert code == -signal.SIGKILL
    assert pseudonyms(url, master) == before, "what was killed has left a key that fits"
    done = rekey(url, master, "again")
    committed = kill_at > STEPS.index("log") + 1
    assert (done.keys, done.finished, done.overwritten) == (0 if committed else 3, committed, True)
    assert pseudonyms(url, master) == before
    assert master.read_text() != old
    assert master.stat().st_mode & 0o777 == 0o600
    assert {path.name for path in tmp_path.glob("t.master*")} == {"t.master.key"}
    raw = b"".join(path.read_bytes() for path in tmp_path.glob("t.keys.db*"))
    assert not any(one in raw for one in wrapped), "nothing under the old key is left in any file"
    with pytest.raises(EnvironmentFault, match="another master key"):
        KeyStore(url, bytes.fromhex(old))


def test_two_at_once_do_not_take_each_others_key_for_the_old_one(tmp_path):
    url, master = str(tmp_path / "t.keys.db"), tmp_path / "t.master.key"
    before = a_store(url, master)
    refused: list[str] = []

    def step(_what: str) -> None:
        with pytest.raises(EnvironmentFault, match="another process does `rekey`") as error:
            rekey(url, master, "beside it")
        refused.append(str(error.value))

    rekey(url, master, "first", step)
    assert len(refused) == len(STEPS)
    assert pseudonyms(url, master) == before
    assert not former_of(master).exists()


def test_a_key_that_was_replaced_before_another_was_prepared_is_overwritten_first(tmp_path):
    url, master = str(tmp_path / "t.keys.db"), tmp_path / "t.master.key"
    before = a_store(url, master)
    with tempfile.TemporaryFile("w+") as said:
        assert forked(_killed, url, str(master), STEPS.index("replaced") + 1, out=said.fileno(), timeout=60)
    prepare(url, master)
    witness = tmp_path / "witness"
    os.link(master, witness)
    assert rekey(url, master, "x").keys == 3
    assert set(witness.read_text().strip()) == {"0"}, "what was in use until now is overwritten, too"
    assert pseudonyms(url, master) == before
    assert not former_of(master).exists()


def test_a_link_and_a_key_that_is_the_old_one_are_no_keys_to_change_to(tmp_path):
    url, master = str(tmp_path / "t.keys.db"), tmp_path / "t.master.key"
    before = a_store(url, master)
    next_of(master).write_bytes(master.read_bytes())
    with pytest.raises(EnvironmentFault, match="has already"):
        rekey(url, master, "x")
    next_of(master).unlink()
    link = tmp_path / "link.key"
    link.symlink_to(master)
    with pytest.raises(EnvironmentFault, match="is a link"):
        rekey(url, link, "x")
    assert pseudonyms(url, master) == before


def test_of_a_key_that_was_changed_nothing_is_put_under_another_one(tmp_path):
    url, master = str(tmp_path / "t.keys.db"), tmp_path / "t.master.key"
    a_store(url, master)
    with closing(sqlite3.connect(url)) as work:
        rows = work.execute("SELECT pseudonym, secret FROM audit_keys_keys ORDER BY 1").fetchall()
        work.execute("UPDATE audit_keys_keys SET secret = ? WHERE pseudonym = ?", (rows[0][1], rows[2][0]))
        work.commit()
    with pytest.raises(EnvironmentFault, match="was changed"):
        rekey(url, master, "x")
    assert [secret for secret in secrets_of(url) if secret == rows[1][1]], "the others are as they were"
    KeyStore(url, master_key(master, make=False)).close()


def test_a_prepared_key_is_the_one_that_it_is_changed_for(tmp_path):
    url, master = str(tmp_path / "t.keys.db"), tmp_path / "t.master.key"
    before = a_store(url, master)
    made = prepare(url, master)
    elsewhere = tmp_path / "elsewhere.key"
    elsewhere.write_bytes(master.read_bytes())
    next_of(elsewhere).write_bytes(made.read_bytes())
    with pytest.raises(EnvironmentFault, match="is there already"):
        prepare(url, master)
    wanted = made.read_text()
    assert rekey(url, master, "x").keys == 3
    assert master.read_text() == wanted
    assert not former_of(master).exists()
    assert pseudonyms(url, elsewhere) == before, "another host has both keys, and goes on"
    assert rekey(url, elsewhere, "x").finished
    assert pseudonyms(url, elsewhere) == before
    assert elsewhere.read_text() == wanted


def the_trail(directory: Path, names: Pseudonyms | None) -> AuditTrail:
    return AuditTrail(directory, KEY, segment_commands=COMMANDS, names=names)


def test_a_follower_goes_on_while_the_master_key_changes_and_makes_no_second_pseudonyms(tmp_path):
    url, master = str(tmp_path / "one.keys.db"), tmp_path / "one.master.key"
    trail = the_trail(tmp_path / "one", names_of(tmp_path / "one", Keys(), open_log("audit")))
    chunks = list(the_history().chunks(9))
    for at, chunk in enumerate(chunks):
        if at in (3, 7):
            assert rekey(url, master, f"change {at}").keys
        trail.apply(chunk)
    trail.close()
    assert verify(tmp_path / "one").findings == ()
    # A follower that was never disturbed, with the same keys, comes to the same bytes.
    other = the_trail(tmp_path / "other", Pseudonyms(opened(url, master), "other"))
    for chunk in chunks:
        other.apply(chunk)
    other.close()
    assert sealed(tmp_path / "one") == sealed(tmp_path / "other")


def test_whoever_has_the_old_key_only_stops_and_makes_no_keys(tmp_path):
    url, master = str(tmp_path / "t.keys.db"), tmp_path / "t.master.key"
    a_store(url, master)
    with closing(opened(url, master)) as old:
        rekey(url, master, "x")
        new = Wanted(Subject("account", 9), 6, "6.C.account", from_beginning=True)
        with pytest.raises(MasterKeyChanged, match="start this again with the new one"):
            old.resolve([new])
        with pytest.raises(MasterKeyChanged):
            old.pseudonyms_of(SUBJECTS[0])
    with closing(opened(url, master)) as store:
        assert store.counts()["keys"] == 3


def test_the_command_says_what_it_did(tmp_path):
    url, master = str(tmp_path / "t.keys.db"), tmp_path / "t.master.key"
    a_store(url, master)

    def run(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(cli, ["audit", "rekey", "--keys", url, *words])
        return done.exit_code, done.output

    assert run()[0] == 2
    assert "bring it to each host" in run("--prepare")[1]
    code, said = run("--reason", "a disk was lost")
    assert (code, "3 keys are under a new master key" in said) == (0, True), said
    with closing(opened(url, master)) as store:
        assert '"reason":"a disk was lost"' in store.lines()[-1]


# ---- PostgreSQL --------------------------------------------------------------------------------------------------


@pytest.fixture
def database(postgres):
    """One of its own."""
    with psycopg.connect(postgres.url, autocommit=True) as work:
        work.execute("DROP DATABASE IF EXISTS rekey WITH (FORCE)")
        work.execute("CREATE DATABASE rekey")
    return postgres.url.replace("/postgres", "/rekey")


def in_tables(url: str, *wanted: bytes) -> list[bool]:
    """Whether the files of the two tables have these bytes, the room of removed rows included."""
    with psycopg.connect(url, autocommit=True) as look:
        look.execute("CHECKPOINT")
        raw = b""
        for table in ("audit_keys_keys", "audit_keys_shares"):
            for (part,) in look.execute("SELECT pg_read_binary_file(pg_relation_filepath(%s))", (table,)):
                raw += part
            for (part,) in look.execute(
                "SELECT pg_read_binary_file(pg_relation_filepath(reltoastrelid)) FROM pg_class "
                "WHERE relname = %s AND reltoastrelid <> 0", (table,),
            ):  # fmt: skip
                raw += part
    return [one in raw for one in wanted]


def secret_in(url: str, pseudonym: str) -> bytes:
    with psycopg.connect(url) as look:
        found = look.execute("SELECT secret FROM audit_keys_keys WHERE pseudonym = %s", (pseudonym,)).fetchone()
    assert found is not None
    return bytes(found[0])


def test_in_postgresql_an_erased_key_and_an_old_wrapping_are_in_no_table_file(database, tmp_path):
    master = tmp_path / "t.master.key"
    names = a_store(database, master)
    erased, kept = secret_in(database, names[SUBJECTS[0]]), secret_in(database, names[SUBJECTS[1]])
    assert in_tables(database, erased, kept) == [True, True]
    with closing(opened(database, master)) as store:
        assert store.erase(SUBJECTS[:1], "asked", "1") == (1, 1)
        assert store.overwritten
    assert in_tables(database, erased, kept) == [False, True]
    assert rekey(database, master, "x").overwritten
    assert in_tables(database, erased, kept) == [False, False]
    with closing(opened(database, master)) as store:
        assert store.subject_of(names[SUBJECTS[1]]) == SUBJECTS[1]
        lines = store.lines()
    assert keystore_log.broken(lines) == 0
    assert [what for line in lines if (what := line.rpartition('"what":"')[2].strip('"}')) == "overwritten"] == [
        "overwritten"
    ] * 2


def test_in_postgresql_a_reader_keeps_what_was_removed_and_the_command_says_so(database, tmp_path):
    master = tmp_path / "t.master.key"
    names = a_store(database, master)
    erased = secret_in(database, names[SUBJECTS[0]])
    with closing(opened(database, master)) as store:
        with psycopg.connect(database) as reader:
            reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            # Of another table: no lock is in the way, and the row has to be kept for him all the same.
            reader.execute("SELECT count(*) FROM audit_keys_log").fetchone()
            assert store.erase(SUBJECTS[:1], "asked", "1") == (1, 1)
            assert not store.overwritten
            assert in_tables(database, erased) == [True]
            reader.rollback()
            reader.execute("SELECT count(*) FROM audit_keys_keys").fetchone()
            assert not store.finish(0.2), "a table that is read is waited for no longer than that"
        assert store.finish()
        assert in_tables(database, erased) == [False]
        store.register("one", 0)
        store.sealed("one", 9)
        assert store.lines()[-1].endswith('"what":"overwritten"}'), "nothing is left to do"


class Shell(FollowerShell):
    """The part of it that applies."""

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self._stale = self._within = False
        self._opener = lambda: pytest.fail("it is asked again, and not opened anew")


def test_a_key_store_that_is_away_is_waited_for_in_the_middle_of_a_segment(database, postgres, tmp_path):
    """What is not sealed yet is in memory alone: the trail goes on with it, also from within a chunk."""
    KeyStore(database, bytes(32), make=True).close()
    trail = the_trail(tmp_path / "one", Pseudonyms(KeyStore(database, bytes(32)), "one"))
    shell, away = Shell(trail), 0
    for at, chunk in enumerate(the_history().chunks(31)):
        if at == 2:
            postgres.kill()
            with pytest.raises(KeyStoreAway):
                shell._applied(chunk, trail.position())
            away += 1
            postgres.start()
        before = trail.position()
        for _ in range(4):
            try:
                assert shell._applied(chunk, before) == chunk.end()
                break
            except KeyStoreAway:
                away += 1
    trail.close()
    assert away
    assert verify(tmp_path / "one").findings == ()
    other = the_trail(tmp_path / "other", Pseudonyms(KeyStore(database, bytes(32)), "other"))
    for chunk in the_history().chunks(9):
        other.apply(chunk)
    other.close()
    assert sealed(tmp_path / "one") == sealed(tmp_path / "other")


@pytest.mark.parametrize("call", ["announce", "resolve", "sealed"])
def test_within_a_chunk_it_goes_on_where_the_key_store_was_away(tmp_path, call):
    """At each call of a chunk once: nothing is twice in the trail, and nothing is missing."""
    url = str(tmp_path / "keys.db")
    KeyStore(url, bytes(32), make=True).close()

    class Flickering(KeyStore):
        calls = 0

        def __getattribute__(self, name: str):
            if name == call:
                Flickering.calls += 1
                if Flickering.calls % 2:
                    raise KeyStoreAway("away")
            return super().__getattribute__(name)

    trail = the_trail(tmp_path / "one", Pseudonyms(Flickering(url, bytes(32)), "one"))
    shell = Shell(trail)
    for chunk in the_history().chunks(31):
        before, tries = trail.position(), 0
        while True:
            try:
                assert shell._applied(chunk, before) == chunk.end()
                break
            except KeyStoreAway:
                tries += 1
                assert tries < 200
    trail.close()
    other = the_trail(tmp_path / "other", Pseudonyms(KeyStore(url, bytes(32)), "other"))
    for chunk in the_history().chunks(9):
        other.apply(chunk)
    other.close()
    assert Flickering.calls >= 2
    assert sealed(tmp_path / "one") == sealed(tmp_path / "other")
