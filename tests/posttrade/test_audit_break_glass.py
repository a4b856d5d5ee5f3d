"""Who a pseudonym is: enough officers together, each where he is; nobody else, and never without a line in the log."""

import json
import shutil
import sqlite3
from contextlib import closing

import pytest
from click.testing import CliRunner

from lockstep.ops.cli.main import cli
from lockstep.posttrade.audit import keystore_log
from lockstep.posttrade.audit.break_glass import consent, make_request, openings_fault, reveal
from lockstep.posttrade.audit.keystore import KeyStore
from lockstep.posttrade.audit.officers import OfficerKey, SealFault, officer_from, open_box, seal_box
from lockstep.posttrade.audit.subjects import Named, Subject, Wanted, subjects_of

ANNA, BERT, CARL, DORA = (OfficerKey(name, name.encode().ljust(32, b"!")) for name in ("Anna", "Bert", "Carl", "Dora"))
WHO = Subject("account", 42)


def meet(store: KeyStore, subject: Subject, seq: int) -> Named:
    return store.resolve([Wanted(subject, seq, f"{seq}.C.account", from_beginning=True)])[0]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    path = tmp_path_factory.mktemp("keys") / "trail.keys.db"
    with closing(KeyStore(str(path), bytes(32), make=True)) as store:
        meet(store, Subject("client", 7), 3)
        store.seal_to([ANNA.officer, BERT.officer, CARL.officer], 2, "begun")
        meet(store, WHO, 10)
        store.log("noted")
    return path


@pytest.fixture
def store(made, tmp_path):
    with closing(KeyStore(shutil.copy(made, tmp_path / made.name), bytes(32))) as found:
        yield found


def ask(store: KeyStore, subject: Subject = WHO):
    (named,) = store.pseudonyms_of(subject)
    return make_request(store, named.pseudonym, "court order 17/26")


@pytest.mark.parametrize(
    ("who", "subject"), [((ANNA, BERT), WHO), ((CARL, ANNA), WHO), ((BERT, CARL, ANNA), Subject("client", 7))]
)
def test_any_two_of_three_officers_open_an_identity_and_the_log_has_it(store, who, subject):
    request, secret = ask(store, subject)
    looker = KeyStore(store.url, None)
    assert reveal(looker, json.loads(json.dumps(request)), secret, [consent(request, one) for one in who]) == subject
    line = store.lines()[-1]
    said = json.loads(line)
    assert (said["what"], said["asked"]["reason"]) == ("opened", "court order 17/26")
    assert [one["name"] for one in said["consents"]] == [one.officer.name for one in who]
    assert subject.text not in line
    assert openings_fault(line) == ""
    assert "has not signed" in openings_fault(line.replace("court order 17/26", "court order 18/26"))
    looker.close()


def test_one_officer_alone_opens_nothing_and_neither_does_the_same_twice(store):
    request, secret = ask(store)
    given = consent(request, ANNA)
    before = store.lines()
    for consents in ([given], [given, given]):
        with pytest.raises(SealFault, match="2 officers have to consent, 1 did"):
            reveal(store, request, secret, consents)
    assert store.lines() == before


def test_a_consent_is_to_one_request_alone(store):
    request, secret = ask(store)
    other, _ = ask(store)
    with pytest.raises(SealFault, match="consent of Bert is to another request"):
        reveal(store, request, secret, [consent(request, ANNA), consent(other, BERT)])
    changed = {**request, "body": {**request["body"], "reason": "curiosity"}}
    with pytest.raises(SealFault, match="to another request, or was changed"):
        reveal(store, changed, secret, [consent(request, ANNA), consent(request, BERT)])
    with pytest.raises(SealFault, match="not sealed to this key"):
        reveal(store, request, bytes(range(32)), [consent(request, ANNA), consent(request, BERT)])


def test_a_stranger_has_no_share_and_his_consent_counts_for_nothing(store):
    request, secret = ask(store)
    with pytest.raises(SealFault, match="nothing is sealed to Dora"):
        consent(request, DORA)
    forged = consent(request, ANNA)
    forged["body"]["officer"] = DORA.officer.fingerprint
    with pytest.raises(SealFault, match="of nobody that identities are sealed to"):
        reveal(store, request, secret, [consent(request, BERT), forged])


