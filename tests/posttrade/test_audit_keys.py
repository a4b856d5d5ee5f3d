"""Pseudonyms: the same for all followers, erased without a trace of whose they were, rebuilt to the same bytes."""

import json
import shutil
import sqlite3
from contextlib import closing
from functools import cache
from pathlib import Path

import pytest
from click.testing import CliRunner
from shamir_mnemonic import shamir as slip39

from lockstep.ops.cli.main import cli
from lockstep.posttrade.audit import keystore_log, shamir
from lockstep.posttrade.audit.keystore import KeyStore, PseudonymGone
from lockstep.posttrade.audit.master import master_key
from lockstep.posttrade.audit.naming import Keys, names_of, with_numbers
from lockstep.posttrade.audit.pseudonyms import Pseudonyms
from lockstep.posttrade.audit.sealed import sealed_records
from lockstep.posttrade.audit.subjects import Subject, Wanted, pseudonym_of
from lockstep.posttrade.audit.trail import AuditTrail
from lockstep.posttrade.audit.verify import verify
from lockstep.runtime.faults import EnvironmentFault
from lockstep.runtime.process import open_log
from tests.all_features import SESSION
from tests.posttrade.flows import History, history
from tests.posttrade.kill_steps import Step, kill_at_every_step
from tests.posttrade.test_audit import COMMANDS, KEY, STEPS, sealed

MASTER = bytes(range(32))
BURSTS = 130


@cache
def the_history() -> History:
    return history(9, BURSTS)


# ---- Shamir ------------------------------------------------------------------------------------------------------


def test_the_field_is_that_of_fips_197():
    assert shamir.multiply(0x57, 0x83) == 0xC1
    assert shamir.multiply(0x57, 0x13) == 0xFE
    assert all(shamir.multiply(one, shamir.inverse(one)) == 1 for one in range(1, 256))


def test_the_published_shares_of_draft_mcgrew_tss():
    secret = bytes.fromhex("7465737400")
    shares = {1: bytes.fromhex("b9fa07e185"), 2: bytes.fromhex("f5409b4511")}
    assert shamir.combine(shares) == secret
    # The random octets that lead to them: one coefficient each.
    random = bytes(one ^ other for one, other in zip(secret, shares[1], strict=True))
    assert shamir.split(secret, 2, 2, random) == shares


