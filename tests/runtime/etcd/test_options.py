"""Options that can't work are refused before anything is connected; TLS works end to end."""

import asyncio
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lockstep.ops.local.etcd_server import find_etcd
from lockstep.runtime.etcd import CasWon, EtcdOptions, EtcdStore, MemberStatus, StoreUnavailable, TlsOptions


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"endpoints": ()}, "no endpoints"),
        ({"endpoints": ("localhost",)}, "expected host:port"),
        ({"endpoints": ("localhost:0",)}, "expected host:port"),
        ({"endpoints": ("localhost:2379", "http://localhost:2379/")}, "named twice"),
        ({"endpoints": ("https://localhost:2379",)}, "set the TLS options"),
        ({"endpoints": ("http://localhost:2379",), "tls": TlsOptions(ca=b"")}, "use https://"),
        ({"endpoints": ("localhost:2379",), "user": "alice"}, "both user and password"),
        ({"endpoints": ("localhost:2379",), "call_timeout_s": 0}, "call_timeout_s must be positive"),
    ],
)
def test_impossible_options_are_refused_with_the_remedy(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        EtcdOptions(**wrong)


def test_half_a_client_certificate_is_refused() -> None:
    with pytest.raises(ValueError, match="both cert and key"):
        TlsOptions(ca=b"ca", cert=b"cert")


def test_passwords_do_not_show_in_a_printed_option() -> None:
    assert "hunter2" not in repr(EtcdOptions(endpoints=("localhost:2379",), user="alice", password="hunter2"))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command to make certificates")
def test_mutual_tls_lets_the_owner_of_a_certificate_in_and_nobody_else(tmp_path: Path) -> None:
    _make_certificates(tmp_path)
    ca, cert, key = ((tmp_path / name).read_bytes() for name in ("ca.pem", "leaf.pem", "leaf.key"))
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        port, peer_port = one.getsockname()[1], two.getsockname()[1]
    url, peer_url = f"https://127.0.0.1:{port}", f"http://127.0.0.1:{peer_port}"
    flags = [f"--data-dir={tmp_path / 'store'}", f"--listen-client-urls={url}", f"--advertise-client-urls={url}"]
    flags += [f"--listen-peer-urls={peer_url}", f"--initial-advertise-peer-urls={peer_url}", "--client-cert-auth"]
    flags += [f"--initial-cluster=default={peer_url}", f"--trusted-ca-file={tmp_path / 'ca.pem'}"]
    flags += [f"--cert-file={tmp_path / 'leaf.pem'}", f"--key-file={tmp_path / 'leaf.key'}"]

    async def scenario() -> None:
        tls = TlsOptions(ca=ca, cert=cert, key=key)
        async with EtcdStore(EtcdOptions(endpoints=(url,), tls=tls, call_timeout_s=5)) as store:
            assert isinstance((await store.status())[0], MemberStatus)
            assert isinstance(await store.compare_and_swap(b"k", 0, b"v", timeout_s=5), CasWon)
        async with EtcdStore(EtcdOptions(endpoints=(url,), tls=TlsOptions(ca=ca), call_timeout_s=0.3)) as store:
            with pytest.raises(StoreUnavailable):
                await store.get(b"k")

    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([find_etcd().path, *flags], stdout=log, stderr=log)
    try:
        asyncio.run(scenario())
    finally:
        process.kill()
        process.wait()


def _make_certificates(folder: Path) -> None:
    """A certificate authority, and one certificate that serves as server's and client's."""
    new_key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
    (folder / "san").write_text("subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n")
    for line in (
        f"req -x509 {new_key} -days 2 -subj /CN=ca -keyout ca.key -out ca.pem",
        f"req {new_key} -subj /CN=leaf -keyout leaf.key -out leaf.csr",
        "x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile san -out leaf.pem",
    ):
        subprocess.run(["openssl", *line.split()], cwd=folder, check=True, capture_output=True)