def test_sealed_anew_an_officer_who_left_opens_nothing_any_more(store):
    old, old_secret = ask(store)
    consents = [consent(old, ANNA), consent(old, BERT)]
    assert store.seal_to([ANNA.officer, CARL.officer, DORA.officer], 2, "Bert left") == 2
    with pytest.raises(SealFault, match="of nobody that identities are sealed to now"):
        reveal(store, old, old_secret, consents)
    with pytest.raises(SealFault, match="ask again"):
        reveal(store, old, old_secret, [consent(old, ANNA), consent(old, CARL)])
    request, secret = ask(store)
    with pytest.raises(SealFault, match="nothing is sealed to Bert"):
        consent(request, BERT)
    assert reveal(store, request, secret, [consent(request, DORA), consent(request, CARL)]) == WHO


def test_what_is_erased_nobody_opens(store):
    request, secret = ask(store)
    consents = [consent(request, ANNA), consent(request, BERT)]
    pseudonym = request["body"]["pseudonym"]
    assert store.erase(subjects_of([42], []), "asked", "") == (1, 1)
    with pytest.raises(SealFault, match="it was erased"):
        reveal(store, request, secret, consents)
    with pytest.raises(SealFault, match="no sealed identity"):
        make_request(store, pseudonym, "again")


def test_the_log_is_append_only_and_a_change_shows(store):
    with sqlite3.connect(store.url) as raw:
        for sql in ("UPDATE audit_keys_log SET line = '{}'", "DELETE FROM audit_keys_log"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                raw.execute(sql)
        raw.execute("DROP TRIGGER audit_keys_log_delete")
        raw.execute("DELETE FROM audit_keys_log WHERE number = 1")
    assert keystore_log.broken(store.lines()) == 1


def test_a_box_opens_for_its_purpose_and_its_key_alone():
    box = seal_box(ANNA.officer.box_key, b"content", b"one")
    assert ANNA.open(box, b"one") == b"content"
    assert seal_box(ANNA.officer.box_key, b"content", b"one") != box
    for key, what, raw in ((ANNA, b"two", box), (BERT, b"one", box), (ANNA, b"one", box[:-1]), (ANNA, b"one", b"")):
        with pytest.raises(SealFault):
            key.open(raw, what)
    assert open_box(ANNA._box, box, b"one") == b"content"
    with pytest.raises(SealFault, match="no public keys of an officer"):
        officer_from('{"name":"x","x25519":"AA==","ed25519":"AA=="}')


def lockstep(*words: object, code: int = 0) -> str:
    done = CliRunner().invoke(cli, ["audit", *map(str, words)])
    assert done.exit_code == code, done.output
    return done.output


def test_by_commands_from_officers_keys_to_an_erasure(tmp_path):
    url, master = tmp_path / "trail.keys.db", tmp_path / "trail.master.key"
    master.write_text(bytes(32).hex())
    with closing(KeyStore(str(url), bytes(32), make=True)) as store:
        pseudonym = meet(store, WHO, 10).pseudonym
    for name in ("anna", "bert", "carl"):
        said = lockstep("officer", name, "--out", tmp_path / f"{name}.key").splitlines()
        (tmp_path / f"{name}.pub").write_text(next(line for line in said if line.startswith("{")))
    lockstep("officer", "anna", "--out", tmp_path / "anna.key", code=1)
    officers = [word for name in ("anna", "bert", "carl") for word in ("--officer", tmp_path / f"{name}.pub")]
    lockstep("seal", "--keys", url, *officers, "--needed", 4, "--reason", "begun", code=2)
    assert "1 identities are sealed to anna, bert, carl" in lockstep(
        "seal", "--keys", url, *officers, "--reason", "begun"
    )
    master.rename(tmp_path / "elsewhere")
    request = tmp_path / "request.json"
    lockstep("open", pseudonym, "--keys", url, "--reason", "court order", "--out", request)
    given = []
    for name in ("carl", "anna"):
        path = tmp_path / f"{name}.consent"
        shown = lockstep("consent", request, "--key", tmp_path / f"{name}.key", "--out", path)
        assert f"{name} consents: open {pseudonym}" in shown
        given += ["--consent", path]
    assert "2 officers have to consent" in lockstep("reveal", request, "--keys", url, *given[:2], code=1)
    assert lockstep("reveal", request, "--keys", url, *given) == "account 42\n"
    assert "is missing" in lockstep("erase", "--keys", url, "--account", 42, "--reason", "asked", code=1)
    (tmp_path / "elsewhere").rename(master)
    assert "no key of account 43" in lockstep("erase", "--keys", url, "--account", 43, "--reason", "asked", code=1)
    assert "1 keys ended, 1 destroyed" in lockstep("erase", "--keys", url, "--account", 42, "--reason", "asked")
    said = json.loads(lockstep("keys", "--keys", url, "--json", "-"))
    assert (said["keys"], said["erased"], said["faults"]) == (0, 1, [])
    assert pseudonym in lockstep("keys", "--keys", url)
    for name in ("anna.key", "carl.consent", "request.json.secret", "trail.keys.db"):
        assert (tmp_path / name).stat().st_mode & 0o077 == 0, "others may not read it"


ODD: tuple[object, ...] = (None, 7, "x", [], {}, [[]], {"a": 1}, "\ud800", True)


def bent(document: dict, path: tuple[str, ...], value: object) -> dict:
    """A copy in which one place has another value."""
    made = json.loads(json.dumps(document))
    at = made
    for name in path[:-1]:
        at = at[name]
    at[path[-1]] = value
    return made


@pytest.mark.parametrize("value", ODD)
def test_a_request_or_a_consent_of_no_shape_is_named_and_nothing_is_shown(store, value):
    request, secret = ask(store)
    given = [consent(request, ANNA), consent(request, BERT)]
    places = [("body",), ("shares",), ("shares", ANNA.officer.fingerprint)]
    places += [("body", name) for name in request["body"]]
    places += [("shares", ANNA.officer.fingerprint, name) for name in ("x", "box")]
    for path in places:
        if isinstance(value, str) and path[-1] in ("reason", "asked", "store") and value.isprintable():
            continue
        if value == 7 and path[-1] == "x":
            continue
        wrong = bent(request, path, value)
        if path[0] == "shares" and value == {} and len(path) == 1:
            continue
        with pytest.raises(SealFault):
            consent(wrong, ANNA)
        if path[0] == "body":
            with pytest.raises(SealFault):
                reveal(store, wrong, secret, given)
    for path in [("body",), ("signature",), *(("body", name) for name in given[0]["body"])]:
        with pytest.raises(SealFault):
            reveal(store, request, secret, [bent(given[0], path, value), given[1]])


@pytest.mark.parametrize(
    "raw", ["[]", "7", '{"body": [], "shares": []}', '{"body": {}, "shares": {}}', "x", "[" * 9_000]
)
def test_a_file_that_is_no_request_is_refused_in_words(tmp_path, raw):
    ANNA.save(tmp_path / "anna.key")
    (tmp_path / "request.json").write_text(raw)
    words = ["audit", "consent", str(tmp_path / "request.json"), "--key", str(tmp_path / "anna.key")]
    done = CliRunner().invoke(cli, [*words, "--out", str(tmp_path / "out")])
    assert (done.exit_code, type(done.exception)) == (1, SystemExit), done.exc_info
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("document", ["x", "[]", "{}", '{"name": 7}', "[" * 9_000])
def test_an_officer_that_was_changed_in_the_key_store_is_said(store, document):
    with sqlite3.connect(store.url) as raw:
        raw.execute("UPDATE audit_keys_officers SET document = ? WHERE place = 1", (document,))
    done = CliRunner().invoke(cli, ["audit", "keys", "--keys", store.url])
    assert (done.exit_code, type(done.exception)) == (1, SystemExit), done.exc_info
    assert "an officer in the key store was changed" in done.stderr


def test_what_an_officer_is_shown_moves_no_cursor(store, tmp_path):
    (named,) = store.pseudonyms_of(WHO)
    request, _ = make_request(store, named.pseudonym, "court order\x1b[2K\rnothing of note")
    ANNA.save(tmp_path / "anna.key")
    (tmp_path / "request.json").write_text(json.dumps(request))
    words = ["audit", "consent", str(tmp_path / "request.json"), "--key", str(tmp_path / "anna.key")]
    done = CliRunner().invoke(cli, [*words, "--out", str(tmp_path / "out")])
    assert "\\x1b[2K\\rnothing of note" in done.stdout
    assert "\x1b" not in done.stdout