@pytest.mark.parametrize(("shares", "needed"), [(1, 1), (3, 2), (5, 3), (9, 9), (255, 2)])
def test_any_shares_that_are_enough_give_the_secret_and_fewer_do_not(shares, needed):
    secret, random = bytes(range(200, 232)), bytes(i * 37 % 251 for i in range(32 * (needed - 1)))
    made = shamir.split(secret, shares, needed, random)
    for at in range(0, shares - needed + 1, max(1, shares // 7)):
        some = {x: made[x] for x in range(at + 1, at + 1 + needed)}
        assert shamir.combine(some) == secret
        # SLIP-39's reference implementation has the same field, and interpolates at any x.
        raw = [slip39.RawShare(x, share) for x, share in some.items()]
        assert slip39._interpolate(raw, 0) == secret
        if needed > 1:
            assert shamir.combine(dict(list(some.items())[1:])) != secret
    with pytest.raises(shamir.SharesFault):
        shamir.combine({0: secret})


# ---- trails with pseudonyms --------------------------------------------------------------------------------------


class Place:
    """A key store, and trails that share it."""

    def __init__(self, directory: Path, url: str = "") -> None:
        self.directory = directory
        self.url = url or str(directory / "keys.db")
        KeyStore(self.url, MASTER, make=True).close()

    def store(self) -> KeyStore:
        return KeyStore(self.url, MASTER)

    def trail(self, name: str, step: Step | None = None) -> AuditTrail:
        names = Pseudonyms(self.store(), name)
        return AuditTrail(self.directory / name, KEY, step, segment_commands=COMMANDS, names=names)

    def build(self, name: str, size: int = 9, last: int = 10**9) -> Path:
        trail = self.trail(name)
        self.go_on(trail, size, last)
        trail.close()
        return self.directory / name

    @staticmethod
    def go_on(trail: AuditTrail, size: int = 9, last: int = 10**9) -> None:
        begin = sum(batch.last_seq <= trail.position().seq for batch in the_history().batches)
        for chunk in the_history().chunks(size, begin=begin):
            if chunk.first_seq <= last:
                trail.apply(chunk)

    def pseudonyms(self, subject: Subject) -> list[str]:
        with closing(self.store()) as store:
            return [one.pseudonym for one in store.pseudonyms_of(subject)]

    def erase(self, subject: Subject) -> tuple[int, int]:
        with closing(self.store()) as store:
            return store.erase([subject], "asked to be forgotten", "C-1")


@pytest.fixture
def place(tmp_path) -> Place:
    return Place(tmp_path)


ACCOUNT = Subject("account", 1)


def records(directory: Path) -> list[dict]:
    return list(sealed_records(directory))


def test_two_followers_of_one_key_store_seal_the_same_bytes(place):
    one, other = place.build("one"), place.build("other", 31)
    assert sealed(one) == sealed(other)
    assert len(sealed(one)) >= 6
    assert verify(one).findings == ()
    elsewhere = Place(place.directory / "elsewhere").build("one")
    assert sealed(one) != sealed(elsewhere), "without the keys nobody comes to these pseudonyms"


def test_followers_that_take_turns_seal_the_same_bytes(place):
    trails = [place.trail("one"), place.trail("other")]
    for chunk in the_history().chunks(5):
        for trail in trails:
            trail.apply(chunk)
        trails.reverse()
    for trail in trails:
        trail.close()
    assert sealed(place.directory / "one") == sealed(place.directory / "other")


def test_no_record_has_a_number_of_an_account_or_client_and_all_else_is_as_it_was(place, tmp_path):
    plain = AuditTrail(tmp_path / "plain", KEY, segment_commands=COMMANDS)
    place.go_on(plain)
    plain.close()
    hidden = place.build("hidden")
    with closing(place.store()) as store:
        revealed = list(with_numbers(iter(records(hidden)), store))
    was = records(tmp_path / "plain")
    assert len(was) == len(revealed) > 500
    accounts = 0
    for hid, now, before in zip(records(hidden), revealed, was, strict=True):
        for name in ("account", "to_account", "maker_account"):
            assert now.get(name) == before.get(name)
            assert isinstance(hid.get(name, ""), str)
            accounts += name in hid
        for session, (client, low) in {
            "session_id": ("client", "session"), "maker_session_id": ("maker_client", "maker_session"),
            "of_session": ("of_client", "of_session"),
        }.items():  # fmt: skip
            assert now.pop(client, 0) << 32 | now.pop(low, 0) == before.pop(session, 0)
            assert isinstance(hid.get(low, ""), str), "a session's number, neither"
        assert now == before
    assert accounts > 300


def test_a_trail_with_numbers_of_sessions_goes_on_so(place):
    """Records of version 2."""
    directory, middle = place.directory / "one", the_history().batches[60].last_seq
    place.go_on(AuditTrail(directory, KEY, segment_commands=COMMANDS, names=older(place)), 9, middle)
    Path(place.url).rename(place.directory / "one.keys.db")
    (place.directory / "one.master.key").write_text(MASTER.hex())
    names = names_of(directory, Keys(), open_log("audit"))
    assert names is not None
    assert names.version == 2
    trail = AuditTrail(directory, KEY, segment_commands=COMMANDS, names=names)
    place.go_on(trail)
    trail.close()
    assert verify(directory).findings == ()
    found = records(directory)
    assert {record["session"] for record in found if "session" in record} == {SESSION & (2**32 - 1)}
    assert all(isinstance(record["client"], str) for record in found if "client" in record)


def older(place: Place) -> Pseudonyms:
    return Pseudonyms(place.store(), "one", version=2)


def test_a_pseudonym_is_the_hmac_of_the_clients_random_key(place):
    place.build("one")
    (pseudonym,) = place.pseudonyms(ACCOUNT)
    with closing(place.store()) as store, sqlite3.connect(place.url) as look:
        (secret,) = look.execute("SELECT secret FROM audit_keys_keys WHERE pseudonym = ?", (pseudonym,)).fetchone()
        clear = store.unwrapped(secret, pseudonym)
        assert pseudonym_of(clear[:32], ACCOUNT) == pseudonym
        assert store.subject_of(pseudonym) == ACCOUNT
    assert clear[:32] not in Path(place.url).read_bytes(), "keys are encrypted where they lie"
    with pytest.raises(EnvironmentFault, match="another master key"):
        KeyStore(place.url, bytes(32))


def test_a_trail_goes_on_with_its_own_key_store_alone(place):
    place.build("one")
    other = Place(place.directory / "elsewhere")
    with pytest.raises(EnvironmentFault, match=r"name that one \(--keys\)"):
        AuditTrail(place.directory / "one", KEY, names=Pseudonyms(other.store(), "one"))
    with pytest.raises(EnvironmentFault, match="records of version 3, not 1"):
        AuditTrail(place.directory / "one", KEY)


# ---- erasure -----------------------------------------------------------------------------------------------------


def test_erased_the_records_verify_and_nothing_leads_to_the_client_any_more(place):
    directory = place.build("one")
    before, (pseudonym,) = sealed(directory), place.pseudonyms(ACCOUNT)
    with closing(place.store()) as store:
        tag = store.tag_of(ACCOUNT)
        store.forget_follower("one", "the trail is kept, and no follower goes on with it")
    secret = sqlite3.connect(place.url).execute(
        "SELECT secret FROM audit_keys_keys WHERE pseudonym = ?", (pseudonym,)
    ).fetchone()[0]  # fmt: skip
    assert place.erase(ACCOUNT) == (1, 1)
    assert sealed(directory) == before
    assert verify(directory).findings == ()
    assert place.pseudonyms(ACCOUNT) == []
    with closing(place.store()) as store:
        assert store.subject_of(pseudonym) is None
        lines = store.lines()
        assert next(iter(with_numbers(iter([{"account": pseudonym}]), store))) == {"account": pseudonym}
    raw = b"".join(path.read_bytes() for path in place.directory.glob("keys.db*"))
    assert secret not in raw, "the key is overwritten, and in no file beside"
    assert tag.encode() not in raw
    assert pseudonym.encode() in raw, "a tombstone is left"
    assert [json.loads(line)["what"] for line in lines] == ["made", "follower_forgotten", "erasure", "destroyed"]
    assert not any(pseudonym in line or "account" in line for line in lines)
    assert keystore_log.broken(lines) == 0


def test_rebuilt_after_an_erasure_it_is_the_same_bytes(place):
    before = sealed(place.build("one"))
    (old,) = place.pseudonyms(ACCOUNT)
    with closing(place.store()) as store:
        store.forget_follower("one", "moved away")
    assert place.erase(ACCOUNT) == (1, 1)
    assert sealed(place.build("again", 13)) == before
    # In the middle nobody knows any more whose pseudonym it was, and says so.
    shutil.copytree(place.directory / "again", place.directory / "middle")
    for path in sorted((place.directory / "middle").glob("manifest-*.json"))[2:]:
        path.unlink()
    with closing(place.store()) as store:
        store.forget_follower("again", "done")
    with pytest.raises(PseudonymGone, match="from the beginning in an empty one"):
        place.build("middle")
    assert old


def test_who_comes_back_after_an_erasure_is_somebody_new_on_every_follower(place):
    middle = the_history().batches[80].last_seq
    one, other = place.trail("one"), place.trail("other")
    place.go_on(one, 5, middle)
    place.go_on(other, 3, the_history().batches[50].last_seq)
    (old,) = place.pseudonyms(ACCOUNT)
    assert place.erase(ACCOUNT) == (1, 0), "what is not sealed yet still needs it"
    place.go_on(one)
    assert old in place.pseudonyms(ACCOUNT), "the other one is behind"
    place.go_on(other)
    one.close()
    other.close()
    (new,) = place.pseudonyms(ACCOUNT)
    assert new != old
    assert sealed(place.directory / "one") == sealed(place.directory / "other")
    found = [(record["seq"], record["account"]) for record in records(place.directory / "one") if "account" in record]
    assert max(seq for seq, name in found if name == old) < min(seq for seq, name in found if name == new)
    # And a rebuild, which has nothing but the tombstone, comes to the same.
    assert sealed(place.build("again", 30)) == sealed(place.directory / "one")


def test_a_client_who_is_erased_and_goes_on_with_his_session_is_not_found_again_by_it(place):
    middle = the_history().batches[70].last_seq
    trail = place.trail("one")
    place.go_on(trail, 5, middle)
    middle = trail.position().seq
    client = Subject("client", SESSION >> 32)
    before = {kind: place.pseudonyms(Subject(kind, number)) for kind, number in whose(client)}
    assert all(before.values())
    assert place.erase(client) == (2, 0), "he, and his session"
    place.go_on(trail)
    trail.close()
    after = {kind: place.pseudonyms(Subject(kind, number)) for kind, number in whose(client)}
    assert not {*before["client"], *before["session"]} & {*after["client"], *after["session"]}
    found = [record for record in records(place.directory / "one") if "session" in record]
    old = [record for record in found if record["seq"] <= middle]
    new = [record for record in found if record["seq"] > middle]
    assert {record["session"] for record in old} == set(before["session"])
    assert {record["session"] for record in new} == set(after["session"])
    # And a rebuild, which has nothing but tombstones, comes to the same.
    assert sealed(place.build("again", 30)) == sealed(place.directory / "one")


@pytest.mark.parametrize(("version", "in_clear"), [(2, True), (3, False)])
def test_a_mass_cancel_names_no_session(place, version, in_clear):
    """Its `order_id` is a session's number, which begins with the client's. Trails of before go on as they began."""
    record = {"what": "command", "kind": "MASS_CANCEL", "order_id": SESSION, "account": 1}
    of_all = {"what": "command", "kind": "MASS_CANCEL", "order_id": 0, "account": 1}
    of_an_order = {"what": "command", "kind": "CANCEL", "order_id": 7, "account": 1}
    with closing(place.store()) as store:
        names = Pseudonyms(store, "one", version=version)
        names.go_on(0, from_beginning=True)
        names.announce(9)
        names.conceal([(5, record), (6, of_all), (7, of_an_order)])
    assert (record.get("order_id") == SESSION) is in_clear
    assert ("of_session" in record) is not in_clear
    assert of_all["order_id"] == 0
    assert of_an_order["order_id"] == 7


def whose(client: Subject) -> list[tuple[str, int]]:
    return [("client", client.number), ("session", SESSION)]


def test_what_an_erasure_is_told_of_counts_where_no_follower_has_come_so_far(place):
    """Such as the end of the client's last order, which is still to be recorded under the old pseudonym."""
    with closing(place.store()) as store:
        store.register("one", 0)
        store.announce("one", 9)
        (old,) = store.resolve([Wanted(ACCOUNT, 5, "5.C.1", from_beginning=True)])
        assert store.erase([ACCOUNT], "asked", "1", through=12) == (1, 0)
        store.sealed("one", 9)
        later = [Wanted(ACCOUNT, seq, f"{seq}.C.1", from_beginning=True) for seq in (12, 13)]
        names = [one.pseudonym for one in store.resolve(later)]
        assert names[0] == old.pseudonym != names[1]


def test_a_follower_that_begins_later_changes_nothing_for_one_that_has_all(place):
    with closing(place.store()) as store:
        late = store.resolve([Wanted(ACCOUNT, 5_000, "5000.C.account", from_beginning=False)])
        early = store.resolve([Wanted(ACCOUNT, 7, "7.C.account", from_beginning=True)])
    assert late[0].pseudonym == early[0].pseudonym
    assert early[0].from_seq == 7


def on_the_disk(place: Place, secret: bytes, tag: str) -> bool:
    files = Path(place.url).parent.glob(f"{Path(place.url).name}*")
    raw = b"".join(path.read_bytes() for path in files)
    return secret in raw or tag.encode() in raw


def erase_command(place: Place, *words: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli, ["audit", "erase", "--keys", place.url, *words], standalone_mode=False)
    assert done.exception is None, done.exc_info
    return done.return_value, done.output


def test_while_somebody_reads_the_key_is_not_gone_and_the_command_says_so(tmp_path, monkeypatch):
    """What was removed stays in the log beside the file as long as a reader may want what was before."""
    monkeypatch.setattr("lockstep.posttrade.audit.keystore_disk.PATIENCE_S", 0.2)
    place = Place(tmp_path, str(tmp_path / "trail.keys.db"))
    (tmp_path / "trail.master.key").write_text(MASTER.hex())
    subjects = [Subject("account", number) for number in (1, 2, 3)]
    with closing(place.store()) as store, closing(sqlite3.connect(place.url)) as reader:
        store.register("one", 0)
        store.announce("one", 9)
        named = store.resolve([Wanted(one, 5, f"5.C.{one.number}", from_beginning=True) for one in subjects])
        store.sealed("one", 9)
        assert store.overwritten
        held = [
            (
                *reader.execute("SELECT secret FROM audit_keys_keys WHERE pseudonym = ?", (name.pseudonym,)).fetchone(),
                tag,
            )
            for name, tag in zip(named, map(store.tag_of, subjects), strict=True)
        ]
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM audit_keys_keys").fetchone()
        assert store.erase(subjects[:1], "asked", "1") == (1, 1)
        assert not store.overwritten
        assert on_the_disk(place, *held[0])
        code, said = erase_command(place, "--account", "2", "--reason", "asked")
        assert (code, "1 keys ended, 1 destroyed" in said, "not yet overwritten" in said) == (1, True, True)
        assert "an order that is open has the same number" in said
        assert erase_command(place, "--finish") == (1, said.splitlines()[-1] + "\n")
        reader.rollback()
        assert on_the_disk(place, *held[1]), "until somebody writes"
        assert erase_command(place, "--finish") == (0, "what was removed is overwritten\n")
        assert not any(on_the_disk(place, *one) for one in held[:2])
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM audit_keys_keys").fetchone()
        assert store.erase(subjects[2:], "asked", "1") == (1, 1)
        reader.rollback()
        store.announce("one", 12)
        store.sealed("one", 12)
        assert store.overwritten
        assert not on_the_disk(place, *held[2]), "the next seal finishes it"


def test_a_key_that_has_to_wait_for_a_seal_is_not_called_removed(tmp_path, monkeypatch):
    """With a reader beside it, too: he may keep what an earlier erasure has removed, but not this key."""
    monkeypatch.setattr("lockstep.posttrade.audit.keystore_disk.PATIENCE_S", 0.2)
    place = Place(tmp_path, str(tmp_path / "trail.keys.db"))
    (tmp_path / "trail.master.key").write_text(MASTER.hex())
    subject = Subject("account", 1)
    with closing(place.store()) as store, closing(sqlite3.connect(place.url)) as reader:
        store.register("one", 0)
        store.announce("one", 9)
        (name,) = store.resolve([Wanted(subject, 5, "5.C.1", from_beginning=True)])
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM audit_keys_keys").fetchone()
        code, said = erase_command(place, "--account", "1", "--reason", "asked")
        assert (code, "1 keys ended, 0 destroyed" in said, "nothing was removed yet" in said) == (1, True, True)
        assert "not yet overwritten" not in said
        reader.rollback()
        code, said = erase_command(place, "--finish")
        assert (code, "1 keys that were ended are not removed yet" in said) == (0, True)
        assert store.subject_of(name.pseudonym) == subject
        store.sealed("one", 9)
        assert store.subject_of(name.pseudonym) is None
        assert erase_command(place, "--finish") == (0, "what was removed is overwritten\n")


@pytest.mark.parametrize("words", [("--account", "7"), ("--reason", "x"), ("--finish", "--account", "7")])
def test_an_erasure_says_what_it_needs(place, words):
    done = CliRunner().invoke(cli, ["audit", "erase", "--keys", place.url, *words])
    assert done.exit_code == 2, done.output


# ---- kills, and PostgreSQL ---------------------------------------------------------------------------------------


def open_trail(place: str, step: Step) -> AuditTrail:
    return Place(Path(place)).trail("killed", step)


def test_killed_at_every_step_of_a_seal_it_has_the_same_pseudonyms(tmp_path):
    steps = [*STEPS, "keys"]
    died = kill_at_every_step(
        "tests.posttrade.test_audit_keys:open_trail", str(tmp_path), seed=9, bursts=BURSTS, size=1, look=lambda: None,
        steps=len(steps),
    )  # fmt: skip
    assert set(steps) <= set(died)
    assert verify(tmp_path / "killed").findings == ()
    assert sealed(tmp_path / "killed") == sealed(Place(tmp_path).build("whole"))


def test_followers_share_keys_in_postgresql(postgres, tmp_path):
    place = Place(tmp_path, postgres.url)
    last = the_history().batches[39].last_seq
    one, other = place.build("one", 4, last), place.build("other", 8, last)
    assert sealed(one) == sealed(other)
    (pseudonym,) = place.pseudonyms(ACCOUNT)
    with closing(place.store()) as store:
        assert store.subject_of(pseudonym) == ACCOUNT
        store.forget_follower("one", "done")
        store.forget_follower("other", "done")
    assert place.erase(ACCOUNT) == (1, 1)
    with closing(place.store()) as store:
        assert store.subject_of(pseudonym) is None
        assert keystore_log.broken(store.lines()) == 0


def test_a_master_key_is_made_once_and_read_by_its_owner_alone(tmp_path):
    path = tmp_path / "a" / "master.key"
    with pytest.raises(EnvironmentFault, match="is missing: restore it"):
        master_key(path, make=False)
    made = master_key(path, make=True)
    assert master_key(path, make=True) == made
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text("00")
    with pytest.raises(EnvironmentFault, match="not 32"):
        master_key(path, make=False)
