"""Certificates say what was executed, and not one figure of them can be changed."""

import json

import pytest

from lockstep.reconciler.certificate import (
    CertificateFault,
    RangeFigures,
    balances_digest,
    load_key,
    read_certificate,
    sign,
)
from lockstep.runtime.process import EnvironmentFault
from lockstep.stream.digest import Digest

BODY = {"from_seq": 1, "to_seq": 10, "end_digest": "00", "nested": {"b": [1, 2], "a": "ü"}}


@pytest.fixture
def key(tmp_path):
    return load_key(tmp_path / "keys" / "key.pem")


def test_signed_certificate_is_read_back(key) -> None:
    certificate = read_certificate(sign(BODY, key))
    assert certificate.body == BODY
    assert len(certificate.fingerprint) == 64


def test_key_is_made_once_and_for_its_owner_only(tmp_path) -> None:
    path = tmp_path / "key.pem"
    first = read_certificate(sign(BODY, load_key(path))).fingerprint
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_certificate(sign(BODY, load_key(path))).fingerprint == first


def test_file_that_is_no_key_is_an_environment_fault(tmp_path) -> None:
    path = tmp_path / "key.pem"
    path.write_text("nonsense")
    with pytest.raises(EnvironmentFault, match="key_file"):
        load_key(path)


@pytest.mark.parametrize("field", ["from_seq", "to_seq", "end_digest"])
def test_changed_figure_breaks_the_signature(key, field) -> None:
    document = json.loads(sign(BODY, key))
    document["body"][field] = 11
    with pytest.raises(CertificateFault, match="changed after it was signed"):
        read_certificate(json.dumps(document))


def test_exchanged_key_breaks_the_signature(key, tmp_path) -> None:
    document = json.loads(sign(BODY, key))
    document["public_key"] = json.loads(sign(BODY, load_key(tmp_path / "other.pem")))["public_key"]
    with pytest.raises(CertificateFault, match="signature"):
        read_certificate(json.dumps(document))


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"lockstep_certificate": 1}', '{"lockstep_certificate": 2}'])
def test_what_is_no_certificate_is_refused(text) -> None:
    with pytest.raises(CertificateFault):
        read_certificate(text)


def test_range_figures_survive_a_checkpoint() -> None:
    figures = RangeFigures(5, Digest(b"\1" * 16), 9, Digest(b"\2" * 16), 1, 4, 3, 8, 2, 2**127, [(3, 6)])
    assert RangeFigures.from_json(figures.to_json()) == figures


def test_balances_digest_ignores_what_is_zero_and_the_order() -> None:
    assert balances_digest({(1, 0): 5, (2, 0): 0}) == balances_digest({(1, 0): 5})
    assert balances_digest({(1, 0): 5, (2, 0): 6}) == balances_digest({(2, 0): 6, (1, 0): 5})
    assert balances_digest({(1, 0): 5}) != balances_digest({(1, 0): -5})
