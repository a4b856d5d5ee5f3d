"""Break-glass: enough officers together open who one pseudonym is, each where he is, and the store's log has it.

    request   whoever asks: pseudonym, reason, a key of this request alone
    consent   each officer: his share, taken out of its box and sealed to the request's key; signed with the request
    reveal    whoever asked: shares together give the envelope's key, the envelope says who it is

Shares are of one identity's envelope: an opening opens nothing else. What an officer signs has the pseudonym and the
reason, so a consent can't be used for another request. The log has request and signatures before anything is shown.
"""

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from lockstep.posttrade.audit.keystore import KeyStore
from lockstep.posttrade.audit.manifest import canonical
from lockstep.posttrade.audit.officers import (
    SECRET,
    Officer,
    OfficerKey,
    SealFault,
    known_among,
    officer_from,
    open_box,
    seal_box,
    signed_by,
)
from lockstep.posttrade.audit.shamir import SharesFault, combine
from lockstep.posttrade.audit.subjects import Subject, share_purpose, subject_from
from lockstep.runtime.faults import EnvironmentFault, os_error_text

OPENED: Final = "opened"
_NONCE: Final = bytes(12)
_MOST_REASON: Final = 1_000
_WRITERS: Final = "`lockstep audit open` writes requests, `lockstep audit consent` consents"
_REQUEST: Final = {"asked": str, "pseudonym": str, "reason": str, "request_key": str, "store": str}
_SHARE: Final = {"box": str, "x": int}
_CONSENT: Final = {"officer": str, "request": str, "share": str, "x": int}


def make_request(store: KeyStore, pseudonym: str, reason: str) -> tuple[dict[str, Any], bytes]:
    """(the request, to be handed to officers; its secret, for whoever asks).

    Raises:
        SealFault: there is no such pseudonym, or its identity is sealed to nobody.
    """
    if not 0 < len(reason) <= _MOST_REASON:
        raise SealFault(f"an opening needs a reason of 1 to {_MOST_REASON} characters")
    found = store.sealed_identity(pseudonym)
    if found is None:
        text = "it is of another key store, was erased, or identities are sealed to no officers (`lockstep audit seal`)"
        raise SealFault(f"the pseudonym {pseudonym[:80]!r} has no sealed identity: {text}")
    secret = secrets.token_bytes(SECRET)
    public = X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()
    body = {
        "asked": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
        "pseudonym": pseudonym,
        "reason": reason,
        "request_key": _text(public),
        "store": store.store_id,
    }
    shares = {officer: {"x": x, "box": _text(box)} for officer, (x, box) in found[1].items()}
    return {"body": body, "shares": shares}, secret


def consent(request: dict[str, Any], key: OfficerKey) -> dict[str, Any]:
    """An officer's consent: his share for whoever asked, and his signature under what was asked.

    Raises:
        SealFault: there is no share of his in it, or it is no request.
    """
    own = key.officer
    body = _request_of(request)
    share = _object(request.get("shares"), "the shares of a request").get(own.fingerprint)
    if share is None:
        raise SealFault(f"nothing is sealed to {own.name} ({own.fingerprint[:16]}...): another officer has to consent")
    share = _with(share, _SHARE, "the share of a request")
    try:
        opened = key.open(_bytes(share["box"]), share_purpose(body["pseudonym"]))
        said = {
            "request": request_id(body),
            "officer": own.fingerprint,
            "x": share["x"],
            "share": _text(seal_box(_bytes(body["request_key"]), opened, _purpose(body))),
        }
    except ValueError as error:
        if isinstance(error, SealFault):
            raise
        raise SealFault(f"it is no request: {error}; `lockstep audit open` writes one") from error
    return {"body": said, "signature": key.sign(said | {"asked": body})}


