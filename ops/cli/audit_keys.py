"""`lockstep audit` commands about who is who: erasure, officers, and opening an identity with enough of them."""

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lockstep.ops.cli.options import (
    Failure,
    InputFault,
    expected_errors,
    json_option,
    on_stdout,
    write_json,
)
from lockstep.runtime.output import Output

if TYPE_CHECKING:
    from lockstep.posttrade.audit.naming import Keys
    from lockstep.posttrade.audit.subjects import Subject

_FILE = click.Path(path_type=Path, dir_okay=False)
_NUMBER = click.IntRange(1, 2**32 - 1)
_NOT_YET = (
    "not yet overwritten: somebody reads the key store, and what was removed is on the disk still; end that, then "
    "`lockstep audit erase --finish` (the next seal of a follower does it, too; in PostgreSQL as owner of the tables)"
)
_PERHAPS_NOT = (
    "nothing was removed yet; but somebody reads the key store, and what an earlier erasure has removed may be on the "
    "disk still: end that, then `lockstep audit erase --finish`"
)


def keys_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--keys`."""
    text = "Key store of the pseudonyms: a file, or a PostgreSQL URL. Made by `lockstep audit run`: TRAIL.keys.db."
    return click.option("--keys", "key_store", metavar="STORE", help=text)(function)


def master_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--master-key`."""
    text = "Master key of the key store. Default: beside it, for NAME.keys.db NAME.master.key."
    return click.option("--master-key", type=_FILE, help=text)(function)


def keys_of(key_store: str | None, master: Path | None = None) -> "Keys":
    """What both options say."""
    from lockstep.posttrade.audit.naming import Keys

    return Keys(key_store, master)


@click.command("erase")
@keys_option
@master_option
@click.option("--account", "accounts", type=_NUMBER, multiple=True, help="Account to forget; may be repeated.")
@click.option("--client", "clients", type=_NUMBER, multiple=True, help="Client to forget; may be repeated.")
@click.option("--reason", help="Why. It names nobody: the log keeps it for ever. Needed, but with --finish.")
@click.option("--case", default="", help="Reference of the request, kept elsewhere.")
@click.option("--finish", is_flag=True, help="Overwrite what an erasure has removed while somebody read; end no key.")
@click.option(
    "--config",
    "config_path",
    type=_FILE,
    envvar="LOCKSTEP_CONFIG",
    show_envvar=True,
    help="Cluster in which they may have orders still: erase nobody who has one.",
)
@expected_errors
def erase_command(
    key_store: str | None, master_key: Path | None, accounts: tuple[int, ...], clients: tuple[int, ...],
    reason: str | None, case: str, finish: bool, config_path: Path | None,
) -> int:  # fmt: skip
    """Destroy the keys of accounts and clients: records verify as before, and no key leads to who they were.

    A key goes as soon as every follower of the key store has sealed what it was used for. Cancel the client's orders
    first: their numbers are in records before and after. With --config that is checked, and nobody who has one is
    erased. Exit code 1 if what was removed, now or by an earlier erasure, may be on the disk still.
    """
    from lockstep.posttrade.audit.naming import open_keys
    from lockstep.posttrade.audit.subjects import subjects_of

    subjects = subjects_of(accounts, clients)
    if finish:
        if subjects:
            raise InputFault("--finish ends no key: leave out --account and --client, or --finish")
        with closing(open_keys(keys_of(key_store, master_key), master=False)) as store:
            store.finish()
            click.echo("what was removed is overwritten" if store.overwritten else _NOT_YET)
            if waiting := store.counts()["ending"]:
                click.echo(f"{waiting} keys that were ended are not removed yet: followers have to seal first")
            return 0 if store.overwritten else 1
    if not subjects:
        raise InputFault("name whom to forget: --account NUMBER or --client NUMBER")
    if not reason:
        raise InputFault("say why, without naming anybody: --reason TEXT")
    with closing(open_keys(keys_of(key_store, master_key), master=True)) as store:
        unknown = [one.text for one in subjects if not store.pseudonyms_of(one)]
        if unknown:
            raise Failure(f"the key store has no key of {', '.join(unknown)}: nobody was erased")
        through = _none_open(config_path, subjects) if config_path is not None else 0
        ended, destroyed = store.erase(subjects, reason, case, through)
        left, overwritten = store.counts(), store.overwritten
    click.echo(f"{ended} keys ended, {destroyed} destroyed")
    if config_path is None:
        click.echo(
            "an order that is open has the same number in records before and after: who has one can be found again by "
            "it (--config looks)"
        )
    if left["ending"]:
        click.echo(f"{left['ending']} wait until all followers have sealed what they were used for:")
        for name, at in left["followers"].items():
            click.echo(f"  {name} has applied seq {at['applied_seq']} and sealed seq {at['sealed_seq']}")
        click.echo("`lockstep audit keys --forget-follower NAME` waits no longer for one that will not come back")
    if not overwritten:
        click.echo(_NOT_YET if destroyed else _PERHAPS_NOT)
    return 0 if overwritten else 1


def _none_open(config_path: Path, subjects: "list[Subject]") -> int:
    """The seq as of which none of them has a live order.

    Raises:
        Failure: one has.
    """
    from lockstep.posttrade.audit.still_open import still_open
    from lockstep.runtime.config import load

    found = still_open(load(config_path), subjects)
    if found.orders:
        said = ", ".join(f"{one.text} has {count}" for one, count in found.orders.items())
        raise Failure(
            f"live orders, as of seq {found.seq}: {said}; nobody was erased. Take their right to trade away, cancel "
            "the orders (lockstep cluster kill-switch), and erase then"
        )
    return found.seq


@click.command("keys")
@keys_option
@click.option("--forget-follower", metavar="NAME", help="No longer wait for this follower's seals.")
@click.option("--reason", default="", help="Why, for the log.")
@json_option
@expected_errors
def keys_command(key_store: str | None, forget_follower: str | None, reason: str, json_file: Output | None) -> int:
    """Show a key store without naming anybody, and check its log: exit code 1 if a line was changed or taken out."""
    from lockstep.posttrade.audit import keystore_log
    from lockstep.posttrade.audit.break_glass import openings_fault
    from lockstep.posttrade.audit.naming import open_keys

    with closing(open_keys(keys_of(key_store), master=False)) as store:
        if forget_follower and not store.forget_follower(forget_follower, reason):
            raise Failure(f"the key store has no follower {forget_follower!r}")
        counts, lines = store.counts(), store.lines()
        officers, needed = store.officers()
        overwritten = store.overwritten
    broken = keystore_log.broken(lines)
    faults = [f"line {broken} does not follow from the one before it"] if broken else []
    faults += [fault for line in lines if (fault := openings_fault(line))]
    names = [{"name": one.name, "fingerprint": one.fingerprint} for one in officers]
    head = keystore_log.head_of(lines)
    said = {**counts, "officers": names, "needed": needed, "log_lines": len(lines), "log_head": head, "faults": faults}
    write_json(json_file, said)
    if not on_stdout(json_file):
        for line in lines:
            click.echo(line)
        of = f"{counts['keys']} keys of accounts and clients, {counts['sessions']} of sessions"
        click.echo(f"{of}; {counts['ending']} ending, {counts['erased']} erased")
        named = ", ".join(one.name for one in officers)
        click.echo(f"{needed} of {len(officers)} officers open an identity: {named}" if officers else "no officers yet")
        for name, at in counts["followers"].items():
            click.echo(f"follower {name}: applied seq {at['applied_seq']}, sealed seq {at['sealed_seq']}")
        for fault in faults:
            click.echo(fault)
        click.echo(f"log: {len(lines)} lines, head {head}")
    if not overwritten:
        click.echo(_NOT_YET, err=True)
    return 1 if faults or not overwritten else 0


@click.command("rekey")
@keys_option
@master_option
@click.option("--reason", help="Why, for the log. Needed, but with --prepare.")
@click.option("--prepare", is_flag=True, help="Make the new key only, as FILE.next, to bring it to other hosts first.")
@expected_errors
def rekey_command(key_store: str | None, master_key: Path | None, reason: str | None, prepare: bool) -> int:
    """Change the master key of a key store: everything in it is put under a new one. Followers may run.

    The new key takes the old one's place, which is overwritten. Killed at any moment, the same command finishes it.
    Exit code 1 if something under the old key may be on the disk still.
    """
    from lockstep.posttrade.audit import rekey
    from lockstep.posttrade.audit.naming import master_file

    if key_store is None:
        raise InputFault("name the key store (--keys): a file, or a PostgreSQL URL")
    path = master_file(keys_of(key_store, master_key))
    if prepare:
        click.echo(f"{rekey.prepare(key_store, path)}: bring it to each host that has {path.name}, then change to it")
        return 0
    if not reason:
        raise InputFault("say why: --reason TEXT")
    done = rekey.rekey(key_store, path, reason)
    if done.finished:
        click.echo(f"an earlier change was finished: {path} has the new master key, and the old one is gone")
    else:
        click.echo(f"{done.keys} keys are under a new master key, in {path}; the old one is gone")
    click.echo("backups of the key store are under the old one still: make new ones, and delete those")
    if not done.overwritten:
        click.echo(_NOT_YET)
    return 0 if done.overwritten else 1


@click.command("officer")
@click.argument("name")
@click.option("--out", "path", type=_FILE, required=True, help="Where the secret key goes; it stays with the officer.")
@expected_errors
def officer_command(name: str, path: Path) -> int:
    """Make the keys of an officer NAME, and print the public ones, to be handed over for `lockstep audit seal`."""
    import secrets

    from lockstep.posttrade.audit.officers import SECRET, OfficerKey, SealFault, officer_from

    key = OfficerKey(name, secrets.token_bytes(SECRET))
    text = json.dumps(key.officer.document())
    try:
        officer_from(text)
    except SealFault as fault:
        raise InputFault(str(fault)) from fault
    key.save(path)
    click.echo(text)
    click.echo(f"fingerprint {key.officer.fingerprint}", err=True)
    return 0


@click.command("seal")
@keys_option
@master_option
@click.option("--officer", "paths", type=_FILE, multiple=True, required=True, help="Public keys of one; repeated.")
@click.option("--needed", type=click.IntRange(2, 255), default=2, show_default=True, help="How many have to agree.")
@click.option("--reason", required=True, help="Why, for the log: begun, or who joined or left.")
@expected_errors
def seal_command(
    key_store: str | None, master_key: Path | None, paths: tuple[Path, ...], needed: int, reason: str
) -> int:
    """Seal who everybody is to these officers, and to nobody else; new clients' identities are, too.

    When an officer leaves or joins, do it again with those that there are: the others' shares are worth nothing then.
    """
    from lockstep.posttrade.audit.naming import open_keys
    from lockstep.posttrade.audit.officers import SealFault, officer_from

    try:
        officers = [officer_from(path.read_bytes()) for path in paths]
    except SealFault as fault:
        raise InputFault(str(fault)) from fault
    if len({one.fingerprint for one in officers}) < len(officers):
        raise InputFault("an officer is named twice: each has one share")
    if needed > len(officers):
        raise InputFault(f"{needed} of {len(officers)} officers can't agree: name more of them, or need fewer")
    with closing(open_keys(keys_of(key_store, master_key), master=True)) as store:
        sealed = store.seal_to(officers, needed, reason)
        overwritten = store.overwritten
    click.echo(f"{sealed} identities are sealed to {', '.join(one.name for one in officers)}; {needed} open one")
    if not overwritten:
        click.echo(_NOT_YET)
    return 0 if overwritten else 1


@click.command("open")
@keys_option
@click.argument("pseudonym")
@click.option("--reason", required=True, help="Why; the officers sign it, and the log keeps it.")
@click.option(
    "--out", "path", type=_FILE, required=True, help="The request, for the officers; its secret: FILE.secret."
)
@expected_errors
def open_command(key_store: str | None, pseudonym: str, reason: str, path: Path) -> int:
    """Ask the officers who PSEUDONYM is. They consent with `lockstep audit consent`, wherever they are."""
    from lockstep.posttrade.audit.break_glass import make_request
    from lockstep.posttrade.audit.naming import open_keys
    from lockstep.posttrade.audit.officers import SealFault, write_secret

    with closing(open_keys(keys_of(key_store), master=False)) as store:
        try:
            request, secret = make_request(store, pseudonym, reason)
        except SealFault as fault:
            raise Failure(str(fault)) from fault
        needed = store.officers()[1]
    write_secret(path, json.dumps(request, indent=2).encode())
    write_secret(path.with_name(path.name + ".secret"), secret.hex().encode())
    click.echo(
        f"hand {path} to {needed} officers, keep {path.name}.secret, and then: `lockstep audit reveal {path} ...`"
    )
    return 0


@click.command("consent")
@click.argument("request", type=_FILE)
@click.option("--key", "key_file", type=_FILE, required=True, help="The officer's secret key.")
@click.option("--out", "path", type=_FILE, required=True, help="The consent, for whoever asked.")
@expected_errors
def consent_command(request: Path, key_file: Path, path: Path) -> int:
    """Consent to REQUEST as an officer: it shows what is asked, and signs that. Nothing of the cluster is needed."""
    from lockstep.posttrade.audit.break_glass import consent, document_from
    from lockstep.posttrade.audit.officers import SealFault, officer_key_from, write_secret

    asked = document_from(request)
    key = officer_key_from(key_file)
    try:
        given = consent(asked, key)
    except SealFault as fault:
        raise Failure(str(fault)) from fault
    write_secret(path, json.dumps(given, indent=2).encode())
    body = asked["body"]
    # Who asked wrote it: what would move the cursor is shown as it is written.
    pseudonym, at, reason = (
        text if text.isprintable() else ascii(text) for text in (body["pseudonym"], body["asked"], body["reason"])
    )
    click.echo(f"{key.officer.name} consents: open {pseudonym}, asked {at}: {reason}")
    return 0


@click.command("reveal")
@keys_option
@click.argument("request", type=_FILE)
@click.option("--consent", "paths", type=_FILE, multiple=True, required=True, help="An officer's consent; repeated.")
@expected_errors
def reveal_command(key_store: str | None, request: Path, paths: tuple[Path, ...]) -> int:
    """Show who the pseudonym of REQUEST is, if enough officers consented; the log has it before it is shown."""
    from lockstep.posttrade.audit.break_glass import document_from, reveal
    from lockstep.posttrade.audit.naming import open_keys
    from lockstep.posttrade.audit.officers import SealFault

    asked, consents = document_from(request), [document_from(path) for path in paths]
    beside = request.with_name(request.name + ".secret")
    try:
        secret = bytes.fromhex(beside.read_text("ascii"))
    except ValueError as error:
        raise Failure(f"{beside} is no secret of a request: {error}") from error
    with closing(open_keys(keys_of(key_store), master=False)) as store:
        try:
            subject = reveal(store, asked, secret, consents)
        except SealFault as fault:
            raise Failure(str(fault)) from fault
    click.echo(subject.text)
    return 0


COMMANDS = (
    erase_command, keys_command, rekey_command, officer_command, seal_command, open_command, consent_command,
    reveal_command,
)  # fmt: skip
