"""The small authority, and what processes make of its files."""

import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509

from lockstep.runtime.faults import EnvironmentFault
from lockstep.runtime.tls.authority import CA, CA_KEY, issue, make_authority
from lockstep.runtime.tls.material import Material


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    make_authority(tmp_path, "c")
    issue(tmp_path, "c", "engine-1", ("127.0.0.1", "host.example"))
    return tmp_path


def test_files_are_their_owners_alone(directory: Path):
    for file in directory.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def test_a_certificate_names_its_hosts_and_its_member_and_can_sign_nothing(directory: Path):
    (made,) = x509.load_pem_x509_certificates((directory / "engine-1.pem").read_bytes())
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["host.example"]
    assert [str(one) for one in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["lockstep://c/engine-1"]
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    (authority,) = x509.load_pem_x509_certificates((directory / CA).read_bytes())
    made.verify_directly_issued_by(authority)


def test_an_authority_is_never_written_over(directory: Path):
    with pytest.raises(EnvironmentFault, match="already"):
        make_authority(directory, "c")


def test_without_the_authoritys_key_nothing_is_issued(directory: Path):
    (directory / CA_KEY).unlink()
    with pytest.raises(EnvironmentFault, match="certs init"):
        issue(directory, "c", "engine-2", ())


def test_a_replaced_file_is_taken_and_a_broken_one_is_not(directory: Path):
    material = Material(directory, "engine-1")
    context, first = material.ssl_context(), material.certificate
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert not material.refresh()
    issue(directory, "c", "engine-1", ("127.0.0.1",))
    assert material.refresh()
    assert material.certificate != first
    assert b"PRIVATE" not in material.certificate
    second = material.certificate
    (directory / "engine-1.pem").write_text("half a fi")
    assert not material.refresh(), "the one before stays in force"
    assert material.certificate == second


def test_a_missing_file_is_an_error_with_its_remedy(directory: Path):
    with pytest.raises(EnvironmentFault, match="certs issue"):
        Material(directory, "engine-9")
