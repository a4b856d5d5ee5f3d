"""A certificate authority for one cluster: X.509 (RFC 5280) certificates with P-256 keys, in PEM files.

`ca.pem` goes to everybody, `ca.key` stays with whoever issues. `<name>.pem` is a process', an operator's or etcd's: its
private key and its certificate in one file, so that a rotation replaces both at once.
"""

import ipaddress
import os
import secrets
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lockstep.runtime.faults import EnvironmentFault
from lockstep.runtime.topology import Topology, is_loopback

CA, CA_KEY = "ca.pem", "ca.key"
CA_DAYS: Final = 3650
LEAF_DAYS: Final = 365
_BACKDATE: Final = timedelta(hours=1)
"""For hosts whose clocks are behind."""
OPERATOR, ETCD, RECONCILER = "operator", "etcd", "reconciler"
LEDGER, ALERTS, AUDIT, DAY = "ledger", "alerts", "audit", "day"


def make_authority(directory: Path, cluster: str) -> None:
    """Make `ca.pem` and `ca.key`.

    Raises:
        EnvironmentFault: they are there already, or can't be written.
    """
    if (directory / CA).exists() or (directory / CA_KEY).exists():
        raise EnvironmentFault(
            f"{directory} has an authority already; issue certificates with it, or choose another one"
        )
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Lockstep cluster {cluster}")])
    usage = x509.KeyUsage(
        digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    made = (
        _builder(name, name, key.public_key(), CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, SHA256())
    )
    _write(directory / CA_KEY, _private(key))
    _write(directory / CA, made.public_bytes(Encoding.PEM))


def issue(directory: Path, cluster: str, name: str, hosts: Iterable[str], days: float = LEAF_DAYS) -> Path:
    """Make `<name>.pem`, or make it anew, with a new key; the file.

    Raises:
        EnvironmentFault: the authority's files are not there, or it can't be written.
    """
    try:
        ca = x509.load_pem_x509_certificates((directory / CA).read_bytes())[0]
        ca_key = load_pem_private_key((directory / CA_KEY).read_bytes(), None)
    except (OSError, ValueError) as error:
        text = f"{directory} holds no authority that can issue ({error}): `lockstep certs init` makes one"
        raise EnvironmentFault(text) from error
    assert isinstance(ca_key, ec.EllipticCurvePrivateKey), "made by `make_authority`"
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(f"lockstep://{cluster}/{name}")]
    names += [_san(host) for host in hosts]
    usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    made = (
        _builder(subject, ca.subject, key.public_key(), days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, SHA256())
    )
    path = directory / f"{name}.pem"
    _write(path, _private(key) + made.public_bytes(Encoding.PEM))
    return path


def names_of(topology: Topology) -> dict[str, tuple[str, ...]]:
    """Whoever needs a certificate in a cluster, with the hosts where it is found."""
    found = {member.name: _hosts(member.host) for member in topology.all_members()}
    found |= {f"snapshotter-{engine.id}": _hosts(engine.host) for engine in topology.engines}
    found[RECONCILER] = found[AUDIT] = _hosts(topology.reconciler.host)
    found[LEDGER] = _hosts(topology.ledger.host)
    found[ALERTS] = _hosts(topology.alerts.host)
    found[DAY] = _hosts(topology.day.host)
    found[ETCD] = tuple(sorted({host for end in topology.etcd_endpoints for host in _hosts(end.rpartition(":")[0])}))
    found[OPERATOR] = ()
    return found


def _hosts(host: str) -> tuple[str, ...]:
    bare = host.strip("[]")
    return ("localhost", "127.0.0.1") if is_loopback(bare) else (bare,)


def _san(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: float
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(now + timedelta(days=days))
    )


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write(path: Path, raw: bytes) -> None:
    """Whole or not at all, its owner's alone."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        raise EnvironmentFault(f"{path} can't be written: {error.strerror}") from error