def reveal(store: KeyStore, request: dict[str, Any], secret: bytes, consents: Sequence[dict[str, Any]]) -> Subject:
    """Who it is. The log has the opening before this returns.

    Raises:
        SealFault: too few consents, or one that is none.
    """
    body = _request_of(request)
    pseudonym = body["pseudonym"]
    officers, needed = store.officers()
    try:
        private = X25519PrivateKey.from_private_bytes(secret)
        shares, said = _shares_of(body, private, officers, consents)
    except ValueError as error:
        if isinstance(error, SealFault):
            raise
        raise SealFault(f"it is no request, or no consent: {error}") from error
    if len(shares) < needed:
        raise SealFault(f"{needed} officers have to consent, {len(shares)} did: hand the request to others of them")
    found = store.sealed_identity(pseudonym)
    if found is None or body["store"] != store.store_id:
        raise SealFault("this key store does not have the pseudonym any more: it was erased, or it is another store")
    try:
        who = AESGCM(combine(shares)).decrypt(_NONCE, found[0], pseudonym.encode())
    except (InvalidTag, SharesFault, ValueError) as error:
        text = "identities were sealed anew since it was asked: ask again (`lockstep audit open`)"
        raise SealFault(f"the shares do not open it; {text}") from error
    store.log(OPENED, asked=body, consents=said, officers=[one.document() for one in officers])
    return subject_from(who)


def _shares_of(
    body: dict[str, Any], private: X25519PrivateKey, officers: Sequence[Officer], consents: Sequence[dict[str, Any]]
) -> tuple[dict[int, bytes], list[dict[str, Any]]]:
    shares: dict[int, bytes] = {}
    kept = []
    for one in consents:
        said = _with(_object(one, "a consent").get("body"), _CONSENT, "a consent")
        signature = _with(one, {"signature": str}, "a consent")["signature"]
        officer = known_among(officers, said["officer"])
        if officer is None:
            raise SealFault("a consent is of nobody that identities are sealed to now")
        if said["request"] != request_id(body) or not signed_by(officer, said | {"asked": body}, signature):
            raise SealFault(f"the consent of {officer.name} is to another request, or was changed")
        shares[said["x"]] = open_box(private, _bytes(said["share"]), _purpose(body))
        # The share itself is no evidence, and nobody's to keep; the signature is over all of it.
        kept.append({"body": said, "signature": signature, "name": officer.name})
    return shares, kept


def openings_fault(line: str) -> str:
    """What is wrong with a line of the log that says that something was opened; empty: nothing."""
    try:
        said = json.loads(line)
        if said["what"] != OPENED:
            return ""
        officers = [officer_from(json.dumps(one)) for one in said["officers"]]
        for one in said["consents"]:
            officer = known_among(officers, one["body"]["officer"])
            if officer is None or not signed_by(officer, one["body"] | {"asked": said["asked"]}, one["signature"]):
                return f"line {said['number']}: a consent that its officer has not signed"
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        return f"a line that can't be read: {error}"
    return ""


def request_id(body: dict[str, Any]) -> str:
    """Names a request."""
    return hashlib.sha256(canonical(body)).hexdigest()


def document_from(path: Path) -> dict[str, Any]:
    """A request or a consent, from a file.

    Raises:
        EnvironmentFault: it can't be read.
    """
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise EnvironmentFault(os_error_text(error)) from error
    except (ValueError, RecursionError) as error:
        raise EnvironmentFault(f"{path} can't be read: {error}") from error
    if not isinstance(found, dict):
        raise EnvironmentFault(f"{path} is no request and no consent")
    return found


def _request_of(request: Any) -> dict[str, Any]:
    """What is asked, as an officer signs it."""
    return _with(_object(request, "a request").get("body"), _REQUEST, "a request")


def _object(found: Any, what: str) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise SealFault(f"{what} is no JSON object; {_WRITERS}")
    return found


def _with(found: Any, kinds: Mapping[str, type], what: str) -> dict[str, Any]:
    """It, if it has all of these: text, or numbers.

    Raises:
        SealFault: it has not. Whoever wrote it is somebody else.
    """
    checked = _object(found, what)
    for name, kind in kinds.items():
        value = checked.get(name)
        if type(value) is not kind:
            raise SealFault(f"{what} has no {name}, or one of another kind; {_WRITERS}")
        if isinstance(value, str) and any("\ud800" <= letter <= "\udfff" for letter in value):
            raise SealFault(f"{what} has a {name} that is no text; {_WRITERS}")
    return checked


def _purpose(body: dict[str, Any]) -> bytes:
    return b"consent " + request_id(body).encode()


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
